//! `mgmt setup svc` under systemd as PID 1.

use std::fs;
use std::time::{Duration, Instant};

use crate::kit::Booted;
use crate::kit::program::mgmt;
use crate::kit::run::LONG;

const GRAPH: &str = "graph: site\nresources:\n  file:\n  - {name: motd, path: /srv/motd, content: one}\n";
const MOTD: &str = "/srv/motd";

/// A machine with the program and a graph.
fn machine() -> Booted {
    let booted = Booted::start();
    // Of this machine's own graphs.
    booted.out(&["rm", "-rf", "/etc/mgmt", "/var/lib/mgmt"]);
    booted.copy(&mgmt(), "/usr/local/bin/mgmt");
    fs::create_dir_all(booted.path("/etc/mgmt")).unwrap();
    fs::write(booted.path("/etc/mgmt/site.yaml"), GRAPH).unwrap();
    booted
}

fn show(booted: &Booted, property: &str) -> String {
    let shown = booted.out(&["systemctl", "show", "--property", property, "mgmt"]);
    shown.split_once('=').unwrap().1.to_owned()
}

#[track_caller]
fn wait(booted: &Booted, what: &str, until: impl Fn() -> bool) {
    let began = Instant::now();
    while !until() {
        let journal = || booted.run(&["journalctl", "--no-pager", "-u", "mgmt"]).out;
        assert!(began.elapsed() < LONG, "{what}: never;\n{}", journal());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_graph_is_a_service_that_repairs_reloads_and_ends_well() {
    let booted = machine();
    let read = || fs::read_to_string(booted.path(MOTD)).unwrap_or_default();
    let setup = ["mgmt", "setup", "svc", "--now", "--no-watch", "--yaml", "/etc/mgmt/site.yaml"];
    let said = booted.out(&setup);
    assert!(said.starts_with("written: /etc/systemd/system/mgmt.service\n"), "{said}");
    assert_eq!(booted.out(&["systemctl", "is-enabled", "mgmt"]), "enabled");
    wait(&booted, "active", || show(&booted, "ActiveState") == "active");
    assert_eq!(read(), "one", "active is when all has converged");
    assert_eq!(show(&booted, "StatusText"), "converged: 1 resource");
    booted.run(&["systemd-analyze", "verify", "/etc/systemd/system/mgmt.service"]).code(0);

    fs::remove_file(booted.path(MOTD)).unwrap();
    wait(&booted, "the repair", || read() == "one");

    fs::write(booted.path("/etc/mgmt/site.yaml"), GRAPH.replace("one", "two")).unwrap();
    booted.out(&["systemctl", "reload", "mgmt"]);
    wait(&booted, "the new content", || read() == "two");
    fs::write(booted.path("/etc/mgmt/site.yaml"), "graph: site\nresources: 5\n").unwrap();
    booted.out(&["systemctl", "reload", "mgmt"]);
    assert_eq!(show(&booted, "StatusText"), "the new graph was refused, the one before is in force");
    assert_eq!(show(&booted, "ActiveState"), "active");

    booted.out(&["systemctl", "stop", "mgmt"]);
    assert_eq!((show(&booted, "Result"), show(&booted, "ExecMainStatus")), ("success".into(), "0".into()));
    let mode = booted.out(&["stat", "--format=%a", "/var/lib/mgmt"]);
    assert_eq!(mode, "700");
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_service_that_is_killed_or_hangs_is_started_again() {
    let booted = machine();
    booted.out(&["mgmt", "setup", "svc", "--yaml", "/etc/mgmt/site.yaml"]);
    // What an administrator changes is kept beside the unit.
    let drop_in = booted.path("/etc/systemd/system/mgmt.service.d");
    fs::create_dir(&drop_in).unwrap();
    fs::write(drop_in.join("own.conf"), "[Service]\nRestartSec=100ms\nWatchdogSec=2s\nTimeoutAbortSec=1s\n").unwrap();
    booted.out(&["systemctl", "daemon-reload"]);
    booted.out(&["systemctl", "start", "mgmt"]);
    for (count, signal) in [("1", "KILL"), ("2", "STOP")] {
        let pid = show(&booted, "MainPID");
        booted.out(&["kill", &format!("-{signal}"), &pid]);
        wait(&booted, "another start", || show(&booted, "NRestarts") == count);
        wait(&booted, "active", || show(&booted, "ActiveState") == "active");
        assert_ne!(show(&booted, "MainPID"), pid);
    }
    assert!(booted.out(&["mgmt", "setup", "svc", "--yaml", "/etc/mgmt/site.yaml"]).starts_with("unchanged: "));
    assert!(drop_in.join("own.conf").exists());
    booted.out(&["systemctl", "stop", "mgmt"]);
    assert_eq!(show(&booted, "Result"), "success");
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_service_runs_where_it_was_set_up_and_a_failure_to_start_is_reported() {
    let booted = machine();
    fs::create_dir_all(booted.path("/srv/my site")).unwrap();
    let script = booted.path("/srv/my site/graph.sh");
    fs::write(&script, "#!/bin/sh\ncat /etc/mgmt/site.yaml\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let setup = |line: &str| {
        let line = format!("cd '/srv/my site' && MGMT_PREFIX=state mgmt setup svc --now --command '{line}'");
        booted.run(&["sh", "-c", &line])
    };
    let ended = setup("./graph.sh").code(0).said("enabled and started: ");
    assert!(ended.out.starts_with("written: "), "{ended:?}");
    assert_eq!(show(&booted, "ActiveState"), "active");
    assert_eq!(fs::read_to_string(booted.path(MOTD)).unwrap(), "one");
    assert!(booted.path("/srv/my site/state/journal.lock").exists());
    let journal = booted.out(&["journalctl", "-o", "cat", "-u", "mgmt", "-p", "info"]);
    assert!(
        journal.lines().any(|line| line.trim_start().starts_with("INFO converged in ")),
        "no second time: {journal}"
    );
    // The graph is checked before, so the script fails only the second time.
    let fails = "test -e failed && exit 3; touch failed; ./graph.sh";
    let ended = setup(fails).code(1).said("the service mgmt is enabled, but does not start: ");
    ended.said("`journalctl -u mgmt` shows why");
}
