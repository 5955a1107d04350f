//! Code of others that panics: a failure of that one resource.

use std::time::Duration;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::{EventKind, Operation};

use crate::kit::{Act, Desk, Op, Run, within};

/// `a` panics, `other` does not care.
fn graph(desk: &Desk, retry: i32) -> Graph {
    let mut g = Graph::new("panics");
    g.add(desk.probe("a").want("x").retry(retry).delay(Duration::from_millis(1)));
    g.add(desk.probe("other").want("x"));
    g
}

async fn failure(run: &mut Run) -> (String, String, Operation) {
    run.find(|event| match event {
        EventKind::Failed { id, error, operation, .. } => Some((id.name.clone(), error.clone(), *operation)),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_panic_in_an_operation_is_its_failure_and_is_tried_again() {
    for (op, operation) in [(Op::Check, Operation::Check), (Op::Apply, Operation::Apply)] {
        let desk = Desk::new();
        desk.once("a", op, Act::Panic("index out of bounds"));
        let mut run = Run::new(graph(&desk, 1)).await;
        assert_eq!(failure(&mut run).await, ("a".into(), "panicked: index out of bounds".into(), operation));
        run.converged().await;
        assert_eq!((desk.real("a"), desk.real("other")), ("x".into(), "x".into()));
        run.stop().await;
    }
}

#[tokio::test]
async fn a_panic_in_a_refresh_leaves_it_owed() {
    let desk = Desk::new();
    desk.once("b", Op::Refresh, Act::Panic("gone"));
    let mut g = Graph::new("panics");
    let a = g.add(desk.probe("a").want("x"));
    g.add(desk.probe("b").subscribe(&a).retry(1));
    let mut run = Run::new(g).await;
    assert_eq!(failure(&mut run).await, ("b".into(), "panicked: gone".into(), Operation::Refresh));
    run.converged().await;
    assert_eq!(desk.count("refresh b"), 2);
    run.stop().await;
}

#[tokio::test]
async fn a_panic_in_watch_is_a_failed_watch() {
    let desk = Desk::new();
    desk.once("a", Op::Watch, Act::Panic("no such bus"));
    let mut run = Run::new(graph(&desk, 1)).await;
    assert_eq!(failure(&mut run).await, ("a".into(), "panicked: no such bus".into(), Operation::Watch));
    run.converged().await;
    assert_eq!(desk.real("a"), "x");
    run.stop().await;
}

#[tokio::test]
async fn a_panic_in_watch_without_tries_fails_that_resource_alone() {
    let desk = Desk::new();
    desk.always("a", Op::Watch, Act::Panic("no such bus"));
    let mut run = Run::new(graph(&desk, 0)).await;
    assert_eq!(failure(&mut run).await, ("a".into(), "panicked: no such bus".into(), Operation::Watch));
    // Which of the two came first is open.
    run.until("hopeless").await;
    assert_eq!(desk.real("other"), "x");
    assert_eq!(run.standing("a").await, mgmt::runtime::Standing::Failed);
    run.stop().await;
}

#[tokio::test]
async fn a_panic_in_a_stream_of_a_watch_is_a_failed_watch() {
    let desk = Desk::new();
    let mut run = Run::new(graph(&desk, 1)).await;
    run.converged().await;
    desk.break_watch("a", "panic");
    assert_eq!(failure(&mut run).await, ("a".into(), "panicked: the stream gave up".into(), Operation::Watch));
    desk.put("a", "broken");
    run.converged().await;
    assert_eq!(desk.real("a"), "x");
    run.stop().await;
}

#[tokio::test]
async fn a_panic_in_validate_refuses_the_graph_and_names_the_resource() {
    let desk = Desk::new();
    let mut bad = graph(&desk, 0);
    bad.add(desk.probe("odd").bad("panic"));
    let bad = bad.finish().unwrap();
    let error = within(Engine::builder().graph(bad.clone()).start()).await.unwrap_err().to_string();
    assert!(error.contains("probe[odd]: panicked: validate gave up") && error.contains("panics.rs"), "{error}");
    assert!(desk.log().is_empty());
    let mut run = Run::new(graph(&desk, 0)).await;
    run.converged().await;
    let error = run.engine.swap(bad).await.unwrap_err().to_string();
    assert!(error.contains("probe[odd]"), "{error}");
    desk.touch("a", "broken");
    run.until("applied a").await;
    run.stop().await;
}

#[tokio::test]
async fn a_panic_in_a_map_is_a_failure_of_the_receiver() {
    let desk = Desk::new();
    desk.put("a", "not a number");
    let mut g = Graph::new("map");
    let a = g.add(desk.probe("a"));
    g.add(
        desk.probe("b")
            .want(a.made().map(|text| format!("{}", text.parse::<u8>().unwrap())))
            .retry(-1)
            .delay(Duration::from_millis(1)),
    );
    g.add(desk.probe("other").want("x"));
    let mut run = Run::new(g).await;
    let (who, why, _) = failure(&mut run).await;
    assert_eq!(who, "b");
    assert!(
        why.contains("`want`, set at ") && why.contains("has no value: panicked: called `Result::unwrap()`"),
        "{why}"
    );
    desk.touch("a", "7");
    run.converged().await;
    assert_eq!((desk.real("b"), desk.real("other")), ("7".into(), "x".into()));
    run.stop().await;
}

#[tokio::test]
async fn a_panic_in_the_graphs_closure_is_a_refused_graph() {
    let error = Engine::builder().gapi(mgmt::native(|_, _| panic!("no hosts"))).start();
    let error = within(error).await.unwrap_err().to_string();
    assert!(error.starts_with("no graph: panicked: no hosts (tests/it/engine/panics.rs:"), "{error}");

    let desk = Desk::new();
    let (sender, receiver) = tokio::sync::watch::channel(1);
    let key = desk.key.clone();
    let gapi = mgmt::native(move |g, cx| {
        let count = cx.read(&receiver);
        assert!(count != 2, "two is not allowed");
        g.add(crate::kit::probe::Probe::new("a", &key).want(count.to_string()));
        Ok(())
    });
    let mut run = Run::start(Engine::builder().gapi(gapi)).await;
    run.converged().await;
    sender.send(2).unwrap();
    let why = run.find(|event| match event {
        EventKind::Rejected { problems, .. } => Some(problems.clone()),
        _ => None,
    });
    let why = why.await;
    assert!(why.starts_with("no graph: panicked: two is not allowed (tests/it/engine/panics.rs:"), "{why}");
    desk.touch("a", "broken");
    run.until("applied a").await;
    assert_eq!(desk.real("a"), "1");
    sender.send(3).unwrap();
    run.until("applied a").await;
    assert_eq!(desk.real("a"), "3");
    run.stop().await;
}
