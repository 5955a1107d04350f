//! What is owed along an edge that leaves the graph is forgotten with it.

use std::path::Path;

use mgmt::id::ResourceId;
use mgmt::journal::Journal;
use mgmt::prelude::*;

use crate::kit::{Act, Desk, Op, Run};

/// `conf` notifies `service`, as far as they are in the graph.
fn graph(desk: &Desk, names: &[&str]) -> Graph {
    let mut g = Graph::new("debts");
    let conf = names.contains(&"conf").then(|| g.add(desk.probe("conf").want("new").retry(-1)));
    if names.contains(&"service") {
        g.add(desk.probe("service").retry(-1).delay(std::time::Duration::from_millis(1)).subscribe(conf.as_ref()));
    }
    g.add(desk.probe("other"));
    g
}

fn owed(prefix: &Path) -> Vec<(ResourceId, ResourceId)> {
    let journal = Journal::open(prefix).unwrap();
    journal.owed().into_iter().map(|(from, to, _)| (from, to)).collect()
}

/// A change that `service` can't be refreshed for; then these are left in the graph. Returns the run.
async fn owes_until(desk: &Desk, prefix: &Path, left: &[&str]) -> Run {
    desk.always("service", Op::Refresh, Act::Fail("not now"));
    let mut run = Run::with(graph(desk, &["conf", "service"]), |builder| builder.prefix(prefix)).await;
    run.until("failed service").await;
    run.engine.swap(graph(desk, left).finish().unwrap()).await.unwrap();
    run.until("swapped").await;
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_left_the_graph_owes_nothing_and_is_owed_nothing_also_after_a_restart() {
    for left in [&["conf"][..], &["service"], &[]] {
        let desk = Desk::new();
        let place = tempfile::tempdir().unwrap();
        owes_until(&desk, place.path(), left).await.stop().await;
        assert_eq!(owed(place.path()), [], "with {left:?} in the graph");
        let refreshes = desk.count("refresh service");
        let both = graph(&desk, &["conf", "service"]);
        let mut run = Run::with(both, |builder| builder.prefix(place.path())).await;
        run.converged().await;
        run.stop().await;
        assert_eq!(desk.count("refresh service"), refreshes, "with {left:?} in the graph before");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_by_a_swap_owes_nothing_either() {
    for left in [&["conf"][..], &["service"], &[]] {
        let desk = Desk::new();
        let place = tempfile::tempdir().unwrap();
        let mut run = owes_until(&desk, place.path(), left).await;
        run.converged().await;
        let refreshes = desk.count("refresh service");
        run.engine.swap(graph(&desk, &["conf", "service"]).finish().unwrap()).await.unwrap();
        run.until("swapped").await;
        run.converged().await;
        assert_eq!(desk.count("refresh service"), refreshes, "with {left:?} in the graph meanwhile");
        run.stop().await;
        assert_eq!(owed(place.path()), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_in_the_middle_of_a_change_owes_nothing() {
    let desk = Desk::new();
    let place = tempfile::tempdir().unwrap();
    let gate = desk.gate("conf", Op::Apply);
    let both = || graph(&desk, &["conf", "service"]);
    let mut run = Run::with(both(), |builder| builder.prefix(place.path())).await;
    gate.reached().await;
    run.engine.swap(graph(&desk, &["service"]).finish().unwrap()).await.unwrap();
    run.until("converged").await;
    gate.open();
    run.stop().await;
    assert_eq!(owed(place.path()), []);
    let mut run = Run::with(both(), |builder| builder.prefix(place.path())).await;
    run.converged().await;
    run.stop().await;
    assert_eq!(desk.count("refresh service"), 0);
}
