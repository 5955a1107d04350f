//! Runs there: what they report, and how they end.

use std::time::Duration;

use mgmt::prelude::*;
use mgmt::remote::{HowEnded, Job, RemoteError, StopStep};
use mgmt::runtime::EventKind;

use crate::kit::{There, host, is_alive, parcel, pid, until_event, wait};

#[tokio::test]
async fn a_run_repairs_there_and_reports_here_and_ends_when_it_has_converged() {
    let there = There::new();
    let new = there.text("new");
    let job = there.job(|g| _ = g.add(File::new(&new).content("new\n"))).await;
    let mut run = host().run(&job.converged_timeout(Duration::ZERO)).await.unwrap();
    let event = until_event(&mut run, |event| matches!(event, EventKind::Applied { changed: true, .. })).await;
    let EventKind::Applied { id, changes, .. } = event.kind else { panic!() };
    assert_eq!(id.to_string(), format!("file[{new}]"));
    assert!(!changes.is_empty());
    while run.next().await.is_some() {}
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (0, HowEnded::Converged));
    assert_eq!(there.read("new").as_deref(), Some("new\n"));
}

#[tokio::test]
async fn drift_there_is_repaired_and_another_graph_is_swapped() {
    let there = There::new();
    let (one, two) = (there.text("one"), there.text("two"));
    let job = there.job(|g| _ = g.add(File::new(&one).content("one\n"))).await;
    let mut run = host().run(&job).await.unwrap();
    let pid = pid(&mut run).await;
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    std::fs::write(there.path("one"), "other\n").unwrap();
    until_event(&mut run, |event| matches!(event, EventKind::Applied { changed: true, .. })).await;
    assert_eq!(there.read("one").as_deref(), Some("one\n"));
    let next = parcel(|g| {
        g.add(File::new(&one).content("one\n"));
        g.add(File::new(&two).content("two\n"));
    })
    .await;
    run.swap(&next).await.unwrap();
    wait("the file of the second graph", || there.read("two").is_some()).await;
    assert_eq!(run.status().await.unwrap().resources, 2);
    run.stop(StopStep::Drain);
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (0, HowEnded::Stopped));
    assert!(!is_alive(pid));
}

/// A job with a command that ignores SIGTERM and runs for long; the number of its process is in the file `pid`.
async fn slow(there: &There) -> Job {
    let pid = there.text("pid");
    let line = format!("trap '' TERM; echo $$ >{pid}; sleep 1000");
    there.job(|g| _ = g.add(Exec::new("slow").cmd(line).shell("/bin/sh"))).await
}

async fn command(there: &There) -> u32 {
    let pid = || there.read("pid").and_then(|text| text.trim().parse::<u32>().ok());
    wait("the command has begun", || pid().is_some_and(is_alive)).await;
    pid().unwrap()
}

#[tokio::test]
async fn the_steps_of_a_stop_are_those_of_a_run_here() {
    let there = There::new();
    let mut run = host().run(&slow(&there).await).await.unwrap();
    let (far, command) = (pid(&mut run).await, command(&there).await);
    run.stop(StopStep::Drain);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(is_alive(far) && is_alive(command), "the operation may end");
    run.stop(StopStep::Cancel);
    let ended = tokio::time::timeout(Duration::from_secs(60), run.ended()).await.unwrap().unwrap();
    assert_eq!(ended.how, HowEnded::Stopped);
    wait("nothing is left", || !is_alive(far) && !is_alive(command)).await;
}

#[tokio::test]
async fn the_last_step_ends_the_run_at_once() {
    let there = There::new();
    let mut run = host().run(&slow(&there).await).await.unwrap();
    let (far, command) = (pid(&mut run).await, command(&there).await);
    run.stop(StopStep::Drain);
    run.stop(StopStep::Abandon);
    let began = std::time::Instant::now();
    assert_eq!(run.ended().await.unwrap().how, HowEnded::Stopped);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    wait("nothing is left", || !is_alive(far) && !is_alive(command)).await;
}

#[tokio::test]
async fn a_run_that_is_dropped_stops_there() {
    let there = There::new();
    let mut run = host().run(&slow(&there).await).await.unwrap();
    let (far, command) = (pid(&mut run).await, command(&there).await);
    drop(run);
    wait("nothing is left", || !is_alive(far) && !is_alive(command)).await;
}

#[tokio::test]
async fn a_far_end_that_is_killed_is_reported_and_its_commands_end() {
    let there = There::new();
    let mut run = host().run(&slow(&there).await).await.unwrap();
    let (far, command) = (pid(&mut run).await, command(&there).await);
    let killed = std::process::Command::new("kill").args(["-9", &far.to_string()]).status().unwrap();
    assert!(killed.success());
    let error = run.ended().await.unwrap_err();
    assert!(
        matches!(&error, RemoteError::Lost { why, .. } if why.contains("KILL") || why.contains("killed")),
        "{error}"
    );
    wait("nothing is left", || !is_alive(command)).await;
    // What was begun is found by the next run.
    std::fs::remove_file(there.path("pid")).unwrap();
    let run = host().run(&slow(&there).await).await.unwrap();
    let command = self::command(&there).await;
    run.stop(StopStep::Abandon);
    run.ended().await.unwrap();
    wait("nothing is left", || !is_alive(command)).await;
}

#[tokio::test]
async fn a_graph_that_is_refused_leaves_the_one_before_in_force() {
    let there = There::new();
    let one = there.text("one");
    let job = there.job(|g| _ = g.add(File::new(&one).content("one\n"))).await;
    let mut run = host().run(&job).await.unwrap();
    until_event(&mut run, |event| *event == EventKind::Converged).await;
    let own = there.prefix().join("journal.redb");
    let wrong = parcel(|g| _ = g.add(File::new(own.to_str().unwrap()).content("x"))).await;
    let error = run.swap(&wrong).await.unwrap_err();
    assert!(matches!(error, RemoteError::Graph(_)), "{error:?}");
    std::fs::remove_file(there.path("one")).unwrap();
    wait("the first graph is in force", || there.read("one").is_some()).await;
    run.stop(StopStep::Drain);
    run.ended().await.unwrap();
    let error = run.swap(&wrong).await.unwrap_err();
    assert_eq!(error, RemoteError::Ended);
}

#[tokio::test]
async fn exit_codes_are_those_of_a_run_here() {
    let there = There::new();
    let job = there.job(|g| _ = g.add(Exit::new("five").code(5))).await;
    let run = host().run(&job).await.unwrap();
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (5, HowEnded::Exit));
    let job = there.job(|g| _ = g.add(Exec::new("false").cmd("/bin/false"))).await;
    let run = host().run(&job.converged_timeout(Duration::ZERO)).await.unwrap();
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (1, HowEnded::Hopeless));
    let new = there.text("new");
    let job = there.job(|g| _ = g.add(File::new(&new).content("new\n"))).await;
    let run = host().run(&job.clone().converged_timeout(Duration::ZERO).alert_only(true)).await.unwrap();
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (2, HowEnded::Converged));
    assert!(there.read("new").is_none());
    let run = host().run(&job.max_runtime(Duration::from_millis(500))).await.unwrap();
    let ended = run.ended().await.unwrap();
    assert_eq!((ended.code, ended.how), (0, HowEnded::MaxRuntime));
}
