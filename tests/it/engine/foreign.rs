//! Code of others that is wrong costs its own resource, never the engine, and is named.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use mgmt::Engine;
use mgmt::gapi::{Gapi, GapiData, GapiError};
use mgmt::graph::GraphConfig;
use mgmt::prelude::*;
use mgmt::resource::{Drift, WatchEvent};
use mgmt::runtime::{EventKind, Operation, Standing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kit::{Act, Desk, Gate, Op, Run, within};

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

/// Panics if it is set to.
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

/// Sends a value whose `Drop` panics, and finds a drift whose `Drop` panics.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "fragile")]
struct Fragile {
    #[resource(name)]
    name: String,
    desk: String,
    #[resource(send)]
    sent: Brittle,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, Default)]
struct Brittle(u64);

static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Drop for Brittle {
    fn drop(&mut self) {
        // What derives make of it drops none of these.
        if self.0 > 0 {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            panic!("it breaks");
        }
    }
}

impl Drift for Brittle {
    fn changes(&self) -> Vec<Change> {
        vec![Change::new("value", "whole", "broken")]
    }
}

impl Converge for Fragile {
    type Drift = Brittle;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Brittle>> {
        static SENT: AtomicU64 = AtomicU64::new(1);
        cx.send(Fragile::SENT, Brittle(SENT.fetch_add(1, Ordering::Relaxed)));
        Ok(Some(Brittle(1)))
    }

    async fn apply(&self, _: &ApplyCx, drift: Brittle) -> Result<()> {
        std::mem::forget(drift);
        Ok(())
    }

    fn watch(&self, _: &WatchCx) -> Watch {
        Watch::every(Duration::from_millis(2))
    }
}

#[tokio::test]
async fn a_panic_when_a_drift_or_a_sent_value_is_dropped_costs_its_resource_alone() {
    let desk = Desk::new();
    let mut g = Graph::new("fragile");
    g.add(Fragile::new("one", &desk.key).noop(true));
    g.add(desk.probe("other").want("x"));
    let mut run = Run::new(g).await;
    run.until("applied other").await;
    within(async {
        while DROPPED.load(Ordering::Relaxed) < 6 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    desk.touch("other", "meddled with");
    run.until("applied other").await;
    run.stop().await;
}

/// Where a [`Ponderous`] waits, by name.
static GATES: Mutex<Vec<(String, Gate)>> = Mutex::new(Vec::new());

/// Keeps its thread before it returns what it watches.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "ponderous")]
struct Ponderous {
    #[resource(name)]
    name: String,
    /// What it listens to.
    at: String,
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
        let gate = GATES.lock().unwrap().iter().find(|(name, _)| *name == self.name).map(|(_, gate)| gate.clone());
        if let Some(gate) = gate {
            gate.block();
        }
        if self.at.is_empty() { Watch::none() } else { Watch::path(&self.at) }
    }
}

#[tokio::test]
async fn code_that_blocks_costs_its_own_resource_alone() {
    let (desk, check, watch) = (Desk::new(), Gate::new(), Gate::new());
    let name = format!("ponderous of {}", desk.key);
    GATES.lock().unwrap().push((name.clone(), watch.clone()));
    desk.once("a", Op::Check, Act::BlockAt(check.clone()));
    let mut g = Graph::new("blocks");
    g.add(desk.probe("a").want("x"));
    g.add(desk.probe("b").want("x"));
    g.add(Ponderous::new(&name, ""));
    let mut run = Run::new(g).await;
    check.reached().await;
    watch.reached().await;
    // All three share the one thread of this test.
    run.stands("b", Standing::Settled).await;
    desk.touch("b", "meddled with");
    run.until("applied b").await;
    assert_eq!(within(run.engine.status()).await.unwrap().resources, 3);
    check.open();
    watch.open();
    run.converged().await;
    run.stop().await;
    GATES.lock().unwrap().retain(|(other, _)| *other != name);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_none() {
    let (desk, watch) = (Desk::new(), Gate::new());
    let dir = tempfile::tempdir().unwrap();
    let name = format!("ponderous of {}", desk.key);
    GATES.lock().unwrap().push((name.clone(), watch.clone()));
    let at = |which: &str| {
        let mut g = Graph::new("blocks");
        g.add(Ponderous::new(&name, dir.path().join(which).display().to_string()));
        g.finish().unwrap()
    };
    let mut run = Run::start(Engine::builder().gapi(mgmt::gapi::fixed(at("old")))).await;
    watch.reached().await;
    within(run.engine.swap(at("new"))).await.unwrap();
    watch.reached().await;
    let looked = format!("in sync {name}");
    // Of two that are asked at once, the second may answer first.
    watch.open();
    watch.open();
    run.converged().await;
    for (which, is_watched) in [("old", false), ("new", true)] {
        std::fs::write(dir.path().join(which), "x").unwrap();
        let woken = run.until(&looked);
        assert_eq!(tokio::time::timeout(Duration::from_millis(300), woken).await.is_ok(), is_watched, "{which}");
    }
    run.stop().await;
    GATES.lock().unwrap().retain(|(other, _)| *other != name);
}

/// Declares that it never blocks, but blocks.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "mistaken", inline)]
struct Mistaken {
    #[resource(name)]
    name: String,
}

impl Converge for Mistaken {
    type Drift = Change;

    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        std::thread::sleep(Duration::from_millis(150));
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
    let mut g = Graph::new("blocks");
    g.add(Mistaken::new("m"));
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
    assert!(named[0].starts_with("mistaken[m]: its `watch` has kept the whole engine waiting for "), "{named:?}");
    assert!(named[1].starts_with("mistaken[m]: its check has kept the whole engine waiting for "), "{named:?}");
    assert!(named[1].contains("without `inline`"), "{named:?}");
    run.converged().await;
    run.stop().await;
}
