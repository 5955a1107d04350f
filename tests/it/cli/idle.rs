//! A run that has nothing to do does nothing: it sleeps until something happens.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::cli::terminal::{in_terminal, interrupt, program_in};
use crate::kit::program::{Running, act};

/// How often threads of a process may wake in three seconds. It wakes when it gets a request, which no test sends here.
const WAKES_MAX: u64 = 3;

/// A directory in none that other tests write in.
fn quiet() -> tempfile::TempDir {
    let above = Path::new(env!("CARGO_TARGET_TMPDIR")).join("idle");
    fs::create_dir_all(&above).unwrap();
    tempfile::tempdir_in(above).unwrap()
}

/// How often all threads of a process have slept so far, and what they have used of a processor, in ticks.
fn wakes(pid: u32) -> (u64, u64) {
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).unwrap_or_default();
    let of = |text: String| {
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap_or("0");
        line.trim().parse::<u64>().unwrap()
    };
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ticks = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
    (tasks.map(|task| of(status(task.unwrap()))).sum(), ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum())
}

/// It has nothing to do by now, and does nothing for three seconds. What a commit or the bar do last may be late on a
/// machine with much to do.
#[track_caller]
fn sleeps(pid: u32) {
    let mut seen = Vec::new();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_secs(1));
        let before = wakes(pid);
        std::thread::sleep(Duration::from_secs(3));
        let after = wakes(pid);
        seen.push((after.0 - before.0, after.1 - before.1));
        if seen.last().is_some_and(|(woke, ticks)| *woke <= WAKES_MAX && *ticks <= 1) {
            return;
        }
    }
    panic!("how often it woke in three seconds, and the ticks of a processor that it used: {seen:?}");
}

fn stop(running: Running) {
    running.signal(rustix::process::Signal::INT);
    running.wait().code(0);
}

#[test]
fn a_converged_run_sleeps() {
    let dir = quiet();
    let mut running = act("wide", dir.path()).start();
    running.says("converged in ");
    sleeps(running.pid());
    fs::write(dir.path().join("5"), "broken").unwrap();
    running.until("repaired", |_| fs::read_to_string(dir.path().join("5")).unwrap() == "5\n");
    stop(running);
}

#[test]
fn what_others_do_in_a_directory_above_wakes_nothing() {
    let dir = quiet();
    let managed = dir.path().join("managed");
    fs::create_dir(&managed).unwrap();
    let mut running = act("wide", &managed).start();
    running.says("converged in ");
    let others = std::thread::spawn({
        let above = dir.path().to_owned();
        move || {
            for number in 0..400 {
                fs::write(above.join(format!("{number}")), "x").unwrap();
                fs::rename(above.join(format!("{number}")), above.join("renamed")).unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    sleeps(running.pid());
    others.join().unwrap();
    fs::write(managed.join("5"), "broken").unwrap();
    running.until("repaired", |_| fs::read_to_string(managed.join("5")).unwrap() == "5\n");
    stop(running);
}

#[test]
fn a_run_that_can_not_converge_sleeps_too() {
    let dir = quiet();
    let mut running = act("fails", dir.path()).start();
    running.says("exec[broken]: apply failed");
    running.until("fine", |_| dir.path().join("fine").exists());
    sleeps(running.pid());
    stop(running);
}

#[test]
fn so_it_does_in_a_terminal() {
    for (scene, sign) in [("wide", "converged in "), ("fails", "exec[broken]: apply failed")] {
        let dir = quiet();
        let mut running = in_terminal(scene, dir.path(), "");
        running.says(sign);
        running.until("made", |_| dir.path().join(if scene == "wide" { "59" } else { "fine" }).exists());
        sleeps(program_in(&running));
        interrupt(&running);
        running.wait().code(0);
    }
}
