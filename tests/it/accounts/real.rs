//! The laws against the system's own tools. They run in a process of their own inside of a machine that is booted for
//! that, so that the accounts of this one stay as they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use mgmt::prelude::*;
use mgmt::testing::laws::{self, Law, Subject};

use crate::kit::inside;

/// All laws of a kind that can be undone.
const UNDONE: [Law; 7] = {
    let [a, b, c, d, e, f] = Law::ALL;
    [a, b, c, d, e, f, Law::UndoRestores]
};

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The lines of the files of accounts, in any order, but for when passwords were changed.
fn accounts(_: &Path) -> String {
    let mut lines = Vec::new();
    for file in ["/etc/passwd", "/etc/group", "/etc/gshadow", "/etc/shadow"] {
        lines.extend(fs::read_to_string(file).unwrap().lines().map(|line| format!("{file} {line}")));
    }
    lines.sort();
    lines.join("\n")
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_group_keeps_the_laws() {
    inside("accounts::real::a_group_keeps_the_laws", || {
        let gone = |_: &Path| drop(Command::new("groupdel").arg("app").output().unwrap());
        let exists = Subject::new(|_| Group::new("app").gid(4711u32))
            .prepare(gone)
            .observe(accounts)
            .break_it(|_| run("groupmod", &["--gid", "4712", "app"]))
            .break_it(|_| run("groupdel", &["app"]));
        assert_eq!(laws::check(exists), UNDONE);

        let absent = Subject::new(|_| Group::new("app").absent())
            .prepare(|_| drop(Command::new("groupadd").args(["--gid", "4711", "app"]).output().unwrap()))
            .observe(accounts)
            .break_it(|_| run("groupadd", &["--gid", "4711", "app"]));
        assert_eq!(laws::check(absent), UNDONE);
    });
}
