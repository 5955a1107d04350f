//! Operations that take long do not keep waiting what an event asks for.

use std::time::{Duration, Instant};

use mgmt::prelude::*;

use crate::kit::{Act, Desk, Gate, Op, Run};

/// Applies that wait at their gates hold both places; `quick` was in sync before.
async fn beside_long_applies(desk: &Desk, reserve: Option<usize>) -> (Run, Vec<Gate>) {
    desk.put("quick", "as it should be");
    let quick = |g: &mut Graph| {
        g.add(desk.probe("quick").want("as it should be"));
    };
    let mut g = Graph::new("before");
    quick(&mut g);
    let settings = |builder: mgmt::runtime::Builder| match reserve {
        Some(reserve) => builder.running_max(2).reserve(reserve),
        None => builder.running_max(2),
    };
    let mut run = Run::with(g, settings).await;
    run.converged().await;
    let mut g = Graph::new("after");
    let names = ["slow 1", "slow 2", "last"];
    for name in names {
        g.add(desk.probe(name).want("made"));
    }
    quick(&mut g);
    let gates: Vec<_> = names[..2].iter().map(|name| desk.gate(name, Op::Apply)).collect();
    // Which of them is watched first, and so runs first, is left open.
    desk.hold_watch("last");
    run.engine.swap(g.finish().unwrap()).await.unwrap();
    for gate in &gates {
        gate.reached().await;
    }
    desk.ready("last");
    (run, gates)
}

#[tokio::test]
async fn a_repair_does_not_wait_for_applies_that_hold_all_places() {
    let desk = Desk::new();
    let (mut run, gates) = beside_long_applies(&desk, None).await;
    for _ in 0..3 {
        desk.touch("quick", "meddled with");
        let begun = Instant::now();
        run.until("applied quick").await;
        assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    }
    assert_eq!(desk.count("check last"), 0, "what is new in the graph waits for a place of the bound");
    gates.iter().for_each(Gate::open);
    run.converged().await;
    run.stop().await;
}

#[tokio::test]
async fn without_a_reserve_it_waits() {
    let desk = Desk::new();
    let (mut run, gates) = beside_long_applies(&desk, Some(0)).await;
    let checks = desk.count("check quick");
    desk.touch("quick", "meddled with");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(desk.count("check quick"), checks);
    gates.iter().for_each(Gate::open);
    run.until("applied quick").await;
    run.stop().await;
}

#[tokio::test]
async fn applies_that_keep_their_threads_leave_one_for_a_repair() {
    let desk = Desk::new();
    desk.put("quick", "as it should be");
    let mut g = Graph::new("block");
    g.add(desk.probe("quick").want("as it should be"));
    // Their kind is known to block by then.
    g.add(desk.probe("slow"));
    desk.once("slow", Op::Check, Act::Look);
    let mut run = Run::with(g, |builder| builder.running_max(2)).await;
    run.converged().await;
    let mut g = Graph::new("block");
    g.add(desk.probe("quick").want("as it should be"));
    let gates: Vec<Gate> = (0..2).map(|_| Gate::new()).collect();
    for (n, gate) in gates.iter().enumerate() {
        let name = format!("slow {n}");
        desk.once(&name, Op::Apply, Act::Thread(gate.clone()));
        g.add(desk.probe(&name).want("made"));
    }
    run.engine.swap(g.finish().unwrap()).await.unwrap();
    for gate in &gates {
        gate.reached().await;
    }
    desk.touch("quick", "meddled with");
    run.until("applied quick").await;
    gates.iter().for_each(Gate::open);
    run.converged().await;
    run.stop().await;
}
