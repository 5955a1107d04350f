//! Metaparameters, as the engine acts upon them. Times are only compared with lower bounds: a loaded machine is late,
//! never early.

use std::time::{Duration, Instant};

use mgmt::prelude::*;
use mgmt::runtime::{EventKind, Operation, Standing};

use crate::kit::probe::ProbeBuilder;
use crate::kit::run::{list, within};
use crate::kit::{Act, Desk, Op, Run};

const MS: Duration = Duration::from_millis(1);

/// One probe `a`, kept at `x`, and `child` after it.
fn graph(desk: &Desk, with: impl FnOnce(ProbeBuilder) -> ProbeBuilder) -> Graph {
    let mut g = Graph::new("graph");
    let a = g.add(with(desk.probe("a").want("x")));
    g.add(desk.probe("child").after(&a));
    g
}

fn gaps(times: &[Instant]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test]
async fn a_failure_is_tried_again_as_often_as_allowed_and_success_refills_the_tries() {
    let desk = Desk::new();
    let fail_twice = || (0..2).for_each(|_| desk.once("a", Op::Check, Act::Fail("no")));
    fail_twice();
    let mut run = Run::new(graph(&desk, |a| a.retry(2))).await;
    assert_eq!(
        run.converged().await,
        list(
            "swapped, failed a, blocked child, failed a, drifted a, applied a, unblocked child, in sync child, converged"
        )
    );
    for _ in 0..3 {
        fail_twice();
        desk.wake("a");
        run.until("failed a").await;
        run.until("failed a").await;
        run.converged().await;
    }
    run.stop().await;
}

#[tokio::test]
async fn without_tries_left_descendants_are_blocked_and_the_rest_goes_on() {
    let desk = Desk::new();
    desk.always("a", Op::Apply, Act::Fail("read-only file system"));
    let mut g = graph(&desk, |a| a.retry(1));
    g.add(desk.probe("other").want("x"));
    let mut run = Run::new(g).await;
    let mut failures = Vec::new();
    while failures.len() < 2 {
        failures.push(
            run.find(|event| match event {
                EventKind::Failed { id, error, retry_in, operation: Operation::Apply, .. } => {
                    Some((id.to_string(), error.clone(), *retry_in))
                }
                _ => None,
            })
            .await,
        );
    }
    let said = ("probe[a]".to_owned(), "read-only file system".to_owned());
    assert_eq!(failures, [(said.0.clone(), said.1.clone(), Some(Duration::ZERO)), (said.0, said.1, None)]);
    run.stands("other", Standing::Settled).await;
    let status = run.engine.status().await.unwrap();
    assert!(status.hopeless && !status.converged);
    assert_eq!((status.failed, status.settled, status.resources), (1, 1, 3));
    let Standing::Blocked(by) = run.standing("child").await else { panic!("{status:?}") };
    assert_eq!(by[0].name, "a");
    assert_eq!(desk.real("other"), "x");
    assert_eq!((desk.count("apply a"), desk.count("check child")), (2, 0));
    // What wakes it now is kept until a new graph gives it another try.
    desk.always("a", Op::Apply, Act::Sleep(Duration::ZERO));
    run.engine.swap(graph(&desk, |a| a.retry(1).rewatch(true)).finish().unwrap()).await.unwrap();
    assert!(!run.engine.status().await.unwrap().hopeless);
    run.until("hopeful").await;
    run.converged().await;
    assert_eq!(desk.real("a"), "x");
    run.stop().await;
}

#[tokio::test]
async fn a_graph_converges_when_each_resource_has_been_quiet_for_its_own_time() {
    let desk = Desk::new();
    let begin = Instant::now();
    let mut run = Run::new(graph(&desk, |a| a.converged_timeout(150 * MS))).await;
    run.converged().await;
    let first = begin.elapsed();
    assert!(first >= 150 * MS, "converged after {first:?}");
    run.stop().await;
}

#[tokio::test]
async fn a_delay_is_kept_and_what_happens_in_it_is_merged() {
    let desk = Desk::new();
    desk.once("a", Op::Check, Act::Fail("no"));
    let mut run = Run::new(graph(&desk, |a| a.retry(1).delay(120 * MS))).await;
    run.until("failed a").await;
    (0..5).for_each(|_| desk.wake("a"));
    run.converged().await;
    let times = desk.times("check a");
    assert_eq!(times.len(), 2, "one further check for all that happened");
    assert!(gaps(&times)[0] >= 120 * MS, "{times:?}");
    run.stop().await;
}

#[tokio::test]
async fn a_backoff_doubles_up_to_its_bound() {
    let desk = Desk::new();
    (0..5).for_each(|_| desk.once("a", Op::Check, Act::Fail("no")));
    let mut run = Run::new(graph(&desk, |a| a.retry(-1).delay(20 * MS).backoff(60 * MS))).await;
    let mut delays = Vec::new();
    while delays.len() < 5 {
        delays.push(
            run.find(|event| match event {
                EventKind::Failed { retry_in, .. } => Some(retry_in.unwrap()),
                _ => None,
            })
            .await,
        );
    }
    run.converged().await;
    for ((delay, gap), full) in delays.iter().zip(gaps(&desk.times("check a"))).zip([20, 40, 60, 60, 60]) {
        assert!(*delay >= full * MS / 2 && *delay <= full * MS, "{delays:?}");
        assert!(gap >= *delay, "{gap:?} {delay:?}");
    }
    run.stop().await;
}

#[tokio::test]
async fn a_poll_finds_what_no_watch_tells() {
    let desk = Desk::new();
    let mut run = Run::new(graph(&desk, |a| a.poll(15 * MS))).await;
    run.converged().await;
    for _ in 0..3 {
        desk.put("a", "broken");
        run.until("applied a").await;
        assert_eq!(desk.real("a"), "x");
    }
    run.stop().await;
}

#[tokio::test]
async fn what_is_not_watched_is_checked_once_and_then_by_its_poll_alone() {
    let desk = Desk::new();
    let mut run = Run::new(graph(&desk, |a| a.watch(false))).await;
    run.converged().await;
    assert!(!desk.is_watched("a") && desk.is_watched("child"));
    desk.put("a", "broken");
    let checks = desk.count("check a");
    desk.wake("child");
    run.until("in sync child").await;
    assert_eq!((desk.real("a").as_str(), desk.count("check a")), ("broken", checks), "nothing listens");
    // A graph that listens again finds what has happened meanwhile; one that does not is polled as it asks.
    run.engine.swap(graph(&desk, |a| a).finish().unwrap()).await.unwrap();
    run.until("applied a").await;
    desk.touch("a", "broken");
    run.until("applied a").await;
    run.engine.swap(graph(&desk, |a| a.watch(false).poll(10 * MS)).finish().unwrap()).await.unwrap();
    desk.put("a", "broken");
    run.until("applied a").await;
    assert!(desk.real("a") == "x" && !desk.is_watched("a"));
    run.stop().await;
}

#[tokio::test]
async fn a_resource_that_is_polled_converges_all_the_same() {
    let desk = Desk::new();
    let mut run = Run::with(graph(&desk, |a| a.poll(5 * MS)), |b| b.converged_timeout(100 * MS)).await;
    run.converged().await;
    let before = desk.count("check a");
    crate::kit::within(async {
        while desk.count("check a") < before + 5 {
            tokio::time::sleep(MS).await;
        }
    })
    .await;
    assert!(run.engine.is_converged());
    run.stop().await;
}

#[tokio::test]
async fn a_limit_bounds_the_checks_that_the_watch_causes() {
    let desk = Desk::new();
    let mut run = Run::new(graph(&desk, |a| a.limit(20.0).burst(2))).await;
    run.converged().await;
    let (began, before) = (Instant::now(), desk.count("check a"));
    for _ in 0..60 {
        desk.wake("a");
        tokio::time::sleep(2 * MS).await;
    }
    let allowed = 3.0 + began.elapsed().as_secs_f64() * 20.0;
    let checks = desk.count("check a") - before;
    assert!((checks as f64) <= allowed, "{checks} checks in {:?}", began.elapsed());
    // The last change is seen none the less.
    desk.touch("a", "broken");
    run.until("applied a").await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_semaphore_is_held_by_no_more_than_its_size() {
    let desk = Desk::new();
    let mut g = Graph::new("sema");
    for n in 0..8 {
        let name = n.to_string();
        desk.always(&name, Op::Check, Act::Sleep(5 * MS));
        desk.always(&name, Op::Apply, Act::Sleep(5 * MS));
        g.add(desk.probe(&name).want("x").sema("disk:2"));
    }
    let mut run = Run::with(g, |builder| builder.running_max(8)).await;
    run.converged().await;
    assert_eq!(desk.running_max(), 2);
    run.stop().await;
}

#[tokio::test]
async fn what_takes_longer_than_its_timeout_is_cancelled_and_is_a_try() {
    for op in [Op::Check, Op::Apply] {
        let desk = Desk::new();
        let gate = desk.gate("a", op);
        let mut run = Run::new(graph(&desk, |a| a.timeout(60 * MS).retry(1))).await;
        gate.reached().await;
        let error = run
            .find(|event| match event {
                EventKind::Failed { error, .. } => Some(error.clone()),
                _ => None,
            })
            .await;
        assert_eq!(error, "cancelled: it took longer than its `timeout`");
        run.converged().await;
        assert!(desk.log().contains(&"cut a".to_owned()), "it was really given up");
        assert_eq!(desk.real("a"), "x");
        run.stop().await;
    }
}

#[tokio::test]
async fn what_is_in_noop_is_checked_and_never_applied() {
    let desk = Desk::new();
    let mut run = Run::new(graph(&desk, |a| a.noop(true))).await;
    assert_eq!(run.converged().await, list("swapped, drifted (noop) a, in sync child, converged"));
    assert_eq!(run.standing("a").await, Standing::Noop);
    assert_eq!((desk.real("a"), desk.count("apply a")), (String::new(), 0));
    run.stop().await;
}

#[tokio::test]
async fn what_is_hidden_keeps_its_place_and_is_not_run_until_it_is_shown() {
    let desk = Desk::new();
    let gate = desk.gate("first", Op::Apply);
    let graph = |hidden: bool, noop: bool| {
        let mut g = Graph::new("hidden");
        let first = g.add(desk.probe("first").want("x"));
        let a = g.add(desk.probe("a").want("x").subscribe(&first).poll(MS).hidden(hidden).noop(noop));
        g.add(desk.probe("last").want("x").after(&a));
        g.finish().unwrap()
    };
    let plan = within(mgmt::Engine::builder().graph(graph(true, false)).plan()).await.unwrap();
    assert_eq!((plan.summary.drifted, plan.summary.hidden), (2, 1), "{plan}");
    assert!(plan.to_string().ends_with("2 to repair, 1 hidden"), "{plan}");
    let mut run = Run::start(mgmt::Engine::builder().graph(graph(true, true))).await;
    gate.reached().await;
    assert_eq!(
        (desk.count("check last"), desk.is_watched("a")),
        (1, false),
        "the plan has checked it, the run not yet"
    );
    gate.open();
    run.converged().await;
    assert_eq!((desk.real("last"), desk.real("a"), desk.count("check a")), ("x".to_owned(), String::new(), 0));
    run.stands("a", Standing::Hidden).await;
    // In noop before and after: only that it is shown can be the reason for its check.
    run.engine.swap(graph(false, true)).await.unwrap();
    run.until("drifted (noop) a").await;
    run.engine.swap(graph(false, false)).await.unwrap();
    assert!(run.until("applied and refreshed a").await.contains(&"drifted a".to_owned()), "the refresh was still owed");
    run.engine.swap(graph(true, false)).await.unwrap();
    run.stands("a", Standing::Hidden).await;
    desk.put("a", "y");
    tokio::time::sleep(20 * MS).await;
    assert_eq!((desk.real("a"), desk.is_watched("a")), ("y".to_owned(), false));
    run.stop().await;
}

#[tokio::test]
async fn nothing_receives_from_what_is_hidden() {
    let desk = Desk::new();
    let mut g = Graph::new("hidden");
    let a = g.add(desk.probe("a").hidden(true));
    g.add(desk.probe("b").want(a.made()));
    let problems = within(mgmt::Engine::builder().graph(g.finish().unwrap()).plan()).await.unwrap_err().to_string();
    assert!(
        problems.contains("probe[b]: `want` receives from probe[a], which is hidden and sends nothing"),
        "{problems}"
    );
}

#[tokio::test]
async fn an_engine_in_noop_applies_nothing_of_any_graph() {
    let desk = Desk::new();
    let mut run = Run::with(graph(&desk, |a| a), |builder| builder.noop(true)).await;
    run.converged().await;
    let mut g = graph(&desk, |a| a);
    g.add(desk.probe("new").want("x"));
    run.engine.swap(g.finish().unwrap()).await.unwrap();
    run.converged().await;
    assert_eq!((desk.count("apply a"), desk.count("apply new")), (0, 0));
    assert_eq!((desk.count("check a"), desk.count("check new")), (1, 1));
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_command_that_always_ends_at_once_is_begun_as_often_as_it_has_tries() {
    let dir = tempfile::tempdir().unwrap();
    let begun = dir.path().join("begun");
    let mut g = Graph::new("watch");
    let script = format!("echo begun >> {}; exit 3", begun.display());
    g.add(Exec::new("a").cmd("true").watchcmd(script).watchshell("/bin/sh").retry(2).delay(Duration::from_millis(20)));
    let mut run = Run::new(g).await;
    let mut left = Vec::new();
    while left.last() != Some(&false) {
        left.push(
            run.find(|event| match event {
                EventKind::Failed { error, retry_in, operation: Operation::Watch, .. } => {
                    assert!(error.contains("3"), "{error}");
                    Some(retry_in.is_some())
                }
                _ => None,
            })
            .await,
        );
    }
    assert_eq!(left, [true, true, false]);
    run.stands("a", Standing::Failed).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(std::fs::read_to_string(&begun).unwrap(), "begun\n".repeat(3));
    run.stop().await;
}

#[tokio::test]
async fn why_a_watch_failed_is_known_also_after_an_apply_that_was_left_to_end() {
    let desk = Desk::new();
    let gate = desk.gate("a", Op::Apply);
    let mut run = Run::new(graph(&desk, |a| a)).await;
    gate.reached().await;
    desk.break_watch("a", "the bus is gone");
    run.until("watch failed a").await;
    gate.open();
    run.until("applied a").await;
    run.stands("a", Standing::Failed).await;
    let status = run.engine.status().await.unwrap();
    let found = status.notable.iter().find(|resource| resource.id.name == "a").unwrap();
    assert_eq!(found.error.as_deref(), Some("the bus is gone"));
    run.stop().await;
}

#[tokio::test]
async fn a_semaphore_is_the_same_in_the_next_graph_whatever_others_it_has() {
    let desk = Desk::new();
    let gate = desk.gate("holder", Op::Apply);
    let graph = |with_more: bool| {
        let mut g = Graph::new("sema");
        if with_more {
            g.add(desk.probe("free").want("x").sema("t"));
        }
        g.add(desk.probe("holder").want("x").sema("s"));
        if with_more {
            g.add(desk.probe("waits").want("x").sema("s"));
        }
        g
    };
    let mut run = Run::new(graph(false)).await;
    gate.reached().await;
    run.engine.swap(graph(true).finish().unwrap()).await.unwrap();
    let kept = run.find(|event| match event {
        EventKind::Swapped { added, changed, kept, .. } if *added == 2 => Some((*changed, *kept)),
        _ => None,
    });
    assert_eq!(kept.await, (0, 1), "the holder has not changed");
    run.until("applied free").await;
    assert_eq!(desk.count("check waits"), 0, "another holds it");
    gate.open();
    run.converged().await;
    assert_eq!(desk.real("waits"), "x");
    run.stop().await;
}
