//! What is looked at, and what is left alone.

use std::time::Duration;

use mgmt::prelude::*;

use crate::kit::run::list;
use crate::kit::{Act, Desk, Op, Run};

/// A chain of probes `0 → 1 → …`, each kept at `x`.
fn chain(desk: &Desk, count: usize) -> Graph {
    let mut g = Graph::new("chain");
    let mut last = None;
    for n in 0..count {
        let probe = desk.probe(&n.to_string()).want("x");
        last = Some(g.add(match &last {
            Some(last) => probe.after(last),
            None => probe,
        }));
    }
    g
}

#[tokio::test]
async fn a_child_is_not_checked_because_its_parent_was() {
    let desk = Desk::new();
    let mut run = Run::new(chain(&desk, 3)).await;
    run.converged().await;
    desk.log();
    desk.wake("0");
    assert_eq!(run.converged().await, list("in sync 0, converged"));
    assert_eq!(desk.log(), list("check 0"));
    run.stop().await;
}

#[tokio::test]
async fn a_change_deep_in_a_chain_checks_that_one_and_what_hangs_on_it() {
    let desk = Desk::new();
    let mut run = Run::new(chain(&desk, 50)).await;
    run.converged().await;
    desk.log();
    desk.touch("40", "broken");
    assert_eq!(run.converged().await, list("drifted 40, applied 40, in sync 41, converged"));
    assert_eq!(desk.log(), list("check 40, apply 40, check 41"), "41 since 40 changed, 42 not, since 41 did not");
    run.stop().await;
}

#[tokio::test]
async fn changes_during_an_operation_are_followed_by_one_further_check() {
    let desk = Desk::new();
    let gate = desk.gate("0", Op::Apply);
    let mut run = Run::new(chain(&desk, 1)).await;
    gate.reached().await;
    (0..5).for_each(|_| desk.wake("0"));
    // The loop has heard them all when it answers this.
    for _ in 0..20 {
        run.engine.progress().await.unwrap();
    }
    gate.open();
    assert_eq!(run.converged().await, list("swapped, drifted 0, applied 0, in sync 0, converged"));
    assert_eq!(desk.log(), list("watch 0, check 0, apply 0, check 0"));
    run.stop().await;
}

#[tokio::test]
async fn what_was_changed_while_nobody_watched_is_found_when_the_watch_is_back() {
    let desk = Desk::new();
    let mut g = Graph::new("watch");
    g.add(desk.probe("a").want("x").retry(3).delay(Duration::from_millis(5)));
    let mut run = Run::new(g).await;
    run.converged().await;
    desk.log();
    desk.break_watch("a", "the bus is gone");
    let why = run.find(|event| match event {
        mgmt::runtime::EventKind::Failed { error, watch: true, .. } => Some(error.clone()),
        _ => None,
    });
    assert_eq!(why.await, "the bus is gone");
    desk.put("a", "broken");
    assert_eq!(run.converged().await, list("drifted a, applied a, converged"));
    assert_eq!(desk.log(), list("watch a, check a, apply a"));
    run.stop().await;
}

#[tokio::test]
async fn a_world_that_is_just_changing_is_looked_at_again_and_no_try_is_lost() {
    let desk = Desk::new();
    (0..3).for_each(|_| desk.once("0", Op::Check, Act::Outdated));
    desk.once("0", Op::Apply, Act::Outdated);
    let mut run = Run::new(chain(&desk, 2)).await;
    let events = run.converged().await;
    assert!(!events.iter().any(|event| event.starts_with("failed")), "{events:?}");
    assert_eq!((desk.count("check 0"), desk.count("apply 0"), desk.count("check 1")), (5, 2, 1));
    run.stop().await;
}

#[tokio::test]
async fn a_world_that_never_stops_changing_is_a_failure() {
    let desk = Desk::new();
    desk.always("0", Op::Check, Act::Outdated);
    let mut run = Run::new(chain(&desk, 2)).await;
    let events = run.until("blocked 1").await;
    assert_eq!(events, list("swapped, failed 0, blocked 1"));
    let times = desk.times("check 0");
    assert!(times[times.len() - 1] - times[0] > Duration::from_millis(500), "it was given time");
    run.stop().await;
}

#[tokio::test]
async fn somebody_who_undoes_each_repair_is_told_and_does_not_starve_others() {
    let desk = Desk::new();
    let mut g = Graph::new("flap");
    g.add(desk.probe("a").want("x"));
    g.add(desk.probe("b").want("x"));
    let mut run = Run::new(g).await;
    run.converged().await;
    for n in 0.. {
        assert!(n < 100, "it is never told");
        desk.touch("a", "broken");
        let event = run.find(|event| match event {
            mgmt::runtime::EventKind::Flapping { id, repairs } => Some(Some((id.name.clone(), *repairs))),
            mgmt::runtime::EventKind::Applied { .. } => Some(None),
            _ => None,
        });
        if let Some((who, repairs)) = event.await {
            assert_eq!((who.as_str(), repairs), ("a", 6));
            break;
        }
    }
    desk.touch("a", "broken");
    desk.touch("b", "broken");
    run.until("applied b").await;
    run.until("applied a").await;
    run.stop().await;
}
