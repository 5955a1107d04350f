//! A resource ends the program: through the engine, which stops as if it was asked to.

use mgmt::prelude::*;
use mgmt::runtime::EventKind;

use crate::kit::{Desk, Op, Run, within};

#[tokio::test]
async fn when_its_turn_has_come_what_runs_may_end_and_nothing_more_begins() {
    let desk = Desk::new();
    let gate = desk.gate("slow", Op::Apply);
    let mut g = Graph::new("exits");
    let before = g.add(desk.probe("before").want("x"));
    let slow = g.add(desk.probe("slow").want("x"));
    g.add(desk.probe("after slow").want("x").after(&slow));
    let held = desk.gate("before", Op::Apply);
    let exit = g.add(Exit::new("now").code(7).after(&before));
    g.add(desk.probe("after").want("x").after(&exit));
    let mut run = Run::new(g).await;
    gate.reached().await;
    held.reached().await;
    assert_eq!(run.engine.exit_code(), None);
    held.open();
    let exits = |kind: &EventKind| match kind {
        EventKind::Exit { id, code, .. } => Some((id.to_string(), *code)),
        _ => None,
    };
    let (id, code) = run.find(exits).await;
    assert_eq!((id.as_str(), code), ("exit[now]", 7));
    let still = tokio::time::timeout(std::time::Duration::from_millis(50), run.engine.ended()).await;
    assert!(still.is_err(), "a repair under way is not cut short");
    gate.open();
    within(run.engine.ended()).await.unwrap();
    assert_eq!(run.engine.exit_code(), Some(7));
    assert_eq!([desk.real("before"), desk.real("slow")], ["x", "x"]);
    let log = desk.log();
    let began = |entry: &String| ["check after", "check after slow"].contains(&entry.as_str());
    assert!(!log.iter().any(began), "{log:?}");
}

#[tokio::test]
async fn the_code_of_the_first_counts_and_the_engine_ends_once() {
    let mut g = Graph::new("exits");
    let first = g.add(Exit::new("first").code(3));
    g.add(Exit::new("second").code(4).after(&first));
    let run = Run::new(g).await;
    within(run.engine.ended()).await.unwrap();
    assert_eq!(run.engine.exit_code(), Some(3));
}

#[tokio::test]
async fn in_noop_or_behind_a_failure_it_does_not_end_the_program() {
    let desk = Desk::new();
    let mut g = Graph::new("exits");
    let fails = g.add(Exec::new("fails").cmd("false"));
    g.add(Exit::new("never").after(&fails));
    g.add(Exit::new("noop").noop(true));
    g.add(desk.probe("other").want("x"));
    let mut run = Run::new(g).await;
    run.until("blocked never").await;
    while desk.real("other") != "x" {
        run.next().await;
    }
    assert_eq!(run.engine.exit_code(), None);
    run.engine.status().await.unwrap();
    run.stop().await;
}

#[tokio::test]
async fn what_is_owed_at_the_end_is_paid_in_the_next_run() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let graph = |code: Option<u8>| {
        let mut g = Graph::new("exits");
        let told = g.add(desk.probe("told").want("x"));
        let exit = code.map(|code| g.add(Exit::new("now").code(code).after(&told)));
        let changed = g.add(desk.probe("changed").want("x").before(exit.as_ref()));
        g.add(desk.probe("refreshed").want("x").subscribe(&changed).after(exit.as_ref()));
        g
    };
    let run = Run::with(graph(Some(0)), |builder| builder.prefix(dir.path())).await;
    within(run.engine.ended()).await.unwrap();
    assert_eq!(run.engine.exit_code(), Some(0));
    assert_eq!((desk.real("changed").as_str(), desk.real("refreshed").as_str()), ("x", ""));
    // As if it had always been so: nothing but the debt makes it act.
    desk.put("refreshed", "x");
    let mut run = Run::with(graph(None), |builder| builder.prefix(dir.path())).await;
    assert!(run.converged().await.contains(&"refreshed refreshed".to_owned()));
    run.stop().await;
}
