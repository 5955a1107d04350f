//! The laws against the system's own tools. They run in a process of their own inside of a machine that is booted for
//! that, so that the accounts of this one stay as they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use mgmt::prelude::*;
use mgmt::resource::ObstacleKind;
use mgmt::resources::UserBuilder;
use mgmt::testing::Fake;
use mgmt::testing::laws::{self, Law, Subject};

use crate::kit::inside;

/// All laws of a kind that can be undone.
pub(super) const UNDONE: [Law; 7] = {
    let [a, b, c, d, e, f] = Law::ALL;
    [a, b, c, d, e, f, Law::UndoRestores]
};

pub(super) fn run(program: &str, args: &[&str]) {
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

/// A user `ann` with a group of its name, who is in the group `staff` and has a password.
fn make_ann(_: &Path) {
    remove_ann();
    run("useradd", &["--uid", "4711", "--create-home", "--groups", "staff", "--comment", "Ann", "ann"]);
    run("usermod", &["--password", "$6$old$old", "--expiredate", "2040-01-01", "ann"]);
}

fn remove_ann() {
    for (program, args) in [("userdel", &["ann"][..]), ("groupdel", &["ann"]), ("groupdel", &["team"])] {
        drop(Command::new(program).args(args).output().unwrap());
    }
    for home in ["/home/ann", "/srv/ann"] {
        drop(fs::remove_dir_all(home));
    }
}

fn everything() -> UserBuilder {
    let user = User::new("ann").uid(4811u32).group("team").groups(["adm", "audio"]).homedir("/srv/ann");
    let user = user.createhome(true).shell("/bin/bash").comment("Ann Other, Room 5");
    user.password(Secret::new("$6$new$new".to_owned())).locked(false).expires(Expiry::on(2030, 1, 2))
}

fn breaks_of_everything(subject: Subject) -> Subject {
    subject
        .break_it(|_| run("usermod", &["--uid", "4812", "ann"]))
        .break_it(|_| run("usermod", &["--gid", "adm", "ann"]))
        .break_it(|_| run("usermod", &["--groups", "adm,staff", "ann"]))
        .break_it(|_| run("usermod", &["--shell", "/bin/sh", "ann"]))
        .break_it(|_| run("usermod", &["--comment", "", "ann"]))
        .break_it(|_| run("usermod", &["--home", "/elsewhere", "ann"]))
        .break_it(|_| run("usermod", &["--lock", "ann"]))
        .break_it(|_| run("usermod", &["--password", "x", "ann"]))
        .break_it(|_| run("usermod", &["--expiredate", "", "ann"]))
        .break_it(|_| fs::remove_dir_all("/srv/ann").unwrap())
        .break_it(|_| run("userdel", &["ann"]))
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_new_user_keeps_the_laws() {
    inside("accounts::real::a_new_user_keeps_the_laws", || {
        let new = Subject::new(|_| everything()).observe(accounts).prepare(|_| {
            remove_ann();
            run("groupadd", &["--gid", "4801", "team"]);
        });
        assert_eq!(laws::check(breaks_of_everything(new)), UNDONE);
    });
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_user_who_is_changed_keeps_the_laws() {
    inside("accounts::real::a_user_who_is_changed_keeps_the_laws", || {
        let changed = Subject::new(|_| everything()).observe(accounts).prepare(|dir| {
            make_ann(dir);
            run("groupadd", &["--gid", "4801", "team"]);
        });
        assert_eq!(laws::check(breaks_of_everything(changed)), UNDONE);
    });
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_user_who_must_be_absent_keeps_the_laws() {
    inside("accounts::real::a_user_who_must_be_absent_keeps_the_laws", || {
        let absent = Subject::new(|_| User::new("ann").absent()).observe(accounts).prepare(make_ann).break_it(|_| {
            fs::remove_dir_all("/home/ann").unwrap();
            make_ann(Path::new("/"));
        });
        assert_eq!(laws::check(absent), UNDONE);
        assert!(Path::new("/home/ann").is_dir(), "a home is not removed");

        make_ann(Path::new("/"));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let host = Fake::new().unwrap();
            assert!(host.put(User::new("ann").absent().removehome(true)).settle().await.unwrap().changed);
        });
        assert!(!Path::new("/home/ann").exists(), "unless that is declared");
    });
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn accounts_that_another_program_has_locked_are_waited_for_and_that_program_is_named() {
    inside("accounts::real::accounts_that_another_program_has_locked_are_waited_for_and_that_program_is_named", || {
        let lock = fs::File::create("/etc/.pwd.lock").unwrap();
        rustix::fs::fcntl_lock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let host = Fake::new().unwrap();
            let group = host.put(Group::new("app"));
            let error = group.settle().await.unwrap_err();
            let holder_is = format!("process {} (", std::process::id());
            let text = error.to_string();
            assert!(text.contains(&holder_is) && text.contains(") has locked the accounts of this host"), "{text}");
            assert_eq!(error.obstacle().map(|obstacle| obstacle.kind), Some(ObstacleKind::Busy));
            drop(lock);
            assert!(group.settle().await.unwrap().changed);
        });
    });
}
