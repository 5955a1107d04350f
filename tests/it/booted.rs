//! The machine that tests boot (`kit/booted.rs`): it is up, it is alone, and nothing of it is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// The directory of this name below another one.
fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let dirs = fs::read_dir(dir).ok()?.flatten();
    let mut dirs = dirs.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
    dirs.find_map(|path| if path.ends_with(name) { Some(path) } else { find(&path, name) })
}

/// Removes a cgroup and those below it.
fn remove_cgroup(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().flatten().filter(|entry| entry.file_type().unwrap().is_dir()) {
        remove_cgroup(&entry.path());
    }
    fs::remove_dir(dir).unwrap();
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
        left.extend(self.cgroup().map(|path| format!("cgroup {}", path.display())));
        left
    }

    fn cgroup(&self) -> Option<PathBuf> {
        find(Path::new("/sys/fs/cgroup"), &self.cgroup)
    }

    /// Waits until no more than this is left of it.
    fn wait(&self, spared: &[&str]) {
        let deadline = Instant::now() + LONG;
        loop {
            let mut left = self.left();
            left.retain(|left| !spared.iter().any(|spared| left.starts_with(spared)));
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{left:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
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
    traces.wait(&[]);
}

/// The parent of a process.
fn parent(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.split_once("PPid:").unwrap().1.lines().next().unwrap().trim().parse().unwrap()
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn processes_and_mounts_end_also_where_what_attends_to_them_is_killed() {
    let booted = Booted::start();
    let traces = Traces::of(booted.leader());
    let attendant = parent(parent(booted.leader()));
    let command = fs::read_to_string(format!("/proc/{attendant}/cmdline")).unwrap();
    assert!(command.ends_with("attend\0"), "{command}");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(attendant.try_into().unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    traces.wait(&["directory ", "cgroup "]);
    // Both are empty, and in nobody's way.
    drop(Booted::start());
    drop(booted);
    fs::remove_dir(&traces.dir).unwrap();
    remove_cgroup(&traces.cgroup().unwrap());
}

#[test]
#[ignore = "needs root, systemd and dbus"]
fn what_does_not_boot_tells_why() {
    let nowhere = Path::new("/nonexistent/directory");
    let panic = std::panic::catch_unwind(|| Booted::with(&[(nowhere, "/opt/nowhere")])).err().unwrap();
    let why = panic.downcast_ref::<String>().unwrap();
    assert!(why.contains("ended before it was up") && why.contains("/nonexistent/directory"), "{why}");
}
