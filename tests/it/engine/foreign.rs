//! Code of others that is wrong costs its own resource, never the engine, and is named.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use mgmt::Engine;
use mgmt::gapi::{Gapi, GapiData, GapiError};
use mgmt::graph::GraphConfig;
use mgmt::prelude::*;
use mgmt::resource::WatchEvent;
use mgmt::runtime::{EventKind, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kit::{Act, Desk, Op, Run, within};

/// Never rests: it wants to be asked again at once, and its graphs are all the same, or all wrong.
struct Restless {
    key: String,
    wrong: bool,
    asked: Arc<AtomicUsize>,
}

impl Gapi for Restless {
    async fn init(&mut self, _: GapiData) -> Result<(), GapiError> {
        Ok(())
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let mut g = Graph::new("restless");
        let probe = crate::kit::probe::Probe::new("a", &self.key).want("x");
        g.add(if self.wrong && asked > 0 { probe.bad("odd") } else { probe });
        Ok(g.finish()?)
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        Some(Ok(()))
    }
}

#[tokio::test]
async fn a_source_of_graphs_that_never_rests_leaves_the_engine_its_turn() {
    for wrong in [false, true] {
        let desk = Desk::new();
        let asked = Arc::new(AtomicUsize::new(0));
        let gapi = Restless { key: desk.key.clone(), wrong, asked: Arc::clone(&asked) };
        let mut run = Run::start(Engine::builder().gapi(gapi)).await;
        run.until("applied a").await;
        for _ in 0..3 {
            desk.touch("a", "meddled with");
            run.until("applied a").await;
        }
        within(run.engine.converged()).await.unwrap();
        within(async {
            while asked.load(Ordering::Relaxed) < 100 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        let before = asked.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let more = asked.load(Ordering::Relaxed) - before;
        assert!(more <= 30, "{more} more graphs in 0.2 s");
        run.stop().await;
    }
}

/// A watch that reports a change before it listens.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "hasty")]
struct Hasty {
    #[resource(name)]
    name: String,
}

/// One `Changed`, and then nothing.
struct ChangedAlone(bool);

impl Stream for ChangedAlone {
    type Item = Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match std::mem::replace(&mut self.0, true) {
            false => Poll::Ready(Some(Ok(WatchEvent::Changed))),
            true => Poll::Pending,
        }
    }
}

impl Converge for Hasty {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }

    fn watch(&self, _: &WatchCx) -> Watch {
        Watch::stream(ChangedAlone(false))
    }
}

#[tokio::test]
async fn a_watch_that_reports_a_change_before_it_listens_has_failed() {
    let desk = Desk::new();
    let mut g = Graph::new("hasty");
    g.add(Hasty::new("h"));
    g.add(desk.probe("other").want("x"));
    let mut run = Run::new(g).await;
    let (operation, error) = run
        .find(|kind| match kind {
            EventKind::Failed { operation, error, .. } => Some((*operation, error.clone())),
            _ => None,
        })
        .await;
    assert_eq!(operation, Operation::Watch);
    assert!(error.contains("`Changed` before `Ready`"), "{error}");
    run.until("hopeless").await;
    assert_eq!(desk.real("other"), "x");
    run.stop().await;
}

/// Panics when it is told to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Touchy {
    on: String,
}

/// Which of these panics now: `compare <test>`, `copy <test>`, `drop <test>`.
static TOUCHED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Touchy {
    fn act(&self, what: &str) {
        let is_touched = TOUCHED.lock().unwrap().contains(&format!("{what} {}", self.on));
        assert!(!is_touched, "do not {what} it");
    }
}

impl PartialEq for Touchy {
    fn eq(&self, _: &Touchy) -> bool {
        self.act("compare");
        true
    }
}

impl Clone for Touchy {
    fn clone(&self) -> Touchy {
        self.act("copy");
        Touchy { on: self.on.clone() }
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        self.act("drop");
    }
}

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "tender", unwatched)]
struct Tender {
    #[resource(name)]
    name: String,
    touchy: Touchy,
    text: Option<String>,
}

impl Converge for Tender {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_when_a_field_is_compared_copied_or_dropped_costs_its_resource_alone() {
    for what in ["compare", "copy", "drop"] {
        let desk = Desk::new();
        desk.put("a", "value");
        let touched = format!("{what} {}", desk.key);
        let graph = |tender: bool| {
            let mut g = Graph::new("tender");
            let a = g.add(desk.probe("a"));
            // Several: a second panic while the first unwinds would end the process.
            for name in ["one", "two", "three"].iter().filter(|_| tender) {
                g.add(Tender::new(*name, Touchy { on: desk.key.clone() }).text(a.made()));
            }
            g.add(desk.probe("other").want("x"));
            g.finish().unwrap()
        };
        let mut run = Run::start(Engine::builder().graph(graph(true))).await;
        run.converged().await;
        TOUCHED.lock().unwrap().push(touched.clone());
        run.engine.swap(graph(true)).await.unwrap();
        desk.touch("a", "another value");
        desk.touch("other", "meddled with");
        run.until("applied other").await;
        if what == "copy" {
            let named = |status: mgmt::runtime::Status| {
                let errors = status.notable.into_iter().filter(|of| of.id.kind.as_str() == "tender");
                errors.filter_map(|of| of.error).collect::<Vec<_>>()
            };
            within(async {
                while named(run.engine.status().await.unwrap()) != ["to copy it panicked: do not copy it"; 3] {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
            .await;
        }
        run.engine.swap(graph(false)).await.unwrap();
        desk.touch("other", "meddled with");
        run.until("applied other").await;
        run.stop().await;
        TOUCHED.lock().unwrap().retain(|other| *other != touched);
    }
}

/// Takes its time before it watches.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "ponderous")]
struct Ponderous {
    #[resource(name)]
    name: String,
}

impl Converge for Ponderous {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }

    fn watch(&self, _: &WatchCx) -> Watch {
        std::thread::sleep(Duration::from_millis(150));
        Watch::none()
    }
}

#[tokio::test]
async fn what_keeps_the_whole_engine_waiting_is_named() {
    let desk = Desk::new();
    desk.once("a", Op::Check, Act::Block(Duration::from_millis(150)));
    let mut g = Graph::new("blocks");
    let a = g.add(desk.probe("a"));
    g.add(Ponderous::new("p").after(&a));
    let mut run = Run::new(g).await;
    let mut named = Vec::new();
    while named.len() < 2 {
        named.push(
            run.find(|kind| match kind {
                EventKind::Warning { message, .. } => Some(message.clone()),
                _ => None,
            })
            .await,
        );
    }
    named.sort();
    assert!(named[0].starts_with("ponderous[p]: its `watch` has kept the whole engine waiting for 1"), "{named:?}");
    assert!(named[1].starts_with("probe[a]: its check has kept the whole engine waiting for 1"), "{named:?}");
    assert!(named[1].contains("`cx.look`"), "{named:?}");
    run.converged().await;
    run.stop().await;
}
