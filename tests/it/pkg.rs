//! Packages, with the real apt and dpkg, in a booted machine whose only repository is made here.

mod faults;
mod kit;
pub mod repository;

use std::fs;
use std::path::Path;
use std::process::Command;

use mgmt::prelude::*;
use mgmt::resources::PkgBuilder;
use mgmt::testing::laws::{self, Law, Subject};

use crate::kit::inside;
use repository::{Deb, HERE, Machine};

const OURS: &str = "allowunsupported: true";

/// A package whose installation goes on as long as there is the file `/srv/wait`.
const SLOW: Deb = Deb("mgt-slow", "1", "Script: touch /srv/begun; while [ -e /srv/wait ]; do sleep 0.05; done\n");

#[test]
#[ignore = "needs root, systemd and dbus"]
fn what_is_declared_together_is_one_transaction_and_found_in_sync_then() {
    let machine =
        Machine::with(&[Deb("mgt-a", "1.0", ""), Deb("mgt-a", "2.0", ""), Deb("mgt-b", "1.0", "Depends: mgt-a\n")]);
    machine.graph(&format!(
        "  - {{name: mgt-a, state: \"1.0\", {OURS}}}\n  - {{name: mgt-b, {OURS}}}\n  - {{name: mgt-none, state: uninstalled}}\n"
    ));
    machine.run().code(0).said("state: uninstalled → 1.0");
    assert_eq!((machine.version("mgt-a"), machine.version("mgt-b")), ("1.0".into(), "1.0".into()));
    let all = machine.transactions();
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].ends_with("-- mgt-a=1.0 mgt-b"), "{all:?}");
    machine.plan().code(0);

    machine.graph(&format!("  - {{name: mgt-a, state: newest, {OURS}}}\n  - {{name: mgt-b, state: uninstalled}}\n"));
    machine.run().code(0).said("state: installed (1.0) → newest (2.0)");
    assert_eq!((machine.version("mgt-a"), machine.version("mgt-b")), ("2.0".into(), String::new()));
    // What is removed and what is installed have a transaction each.
    assert_eq!(machine.transactions().len(), 3);
    machine.plan().code(0);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_member_whose_parent_is_slow_is_in_the_same_transaction() {
    let machine = Machine::with(&[Deb("mgt-a", "1", ""), Deb("mgt-b", "1", "")]);
    machine.write_graph(&format!(
        "graph: packages\nresources:\n  exec:\n  - {{name: slow, cmd: sleep 2; touch /srv/slow, shell: /bin/sh, creates: \
         /srv/slow}}\n  pkg:\n  - {{name: mgt-a, {OURS}}}\n  - {{name: mgt-b, {OURS}}}\nedges:\n- {{name: e, from: \
         {{kind: exec, name: slow}}, to: {{kind: pkg, name: mgt-b}}}}\n"
    ));
    machine.run().code(0);
    assert_eq!((machine.version("mgt-a"), machine.version("mgt-b")), ("1".into(), "1".into()));
    assert_eq!(machine.transactions().len(), 1, "{:?}", machine.transactions());
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn what_can_not_be_done_fails_alone() {
    let machine = Machine::with(&[
        Deb("mgt-good", "1", ""),
        Deb("mgt-lone", "1", "Depends: mgt-nowhere\n"),
        Deb("mgt-held", "1", ""),
        Deb("mgt-held", "2", ""),
        Deb("mgt-new", "1", ""),
        Deb("mgt-new", "2", ""),
        Deb("mgt-real", "1", "Provides: mgt-virtual\n"),
        Deb("mgt-enemy", "1", "Conflicts: mgt-real\n"),
    ]);
    machine.out("apt-get update");
    machine.out("apt-get --yes install mgt-held=1 mgt-new=2 mgt-real");
    machine.out("apt-mark hold mgt-held");
    let before = machine.transactions().len();
    machine.graph(&format!(
        "  - {{name: mgt-good, {OURS}}}\n  - {{name: mgt-lone, {OURS}}}\n  - {{name: mgt-unknown, {OURS}}}\n  - {{name: \
         mgt-held, state: newest, {OURS}}}\n  - {{name: mgt-new, state: \"1\", {OURS}}}\n  - {{name: mgt-virtual, \
         {OURS}}}\n  - {{name: mgt-enemy, {OURS}}}\n"
    ));
    machine
        .run()
        .code(1)
        .said("mgt-lone : Depends: mgt-nowhere but it is not installable")
        .said("no repository of this host has a package `mgt-unknown`")
        .said("mgt-held is held in version 1: release it with `apt-mark unhold mgt-held`")
        .said("mgt-new is installed in the newer version 2: set `allowdowngrade` to install 1")
        .said("Packages need to be removed but remove is disabled");
    assert_eq!(machine.version("mgt-good"), "1");
    assert_eq!((machine.version("mgt-real"), machine.version("mgt-held")), ("1".into(), "1".into()));
    assert_eq!(machine.transactions().len(), before + 1, "{:?}", machine.transactions());

    machine.graph("  - {name: mgt-enemy}\n");
    machine.run().code(1).said("mgt-enemy 1 is not supported by the distribution").said("set `allowunsupported`");

    machine.graph(&format!("  - {{name: mgt-new, state: \"1\", allowdowngrade: true, {OURS}}}\n"));
    machine.run().code(0);
    assert_eq!(machine.version("mgt-new"), "1");
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_settings_file_that_was_changed_is_kept_or_replaced_without_a_question() {
    let machine = Machine::with(&[Deb("mgt-a", "1", "")]);
    machine.graph(&format!("  - {{name: mgt-a, state: newest, {OURS}}}\n"));
    machine.run().code(0);
    let settings = machine.path("/etc/mgt-a.conf");
    assert_eq!(fs::read_to_string(&settings).unwrap(), "setting of 1\n");
    fs::write(&settings, "own\n").unwrap();
    machine.offer(&[Deb("mgt-a", "2", "")]);
    machine.out("apt-get update");
    machine.run().code(0);
    assert_eq!(machine.version("mgt-a"), "2");
    assert_eq!(fs::read_to_string(&settings).unwrap(), "own\n");

    machine.offer(&[Deb("mgt-a", "3", "")]);
    machine.out("apt-get update");
    machine.graph(&format!("  - {{name: mgt-a, state: newest, conffiles: replace, {OURS}}}\n"));
    machine.run().code(0);
    assert_eq!(fs::read_to_string(&settings).unwrap(), "setting of 3\n");
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn what_others_remove_or_offer_is_noticed() {
    let machine = Machine::with(&[Deb("mgt-a", "1", "")]);
    machine.graph(&format!("  - {{name: mgt-a, state: newest, {OURS}}}\n"));
    let mut running = machine.command().start();
    running.says("converged in");
    machine.out("apt-get --yes remove mgt-a");
    machine.wait("the package is back", || machine.version("mgt-a") == "1");
    machine.out("pkill -INT --exact mgmt");
    running.wait().code(0);

    // Not of the same engine: it would space its repairs.
    let mut running = machine.command().start();
    running.says("converged in");
    machine.offer(&[Deb("mgt-a", "2", "")]);
    machine.out("apt-get update");
    machine.wait("the new version", || machine.version("mgt-a") == "2");
    machine.out("pkill -INT --exact mgmt");
    running.wait().code(0);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn packages_that_change_while_apt_reads_them_are_looked_at_again() {
    let machine = Machine::with(&[Deb("mgt-a", "1", "")]);
    machine.graph(&format!("  - {{name: mgt-a, {OURS}}}\n"));
    // What apt prints then, once: to two questions that are asked together.
    let once = machine.path("/usr/local/bin/apt-cache");
    let status = "/var/lib/dpkg/status";
    let script = format!(
        "#!/bin/sh\nrm -f $0; cp {status} {status}.$$; mv {status}.$$ {status}\n\
         echo \"E: Cache is out of sync, can't x-ref a package file\" >&2; exit 100\n"
    );
    fs::write(&once, script).unwrap();
    machine.out("chmod +x /usr/local/bin/apt-cache");
    let ended = machine.run().code(0);
    assert_eq!(machine.version("mgt-a"), "1");
    assert!(!once.exists() && !ended.err.contains("failed"), "{}", ended.err);
}

/// Two packages on the machine in which this runs, which is booted for it: `mgt-law` 1 and 2.
fn offered_here() {
    let _ = fs::remove_dir_all(HERE);
    repository::alone(Path::new("/"));
    repository::make(Path::new("/"), &[Deb("mgt-law", "1", ""), Deb("mgt-law", "2", "")], &|words| {
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    });
    sh("apt-get update");
}

fn sh(line: &str) {
    let output = Command::new("sh").args(["-c", line]).env("DEBIAN_FRONTEND", "noninteractive").output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Where `mgt-law` is declared in its second version, in this way.
fn law_of(declared: fn() -> PkgBuilder) -> Subject {
    Subject::new(move |_| declared())
        .prepare(|_| sh("dpkg --purge mgt-law"))
        .break_it(|_| sh("apt-get --yes remove mgt-law"))
        .break_it(|_| sh("apt-get --yes --allow-downgrades install mgt-law=1"))
        .observe(|_| {
            let show = ["--show", "--showformat=${db:Status-Status} ${Version}", "mgt-law"];
            let output = Command::new("dpkg-query").args(show).output().unwrap();
            // Its settings stay when it is removed.
            String::from_utf8(output.stdout).unwrap().replace("config-files 2", "")
        })
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn the_kind_keeps_the_laws() {
    inside("pkg::the_kind_keeps_the_laws", || {
        offered_here();
        let kept = laws::check(law_of(|| Pkg::new("mgt-law").newest().allowunsupported(true)));
        assert!(Law::ALL.iter().all(|law| kept.contains(law)) && kept.contains(&Law::UndoRestores), "{kept:?}");
    });
}
