//! The machine that tests boot (`kit/booted.rs`): it is up, it is alone, and nothing of it is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::kit::Booted;
use crate::kit::program::{Program, mgmt};
use crate::kit::run::LONG;

/// What there is of a booted machine in the one that it runs on.
#[derive(Debug)]
struct Traces {
    /// Its processes: PID and time of the start.
    processes: Vec<(u32, String)>,
    /// The directory below which all is mounted.
    dir: PathBuf,
    /// The name of its cgroup.
    cgroup: String,
}

/// The state and the time of the start of a process.
fn state(pid: u32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned);
    Some((fields.next()?, fields.nth(18)?))
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether a directory of this name is anywhere below.
fn holds(dir: &Path, name: &str) -> bool {
    let dirs = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = dirs.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.into_iter().any(|entry| entry.file_name() == name || holds(&entry.path(), name))
}

impl Traces {
    fn of(leader: u32) -> Traces {
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let inside = namespace(leader).unwrap();
        let processes = pids().into_iter().filter(|pid| namespace(*pid).as_ref() == Some(&inside));
        let processes: Vec<_> = processes.filter_map(|pid| Some((pid, state(pid)?.1))).collect();
        assert!(processes.iter().any(|(pid, _)| *pid == leader) && processes.len() > 1, "{processes:?}");
        let mounts = fs::read_to_string(format!("/proc/{leader}/mountinfo")).unwrap();
        let (_, dir) = mounts.split_once("lowerdir=").unwrap();
        let dir = PathBuf::from(dir.split("/machine,").next().unwrap());
        let cgroup = fs::read_to_string(format!("/proc/{leader}/cgroup")).unwrap();
        let cgroup = cgroup.split(['/', '\n']).find(|part| part.starts_with("mgmt-boot-")).unwrap().to_owned();
        Traces { processes, dir, cgroup }
    }

    /// What is left of it.
    fn left(&self) -> Vec<String> {
        let runs = |(pid, start): &&(u32, String)| {
            state(*pid).is_some_and(|(state, started)| state != "Z" && state != "X" && started == *start)
        };
        let mut left: Vec<_> = self.processes.iter().filter(runs).map(|(pid, _)| format!("process {pid}")).collect();
        let dir = self.dir.to_str().unwrap();
        let mounts =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/mountinfo")).is_ok_and(|all| all.contains(dir));
        left.extend(pids().into_iter().filter(mounts).map(|pid| format!("mounts of process {pid}")));
        left.extend(self.dir.exists().then(|| format!("directory {dir}")));
        left.extend(holds(Path::new("/sys/fs/cgroup"), &self.cgroup).then(|| format!("cgroup {}", self.cgroup)));
        left
    }
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn all_is_up_units_run_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("before"), "of the machine\n").unwrap();
    let booted = Booted::with(&[(dir.path(), "/opt/shared")]);
    let traces = Traces::of(booted.leader());
    for trace in ["process ", "mounts of process ", "directory ", "cgroup "] {
        assert!(traces.left().iter().any(|left| left.starts_with(trace)), "no {trace}: {traces:?}");
    }
    assert_eq!(booted.out(&["systemctl", "is-system-running"]), "running");
    assert_eq!(booted.out(&["readlink", "/proc/1/exe"]), "/usr/lib/systemd/systemd");
    assert_eq!(booted.out(&["hostname"]), "booted");

    let unit = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo $INVOCATION_ID >/var/lib/ran'\n";
    fs::write(booted.path("/etc/systemd/system/once.service"), unit).unwrap();
    booted.run(&["systemctl", "daemon-reload"]).code(0);
    booted.run(&["systemctl", "start", "once"]).code(0);
    assert_eq!(fs::read_to_string(booted.path("/var/lib/ran")).unwrap().trim().len(), 32);
    booted.run(&["false"]).code(1);

    booted.copy(&mgmt(), "/usr/local/bin/mgmt");
    booted.run(&["mgmt", "--version"]).code(0).said("mgmt ");
    fs::write(dir.path().join("while"), "changed meanwhile\n").unwrap();
    assert_eq!(booted.out(&["cat", "/opt/shared/before", "/opt/shared/while"]), "of the machine\nchanged meanwhile");
    for written in ["/etc/systemd/system/once.service", "/var/lib/ran", "/opt/shared", "/.machine"] {
        assert!(!Path::new(written).exists(), "{written} is on the machine itself");
    }

    drop(booted);
    assert_eq!(traces.left(), [""; 0]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn two_at_the_same_time_do_not_see_each_other() {
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(Booted::start);
        let second = Booted::start();
        (first.join().unwrap(), second)
    });
    first.run(&["systemd-run", "--unit=only-here", "sleep", "1000"]).code(0);
    assert_eq!(first.out(&["systemctl", "is-active", "only-here"]), "active");
    second.run(&["systemctl", "is-active", "only-here"]).code(3).said("inactive");
    let (one, other) = (Traces::of(first.leader()), Traces::of(second.leader()));
    drop(first);
    assert_eq!(one.left(), [""; 0]);
    assert_eq!(second.out(&["systemctl", "is-system-running"]), "running");
    drop(second);
    assert_eq!(other.left(), [""; 0]);
}

/// Set in the process that a test kills.
const KILLED: &str = "MGMT_BOOTED_KILLED";

#[test]
#[ignore = "needs root, systemd and dbus"]
fn it_ends_with_a_process_that_is_killed() {
    if std::env::var_os(KILLED).is_some() {
        let booted = Booted::start();
        println!("leader {}.", booted.leader());
        std::thread::sleep(LONG);
        panic!("it was not killed");
    }
    let mut this = Program::new(&std::env::current_exe().unwrap());
    this.args("--exact booted::it_ends_with_a_process_that_is_killed --include-ignored --nocapture").env(KILLED, "1");
    let mut running = this.start();
    running.until("leader", |running| running.out_so_far().contains(".\n"));
    let out = running.out_so_far();
    let leader = out.split_once("leader ").unwrap().1.split_once('.').unwrap().0;
    let traces = Traces::of(leader.parse().unwrap());
    running.kill_9();
    let deadline = Instant::now() + LONG;
    while !traces.left().is_empty() {
        assert!(Instant::now() < deadline, "{:?}", traces.left());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn what_does_not_boot_tells_why() {
    let nowhere = Path::new("/nonexistent/directory");
    let panic = std::panic::catch_unwind(|| Booted::with(&[(nowhere, "/opt/nowhere")])).err().unwrap();
    let why = panic.downcast_ref::<String>().unwrap();
    assert!(why.contains("ended before it was up") && why.contains("/nonexistent/directory"), "{why}");
}
