//! The kind `hostname` against a real `systemd-hostnamed`.

use std::fs;
use std::process::Command;

use mgmt::prelude::*;
use mgmt::testing::laws::{self, Law, Subject};

use crate::kit::program::mgmt;
use crate::kit::{Booted, inside};

fn hostnamectl(words: &[&str]) -> String {
    let output = Command::new("hostnamectl").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn the_kind_keeps_the_laws() {
    inside("hostname::the_kind_keeps_the_laws", || {
        let subject =
            Subject::new(|_| Hostname::new("names").hostname("web1").pretty_hostname("Web \"one\", first rack"))
                .prepare(|_| {
                    hostnamectl(&["hostname", "before"]);
                    hostnamectl(&["--pretty", "hostname", "Before"]);
                })
                .break_it(|_| drop(hostnamectl(&["--static", "hostname", "other"])))
                .break_it(|_| drop(hostnamectl(&["--pretty", "hostname", "Other"])))
                .break_it(|_| {
                    fs::write("/etc/hostname.new", "by-hand\n").unwrap();
                    fs::rename("/etc/hostname.new", "/etc/hostname").unwrap();
                })
                .observe(|_| {
                    ["--static", "--transient", "--pretty"].map(|which| hostnamectl(&[which, "hostname"])).join("\n")
                });
        let kept = laws::check(subject);
        assert!(Law::ALL.iter().all(|law| kept.contains(law)) && kept.contains(&Law::UndoRestores), "{kept:?}");
    });
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn what_can_not_be_is_one_clear_failure_and_an_absent_service_is_waited_for() {
    let booted = Booted::start();
    booted.copy(&mgmt(), "/usr/local/bin/mgmt");
    fs::create_dir_all(booted.path("/srv")).unwrap();
    booted.out(&["hostnamectl", "hostname", "fixed"]);
    let graph = "graph: g\nresources:\n  hostname:\n  - {name: n, transient_hostname: other}\n";
    fs::write(booted.path("/srv/graph.yaml"), graph).unwrap();
    let run =
        || booted.command(&["mgmt", "run", "-t", "0", "--prefix", "/srv/prefix", "--yaml", "/srv/graph.yaml"]).run();
    run().code(1).said("the host has the static name `fixed`, which counts more; declare `static_hostname` too");
    booted.out(&["systemctl", "mask", "--now", "systemd-hostnamed.service", "dbus-org.freedesktop.hostname1.service"]);
    let graph = "graph: g\nresources:\n  hostname:\n  - {name: n, hostname: a, pretty_hostname: A, static_hostname: a, transient_hostname: a}\n";
    fs::write(booted.path("/srv/graph.yaml"), graph).unwrap();
    run().code(1).said("hostname[n] waits: ");
    booted.out(&["systemctl", "unmask", "systemd-hostnamed.service", "dbus-org.freedesktop.hostname1.service"]);
    run().code(0);
    assert_eq!(booted.out(&["hostnamectl", "hostname"]), "a");
    assert_eq!(booted.out(&["cat", "/etc/hostname"]), "a");
}
