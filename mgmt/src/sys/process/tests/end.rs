//! How commands end, and that no process is left.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::sys::process::group;
use crate::sys::process::*;

use super::common::*;

#[tokio::test]
async fn a_command_runs_and_says_how_it_ended() {
    let mark = Mark::new();
    let output = run(&mark.sh("echo out; echo err >&2; exit 3")).await.unwrap();
    assert_eq!(output.status, Status::Exit(3));
    assert_eq!((whole(&output.stdout), whole(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert!(output.complete);
    let output = run(&mark.sh("kill -9 $$")).await.unwrap();
    assert_eq!(output.status, Status::Signal(9));
    mark.all_gone().await;
}

#[tokio::test]
async fn success_can_be_required_and_failure_shows_the_last_words() {
    let command = Command::shell("/bin/sh", "echo 'no such\tthing' >&2; exit 2");
    let error = run(&command).await.unwrap().require_success(&command).unwrap_err();
    assert_eq!(error.to_string(), r"`/bin/sh` failed with exit code 2: no such\tthing");
    let command = Command::shell("/bin/sh", "kill -TERM $$");
    let error = run(&command).await.unwrap().require_success(&command).unwrap_err();
    assert_eq!(error.to_string(), "`/bin/sh` was killed by SIGTERM");
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group() {
    let mark = Mark::new();
    let command = mark.sh("sleep 1000 & sleep 1000 & wait").timeout(Duration::from_millis(300));
    let error = run(&command).await.unwrap_err();
    // Checked right after the end, not "eventually".
    assert_eq!(mark.pids(), Vec::<i32>::new());
    assert_eq!(error.to_string(), "`/bin/sh` did not end within 300ms and was stopped (killed by SIGTERM)");
    assert!(matches!(error, ProcessError::Timeout { .. }));
}

#[tokio::test]
async fn who_ignores_the_stop_signal_is_killed_after_the_grace() {
    // First, the main process ends at once, and its child ignores the signal and has no pipe of ours. Then, the main
    // process itself ignores the signal.
    let child = "(trap '' TERM; exec >/dev/null 2>&1; : >ready; while :; do sleep 0.1; done) & wait";
    for script in [child, "trap '' TERM; : >ready; while :; do sleep 0.1; done"] {
        let (mark, dir) = (Mark::new(), tempfile::tempdir().unwrap());
        let grace = Duration::from_millis(300);
        let command = mark.sh(script).cwd(dir.path()).stop(Signal::TERM, grace);
        let mut asked = None;
        let stop = async {
            exists(&dir.path().join("ready")).await;
            asked = Some(Instant::now());
        };
        assert!(matches!(run_until(&command, stop).await, Err(ProcessError::Cancelled { .. })));
        assert!(asked.unwrap().elapsed() >= grace, "the grace was given");
        assert_eq!(mark.pids(), Vec::<i32>::new());
    }
}

#[tokio::test]
async fn who_obeys_the_stop_signal_is_not_waited_for_longer() {
    let (mark, dir) = (Mark::new(), tempfile::tempdir().unwrap());
    let script = "trap 'echo bye; exit 7' INT; echo up; : >ready; while :; do sleep 0.05; done";
    let command = mark.sh(script).cwd(dir.path()).stop(Signal::INT, FOREVER);
    let ready = dir.path().join("ready");
    let Err(ProcessError::Cancelled { output, .. }) = run_until(&command, exists(&ready)).await else {
        panic!("not cancelled")
    };
    assert_eq!((output.status, whole(&output.stdout)), (Status::Exit(7), "up\nbye\n".into()));
    mark.all_gone().await;
}

#[tokio::test]
async fn a_stopped_process_is_ended_too() {
    let mark = Mark::new();
    let command = mark.sh("kill -STOP $$").timeout(Duration::from_millis(200)).stop(Signal::TERM, FOREVER);
    assert!(matches!(run(&command).await, Err(ProcessError::Timeout { .. })));
    mark.all_gone().await;
}

#[tokio::test]
async fn dropping_the_future_kills_the_whole_group_and_leaves_no_zombie() {
    let mark = Mark::new();
    let command = mark.sh("trap '' TERM; sleep 1000 & sleep 1000 & wait");
    let running = tokio::spawn(async move { run(&command).await });
    let pids = mark.wait_for(3).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    mark.all_gone().await;
    let ours = |zombie: &String| pids.iter().any(|pid| zombie.contains(&format!("\nPid:\t{pid}\n")));
    eventually("the child collected", || (!zombies().iter().any(ours)).then_some(())).await;
}

/// The children of this process that have ended and were not collected.
fn zombies() -> Vec<String> {
    let me = format!("\nPPid:\t{}\n", std::process::id());
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let status = all.filter_map(|e| std::fs::read_to_string(e.path().join("status")).ok());
    status.filter(|s| s.contains(&me) && s.contains("\nState:\tZ")).collect()
}

#[tokio::test]
async fn a_runtime_that_ends_kills_what_it_ran() {
    let mark = Mark::new();
    let command = mark.sh("sleep 1000 & wait");
    let other = std::thread::spawn(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());
    let runtime = other.join().unwrap();
    runtime.spawn(async move { run(&command).await });
    mark.wait_for(2).await;
    runtime.shutdown_background();
    mark.all_gone().await;
}

#[tokio::test]
async fn who_leaves_the_group_is_out_of_reach() {
    let mark = Mark::new();
    let command = mark.sh("setsid sleep 1000 & wait");
    let left = eventually("two groups", || {
        let groups: BTreeSet<i32> = mark.pids().into_iter().filter_map(group::alive_in).collect();
        (groups.len() == 2).then_some(())
    });
    assert!(matches!(run_until(&command, left).await, Err(ProcessError::Cancelled { .. })));
    // A limit that the documentation of `run` states. The mark ends the process here.
    assert_eq!(mark.pids().len(), 1);
}

#[tokio::test]
async fn descendants_that_hold_the_output_open_do_not_hold_us() {
    let mark = Mark::new();
    let linger = Duration::from_millis(200);
    let output = run(&mark.sh("sleep 1000 & echo done").linger(linger)).await.unwrap();
    assert_eq!((output.status, output.complete), (Status::Exit(0), false));
    assert_eq!(whole(&output.stdout), "done\n");
    assert_eq!(mark.pids().len(), 1, "what was put in the background goes on");
    drop(mark);

    let mark = Mark::new();
    let command = mark.sh("sleep 1000 & echo done").linger(linger).leftovers(Leftovers::Kill);
    assert_eq!(run(&command).await.unwrap().status, Status::Exit(0));
    mark.all_gone().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_at_once_do_not_mix() {
    let mark = Mark::new();
    let all: Vec<_> = (0..200)
        .map(|n| {
            let command = mark.sh(&format!("echo {n}; echo {n} >&2; exit {}", n % 256));
            tokio::spawn(async move { run(&command).await.unwrap() })
        })
        .collect();
    for (n, one) in all.into_iter().enumerate() {
        let output = one.await.unwrap();
        assert_eq!(output.status, Status::Exit(n as i32));
        assert_eq!((whole(&output.stdout), whole(&output.stderr)), (format!("{n}\n"), format!("{n}\n")));
    }
    mark.all_gone().await;
}
