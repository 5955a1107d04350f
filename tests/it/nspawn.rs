//! The kind `nspawn` with the real systemd-machined and containers.

use std::fs;
use std::time::{Duration, Instant};

use mgmt::prelude::*;
use mgmt::testing::laws::{self, Law, Subject};

use crate::kit::program::{Ended, Running, mgmt};
use crate::kit::run::LONG;
use crate::kit::{Booted, inside};

const GRAPH: &str = "/srv/graph.yaml";
const UNIT: &str = "systemd-nspawn@my-box.service";
/// A container with the programs of its host, which sleeps.
const SETTINGS: &str = "[Exec]\nBoot=no\nParameters=/usr/bin/sleep infinity\nPrivateUsers=no\n\
                        [Files]\nBindReadOnly=/usr\n[Network]\nVirtualEthernet=no\n";
const IMAGE: &str = "set -e; mkdir -p /var/lib/machines /tmp/box/usr /tmp/box/etc; \
                     for dir in bin sbin lib lib64; do ln -s usr/$dir /tmp/box/$dir; done; \
                     echo ID=box > /tmp/box/etc/os-release; mv /tmp/box /var/lib/machines/my-box";

fn machine() -> Booted {
    let booted = Booted::start();
    booted.copy(&mgmt(), "/usr/local/bin/mgmt");
    fs::create_dir_all(booted.path("/etc/systemd/nspawn")).unwrap();
    fs::write(booted.path("/etc/systemd/nspawn/my-box.nspawn"), SETTINGS).unwrap();
    booted
}

fn graph(booted: &Booted, fields: &str) {
    let text = format!("graph: containers\nresources:\n  nspawn:\n  - {{name: my-box, {fields}}}\n");
    fs::write(booted.path(GRAPH), text).unwrap();
}

fn run(booted: &Booted) -> Running {
    booted.command(&["mgmt", "run", "--prefix", "/srv/prefix", "--yaml", GRAPH]).start()
}

fn plan(booted: &Booted) -> Ended {
    booted.run(&["mgmt", "plan", "--prefix", "/srv/prefix", "--yaml", GRAPH])
}

fn is_running(booted: &Booted) -> bool {
    booted.run(&["machinectl", "show", "--property", "State", "--value", "my-box"]).out.trim() == "running"
}

fn end(booted: &Booted, running: Running) {
    booted.out(&["pkill", "-INT", "--exact", "mgmt"]);
    running.wait().code(0);
}

#[test]
#[ignore = "needs root, systemd, systemd-container and dbus"]
fn a_container_waits_for_its_image_and_is_kept_running_and_enabled() {
    let booted = machine();
    graph(&booted, "state: running, startup: enabled");
    let mut running = run(&booted);
    running.says("there is no image of the machine my-box: put one at /var/lib/machines/my-box");
    booted.out(&["sh", "-c", IMAGE]);
    running.says("converged in");
    assert!(is_running(&booted));
    for harm in [
        &["machinectl", "terminate", "my-box"][..],
        &["systemctl", "kill", "--signal", "KILL", UNIT],
        &["machinectl", "disable", "my-box"],
    ] {
        let before = running.err_so_far().matches("repaired in").count();
        booted.run(harm).code(0);
        running.until("the repair", |running| running.err_so_far().matches("repaired in").count() > before);
        running.until(&harm.join(" "), |_| {
            is_running(&booted) && booted.run(&["systemctl", "is-enabled", UNIT]).out == "enabled\n"
        });
    }
    end(&booted, running);
    plan(&booted).code(0);

    graph(&booted, "state: stopped, startup: disabled");
    let mut running = run(&booted);
    running.says("converged in");
    assert!(!is_running(&booted));
    let before = running.err_so_far().matches("repaired in").count();
    booted.out(&["systemctl", "start", "--no-block", UNIT]);
    running.until("its end", |running| running.err_so_far().matches("repaired in").count() > before);
    running.until("its end", |_| !is_running(&booted));
    end(&booted, running);
}

#[test]
#[ignore = "needs root, systemd, systemd-container and dbus"]
fn a_machine_that_another_program_has_started_counts_and_can_be_stopped() {
    let booted = machine();
    booted.out(&["sh", "-c", IMAGE]);
    let start = ["systemd-run", "--unit", "own", "systemd-nspawn", "--quiet", "--keep-unit", "--machine", "my-box"];
    let more = ["--directory", "/var/lib/machines/my-box", "--settings=override"];
    booted.out(&[&start[..], &more].concat());
    let began = Instant::now();
    while !is_running(&booted) {
        assert!(began.elapsed() < LONG, "{}", booted.out(&["journalctl", "--unit", "own"]));
        std::thread::sleep(Duration::from_millis(20));
    }
    graph(&booted, "state: running");
    plan(&booted).code(0);
    graph(&booted, "state: stopped");
    plan(&booted).code(2).said("state: running (own.service) → stopped");
    let mut running = run(&booted);
    running.says("converged in");
    assert!(!is_running(&booted));
    end(&booted, running);
}

#[test]
#[ignore = "needs root, systemd, systemd-container and dbus"]
fn the_kind_keeps_the_laws() {
    inside("nspawn::the_kind_keeps_the_laws", keep_the_laws);
}

fn keep_the_laws() {
    fn done(words: &[&str]) -> String {
        let output = std::process::Command::new(words[0]).args(&words[1..]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
    fs::create_dir_all("/etc/systemd/nspawn").unwrap();
    fs::write("/etc/systemd/nspawn/my-box.nspawn", SETTINGS).unwrap();
    done(&["sh", "-c", IMAGE]);
    let subject = Subject::new(|_| Nspawn::new("my-box").running().enabled())
        .prepare(|_| drop(done(&["systemctl", "disable", "--now", UNIT])))
        .break_it(|_| drop(done(&["systemctl", "stop", UNIT])))
        .break_it(|_| drop((done(&["machinectl", "terminate", "my-box"]), done(&["systemctl", "stop", UNIT]))))
        .break_it(|_| drop(done(&["systemctl", "disable", UNIT])))
        .observe(|_| done(&["systemctl", "is-active", UNIT]) + &done(&["systemctl", "is-enabled", UNIT]));
    let kept = laws::check(subject);
    assert!(Law::ALL.iter().all(|law| kept.contains(law)) && kept.contains(&Law::UndoRestores), "{kept:?}");
}
