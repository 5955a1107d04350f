//! A graph beside the one before it: what has stayed as it was is not looked at again, and nothing is missed by that.

use std::sync::atomic::{AtomicUsize, Ordering};

use mgmt::Engine;
use mgmt::graph::{GraphConfig, Problems, Settings, prepare};
use mgmt::prelude::*;
use mgmt::resource::{FieldProblem, Known};
use mgmt::runtime::EngineError;

use crate::kit::within;

/// A graph with something to vary: how its resources are called, what they hold, how they are ordered.
fn graph(noop: &str, path: &str, cmd: &str, retry: i32, cycle: bool) -> GraphConfig {
    let mut g = Graph::new("g");
    let noop = g.add(Noop::new(noop).comment(cmd).sema(format!("s:{}", retry.max(1)).as_str()));
    let other = g.add(Noop::new("other").sema("s:1"));
    let file = g.add(File::new(path).content("x\n").retry(retry));
    let exec = g.add(Exec::new("e").cmd(cmd));
    g.before(&noop, &exec);
    if cycle {
        g.before(&exec, &noop);
    }
    g.before(&noop, &other);
    g.before(&file, &other);
    g.finish().unwrap()
}

fn problems(result: Result<(), Problems>) -> String {
    result.err().unwrap_or_default().to_string()
}

#[tokio::test]
async fn a_swap_is_refused_for_all_that_the_graph_is_refused_for_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let plain = || graph("n", a, "true", 1, false);
    let engine = Engine::builder().graph(plain()).noop(true).start().await.unwrap();
    let (mut taken, mut refused) = (0, 0);
    for noop in ["n", "m", "other", ""] {
        for path in [a, b, "not absolute"] {
            for cmd in ["true", "false", "a > b", ""] {
                for (retry, cycle) in [(1, false), (2, false), (-7, false), (1, true)] {
                    let g = || graph(noop, path, cmd, retry, cycle);
                    let alone = problems(prepare(g(), &Settings::default()).map(drop));
                    let beside = match within(engine.swap(g())).await {
                        Ok(()) => String::new(),
                        Err(EngineError::Graph(problems)) => problems.to_string(),
                        Err(other) => panic!("{other}"),
                    };
                    assert_eq!(beside, alone, "{noop:?} {path:?} {cmd:?} {retry} {cycle}");
                    *(if alone.is_empty() { &mut taken } else { &mut refused }) += 1;
                    within(engine.swap(plain())).await.unwrap();
                }
            }
        }
    }
    assert!(taken >= 8 && refused > 100, "{taken} {refused}");
    engine.stop().await.unwrap();
}

static VALIDATED: AtomicUsize = AtomicUsize::new(0);

/// Counts how often it is validated.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[resource(kind = "counted", unwatched)]
struct Counted {
    #[resource(name)]
    name: String,
    value: u32,
}

impl Converge for Counted {
    type Drift = Change;

    fn validate(&self, _: &Known<'_>) -> Vec<FieldProblem> {
        VALIDATED.fetch_add(1, Ordering::Relaxed);
        Vec::new()
    }

    async fn check(&self, _: &CheckCx) -> mgmt::resource::Result<Option<Change>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> mgmt::resource::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn only_what_differs_is_validated_again() {
    let graph = |changed: u32| {
        let mut g = Graph::new("g");
        for n in 0..100 {
            g.add(Counted::new(format!("c{n}"), u32::from(n == changed)));
        }
        g.finish().unwrap()
    };
    let engine = Engine::builder().graph(graph(7)).start().await.unwrap();
    let validated = || VALIDATED.swap(0, Ordering::Relaxed);
    assert!(validated() >= 100);
    engine.swap(graph(7)).await.unwrap();
    assert_eq!(validated(), 0);
    engine.swap(graph(8)).await.unwrap();
    assert_eq!(validated(), 2, "the one that has changed, and the one that has changed back");
    engine.stop().await.unwrap();
}
