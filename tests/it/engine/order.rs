//! Who runs when.

use std::path::Path;
use std::time::Duration;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::Doors;

use crate::kit::run::list;
use crate::kit::{Act, Desk, Gate, Op, Run, within};

#[tokio::test]
async fn parents_settle_first_and_nothing_else_happens() {
    let desk = Desk::new();
    let mut g = Graph::new("diamond");
    let top = g.add(desk.probe("top").want("x"));
    let left = g.add(desk.probe("left").want("x").after(&top));
    let right = g.add(desk.probe("right").after(&top));
    g.add(desk.probe("bottom").want("x").after((&left, &right)));
    let mut run = Run::with(g, |builder| builder.running_max(1)).await;
    assert_eq!(
        run.converged().await,
        list(
            "swapped, drifted top, applied top, drifted left, applied left, in sync right, drifted bottom, applied bottom, converged"
        )
    );
    let done: Vec<_> = desk.log().into_iter().filter(|entry| !entry.starts_with("watch")).collect();
    assert_eq!(
        done,
        list("check top, apply top, check left, apply left, check right, check bottom, apply bottom"),
        "each is looked at once"
    );
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn independent_resources_run_at_the_same_time() {
    let desk = Desk::new();
    let gates: Vec<Gate> = ["a", "b", "c"].iter().map(|name| desk.gate(name, Op::Apply)).collect();
    let mut g = Graph::new("wide");
    for name in ["a", "b", "c"] {
        g.add(desk.probe(name).want("x"));
    }
    let mut run = Run::new(g).await;
    for gate in &gates {
        gate.reached().await;
    }
    gates.iter().for_each(Gate::open);
    run.converged().await;
    assert_eq!(desk.running_max(), 3);
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_operations_run_at_once_than_allowed() {
    let desk = Desk::new();
    let mut g = Graph::new("wide");
    for n in 0..40 {
        let name = format!("{n}");
        desk.always(&name, Op::Check, Act::Sleep(Duration::from_millis(3)));
        desk.always(&name, Op::Apply, Act::Sleep(Duration::from_millis(3)));
        g.add(desk.probe(&name).want("x"));
    }
    let mut run = Run::with(g, |builder| builder.running_max(3)).await;
    run.converged().await;
    assert_eq!(desk.running_max(), 3);
    run.stop().await;
}

#[tokio::test]
async fn nothing_of_a_resource_runs_before_its_watch_is_ready() {
    let desk = Desk::new();
    desk.hold_watch("a");
    let mut g = Graph::new("watch");
    let a = g.add(desk.probe("a").want("x"));
    g.add(desk.probe("child").after(&a));
    g.add(desk.probe("other"));
    let mut run = Run::new(g).await;
    run.until("in sync other").await;
    assert_eq!(run.standing("a").await, mgmt::runtime::Standing::WaitingForWatch);
    assert_eq!((desk.count("check a"), desk.count("check child")), (0, 0));
    assert!(!run.engine.is_converged());
    desk.ready("a");
    assert_eq!(run.converged().await, list("drifted a, applied a, in sync child, converged"));
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_commands_runs_each_exactly_once() {
    const N: usize = 12;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut g = Graph::new("chain");
    let mut last = None;
    for n in 0..N {
        let exec = Exec::new(format!("{n}")).cmd(format!("echo {n} >> {}", log.display())).shell("/bin/sh");
        last = Some(g.add(match &last {
            Some(last) => exec.after(last),
            None => exec,
        }));
    }
    let mut run = Run::new(g).await;
    let events = run.converged().await;
    let applied: Vec<_> = events.iter().filter(|event| event.starts_with("applied")).collect();
    assert_eq!(applied.len(), N, "{events:?}");
    assert_eq!(events.len(), 2 * N + 2, "drifted and applied once each: {events:?}");
    run.stop().await;
    let expected: String = (0..N).map(|n| format!("{n}\n")).collect();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_commands_that_refresh_each_other_runs_each_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut g = Graph::new("chain");
    let mut last = None;
    for n in 0..6 {
        let exec = Exec::new(format!("{n}")).cmd(format!("echo {n} >> {}", log.display())).shell("/bin/sh");
        last = Some(g.add(match &last {
            Some(last) => exec.subscribe(last),
            None => exec,
        }));
    }
    let mut run = Run::with(g, |builder| builder.prefix(dir.path().join("prefix"))).await;
    run.converged().await;
    run.stop().await;
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "0\n1\n2\n3\n4\n5\n");
}

/// Four resources that keep their threads, on a runtime with fewer threads than that.
async fn slow_ones_do_not_hold_up_others() {
    const SLOW: [&str; 4] = ["one", "two", "three", "four"];
    let desk = Desk::new();
    let gate = Gate::new();
    desk.once("one", Op::Check, Act::Block(Duration::from_millis(20)));
    let mut g = Graph::new("slow");
    for name in SLOW {
        g.add(desk.probe(name));
    }
    g.add(desk.probe("quick").want("x"));
    let mut run = Run::with(g, |builder| builder.running_max(8)).await;
    run.converged().await;
    // The engine has learnt that the kind is slow.
    for name in SLOW {
        desk.once(name, Op::Check, Act::BlockAt(gate.clone()));
        desk.wake(name);
        gate.reached().await;
    }
    desk.touch("quick", "broken");
    run.until("applied quick").await;
    assert_eq!(desk.real("quick"), "x");
    let status = within(run.engine.status()).await.unwrap();
    assert_eq!(status.running.iter().map(|running| running.id.name.as_str()).collect::<Vec<_>>(), SLOW);
    SLOW.iter().for_each(|_| gate.open());
    run.converged().await;
    run.stop().await;
}

#[tokio::test]
async fn kinds_that_keep_their_threads_do_not_hold_up_others_on_a_single_thread() {
    slow_ones_do_not_hold_up_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_that_keep_their_threads_do_not_hold_up_others_on_several() {
    slow_ones_do_not_hold_up_others().await;
}

#[tokio::test]
async fn an_empty_graph_is_converged() {
    let mut run = Run::new(Graph::new("empty")).await;
    assert_eq!(run.converged().await, list("swapped, converged"));
    within(run.engine.converged()).await.unwrap();
    run.stop().await;
}

/// Runs a large graph to its convergence, and stops it. It takes seconds without optimisation; a quadratic cost would
/// take far too long.
async fn settles(g: Graph) {
    let run = Run::new(g).await;
    within(run.engine.converged()).await.unwrap();
    run.stop().await;
}

#[tokio::test]
async fn a_thousand_that_wait_for_a_thousand_each_settle() {
    let mut g = Graph::new("dense");
    let parents: Vec<_> = (0..1000).map(|n| g.add(Noop::new(format!("p{n}")))).collect();
    for n in 0..1000 {
        g.add(Noop::new(format!("c{n}")).after(&parents));
    }
    settles(g).await;
}

#[tokio::test]
async fn a_chain_of_a_hundred_thousand_settles() {
    let mut g = Graph::new("chain");
    let mut last = g.add(Noop::new("0"));
    for n in 1..100_000 {
        last = g.add(Noop::new(n.to_string()).after(&last));
    }
    settles(g).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_files_of_one_directory_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let mut g = Graph::new("files");
    for n in 0..10_000 {
        g.add(File::new(dir.path().join(n.to_string()).display().to_string()).content("x"));
    }
    settles(g).await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 10_000);
}

/// A file, by hand: its check removes the file of its parent if a third resource asks for that, as another program may
/// do at that moment.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "undercut")]
struct Undercut {
    #[resource(name)]
    path: String,
    parent: String,
    ask: String,
}

impl Converge for Undercut {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        if Path::new(&self.path).exists() {
            return Ok(None);
        }
        if std::fs::remove_file(&self.ask).is_ok() {
            std::fs::remove_file(&self.parent).map_err(|error| mgmt::Error::new(error.to_string()))?;
        }
        Ok(Some(Change::new("state", "absent", "exists")))
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        assert!(Path::new(&self.parent).exists(), "the parent is back first");
        std::fs::write(&self.path, "child\n").map_err(|error| mgmt::Error::new(error.to_string()))
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        cx.fs().path(&self.path)
    }
}

async fn a_parent_that_was_gone_before_is_back_first(doors: Option<Doors>) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let mut g = Graph::new("undercut");
    let parent = g.add(File::new(at("f1")).content("parent\n"));
    g.add(Undercut::new(at("f2"), at("f1"), at("ask")).after(&parent));
    let builder = Engine::builder().graph(g.finish().unwrap());
    let mut run = Run::start(match doors {
        Some(doors) => builder.doors(doors),
        None => builder,
    })
    .await;
    run.converged().await;
    // Once: a parent that was repaired often lately may flap, and is not waited for then.
    std::fs::write(at("ask"), "").unwrap();
    std::fs::remove_file(at("f2")).unwrap();
    let applied = run.until(&format!("applied {}", at("f2"))).await;
    let [f1, f2] = ["f1", "f2"].map(|name| format!("applied {}", at(name)));
    let order: Vec<_> = applied.iter().filter(|event| **event == f1 || **event == f2).collect();
    assert_eq!(order, [&f1, &f2], "{applied:?}");
    run.stop().await;
}

#[tokio::test]
async fn a_parent_that_was_gone_before_its_child_is_repaired_is_back_first() {
    a_parent_that_was_gone_before_is_back_first(None).await;
}

#[tokio::test]
async fn the_same_where_engines_share_what_watches_files() {
    a_parent_that_was_gone_before_is_back_first(Some(Doors::default())).await;
}
