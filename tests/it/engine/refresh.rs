//! Owed refreshes.

use std::path::Path;
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::runtime::EventKind;

use crate::kit::run::list;
use crate::kit::{Act, Desk, Op, Run, within};

/// `a` notifies `b`.
fn pair(desk: &Desk, b: impl FnOnce(crate::kit::probe::ProbeBuilder) -> crate::kit::probe::ProbeBuilder) -> Graph {
    let mut g = Graph::new("pair");
    let a = g.add(desk.probe("a").want("x"));
    g.add(b(desk.probe("b")).subscribe(&a));
    g
}

async fn in_prefix(g: Graph, prefix: &Path) -> Run {
    let prefix = prefix.to_owned();
    Run::with(g, move |builder| builder.prefix(prefix)).await
}

#[tokio::test]
async fn a_change_refreshes_who_subscribed_once() {
    let desk = Desk::new();
    let mut run = Run::new(pair(&desk, |b| b)).await;
    assert_eq!(
        run.converged().await,
        list("swapped, drifted a, owed b by a, applied a, in sync b, refreshed b, converged")
    );
    desk.wake("a");
    assert_eq!(run.until("in sync a").await, list("in sync a"), "nothing changed, nothing is told");
    desk.touch("a", "broken");
    assert_eq!(run.converged().await, list("drifted a, owed b by a, applied a, in sync b, refreshed b, converged"));
    assert_eq!(desk.count("refresh b"), 2);
    run.stop().await;
}

#[tokio::test]
async fn a_repair_is_a_refresh_too() {
    let desk = Desk::new();
    let mut run = Run::new(pair(&desk, |b| b.want("x"))).await;
    assert_eq!(
        run.converged().await,
        list("swapped, drifted a, owed b by a, applied a, drifted b, applied and refreshed b, converged")
    );
    assert_eq!(desk.count("refresh b"), 0);
    assert!(run.engine.status().await.unwrap().owed.is_empty());
    run.stop().await;
}

#[tokio::test]
async fn several_notifiers_make_one_refresh() {
    let desk = Desk::new();
    let mut g = Graph::new("many");
    let many: Vec<_> = (0..7).map(|n| g.add(desk.probe(&format!("a{n}")).want("x"))).collect();
    g.add(desk.probe("b").subscribe(&many));
    let mut run = Run::new(g).await;
    let events = run.converged().await;
    assert_eq!(events.iter().filter(|event| event.starts_with("owed b")).count(), 7);
    assert_eq!((desk.count("refresh b"), desk.count("check b")), (1, 1));
    run.stop().await;
}

#[tokio::test]
async fn an_apply_that_changed_nothing_owes_nothing() {
    let desk = Desk::new();
    desk.once("a", Op::Apply, Act::Unchanged);
    let mut run = Run::new(pair(&desk, |b| b)).await;
    assert_eq!(run.converged().await, list("swapped, drifted a, applied nothing a, in sync b, converged"));
    run.stop().await;
}

#[tokio::test]
async fn a_refresh_goes_on_only_where_it_did_something() {
    let desk = Desk::new();
    let mut g = Graph::new("chain");
    let a = g.add(desk.probe("a"));
    let b = g.add(desk.probe("b").subscribe(&a));
    let c = g.add(desk.probe("c").subscribe(&b));
    g.add(desk.probe("d").subscribe(&c));
    let mut run = Run::new(g).await;
    run.converged().await;
    let mut g = Graph::new("chain");
    let a = g.add(desk.probe("a").want("x"));
    let b = g.add(desk.probe("b").subscribe(&a));
    let c = g.add(desk.probe("c").subscribe(&b));
    g.add(desk.probe("d").subscribe(&c));
    desk.once("c", Op::Refresh, Act::Unchanged);
    run.engine.swap(g.finish().unwrap()).await.unwrap();
    run.converged().await;
    assert_eq!((desk.count("refresh b"), desk.count("refresh c"), desk.count("refresh d")), (1, 1, 0));
    run.stop().await;
}

#[tokio::test]
async fn a_failed_refresh_stays_owed_and_is_tried_again() {
    let desk = Desk::new();
    desk.once("b", Op::Refresh, Act::Fail("the service is down"));
    let mut run = Run::new(pair(&desk, |b| b.retry(1).delay(Duration::from_millis(5)))).await;
    assert_eq!(
        run.converged().await,
        list("swapped, drifted a, owed b by a, applied a, in sync b, failed b, in sync b, refreshed b, converged")
    );
    run.stop().await;
}

#[tokio::test]
async fn a_change_during_a_refresh_is_owed_anew() {
    let desk = Desk::new();
    let gate = desk.gate("b", Op::Refresh);
    let mut run = Run::new(pair(&desk, |b| b)).await;
    gate.reached().await;
    desk.touch("a", "broken");
    run.until("applied a").await;
    run.until("applied a").await;
    gate.open();
    run.converged().await;
    assert_eq!(desk.count("refresh b"), 2);
    run.stop().await;
}

#[tokio::test]
async fn a_noop_resource_is_not_refreshed_but_stays_owed_until_it_may_be() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let mut run = in_prefix(pair(&desk, |b| b.noop(true)), dir.path()).await;
    assert_eq!(run.converged().await, list("swapped, drifted a, owed b by a, applied a, in sync b, converged"));
    let owed = run.engine.status().await.unwrap().owed;
    assert_eq!(owed.iter().map(|(from, to)| (from.name.as_str(), to.name.as_str())).collect::<Vec<_>>(), [("a", "b")]);
    // A swap that keeps the edge keeps the debt.
    let mut g = pair(&desk, |b| b.noop(true));
    g.add(desk.probe("another"));
    run.engine.swap(g.finish().unwrap()).await.unwrap();
    run.converged().await;
    run.stop().await;
    // So does a stop.
    let mut run = in_prefix(pair(&desk, |b| b.noop(true)), dir.path()).await;
    run.converged().await;
    assert_eq!(desk.count("refresh b"), 0);
    run.engine.swap(pair(&desk, |b| b).finish().unwrap()).await.unwrap();
    assert_eq!(run.converged().await, list("swapped, in sync b, refreshed b, converged"));
    run.stop().await;
    // And it is paid once.
    let mut run = in_prefix(pair(&desk, |b| b), dir.path()).await;
    run.converged().await;
    run.stop().await;
    assert_eq!(desk.count("refresh b"), 1);
}

#[tokio::test]
async fn an_engine_that_is_stopped_before_the_refresh_makes_it_in_the_next_run() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    desk.always("b", Op::Refresh, Act::Fail("not today"));
    let mut run = in_prefix(pair(&desk, |b| b), dir.path()).await;
    run.until("failed b").await;
    run.stop().await;
    desk.always("b", Op::Refresh, Act::Sleep(Duration::ZERO));
    let mut run = in_prefix(pair(&desk, |b| b), dir.path()).await;
    let events = run.converged().await;
    assert!(events.contains(&"refreshed b".to_owned()), "{events:?}");
    assert!(!events.contains(&"drifted a".to_owned()), "nothing but the debt is left: {events:?}");
    run.stop().await;
}

#[tokio::test]
async fn a_debt_along_an_edge_that_is_gone_is_gone() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let mut run = in_prefix(pair(&desk, |b| b.noop(true)), dir.path()).await;
    run.converged().await;
    let mut g = Graph::new("no edge");
    g.add(desk.probe("a").want("x"));
    g.add(desk.probe("b"));
    run.engine.swap(g.finish().unwrap()).await.unwrap();
    within(run.engine.converged()).await.unwrap();
    run.engine.swap(pair(&desk, |b| b).finish().unwrap()).await.unwrap();
    within(run.engine.converged()).await.unwrap();
    desk.wake("b");
    run.until("in sync b").await;
    run.converged().await;
    assert_eq!(desk.count("refresh b"), 0);
    run.stop().await;
}

#[tokio::test]
async fn what_has_nothing_to_refresh_is_owed_nothing_and_costs_nothing() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let made = dir.path().join("made");
    let graph = |want: &str| {
        let mut g = Graph::new("pair");
        let a = g.add(desk.probe("a").want(want));
        let b = g.add(File::new(made.to_str().unwrap()).content("b").subscribe(&a));
        g.add(desk.probe("c").subscribe(&b));
        g
    };
    let mut run = in_prefix(graph("x"), &dir.path().join("prefix")).await;
    run.converged().await;
    assert!(made.exists());
    assert_eq!(desk.count("refresh c"), 1, "what it did itself notifies in turn");
    run.stop().await;
    // Another engine, which has written nothing: no event of a write of its own can arrive late.
    let mut run = in_prefix(graph("x"), &dir.path().join("prefix")).await;
    run.converged().await;
    run.engine.swap(graph("y").finish().unwrap()).await.unwrap();
    // It waits for the other and is checked after a change of it, as with `after`; no more.
    let file = format!("in sync {}", made.display());
    let events = run.converged().await;
    assert_eq!(events, ["swapped", "drifted a", "applied a", &file, "converged"]);
    assert_eq!(desk.count("refresh c"), 1, "and nothing more");
    run.stop().await;
}

#[tokio::test]
async fn an_event_says_refreshed_only_if_something_was_done() {
    let desk = Desk::new();
    let dir = tempfile::tempdir().unwrap();
    let (made, ran) = (dir.path().join("made"), dir.path().join("ran"));
    std::fs::write(&made, "").unwrap();
    let mut g = Graph::new("guarded");
    let conf = g.add(desk.probe("conf").want("new"));
    g.add(Exec::new("make").cmd(format!("touch {}", ran.display())).creates(&made).subscribe(&conf));
    let mut run = Run::new(g).await;
    let refreshed = |kind: &EventKind| match kind {
        EventKind::Refreshed { changed, .. } => Some((*changed, kind.to_string())),
        _ => None,
    };
    let nothing = (false, "exec[make]: asked to refresh, with nothing to do".to_owned());
    assert_eq!(run.find(refreshed).await, nothing);
    assert!(!ran.exists());
    run.converged().await;
    std::fs::remove_file(&made).unwrap();
    run.until("applied make").await;
    assert!(ran.exists());
    run.stop().await;
}
