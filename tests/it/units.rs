//! The kind `svc` against a real systemd.

use std::fs;
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::testing::laws::{self, Law, Subject};

use crate::kit::program::{Program, Running, mgmt};
use crate::kit::{Booted, inside};

const GRAPH: &str = "/srv/graph.yaml";
const SLEEPS: &str = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";

/// A machine with the program.
fn machine() -> Booted {
    let booted = Booted::start();
    booted.copy(&mgmt(), "/usr/local/bin/mgmt");
    fs::create_dir_all(booted.path("/srv")).unwrap();
    booted
}

fn unit(booted: &Booted, name: &str, text: &str) {
    fs::write(booted.path("/etc/systemd/system").join(name), text).unwrap();
}

/// The graph with these lines of its section `resources`, and what follows it.
fn graph(booted: &Booted, resources: &str) {
    fs::write(booted.path(GRAPH), format!("graph: units\nresources:\n{resources}")).unwrap();
}

fn run(booted: &Booted, more: &[&str]) -> Program {
    booted.command(&[&["mgmt", "run", "--prefix", "/srv/prefix", "--yaml", GRAPH], more].concat())
}

/// An instance that has converged once.
fn converged(booted: &Booted) -> Running {
    let mut running = run(booted, &[]).start();
    running.says("converged in");
    running
}

/// Ends an instance.
fn end(booted: &Booted, running: Running) {
    booted.out(&["pkill", "-INT", "--exact", "mgmt"]);
    running.wait().code(0);
}

fn is(booted: &Booted, question: &str, unit: &str) -> String {
    booted.run(&["systemctl", question, unit]).out.trim().to_owned()
}

fn show(booted: &Booted, unit: &str, property: &str) -> String {
    booted.out(&["systemctl", "show", "--property", property, "--value", unit])
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_service_is_kept_running_and_enabled() {
    let booted = machine();
    unit(&booted, "demo.service", SLEEPS);
    booted.out(&["systemctl", "daemon-reload"]);
    graph(&booted, "  svc:\n  - {name: demo, state: running, startup: enabled, session: false}\n");
    let plan = booted.run(&["mgmt", "plan", "--yaml", GRAPH]).code(2);
    assert!(plan.out.contains("startup: disabled → enabled\n    state: stopped → running"), "{}", plan.out);

    let mut running = converged(&booted);
    for harm in [
        &["systemctl", "stop", "demo"][..],
        &["systemctl", "kill", "--signal", "KILL", "demo"],
        &["systemctl", "disable", "demo"],
        &["systemctl", "disable", "--now", "demo"],
    ] {
        let before = running.err_so_far().matches("repaired in").count();
        booted.run(harm).code(0);
        running.until(&harm.join(" "), |_| {
            is(&booted, "is-active", "demo") == "active" && is(&booted, "is-enabled", "demo") == "enabled"
        });
        running.until("the repair", |running| running.err_so_far().matches("repaired in").count() > before);
    }
    // What systemd has read is what is on the disk.
    unit(&booted, "demo.service", &format!("{SLEEPS}# changed\n"));
    running.until("a reload", |_| running_unit_is_fresh(&booted));
    let said = running.err_so_far();
    assert!(said.contains("state: failed (signal) → running"), "{said}");
    end(&booted, running);
    booted.run(&["mgmt", "plan", "--yaml", GRAPH]).code(0);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_service_that_others_end_right_after_its_start_is_started_again() {
    let booted = machine();
    unit(&booted, "demo.service", SLEEPS);
    booted.out(&["systemctl", "daemon-reload"]);
    graph(&booted, "  svc:\n  - {name: demo, state: running, startup: enabled}\n");
    let mut running = converged(&booted);
    for harm in ["systemctl stop demo", "systemctl kill --signal KILL demo", "systemctl kill --signal TERM demo"] {
        // The engine still looks whether it keeps running.
        let early = format!("systemctl stop demo; until systemctl --quiet is-active demo; do :; done; {harm}");
        booted.out(&["sh", "-c", &early]);
        running.until(harm, |_| is(&booted, "is-active", "demo") == "active");
    }
    let said = running.err_so_far();
    assert!(!said.contains("failed:"), "{said}");
    end(&booted, running);
    booted.run(&["mgmt", "plan", "--yaml", GRAPH]).code(0);
}

fn running_unit_is_fresh(booted: &Booted) -> bool {
    show(booted, "demo", "NeedDaemonReload") == "no"
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_mask_is_made_and_removed_and_a_stopped_service_stays_so() {
    let booted = machine();
    let shipped = booted.path("/usr/lib/systemd/system/demo.service");
    fs::write(&shipped, SLEEPS).unwrap();
    booted.out(&["systemctl", "daemon-reload"]);
    booted.out(&["systemctl", "start", "demo"]);
    graph(&booted, "  svc:\n  - {name: demo.service, state: stopped, startup: masked}\n");
    run(&booted, &["-t", "0"]).run().code(0);
    assert_eq!(
        (is(&booted, "is-active", "demo"), is(&booted, "is-enabled", "demo")),
        ("inactive".into(), "masked".into())
    );
    graph(&booted, "  svc:\n  - {name: demo, state: running}\n");
    run(&booted, &["-t", "0"]).run().code(1).said("it is masked, so that nothing can start it: declare `startup`");
    graph(&booted, "  svc:\n  - {name: demo, state: running, startup: disabled}\n");
    run(&booted, &["-t", "0"]).run().code(0);
    assert_eq!(
        (is(&booted, "is-active", "demo"), is(&booted, "is-enabled", "demo")),
        ("active".into(), "disabled".into())
    );
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn each_way_to_fail_is_clear_and_the_rest_converges() {
    let booted = machine();
    unit(&booted, "dies.service", "[Service]\nExecStart=/bin/sh -c 'echo no configuration >&2; exit 3'\n");
    let writes = "[Service]\nType=notify\nExecStart=/bin/sh -c 'echo no configuration >&2; sleep 0.5; exit 3'\n";
    unit(&booted, "writes.service", writes);
    unit(&booted, "restarts.service", "[Service]\nRestart=always\nRestartSec=100\nExecStart=/bin/sh -c 'exit 4'\n");
    unit(&booted, "static.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    unit(&booted, "once.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n");
    unit(&booted, "remains.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n");
    let slow =
        "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'sleep 1; systemd-notify --ready; sleep 1d'\n";
    unit(&booted, "slow.service", slow);
    unit(&booted, "of@.service", SLEEPS);
    unit(&booted, "bad.service", "[Service]\nType=simple\n");
    unit(&booted, "tick.timer", "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n");
    unit(&booted, "tick.service", "[Service]\nExecStart=/bin/true\n");
    booted.out(&["systemctl", "daemon-reload"]);
    graph(
        &booted,
        "  svc:
  - {name: dies, state: running}
  - {name: writes, state: running}
  - {name: restarts, state: running}
  - {name: static, startup: enabled}
  - {name: once, state: running}
  - {name: bad, state: running}
  - {name: absent, state: running, startup: enabled}
  - {name: nowhere, state: stopped, startup: disabled}
  - {name: remains, state: running}
  - {name: slow, state: running}
  - {name: of@x, state: running, startup: enabled}
  - {name: tick.timer, state: running, startup: enabled}
",
    );
    let ended = run(&booted, &["-t", "0"]).run().code(1);
    for (unit, why) in [
        ("dies", "it has ended right after its start (exit-code); the end of its journal:\n  no configuration"),
        ("writes", "the job to start it ended as `failed` (exit-code); the end of its journal:\n  no configuration"),
        ("restarts", "restarts.service: it has ended right after its start (exit-code)"),
        ("static", "it is static, without an [Install] section, so it can't be enabled"),
        ("once", "`Type=oneshot` does: it can't be kept running unless its unit has `RemainAfterExit=yes`"),
        ("bad", "Unit bad.service has a bad unit file setting."),
    ] {
        let line = ended.err.split(&format!("svc[{unit}] failed: ")).nth(1).unwrap_or_default();
        assert!(line.split("\n20").next().unwrap().contains(why), "{unit}: {}", ended.err);
    }
    assert!(ended.err.contains("svc[absent] waits: absent.service does not exist"), "{}", ended.err);
    for unit in ["remains", "slow", "of@x", "tick.timer"] {
        assert_eq!(is(&booted, "is-active", unit), "active", "{unit}");
    }
    assert_eq!(is(&booted, "is-enabled", "of@x"), "enabled");
    assert_eq!(is(&booted, "is-enabled", "tick.timer"), "enabled");
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_unit_and_a_bus_that_are_not_there_are_waited_for() {
    let booted = machine();
    graph(
        &booted,
        "  svc:\n  - {name: late, state: running}\n  file:\n  - {name: other, path: /srv/other, content: x}\n",
    );
    let mut running = run(&booted, &[]).start();
    running.says("svc[late]: check waits: late.service does not exist");
    assert_eq!(fs::read_to_string(booted.path("/srv/other")).unwrap(), "x");
    unit(&booted, "late.service", SLEEPS);
    running.until("the start", |_| is(&booted, "is-active", "late") == "active");
    booted.out(&["systemctl", "stop", "dbus.socket", "dbus.service"]);
    booted.out(&["systemctl", "stop", "late"]);
    fs::write(booted.path("/srv/other"), "y").unwrap();
    running.until("the rest", |_| fs::read_to_string(booted.path("/srv/other")).unwrap() == "x");
    assert_eq!(is(&booted, "is-active", "late"), "inactive");
    booted.out(&["systemctl", "start", "dbus.socket", "dbus.service"]);
    running.until("the repair", |_| is(&booted, "is-active", "late") == "active");
    // A systemd that has started itself again.
    booted.run(&["systemctl", "daemon-reexec"]);
    booted.out(&["systemctl", "stop", "late"]);
    running.until("the repair", |_| is(&booted, "is-active", "late") == "active");
    end(&booted, running);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_refresh_reloads_once_or_restarts_and_a_start_is_enough() {
    let booted = machine();
    unit(
        &booted,
        "loads.service",
        &SLEEPS.replace("[Install]", "ExecReload=/bin/sh -c 'echo reload >>/srv/log'\n[Install]"),
    );
    unit(
        &booted,
        "restarts.service",
        &SLEEPS.replace("[Service]\n", "[Service]\nExecStartPre=/bin/sh -c 'echo start >>/srv/log'\n"),
    );
    booted.out(&["systemctl", "daemon-reload"]);
    let of = |content: &str| {
        format!(
            "  file:\n  - {{name: conf, path: /srv/conf, content: {content}}}\n  svc:\n  - {{name: loads, state: running}}\n  \
             - {{name: restarts, state: running}}\n  - {{name: stays, state: stopped}}\nedges:\n\
             - {{name: a, from: {{kind: file, name: conf}}, to: {{kind: svc, name: loads}}, notify: true}}\n\
             - {{name: b, from: {{kind: file, name: conf}}, to: {{kind: svc, name: restarts}}, notify: true}}\n\
             - {{name: c, from: {{kind: file, name: conf}}, to: {{kind: svc, name: stays}}, notify: true}}\n"
        )
    };
    let log = || fs::read_to_string(booted.path("/srv/log")).unwrap_or_default();
    graph(&booted, &of("one"));
    run(&booted, &["-t", "0"]).run().code(0);
    assert_eq!(log(), "start\n", "what was just started is not reloaded");
    graph(&booted, &of("two"));
    run(&booted, &["-t", "0"]).run().code(0);
    let log = log();
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["reload", "start", "start"]);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_start_that_takes_longer_than_the_timeout_is_waited_for_and_not_begun_again() {
    let booted = machine();
    let starts = "echo start >>/srv/log; sleep 2; systemd-notify --ready; sleep 1d";
    unit(
        &booted,
        "slow.service",
        &format!("[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c '{starts}'\n"),
    );
    booted.out(&["systemctl", "daemon-reload"]);
    graph(&booted, "  svc:\n  - {name: slow, state: running, meta: {timeout: 500, retry: 5}}\n");
    run(&booted, &["-t", "0"]).run().code(0).said("it took longer than its `timeout`");
    assert_eq!(fs::read_to_string(booted.path("/srv/log")).unwrap(), "start\n");
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn a_service_of_a_session_is_kept_once_that_has_begun() {
    let booted = machine();
    let dir = booted.path("/etc/systemd/user");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("own.service"), SLEEPS.replace("multi-user", "default")).unwrap();
    graph(&booted, "  svc:\n  - {name: own, state: running, startup: enabled, session: true}\n");
    let mut running = run(&booted, &[]).env("XDG_RUNTIME_DIR", "/run/user/0").start();
    running.says("waits: cannot connect to the session bus");
    booted.out(&["systemctl", "start", "user@0"]);
    let of_user = |words: &str| {
        let words = [&["systemctl", "--user"], &*words.split(' ').collect::<Vec<_>>()].concat();
        booted.command(&words).env("XDG_RUNTIME_DIR", "/run/user/0").run().out
    };
    // A service that ends right after its start is an error, whoever has ended it.
    running.says("svc[own]: repaired");
    assert_eq!(of_user("is-active own"), "active\n");
    assert_eq!(of_user("is-enabled own"), "enabled\n");
    of_user("stop own");
    running.until("the repair", |_| of_user("is-active own") == "active\n");
    assert_eq!(is(&booted, "is-active", "own"), "inactive", "there is none of the machine");
    end(&booted, running);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn what_has_left_the_graph_is_as_it_was() {
    let booted = machine();
    unit(&booted, "demo.service", SLEEPS);
    booted.out(&["systemctl", "daemon-reload"]);
    graph(&booted, "  svc:\n  - {name: demo, state: running, startup: enabled, meta: {reverse: true}}\n");
    run(&booted, &["-t", "0"]).run().code(0);
    assert_eq!(
        (is(&booted, "is-active", "demo"), is(&booted, "is-enabled", "demo")),
        ("active".into(), "enabled".into())
    );
    graph(&booted, "  noop:\n  - name: n\n");
    let plan = booted.run(&["mgmt", "plan", "--prefix", "/srv/prefix", "--yaml", GRAPH]).code(2);
    assert!(plan.out.contains("disable demo.service") && plan.out.contains("stop demo.service"), "{}", plan.out);
    run(&booted, &["-t", "0"]).run().code(0);
    assert_eq!(
        (is(&booted, "is-active", "demo"), is(&booted, "is-enabled", "demo")),
        ("inactive".into(), "disabled".into())
    );
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn two_hundred_services_start_together_share_reloads_and_cost_nothing_when_idle() {
    const COUNT: usize = 200;
    let booted = machine();
    let mut resources = "  file:\n".to_owned();
    for n in 0..COUNT {
        let text = SLEEPS.replace('\n', "\\n");
        resources += &format!("  - {{name: u{n}, path: /etc/systemd/system/s{n}.service, content: \"{text}\"}}\n");
    }
    resources += "  svc:\n";
    (0..COUNT).for_each(|n| resources += &format!("  - {{name: s{n}, state: running, startup: enabled}}\n"));
    graph(&booted, &resources);
    let reloads = || booted.out(&["journalctl", "--no-pager", "--output=cat", "_PID=1"]).matches("Reloading.").count();
    let mut running = converged(&booted);
    let active = booted.out(&["systemctl", "list-units", "--no-legend", "--state=active", "s[0-9]*.service"]);
    assert_eq!(active.lines().count(), COUNT);
    assert!(reloads() < COUNT / 4, "{} reloads", reloads());

    let pid = booted.out(&["pgrep", "--exact", "mgmt"]);
    let connections = || {
        let names = booted.out(&["busctl", "--no-legend", "list", "--unique"]);
        names.lines().filter(|line| line.split_whitespace().nth(1) == Some(pid.as_str())).count()
    };
    assert_eq!(connections(), 1);
    let cpu = || {
        let stat = fs::read_to_string(booted.path(&format!("/proc/{pid}/stat"))).unwrap();
        let words: Vec<u64> = stat.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        // Fields 14 and 15, of which the second and third are not numbers.
        words[11] + words[12]
    };
    // What the last starts have announced is looked at.
    std::thread::sleep(Duration::from_secs(2));
    let before = cpu();
    std::thread::sleep(Duration::from_secs(3));
    assert!(cpu() - before <= 2, "{} ticks in three seconds", cpu() - before);

    // Only that service is looked at.
    let checks = || booted.run(&["mgmt", "events", "--prefix", "/srv/prefix"]).out.lines().count();
    let quiet = checks();
    booted.out(&["systemctl", "stop", "s7"]);
    running.until("the repair", |_| is(&booted, "is-active", "s7") == "active");
    std::thread::sleep(Duration::from_millis(500));
    assert!(checks() - quiet < 10, "{} events", checks() - quiet);
    end(&booted, running);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn the_kind_keeps_the_laws() {
    inside("units::the_kind_keeps_the_laws", keep_the_laws);
}

fn keep_the_laws() {
    fn systemctl(words: &[&str]) -> String {
        let output = std::process::Command::new("systemctl").args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
    fs::write("/etc/systemd/system/law.service", SLEEPS).unwrap();
    systemctl(&["daemon-reload"]);
    let subject = Subject::new(|_| Svc::new("law").running().enabled())
        .prepare(|_| drop(systemctl(&["disable", "--now", "law"])))
        .break_it(|_| drop(systemctl(&["stop", "law"])))
        .break_it(|_| drop(systemctl(&["disable", "law"])))
        .observe(|_| systemctl(&["is-active", "law"]) + &systemctl(&["is-enabled", "law"]));
    let kept = laws::check(subject);
    assert!(Law::ALL.iter().all(|law| kept.contains(law)) && kept.contains(&Law::UndoRestores), "{kept:?}");
}
