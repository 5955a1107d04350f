//! `mgmt capture`: what it prints is in sync with the machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use mgmt::testing::TempDir;

use crate::kit::program::{Ended, Program, mgmt};
use crate::pkg::repository::{Deb, Machine};

fn capture(arguments: &str) -> Ended {
    Program::new(&mgmt()).args("capture").args(arguments).run()
}

/// What a plan of this graph prints.
fn plan(yaml: &Path) -> Ended {
    Program::new(&mgmt()).args("plan --tmp-prefix --yaml").arg(yaml).run()
}

#[test]
fn a_directory_is_captured_with_all_that_can_be_declared() {
    let dir = TempDir::new().unwrap();
    let site = dir.path().join("site");
    fs::create_dir_all(site.join("conf.d")).unwrap();
    fs::write(site.join("index.html"), "<p>\"a\": b # c\n\n  d\n").unwrap();
    fs::write(site.join("conf.d/own"), "").unwrap();
    fs::write(site.join("conf.d/key"), "hunter2\n").unwrap();
    fs::write(site.join("picture"), [0xff, 0xfe, 0]).unwrap();
    fs::set_permissions(site.join("conf.d/key"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(&site, fs::Permissions::from_mode(0o1755)).unwrap();
    symlink("index.html", site.join("home")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(site.join("socket")).unwrap();

    let (site, yaml) = (site.to_str().unwrap(), dir.path().join("graph.yaml"));
    let ended = capture(&format!("file:{site} file:{site}/home file:{site}/none")).code(0);
    assert!(!ended.out.contains("hunter2"), "{}", ended.out);
    for part in [
        "# left out, since no `file` can declare it: socket (socket)\n",
        "mode: \"1755\"\n",
        "# its content is left out: others may not read it, so it may be a secret; give it with `source`\n",
        "# its content is left out: it is not text; give it with `source`\n",
        "content: |\n      <p>\"a\": b # c\n\n        d\n",
        "symlink: index.html\n",
        "# there is nothing at this path\n",
    ] {
        assert!(ended.out.contains(part), "{part:?} in\n{}", ended.out);
    }
    assert_eq!(ended.out.matches("/home\n").count(), 1, "{}", ended.out);
    fs::write(&yaml, &ended.out).unwrap();
    let planned = plan(&yaml).code(0);
    assert!(planned.out.contains("8 in sync"), "{}", planned.out);
    fs::write(format!("{site}/conf.d/own"), "other").unwrap();
    plan(&yaml).code(2);

    let rust = capture(&format!("--rust --graph web file:{site}/index.html")).code(0).out;
    assert!(rust.starts_with("//! The graph \"web\", captured from a host.\n"), "{rust}");
    assert!(rust.contains(".content(\"<p>\\\"a\\\": b # c\\n\\n  d\\n\")"), "{rust}");
}

#[test]
fn what_can_not_be_captured_is_named_all_at_once() {
    let ended = capture("exec:x nothing:y word file:relative user:no/name").code(1);
    let kinds = "the kind `exec` can't be captured; ";
    for part in [
        kinds,
        "nothing:y: there is no kind `nothing`",
        "word: write it as KIND:NAME, such as `svc:nginx`",
        "file:relative: ",
        "user:no/name: ",
    ] {
        assert!(ended.err.contains(part), "{part:?} in\n{}", ended.err);
    }
    assert_eq!(ended.out, "");
    assert!(capture("").code(1).err.contains("KIND:NAME"));
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_machine_is_in_sync_with_what_was_captured_from_it() {
    let machine = Machine::with(&[Deb("mgt-a", "1.0", "")]);
    let unit = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
    fs::write(machine.path("/etc/systemd/system/ours.service"), unit).unwrap();
    machine.out("apt-get update; apt-get --yes install mgt-a; systemctl enable --now ours; hostnamectl hostname box7");
    machine.out("groupadd media; useradd --groups media --comment 'Ann, Other' --create-home ann");
    machine.out("echo 'ann:hunter2' | chpasswd; chage --expiredate 2031-02-03 ann; useradd --system daemon7");
    let names = "svc:ours svc:dbus pkg:mgt-a pkg:mgt-none user:ann user:daemon7 user:no-one group:media group:none \
                 hostname:names sysctl:vm.swappiness file:/etc/mgt-a.conf file:/home/ann";
    let captured = machine.out(&format!("mgmt capture {names}"));
    assert!(!captured.contains("hunter2") && !captured.contains("$y$"), "{captured}");
    for part in [
        "- name: ours\n    state: running\n    startup: enabled\n",
        "# `startup` is left out: its unit file is static\n",
        "# version 1.0 is installed",
        "- name: mgt-none\n    state: uninstalled\n",
        "# the hash of its password is left out: it is a secret\n",
        "expires: \"2031-02-03\"\n",
        "static_hostname: box7\n",
    ] {
        assert!(captured.contains(part), "{part:?} in\n{captured}");
    }
    machine.write_graph(&captured);
    let planned = machine.plan().code(0);
    assert!(!planned.out.contains("would"), "{}", planned.out);
    machine.out("systemctl stop ours; usermod --comment other ann");
    machine.plan().code(2);
    machine.run().code(0);
    assert_eq!(machine.out("systemctl is-active ours"), "active");
    assert!(machine.out("mgmt capture user:ann").contains("comment: \"Ann, Other\""));
    let gone = machine.out("mgmt capture svc:never 2>&1; echo $?");
    assert!(gone.contains("svc:never: there is no unit never.service") && gone.ends_with('1'), "{gone}");
}
