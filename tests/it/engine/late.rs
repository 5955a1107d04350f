//! A run that ends as soon as it has converged watches nothing as long as nothing must be done.

use mgmt::prelude::*;

use crate::kit::{Desk, Run};

#[tokio::test]
async fn what_is_in_sync_is_not_watched_before_the_graph_has_converged() {
    let desk = Desk::new();
    desk.put("a", "x");
    let mut g = Graph::new("late");
    g.add(desk.probe("a").want("x"));
    let mut run = Run::with(g, |builder| builder.watch_late(true)).await;
    assert_eq!(run.converged().await, ["swapped", "in sync a", "converged"]);
    assert_eq!(desk.count("watch a"), 0);
    // It has not ended with that: so it must notice what happens from now on.
    run.converged().await;
    assert_eq!(desk.count("watch a"), 1);
    desk.touch("a", "y");
    run.until("applied a").await;
    run.stop().await;
}

#[tokio::test]
async fn what_was_checked_before_it_was_watched_is_checked_again_before_the_first_repair() {
    let desk = Desk::new();
    desk.put("a", "x");
    let mut g = Graph::new("late");
    let a = g.add(desk.probe("a").want("x"));
    g.add(desk.probe("b").want("x").after(&a));
    let mut run = Run::with(g, |builder| builder.watch_late(true)).await;
    run.converged().await;
    let log = desk.log();
    let first = |what: &str| log.iter().position(|line| line == what).unwrap();
    assert!(first("watch a") < first("apply b") && first("watch b") < first("apply b"), "{log:?}");
    assert_eq!(desk.count("check a"), 2, "{log:?}");
    run.stop().await;
}
