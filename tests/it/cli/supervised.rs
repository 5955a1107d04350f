//! Under a service manager: what it is notified of, and what it asks for by signals.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::cli::terminal::{in_terminal, program_in};
use crate::kit::program::{Program, Running, example};

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn new(dir: &Path) -> Manager {
        let socket = UnixDatagram::bind(dir.join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Manager { socket }
    }

    /// The next notification that is more than a status, or a sign of life.
    fn next(&self) -> String {
        loop {
            let mut bytes = [0; 4096];
            let count = self.socket.recv(&mut bytes).expect("a notification in time");
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            if !text.starts_with("STATUS=") && text.trim_end() != "WATCHDOG=1" {
                return text;
            }
        }
    }

    /// Waits for a notification that holds this.
    fn until(&self, wanted: &str) {
        let mut bytes = [0; 4096];
        loop {
            let count = self.socket.recv(&mut bytes).expect("a notification in time");
            if String::from_utf8_lossy(&bytes[..count]).contains(wanted) {
                return;
            }
        }
    }
}

/// A scene as a service, in a session of its own: without a terminal.
fn service(scene: &str, dir: &Path) -> Running {
    let mut program = Program::new(Path::new("setsid"));
    program.arg(example("act")).args("--scene").arg(scene).arg("--dir").arg(dir);
    program.env("MGMT_PREFIX", dir.join("prefix"));
    program.env("NOTIFY_SOCKET", dir.join("notify")).env("WATCHDOG_USEC", "60000000").start()
}

#[test]
fn it_is_ready_when_it_has_converged_reloads_by_sighup_and_ends_well_by_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let manager = Manager::new(dir.path());
    let running = service("site", dir.path());
    let ready = manager.next();
    assert!(ready.starts_with("READY=1\nSTATUS=converged: "), "{ready}");
    assert!(dir.path().join("site/motd").exists(), "all was made before");
    running.signal(Signal::HUP);
    let reloading = manager.next();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert!(manager.next().starts_with("READY=1"));
    running.signal(Signal::TERM);
    assert!(manager.next().starts_with("STOPPING=1"));
    running.wait().code(0).said("SIGHUP: reading the graph again");
}

#[test]
fn before_it_is_ready_its_status_is_how_far_it_has_got() {
    let dir = tempfile::tempdir().unwrap();
    let manager = Manager::new(dir.path());
    let running = service("slow", dir.path());
    manager.until("STATUS=waiting for the first graph");
    manager.until("STATUS=0 of 1 resources settled, exec[sleeper] for ");
    running.signal(Signal::TERM);
    manager.until("STOPPING=1");
    running.signal(Signal::TERM);
    let ended = running.wait().code(0);
    assert!(!ended.err.contains("^C"), "nobody has pressed it: {}", ended.err);
}

#[test]
fn the_watchdog_is_served_as_long_as_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let manager = Manager::new(dir.path());
    let mut program = Program::new(&example("act"));
    program.args("--scene site --dir").arg(dir.path()).env("MGMT_PREFIX", dir.path().join("prefix"));
    let running = program.env("NOTIFY_SOCKET", dir.path().join("notify")).env("WATCHDOG_USEC", "30000").start();
    (0..5).for_each(|_| manager.until("WATCHDOG=1"));
    running.signal(Signal::INT);
    running.wait().code(0);
}

#[test]
fn a_reload_that_is_asked_for_before_the_first_graph_is_there_comes_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let manager = Manager::new(dir.path());
    let running = service("site", dir.path());
    // As early as the signal is listened to.
    let listens = || {
        let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap_or_default();
        let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
        mask.is_some_and(|mask| mask & 1 == 1)
    };
    while !listens() {
        std::thread::sleep(Duration::from_micros(100));
    }
    running.signal(Signal::HUP);
    assert!(manager.next().starts_with("READY=1"));
    running.signal(Signal::TERM);
    manager.until("STOPPING=1");
    running.wait().code(0).said("SIGHUP: reading the graph again");
}

#[test]
fn where_there_is_a_terminal_sighup_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = in_terminal("site", dir.path(), "");
    running.says("converged in ");
    let program = rustix::process::Pid::from_raw(program_in(&running) as i32).unwrap();
    rustix::process::kill_process(program, Signal::HUP).unwrap();
    running.wait().code(129);
}
