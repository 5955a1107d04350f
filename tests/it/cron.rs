//! The kind `cron` against a real systemd.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use mgmt::prelude::*;
use mgmt::testing::laws::{self, Law, Subject};

use crate::kit::program::{Ended, mgmt};
use crate::kit::run::LONG;
use crate::kit::{Booted, inside};

const TIMER: &str = "/etc/systemd/system/job.timer";
const SERVICE: &str = "/etc/systemd/system/job.service";

fn machine() -> Booted {
    let booted = Booted::start();
    booted.copy(&mgmt(), "/usr/local/bin/mgmt");
    fs::create_dir_all(booted.path("/srv")).unwrap();
    booted
}

/// Runs the graph with this one resource until it has converged.
fn converge(booted: &Booted, cron: &str) -> Ended {
    fs::write(booted.path("/srv/graph.yaml"), format!("graph: g\nresources:\n  cron:\n  - {cron}\n")).unwrap();
    booted.command(&["mgmt", "run", "-t", "0", "--prefix", "/srv/prefix", "--yaml", "/srv/graph.yaml"]).run()
}

#[track_caller]
fn wait(what: &str, until: impl Fn() -> bool) {
    let began = Instant::now();
    while !until() {
        assert!(began.elapsed() < LONG, "{what}: never");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_command_runs_at_its_time_with_its_words_as_they_are() {
    let booted = machine();
    let script = r#"printf "%s|" "$@" >/srv/words"#;
    let cmd = format!(r#"[/bin/sh, -c, '{script}', sh, "100% sure", "$HOME", "a \"b\" \\", "%n", ""]"#);
    let job = format!("{{name: job, trigger: OnActiveSec, time: 100ms, accuracysec: 1us, cmd: {cmd}}}");
    converge(&booted, &job).code(0);
    let words = || fs::read_to_string(booted.path("/srv/words")).unwrap_or_default();
    wait("the command", || words().ends_with("||"));
    assert_eq!(words(), r#"100% sure|$HOME|a "b" \|%n||"#);
    assert_eq!(booted.out(&["systemctl", "is-enabled", "job.timer"]), "enabled");
    booted.run(&["mgmt", "plan", "--prefix", "/srv/prefix", "--yaml", "/srv/graph.yaml"]).code(0);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn it_is_kept_and_removed() {
    let booted = machine();
    let job = "{name: job, time: daily, cmd: [/bin/true], persistent: true}";
    converge(&booted, job).code(0);
    let next = || booted.out(&["systemctl", "show", "--value", "--property", "TimersCalendar", "job.timer"]);
    assert!(next().contains("OnCalendar=*-*-* 00:00:00"), "{}", next());
    converge(&booted, &job.replace("daily", "weekly")).code(0).said("OnCalendar: daily → weekly");
    assert!(next().contains("OnCalendar=Mon *-*-* 00:00:00"), "{}", next());

    let graph = ["--prefix", "/srv/prefix", "--yaml", "/srv/graph.yaml"];
    let mut running = booted.command(&[&["mgmt", "run"][..], &graph].concat()).start();
    running.says("converged in");
    let text = |path: &str| fs::read_to_string(booted.path(path)).unwrap_or_default();
    let (timer, service) = (text(TIMER), text(SERVICE));
    let is_well = || {
        let is = |question: &str| booted.run(&["systemctl", question, "job.timer"]).out;
        text(TIMER) == timer
            && text(SERVICE) == service
            && is("is-active") == "active\n"
            && is("is-enabled") == "enabled\n"
    };
    for harm in [
        "systemctl stop job.timer",
        "systemctl disable job.timer",
        "sed -i s/Mon/Tue/;s/weekly/daily/ /etc/systemd/system/job.timer",
        "rm /etc/systemd/system/job.service",
        "rm /etc/systemd/system/job.timer",
    ] {
        booted.out(&harm.split(' ').collect::<Vec<_>>());
        wait(harm, is_well);
    }
    booted.out(&["pkill", "-INT", "--exact", "mgmt"]);
    running.wait().code(0);
    assert!(next().contains("OnCalendar=Mon"), "{}", next());

    converge(&booted, "{name: job, state: absent}").code(0);
    assert!(!booted.path(TIMER).exists() && !booted.path(SERVICE).exists());
    assert_eq!(booted.out(&["systemctl", "list-units", "--all", "--no-legend", "job.*"]), "");
    assert_eq!(booted.out(&["find", "/etc/systemd/system", "-name", "job*"]), "");
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_time_that_is_none_is_one_clear_failure() {
    let booted = machine();
    converge(&booted, "{name: job, time: every now and then, cmd: [/bin/true]}")
        .code(1)
        .said("job.timer: systemd can't read its unit file");
    converge(&booted, "{name: job, trigger: OnBootSec, time: soon}").code(1).said("`time` is no time span of systemd");
    converge(&booted, "{name: job}").code(1).said("`time` is missing");
    converge(&booted, "{name: job, time: daily, cmd: [sync]}").code(1).said("`cmd` has a program without a whole path");
    converge(&booted, "{name: job, time: daily, cmd: [/bin/sync], unit: x}").code(1).said("`unit` is another unit");
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn the_kind_keeps_the_laws() {
    fn run(line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{line}");
    }
    fn state() -> String {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let is = |question: &str| {
            let output = Command::new("systemctl").args([question, "job.timer"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        [text(TIMER), text(SERVICE), is("is-active"), is("is-enabled")].join("\n")
    }
    fn remove() {
        let _ = Command::new("systemctl").args(["disable", "--now", "job.timer"]).output().unwrap();
        let _ = (fs::remove_file(TIMER), fs::remove_file(SERVICE));
        run("systemctl daemon-reload");
    }
    inside("cron::the_kind_keeps_the_laws", || {
        let subject = Subject::new(|_| Cron::new("job").time("daily").cmd(["/bin/true", "100%"]))
            .prepare(|_| remove())
            .break_it(|_| run("systemctl stop job.timer"))
            .break_it(|_| run("systemctl --quiet disable job.timer"))
            .break_it(|_| fs::write(TIMER, "[Timer]\nOnCalendar=weekly\n").unwrap())
            .break_it(|_| fs::remove_file(SERVICE).unwrap())
            .observe(|_| state());
        let kept = laws::check(subject);
        assert!(Law::ALL.iter().all(|law| kept.contains(law)) && kept.contains(&Law::UndoRestores), "{kept:?}");
    });
}
