//! How runs end by themselves.

use std::fs;
use std::time::Duration;

use crate::kit::program::{Program, act, example};

#[test]
fn a_run_with_a_timeout_ends_when_it_has_converged() {
    let dir = tempfile::tempdir().unwrap();
    let ended = act("site", dir.path()).args("-t 0").run().code(0).said("converged in ");
    assert!(!ended.err.contains("look around"), "it ends, so it invites nobody");
    assert_eq!(ended.out, "", "what it says goes to standard error");
    assert_eq!(fs::read_to_string(dir.path().join("site/motd")).unwrap(), "hello\nworld\n");
    assert_eq!(fs::read_to_string(dir.path().join("site/seed")).unwrap(), "7");
    assert_eq!(fs::read_to_string(dir.path().join("log")).unwrap(), "reloaded\n");
    let ended = act("site", dir.path()).args("run --converged-timeout 0.5").run().code(0);
    assert!(ended.took >= Duration::from_millis(500), "{ended:?}");
    let told: f64 =
        ended.err.split("converged in ").nth(1).and_then(|rest| rest.split("ms").next()?.parse().ok()).unwrap();
    assert!(told < 500.0, "how long it took, not how long it was waited to be sure: {told}");
    assert_eq!(fs::read_to_string(dir.path().join("log")).unwrap(), "reloaded\n", "nothing has changed");
    let ended = act("site", dir.path()).env("MGMT_CONVERGED_TIMEOUT", "0").run().code(0);
    assert!(!ended.err.contains("motd"), "{ended:?}");
}

#[test]
fn a_run_ends_after_its_time() {
    let dir = tempfile::tempdir().unwrap();
    // Time enough to start and converge on a machine with much to do.
    let ended = act("site", dir.path()).args("--max-runtime 4").run().code(0);
    assert!(ended.took >= Duration::from_secs(4), "{ended:?}");
    assert!(dir.path().join("site/motd").exists());
    // Also if there never is a graph.
    act("never", dir.path()).args("--max-runtime 0.2").run().code(0);
}

#[test]
fn a_run_whose_time_is_over_ends_with_0_and_its_sum_names_what_failed() {
    let dir = tempfile::tempdir().unwrap();
    let ended = act("fails", dir.path()).args("--max-runtime 4").run().code(0);
    let ended = ended.said("ended after 4s (--max-runtime), ").said("exec[broken] failed: ");
    assert!(ended.err.matches("out of luck").count() > 1, "when it failed, and in the end: {}", ended.err);
    act("site", dir.path()).args("--max-runtime 4").run().code(0).said("(--max-runtime): ").said(" settled");
}

#[test]
fn a_failure_that_repeats_fast_is_a_few_lines_and_the_sum_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = act("retries", dir.path()).start();
    let tries = || fs::read_to_string(dir.path().join("tries")).unwrap_or_default().lines().count();
    let told = |running: &crate::kit::program::Running| running.err_so_far().matches("apply failed: ").count();
    // Tries that are not shown are counted once a second has passed.
    running.says(" more since the last line");
    let (tries, told) = (tries(), told(&running));
    assert!(told <= 5 && tries > told, "{tries} tries, {told} lines:\n{}", running.err_so_far());
    assert!(running.err_so_far().contains(" (again at once)"), "{}", running.err_so_far());
    running.signal(rustix::process::Signal::INT);
    let ended = running.wait().code(0).said("0 of 2 settled, 0 changed:").said("exec[again] keeps failing: ");
    ended.said("  1 more waits for it");
}

#[test]
fn a_run_whose_time_is_over_waits_a_while_for_what_runs_and_cancels_it() {
    let dir = tempfile::tempdir().unwrap();
    let ended = act("slow", dir.path()).args("--max-runtime 3").run().code(0);
    let ended = ended.said("still applying exec[sleeper] (").said("cancelling what still runs after 10 s");
    assert!(!ended.err.contains("^C"), "nobody has pressed it: {}", ended.err);
    assert!(ended.took >= Duration::from_secs(13), "{ended:?}");
    // While it stops, the end of its time cancels at once.
    let dir = tempfile::tempdir().unwrap();
    let mut running = act("slow", dir.path()).args("--max-runtime 15").start();
    running.until("the command", |_| dir.path().join("pid").exists());
    running.signal(rustix::process::Signal::TERM);
    let ended = running.wait().code(143).said("cancelling what runs: the maximum runtime is over");
    assert!(!ended.err.contains("^C"), "{}", ended.err);
}

#[test]
fn a_hopeless_run_with_a_timeout_ends_with_1_and_names_what_failed() {
    let dir = tempfile::tempdir().unwrap();
    let ended = act("fails", dir.path()).args("-t 0").run().code(1);
    let ended = ended.said("the graph can't converge:").said("exec[broken] failed: ").said("2 more wait for it");
    assert!(ended.err.contains("out of luck"), "the command's own words: {}", ended.err);
    assert_eq!(fs::read_to_string(dir.path().join("fine")).unwrap(), "fine\n");
    assert!(!dir.path().join("never").exists());
}

#[test]
fn a_run_with_a_timeout_ends_with_1_and_names_what_waits_for_a_value_that_will_not_come() {
    let dir = tempfile::tempdir().unwrap();
    let ended = act("silent", dir.path()).args("-t 0.1").run().code(1);
    let waits = "copy] waits for a value of exec[quiet], which has nothing to do and did not send it";
    ended.said("the graph can't converge:").said(waits).said("1 more waits for it");
    assert!(!dir.path().join("copy").exists());
}

#[test]
fn in_noop_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let ended = act("site", dir.path()).args("--noop -t 0").run().code(0);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["prefix"], "{ended:?}");
    ended.said("(noop)").said("0 changed, 3 drifted in noop");
}

#[test]
fn convergence_is_written_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let status = dir.path().join("status");
    let mut running = act("wide", dir.path()).arg("--converged-status-file").arg(&status).start();
    let lines = |count: usize| {
        let status = status.clone();
        move |_: &crate::kit::program::Running| fs::read_to_string(&status).unwrap_or_default().lines().count() >= count
    };
    running.until("converged", lines(1));
    fs::write(dir.path().join("5"), "broken\n").unwrap();
    running.until("converged again", lines(3));
    running.signal(rustix::process::Signal::INT);
    running.wait().code(0);
    let text = fs::read_to_string(&status).unwrap();
    let words: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!(
        words.iter().map(|(_, what)| *what).collect::<Vec<_>>()[..3],
        ["converged", "not converged any more", "converged"]
    );
    assert!(words.iter().all(|(when, _)| when.ends_with('Z') && when.contains('T') && when.len() >= 20), "{text}");
}

#[test]
fn a_temporary_prefix_is_gone_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let run = |scene: &str, args: &str| {
        let mut program = act(scene, dir.path());
        program.command.env_remove("MGMT_PREFIX");
        program.env("TMPDIR", temp.path()).args("--tmp-prefix --hostname here").args(args).run()
    };
    let left = || fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    run("site", "-t 0").code(0);
    assert!(left().is_empty(), "{:?}", left());
    run("site", "plan");
    run("cycle", "-t 0").code(1);
    run("late", "").code(1);
    run("fails", "-t 0").code(1);
    assert!(left().is_empty(), "{:?}", left());
    let mut running = {
        let mut program = act("site", dir.path());
        program.env("TMPDIR", temp.path()).args("--tmp-prefix --hostname here").start()
    };
    running.says("converged");
    let names = left();
    assert_eq!(names.len(), 1);
    assert!(names[0].to_str().unwrap().starts_with("act-here-"), "{names:?}");
    running.signal(rustix::process::Signal::INT);
    running.wait().code(0);
    assert!(left().is_empty());
}

#[test]
fn a_source_that_fails_ends_the_run_with_1() {
    let dir = tempfile::tempdir().unwrap();
    act("late", dir.path()).run().code(1).said("error: no graph: the store is gone");
}

#[test]
fn hello_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut hello = Program::new(&example("hello"));
    hello.arg("--prefix").arg(dir.path().join("prefix")).args("-t 0").run().code(0).said("converged in");
    assert_eq!(fs::read_to_string("/tmp/hello/motd").unwrap(), "hello\n");
}

#[test]
fn a_run_with_a_timeout_ends_with_1_and_names_what_waits_and_the_cause() {
    let dir = tempfile::tempdir().unwrap();
    let ended = act("orphan", dir.path()).args("-t 0.1").run().code(1);
    ended
        .said("the graph can't converge:")
        .said("orphan] waits: ")
        .said("nowhere does not exist")
        .said("1 more waits for it");
    let planned = act("orphan", dir.path()).args("plan").run();
    assert!(planned.out.contains("~ file["), "what can't be known before it is tried is a repair: {planned:?}");
    fs::create_dir(dir.path().join("nowhere")).unwrap();
    act("orphan", dir.path()).args("-t 0.1").run().code(0);
}
