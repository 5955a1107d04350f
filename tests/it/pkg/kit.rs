//! Packages through the real PackageKit.

use std::fs;

use mgmt::prelude::*;
use mgmt::testing::laws::{self, Law};

use super::repository::{Deb, Machine};
use super::{SLOW, law_of, offered_here};
use crate::kit::inside;

const KIT: &str = "backend: packagekit, allowuntrusted: true, allowunsupported: true";

#[test]
#[ignore = "needs root, systemd, dbus and PackageKit"]
fn what_is_declared_together_is_one_transaction_and_found_in_sync_then() {
    let machine =
        Machine::with(&[Deb("mgt-a", "1.0", ""), Deb("mgt-a", "2.0", ""), Deb("mgt-b", "1.0", "Depends: mgt-a\n")]);
    machine.out("apt-get update");
    machine.graph(&format!(
        "  - {{name: mgt-a, state: \"1.0\", {KIT}}}\n  - {{name: mgt-b, {KIT}}}\n  - {{name: mgt-none, state: \
         uninstalled, {KIT}}}\n"
    ));
    machine.run().code(0).said("state: uninstalled → 1.0");
    assert_eq!((machine.version("mgt-a"), machine.version("mgt-b")), ("1.0".into(), "1.0".into()));
    assert_eq!(machine.transactions().len(), 1, "{:?}", machine.transactions());
    machine.plan().code(0);

    machine
        .graph(&format!("  - {{name: mgt-a, state: newest, {KIT}}}\n  - {{name: mgt-b, state: uninstalled, {KIT}}}\n"));
    machine.run().code(0).said("state: installed (1.0) → newest (2.0)");
    assert_eq!((machine.version("mgt-a"), machine.version("mgt-b")), ("2.0".into(), String::new()));
    machine.plan().code(0);
}

#[test]
#[ignore = "needs root, systemd, dbus and PackageKit"]
fn what_can_not_be_done_fails_alone() {
    let machine = Machine::with(&[
        Deb("mgt-good", "1", ""),
        Deb("mgt-lone", "1", "Depends: mgt-nowhere\n"),
        Deb("mgt-new", "1", ""),
        Deb("mgt-new", "2", ""),
        Deb("mgt-real", "1", ""),
        Deb("mgt-enemy", "1", "Conflicts: mgt-real\n"),
    ]);
    machine.out("apt-get update");
    machine.out("apt-get --yes install mgt-new=2 mgt-real");
    machine.graph(&format!(
        "  - {{name: mgt-good, {KIT}}}\n  - {{name: mgt-lone, {KIT}}}\n  - {{name: mgt-unknown, {KIT}}}\n  - {{name: \
         mgt-new, state: \"1\", {KIT}}}\n  - {{name: mgt-enemy, {KIT}}}\n"
    ));
    machine
        .run()
        .code(1)
        .said("Cannot refresh cache whilst offline")
        .said("pkg[mgt-lone]: apply failed")
        .said("mgt-new would be replaced by an older version: set `allowdowngrade`")
        .said("mgt-real would be removed");
    assert_eq!((machine.version("mgt-good"), machine.version("mgt-new")), ("1".into(), "2".into()));
    assert_eq!((machine.version("mgt-real"), machine.version("mgt-enemy")), ("1".into(), String::new()));

    machine.graph(&format!("  - {{name: mgt-new, state: \"1\", allowdowngrade: true, {KIT}}}\n"));
    machine.run().code(0);
    assert_eq!(machine.version("mgt-new"), "1");
    machine.graph("  - {name: mgt-lone, conffiles: replace, backend: packagekit}\n");
    machine.run().code(1).said("PackageKit can't do");
}

#[test]
#[ignore = "needs root, systemd, dbus and PackageKit"]
fn what_others_remove_is_noticed_and_one_that_dies_or_is_absent_is_waited_for() {
    let machine = Machine::with(&[SLOW, Deb("mgt-a", "1", "")]);
    machine.out("apt-get update");
    machine.graph(&format!("  - {{name: mgt-a, {KIT}}}\n"));
    let mut running = machine.command().start();
    running.says("converged in");
    machine.out("apt-get --yes remove mgt-a");
    machine.wait("the package is back", || machine.version("mgt-a") == "1");

    // Killed in the middle: what it has begun is ended, and not begun again.
    fs::write(machine.path("/srv/wait"), "").unwrap();
    machine.graph(&format!("  - {{name: mgt-a, {KIT}}}\n  - {{name: mgt-slow, configure: true, {KIT}}}\n"));
    machine.wait("the transaction", || machine.path("/srv/begun").exists());
    machine.out("systemctl kill --kill-whom all --signal KILL packagekit");
    fs::remove_file(machine.path("/srv/wait")).unwrap();
    machine.wait("the slow package", || machine.version("mgt-slow") == "1");

    machine.out("systemctl mask --runtime --now packagekit");
    machine.graph(&format!("  - {{name: mgt-slow, state: uninstalled, {KIT}}}\n"));
    running.says("org.freedesktop.PackageKit does not answer on the bus");
    machine.out("systemctl unmask --runtime packagekit");
    machine.wait("it is gone", || machine.version("mgt-slow").is_empty());
    machine.out("pkill -INT --exact mgmt");
    running.wait().code(0);
}

#[test]
#[ignore = "needs root, systemd, dbus and PackageKit"]
fn the_kind_keeps_the_laws() {
    inside("pkg::kit::the_kind_keeps_the_laws", || {
        offered_here();
        let subject = law_of(|| {
            let declared = Pkg::new("mgt-law").version("2").backend(PkgBackend::Packagekit);
            declared.allowunsupported(true).allowuntrusted(true)
        });
        let kept = laws::check(subject.cancels(6));
        assert!(Law::ALL.iter().all(|law| kept.contains(law)) && kept.contains(&Law::UndoRestores), "{kept:?}");
    });
}
