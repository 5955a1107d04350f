//! A pause loses nothing.

use std::time::Duration;

use mgmt::prelude::*;

use crate::kit::run::list;
use crate::kit::{Desk, Op, Run, within};

#[tokio::test]
async fn nothing_starts_in_a_pause_and_all_that_happened_is_done_after_it() {
    let desk = Desk::new();
    let mut g = Graph::new("pause");
    let a = g.add(desk.probe("a").want("x"));
    g.add(desk.probe("b").subscribe(&a));
    g.add(desk.probe("c").want("x").poll(Duration::from_millis(5)));
    let mut run = Run::new(g).await;
    run.converged().await;
    within(run.engine.pause()).await.unwrap();
    desk.log();
    (0..3).for_each(|_| desk.touch("a", "broken"));
    desk.put("c", "broken");
    tokio::time::sleep(Duration::from_millis(30)).await;
    run.engine.status().await.unwrap();
    assert_eq!(desk.log(), list(""));
    within(run.engine.resume()).await.unwrap();
    run.until("refreshed b").await;
    run.engine.converged().await.unwrap();
    assert_eq!((desk.real("a"), desk.count("refresh b")), ("x".into(), 2));
    within(async {
        while desk.real("c") != "x" {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    run.stop().await;
}

#[tokio::test]
async fn what_runs_at_a_pause_ends_and_what_follows_waits() {
    let desk = Desk::new();
    let gate = desk.gate("a", Op::Check);
    let mut g = Graph::new("pause");
    g.add(desk.probe("a").want("x"));
    let mut run = Run::new(g).await;
    gate.reached().await;
    run.engine.pause().await.unwrap();
    let mut idle = Box::pin(run.engine.idle());
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut idle).await.is_err(), "its check is under way");
    gate.open();
    within(idle).await.unwrap();
    assert_eq!(desk.count("apply a"), 0);
    let id = mgmt::id::ResourceId::new("probe", "a");
    let found = run.engine.resource(&id).await.unwrap().unwrap();
    assert_eq!(found.standing, mgmt::runtime::Standing::Ready);
    assert!(run.engine.resource(&mgmt::id::ResourceId::new("probe", "z")).await.unwrap().is_none());
    run.engine.resume().await.unwrap();
    run.converged().await;
    assert_eq!(desk.real("a"), "x");
    // A settled resource can be asked for, too.
    assert_eq!(run.engine.resource(&id).await.unwrap().unwrap().standing, mgmt::runtime::Standing::Settled);
    run.stop().await;
}

#[tokio::test]
async fn a_swap_in_a_pause_runs_after_it_and_a_paused_engine_stops() {
    let desk = Desk::new();
    let mut run = Run::new(Graph::new("empty")).await;
    run.converged().await;
    run.engine.pause().await.unwrap();
    let mut g = Graph::new("pause");
    g.add(desk.probe("a").want("x"));
    run.engine.swap(g.finish().unwrap()).await.unwrap();
    run.until("swapped").await;
    assert_eq!(desk.count("check a"), 0);
    run.engine.resume().await.unwrap();
    run.converged().await;
    run.engine.pause().await.unwrap();
    run.stop().await;
}
