//! A new graph: the difference, and nothing else.

use std::collections::HashMap;

use mgmt::prelude::*;
use mgmt::runtime::{EngineError, EventKind};

use crate::kit::run::list;
use crate::kit::{Act, Desk, Gate, Op, Run, within};

/// These probes, `name=value` kept at the value, one after the other.
fn chain(desk: &Desk, probes: &[&str]) -> Graph {
    let mut g = Graph::new("chain");
    let mut last = None;
    for probe in probes {
        let (name, want) = probe.split_once('=').unwrap();
        let probe = desk.probe(name).want(want);
        last = Some(g.add(match &last {
            Some(last) => probe.after(last),
            None => probe,
        }));
    }
    g
}

async fn swap(run: &Run, g: Graph) -> Result<(), EngineError> {
    within(run.engine.swap(g.finish().unwrap())).await
}

#[tokio::test]
async fn only_the_difference_is_touched() {
    let desk = Desk::new();
    let mut run = Run::new(chain(&desk, &["a=1", "b=1", "c=1", "d=1"])).await;
    run.converged().await;
    desk.log();
    swap(&run, chain(&desk, &["a=1", "b=2", "d=1", "e=1"])).await.unwrap();
    let counts = run.find(|event| match event {
        EventKind::Swapped { generation, added, changed, removed, kept, .. } => {
            Some((generation.0, *added, *changed, *removed, *kept))
        }
        _ => None,
    });
    assert_eq!(counts.await, (2, 1, 1, 1, 2));
    run.converged().await;
    let mut done = desk.log();
    // It may be looked at early, and repaired then: its parent is settled until b has changed.
    done.retain(|entry| entry != "check e" && entry != "apply e");
    assert_eq!(done, list("watch b, watch e, check b, apply b, check d"), "d since b changed; a not at all");
    assert_eq!(desk.real("e"), "1");
    assert!(!desk.is_watched("c") && desk.is_watched("a") && desk.is_watched("e"));
    // c is not managed any more; b is kept at its new value.
    desk.put("c", "broken");
    desk.touch("b", "broken");
    run.converged().await;
    assert_eq!((desk.real("b"), desk.real("c")), ("2".into(), "broken".into()));
    // Back again, it is looked at.
    swap(&run, chain(&desk, &["a=1", "b=2", "c=1"])).await.unwrap();
    run.converged().await;
    assert_eq!(desk.real("c"), "1");
    run.stop().await;
}

#[tokio::test]
async fn the_same_graph_again_does_nothing() {
    let desk = Desk::new();
    let mut run = Run::new(chain(&desk, &["a=1", "b=1"])).await;
    run.converged().await;
    desk.log();
    swap(&run, chain(&desk, &["a=1", "b=1"])).await.unwrap();
    run.until("swapped").await;
    within(run.engine.converged()).await.unwrap();
    desk.wake("b");
    assert_eq!(run.until("in sync b").await, list("in sync b"));
    assert_eq!(desk.log(), list("check b"));
    run.stop().await;
}

/// Shuffled, thinned out and grown, with some texts changed: who was there before is found wherever it stands now.
#[tokio::test]
async fn in_whatever_order_everybody_is_known_again() {
    let mut state = 7u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut run = Run::new(Graph::new("empty")).await;
    let mut before: HashMap<usize, usize> = HashMap::new();
    for _ in 0..100 {
        let mut names: Vec<usize> = (0..20).filter(|_| random(4) > 0).collect();
        for at in 1..names.len() {
            if random(3) == 0 {
                names.swap(at, random(at));
            }
        }
        let after: HashMap<usize, usize> = names.iter().map(|name| (*name, random(2))).collect();
        let mut g = Graph::new("random");
        for name in &names {
            g.add(Noop::new(format!("n{name}")).comment(format!("{}", after[name])));
        }
        swap(&run, g).await.unwrap();
        let counts = run.find(|event| match event {
            EventKind::Swapped { generation, added, changed, removed, kept, .. } if generation.0 > 1 => {
                Some([*added, *changed, *removed, *kept].map(|count| count as usize))
            }
            _ => None,
        });
        let stay = names.iter().filter(|name| before.contains_key(name)).count();
        let kept = names.iter().filter(|name| before.get(name) == Some(&after[name])).count();
        assert_eq!(counts.await, [names.len() - stay, stay - kept, before.len() - stay, kept]);
        before = after;
    }
    run.stop().await;
}

#[tokio::test]
async fn who_swaps_and_waits_for_convergence_waits_for_the_new_graph() {
    let desk = Desk::new();
    let mut run = Run::new(chain(&desk, &["a=0"])).await;
    run.converged().await;
    for n in 1..30 {
        swap(&run, chain(&desk, &[&format!("a={n}")])).await.unwrap();
        within(run.engine.converged()).await.unwrap();
        assert_eq!(desk.real("a"), n.to_string());
    }
    run.stop().await;
}

#[tokio::test]
async fn a_bad_graph_leaves_the_old_one_running_and_says_why() {
    let desk = Desk::new();
    let mut run = Run::new(chain(&desk, &["a=1"])).await;
    run.converged().await;
    let mut g = Graph::new("cycle");
    let (a, b) = (g.add(desk.probe("a").want("2")), g.add(desk.probe("b")));
    g.before(&a, &b);
    g.before(&b, &a);
    let error = swap(&run, g).await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, EngineError::Graph(_)));
    assert!(said.contains("probe[a]") && said.contains("probe[b]") && said.contains("swap.rs"), "{said}");
    let mut g = Graph::new("twice");
    g.add(desk.probe("a"));
    g.add(desk.probe("a"));
    let said = swap(&run, g).await.unwrap_err().to_string();
    assert!(said.contains("probe[a] is declared twice"), "{said}");
    assert_eq!(desk.real("a"), "1");
    desk.touch("a", "broken");
    run.until("applied a").await;
    assert_eq!(run.engine.status().await.unwrap().generation.0, 1);
    run.stop().await;
}

#[tokio::test]
async fn other_metaparameters_are_taken_over_in_place() {
    let desk = Desk::new();
    let mut g = Graph::new("meta");
    g.add(desk.probe("a").want("1").noop(true));
    let mut run = Run::new(g).await;
    run.converged().await;
    assert_eq!(desk.real("a"), "");
    swap(&run, chain(&desk, &["a=1"])).await.unwrap();
    run.converged().await;
    assert_eq!(desk.real("a"), "1");
    assert_eq!(desk.count("watch a"), 1, "its watch went on");
    run.stop().await;
}

#[tokio::test]
async fn an_operation_of_who_left_ends_before_another_of_the_same_begins() {
    let (desk, gate) = (Desk::new(), Gate::new());
    desk.once("a", Op::Apply, Act::Thread(gate.clone()));
    let mut run = Run::new(chain(&desk, &["a=1"])).await;
    gate.reached().await;
    swap(&run, chain(&desk, &["b=1"])).await.unwrap();
    run.until("applied b").await;
    swap(&run, chain(&desk, &["a=2", "b=1"])).await.unwrap();
    run.until("swapped").await;
    for _ in 0..20 {
        run.engine.progress().await.unwrap();
    }
    assert_eq!(desk.count("check a"), 1, "the old one is still at work");
    gate.open();
    run.converged().await;
    assert_eq!(desk.real("a"), "2");
    assert!(!desk.log().contains(&"cut a".to_owned()), "who leaves ends what it has begun to change");
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_under_way_is_waited_for_when_its_resource_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.01; done; touch {}",
        path("up").display(),
        path("go").display(),
        path("done").display()
    );
    let mut g = Graph::new("command");
    g.add(Exec::new("slow").cmd(script).shell("/bin/sh"));
    let run = Run::new(g).await;
    within(async {
        while !path("up").exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    swap(&run, Graph::new("empty")).await.unwrap();
    std::fs::write(path("go"), "").unwrap();
    run.stop().await;
    assert!(path("done").exists(), "it was not cancelled");
}

#[tokio::test]
async fn what_was_found_for_an_older_config_is_not_applied() {
    let desk = Desk::new();
    let gate = desk.gate("a", Op::Check);
    let mut run = Run::new(chain(&desk, &["a=1"])).await;
    gate.reached().await;
    swap(&run, chain(&desk, &["a=2"])).await.unwrap();
    gate.open();
    run.converged().await;
    assert_eq!((desk.real("a"), desk.count("apply a")), ("2".into(), 1));
    run.stop().await;
}

#[tokio::test]
async fn swaps_in_a_row_end_with_the_last() {
    let desk = Desk::new();
    let mut run = Run::new(chain(&desk, &["a=0", "b=0"])).await;
    for n in 1..40 {
        let (a, b) = (format!("a={n}"), format!("b={n}"));
        swap(&run, chain(&desk, &[&a, &b])).await.unwrap();
    }
    within(run.engine.converged()).await.unwrap();
    assert_eq!((desk.real("a"), desk.real("b")), ("39".into(), "39".into()));
    desk.log();
    run.until("converged").await;
    run.stop().await;
}

#[tokio::test]
async fn large_swaps_that_follow_each_other_at_once_take_no_time() {
    const N: usize = 20_000;
    let graph = |from: usize| {
        let mut g = Graph::new("large");
        for n in from..from + N {
            g.add(Noop::new(n.to_string()));
        }
        g.finish().unwrap()
    };
    let run = Run::start(mgmt::Engine::builder().graph(graph(0))).await;
    // All of them gone, others come, before the loop has seen off the first: and those come back.
    let began = std::time::Instant::now();
    let [one, two, three, four] = [N, 2 * N, 0, N].map(|from| run.engine.swap(graph(from)));
    let all = within(async { tokio::join!(one, two, three, four) }).await;
    assert!(all.0.is_ok() && all.1.is_ok() && all.2.is_ok() && all.3.is_ok());
    within(run.engine.converged()).await.unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(run.engine.status().await.unwrap().settled, N);
    run.stop().await;
}
