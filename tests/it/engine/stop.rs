//! How an engine ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::EngineError;

use crate::kit::run::list;
use crate::kit::{Desk, Op, Run, within};

fn graph(desk: &Desk) -> Graph {
    let mut g = Graph::new("stop");
    let a = g.add(desk.probe("a").want("x"));
    g.add(desk.probe("b").want("x").after(&a));
    g
}

#[tokio::test]
async fn a_stop_lets_a_running_apply_end_and_starts_nothing_more() {
    let desk = Desk::new();
    let gate = desk.gate("a", Op::Apply);
    let mut run = Run::new(graph(&desk)).await;
    gate.reached().await;
    run.engine.shut_down();
    let status = run.engine.status().await.unwrap();
    assert_eq!((status.running[0].id.name.as_str(), status.running[0].operation.as_str()), ("a", "apply"));
    desk.log();
    let began = Instant::now();
    gate.open();
    within(run.engine.ended()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!((desk.real("a"), desk.log()), ("x".into(), list("")));
    run.until("stopped").await;
    assert!(within(run.events.next()).await.is_none(), "its events end with it");
}

#[tokio::test]
async fn a_stop_gives_up_a_running_check() {
    let desk = Desk::new();
    let gate = desk.gate("a", Op::Check);
    let run = Run::new(graph(&desk)).await;
    gate.reached().await;
    let began = Instant::now();
    within(run.engine.stop()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(desk.log().last().unwrap(), "cut a");
}

#[tokio::test]
async fn the_second_word_cancels_a_running_apply() {
    let desk = Desk::new();
    let gate = desk.gate("a", Op::Apply);
    let run = Run::new(graph(&desk)).await;
    gate.reached().await;
    run.engine.shut_down();
    let waits = tokio::time::timeout(Duration::from_millis(50), run.engine.ended()).await;
    assert!(waits.is_err(), "an apply is never cut short by the first");
    run.engine.cancel();
    within(run.engine.ended()).await.unwrap();
    assert_eq!((desk.real("a"), desk.log().last().unwrap().as_str()), (String::new(), "cut a"));
}

#[tokio::test]
async fn a_stopped_engine_answers_that_it_has_ended() {
    let desk = Desk::new();
    let run = Run::new(graph(&desk)).await;
    let engine = run.engine.clone();
    run.stop().await;
    assert!(matches!(within(engine.status()).await, Err(EngineError::Ended)));
    assert!(matches!(within(engine.swap(GraphConfig::default())).await, Err(EngineError::Ended)));
    assert!(matches!(within(engine.pause()).await, Err(EngineError::Ended)));
    within(engine.stop()).await.unwrap();
    within(engine.ended()).await.unwrap();
    assert!(within(engine.events().next()).await.is_none());
}

#[tokio::test]
async fn when_the_last_handle_is_dropped_everything_ends() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let gate = desk.gate("a", Op::Apply);
    let Run { engine, mut events } = Run::with(graph(&desk), |builder| builder.prefix(dir.path())).await;
    gate.reached().await;
    let second = engine.clone();
    drop(engine);
    within(second.status()).await.unwrap();
    drop(second);
    while within(events.next()).await.is_some() {}
    assert_eq!(desk.log().last().unwrap(), "cut a");
    assert!(!desk.is_watched("a"));
    // The prefix is free again.
    Run::with(graph(&desk), |builder| builder.prefix(dir.path())).await.stop().await;
}

#[tokio::test]
async fn no_graph_comes_into_force_once_a_stop_has_begun() {
    let desk = Desk::new();
    let apply = desk.gate("a", Op::Apply);
    let mut run = Run::new(graph(&desk)).await;
    apply.reached().await;
    run.engine.shut_down();
    let mut other = Graph::new("other");
    other.add(desk.probe("c").want("x"));
    assert!(matches!(run.engine.swap(other.finish().unwrap()).await, Err(EngineError::Ended)));
    assert_eq!(run.engine.status().await.unwrap().graph, "stop");
    apply.open();
    run.until("applied a").await;
    run.stop().await;
}

#[tokio::test]
async fn two_engines_in_one_process_know_nothing_of_each_other() {
    let (one, two) = (Desk::new(), Desk::new());
    let mut first = Run::new(graph(&one)).await;
    let mut second = Run::new(graph(&two)).await;
    first.converged().await;
    second.converged().await;
    first.stop().await;
    two.touch("a", "broken");
    assert_eq!(second.converged().await, list("drifted a, applied a, in sync b, converged"));
    second.stop().await;
}

#[tokio::test]
async fn a_runtime_that_goes_away_takes_its_engine_along() {
    let desk = Arc::new(Desk::new());
    let dir = tempfile::tempdir().unwrap();
    let (inner, prefix) = (Arc::clone(&desk), dir.path().to_owned());
    let engine = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let engine = Engine::builder().graph(graph(&inner).finish().unwrap()).prefix(prefix).start().await.unwrap();
            within(engine.converged()).await.unwrap();
            engine
        })
    })
    .join()
    .unwrap();
    assert!(matches!(within(engine.status()).await, Err(EngineError::Ended)));
    assert!(matches!(within(engine.ended()).await, Err(EngineError::Ended)));
    Run::with(graph(&desk), |builder| builder.prefix(dir.path())).await.stop().await;
}
