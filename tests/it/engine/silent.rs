//! Senders that send nothing: earlier values do not count once the sender has changed, and a value that will not come
//! keeps a graph from converging, but not from an end.

use std::time::Duration;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::Standing;

use crate::kit::run::list;
use crate::kit::{Act, Desk, Op, Run};

/// `b` wants what `a` makes; `want`: a field of `a` itself.
fn graph(desk: &Desk, want: Option<&str>) -> Graph {
    let mut g = Graph::new("send");
    let a = match want {
        Some(want) => g.add(desk.probe("a").want(want)),
        None => g.add(desk.probe("a")),
    };
    g.add(desk.probe("b").want(a.made()));
    g
}

async fn waits_for(run: &Run, receiver: &str, sender: &str) {
    let Standing::WaitingForValue(by) = run.standing(receiver).await else {
        panic!("{:?}", run.standing(receiver).await)
    };
    assert_eq!(by[0].name, sender);
}

#[tokio::test]
async fn a_value_that_no_sender_is_going_to_send_makes_the_graph_hopeless_until_it_comes() {
    let desk = Desk::new();
    desk.put("a", "value");
    desk.once("a", Op::Check, Act::Silent);
    let builder =
        Engine::builder().graph(graph(&desk, None).finish().unwrap()).converged_timeout(Duration::from_millis(20));
    let mut run = Run::start(builder).await;
    assert_eq!(run.until("hopeless").await, list("swapped, in sync a, hopeless"));
    waits_for(&run, "b", "a").await;
    desk.wake("a");
    let after = list("sent b by a, in sync a, hopeful, drifted b, applied b, in sync b, converged");
    let events: Vec<_> = run.converged().await.into_iter().filter(|event| after.contains(event)).collect();
    assert!(events.starts_with(&after[..5]) && events.ends_with(&after[6..]), "{events:?}");
    assert_eq!(desk.real("b"), "value");
    run.stop().await;
}

#[tokio::test]
async fn what_a_sender_with_other_fields_sent_before_is_not_received_any_more() {
    let desk = Desk::new();
    let mut run = Run::new(graph(&desk, Some("one"))).await;
    run.converged().await;
    desk.once("a", Op::Check, Act::Silent);
    run.engine.swap(graph(&desk, None).finish().unwrap()).await.unwrap();
    run.until("in sync a").await;
    desk.log();
    desk.touch("b", "meddled with");
    run.until("hopeless").await;
    waits_for(&run, "b", "a").await;
    assert_eq!(desk.log(), list(""), "it does not work with the old value");
    desk.wake("a");
    run.converged().await;
    assert_eq!(desk.real("b"), "one");
    run.stop().await;
}

#[tokio::test]
async fn an_equal_value_of_a_sender_with_other_fields_ends_the_wait_and_wakes_no_receiver() {
    let desk = Desk::new();
    let mut run = Run::new(graph(&desk, Some("one"))).await;
    run.converged().await;
    desk.log();
    run.engine.swap(graph(&desk, None).finish().unwrap()).await.unwrap();
    assert_eq!(run.converged().await, list("swapped, in sync a, converged"));
    assert_eq!(desk.log(), list("watch a, check a"));
    run.stop().await;
}

#[tokio::test]
async fn a_sender_that_receives_another_value_and_sends_nothing_has_its_receivers_wait() {
    let desk = Desk::new();
    desk.put("a", "one");
    let mut g = Graph::new("send");
    let a = g.add(desk.probe("a"));
    let b = g.add(desk.probe("b").want(a.made()));
    g.add(desk.probe("c").want(b.made()));
    let mut run = Run::new(g).await;
    run.converged().await;
    desk.once("b", Op::Check, Act::Silent);
    desk.put("b", "two");
    desk.touch("a", "two");
    run.until("in sync b").await;
    desk.touch("c", "meddled with");
    run.until("hopeless").await;
    waits_for(&run, "c", "b").await;
    assert_eq!(desk.real("c"), "meddled with");
    desk.wake("b");
    run.converged().await;
    assert_eq!(desk.real("c"), "two");
    run.stop().await;
}
