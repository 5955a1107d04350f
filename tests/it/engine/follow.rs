//! The life of a source of graphs.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::gapi::{Gapi, GapiData, GapiError, channel};
use mgmt::prelude::*;
use mgmt::runtime::{EngineError, EventKind};
use tokio::sync::mpsc;

use crate::kit::run::list;
use crate::kit::{Desk, Run, within};

/// What a test tells a source.
enum Say {
    Switch,
    Fail,
    Panic,
    Never,
}

/// A source that follows instructions, and records its calls.
struct Told {
    asked: Arc<Mutex<Vec<&'static str>>>,
    says: mpsc::UnboundedReceiver<Say>,
    hangs: bool,
}

struct Teller {
    asked: Arc<Mutex<Vec<&'static str>>>,
    say: mpsc::UnboundedSender<Say>,
}

fn told(hangs: bool) -> (Teller, Told) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (say, says) = mpsc::unbounded_channel();
    (Teller { asked: Arc::clone(&asked), say }, Told { asked, says, hangs })
}

impl Teller {
    fn asked(&self) -> Vec<&'static str> {
        self.asked.lock().unwrap().clone()
    }

    async fn closed(&self) {
        within(async {
            while self.asked().last() != Some(&"close") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

impl Gapi for Told {
    async fn init(&mut self, _: GapiData) -> Result<(), GapiError> {
        self.asked.lock().unwrap().push("init");
        Ok(())
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        self.asked.lock().unwrap().push("graph");
        let mut g = Graph::new("told");
        g.add(Noop::new("anchor"));
        Ok(g.finish()?)
    }

    async fn switched(&mut self) -> Option<Result<(), GapiError>> {
        match self.says.recv().await {
            Some(Say::Switch) => Some(Ok(())),
            Some(Say::Fail) => Some(Err(GapiError::Failed("the store is gone".into()))),
            Some(Say::Panic) => panic!("the store is upside down"),
            Some(Say::Never) | None => None,
        }
    }

    async fn close(&mut self) {
        self.asked.lock().unwrap().push("close");
        if self.hangs {
            std::future::pending().await
        }
    }
}

#[tokio::test]
async fn a_source_is_initialised_asked_and_closed_once() {
    let (teller, gapi) = told(false);
    let mut run = Run::start(Engine::builder().gapi(gapi)).await;
    run.converged().await;
    teller.say.send(Say::Switch).unwrap();
    run.until("swapped").await;
    assert_eq!(teller.asked(), ["init", "graph", "graph"]);
    run.stop().await;
    assert_eq!(teller.asked(), ["init", "graph", "graph", "close"]);
}

#[tokio::test]
async fn a_source_that_will_never_switch_again_is_closed_in_the_end() {
    let (teller, gapi) = told(false);
    let mut run = Run::start(Engine::builder().gapi(gapi)).await;
    run.converged().await;
    teller.say.send(Say::Never).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    run.engine.progress().await.unwrap();
    assert_eq!(teller.asked(), ["init", "graph"]);
    run.stop().await;
    assert_eq!(teller.asked(), ["init", "graph", "close"]);
}

#[tokio::test]
async fn a_source_is_closed_however_the_engine_ends() {
    // Not followed.
    let (teller, gapi) = told(false);
    let run = Run::start(Engine::builder().gapi(gapi).no_watch(true)).await;
    teller.say.send(Say::Switch).unwrap();
    run.stop().await;
    assert_eq!(teller.asked(), ["init", "graph", "close"]);
    // Cancelled.
    let (teller, gapi) = told(false);
    let run = Run::start(Engine::builder().gapi(gapi)).await;
    run.engine.cancel();
    within(run.engine.ended()).await.unwrap();
    assert_eq!(teller.asked(), ["init", "graph", "close"]);
    // Dropped.
    let (teller, gapi) = told(false);
    drop(Run::start(Engine::builder().gapi(gapi)).await);
    teller.closed().await;
    assert_eq!(teller.asked(), ["init", "graph", "close"]);
    // Not even started.
    let (teller, gapi) = told(false);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    within(Engine::builder().gapi(gapi).prefix(dir.path().join("file")).start()).await.unwrap_err();
    assert!(teller.asked().is_empty(), "the prefix comes first");
    // Asked for a plan.
    let (teller, gapi) = told(false);
    within(Engine::builder().gapi(gapi).plan()).await.unwrap();
    assert_eq!(teller.asked(), ["init", "graph", "close"]);
}

#[tokio::test]
async fn a_source_that_does_not_close_does_not_hold_up_a_stop() {
    let (teller, gapi) = told(true);
    let mut run = Run::start(Engine::builder().gapi(gapi)).await;
    run.converged().await;
    let began = Instant::now();
    run.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(teller.asked().last(), Some(&"close"));
}

#[tokio::test]
async fn what_a_source_fails_with_ends_the_engine() {
    for (say, why) in [
        (Say::Fail, "no graph: the store is gone"),
        (Say::Panic, "no graph: the source of graphs panicked: the store is upside down"),
    ] {
        let (teller, gapi) = told(false);
        let mut run = Run::start(Engine::builder().gapi(gapi)).await;
        run.converged().await;
        teller.say.send(say).map_err(|_| ()).unwrap();
        let error = within(run.engine.ended()).await.unwrap_err();
        assert!(matches!(error, EngineError::Gapi(_)));
        assert_eq!(error.to_string(), why);
        assert_eq!(within(run.engine.stop()).await.unwrap_err().to_string(), why);
        assert_eq!(teller.asked(), ["init", "graph", "close"]);
    }
}

#[tokio::test]
async fn graphs_come_through_a_channel() {
    let desk = Desk::new();
    let graph = |want: &str| {
        let mut g = Graph::new("sent");
        g.add(desk.probe("a").want(want));
        g.finish().unwrap()
    };
    let (sender, gapi) = channel();
    let (_, started) =
        tokio::join!(async { sender.send(graph("1")).await.unwrap() }, Run::start(Engine::builder().gapi(gapi)));
    let mut run = started;
    assert_eq!(run.converged().await, list("swapped, drifted a, applied a, converged"));
    within(sender.send(graph("2"))).await.unwrap();
    run.until("applied a").await;
    assert_eq!(desk.real("a"), "2");
    // That there is no graph is reported, and the last one stays in force.
    within(sender.fail("the other side is busy")).await;
    let why = run.find(|event| match event {
        EventKind::Rejected { problems, .. } => Some(problems.clone()),
        _ => None,
    });
    assert_eq!(why.await, "no graph: the other side is busy");
    let mut twice = Graph::new("twice");
    twice.add(desk.probe("a"));
    twice.add(desk.probe("a"));
    within(sender.send(twice.finish().unwrap())).await.unwrap();
    run.until("rejected").await;
    desk.touch("a", "broken");
    run.until("applied a").await;
    // There is no sender any more: the engine continues.
    let second = sender.clone();
    drop(sender);
    within(second.send(graph("3"))).await.unwrap();
    run.until("applied a").await;
    drop(second);
    desk.touch("a", "broken");
    run.until("applied a").await;
    run.stop().await;
}

/// The rules of a source's life, for one that is asked without an engine.
async fn lives_once(mut gapi: impl Gapi) {
    let why = gapi.graph().await.unwrap_err().to_string();
    assert_eq!(why, "asked for a graph before it was initialised");
    gapi.init(GapiData::default()).await.unwrap();
    gapi.graph().await.unwrap();
    let why = gapi.init(GapiData::default()).await.unwrap_err().to_string();
    assert!(why.contains("good for one engine"), "{why}");
    gapi.close().await;
    gapi.close().await;
}

#[tokio::test]
async fn every_source_is_initialised_once_and_before_it_is_asked() {
    let graph = || Graph::new("g").finish().unwrap();
    lives_once(mgmt::native(|_, _| Ok(()))).await;
    lives_once(mgmt::gapi::fixed(graph())).await;
    let (sender, gapi) = channel();
    sender.send(graph()).await.unwrap();
    lives_once(gapi).await;
    // What is handed out once is not an empty graph the second time.
    let mut fixed = mgmt::gapi::fixed(graph());
    fixed.init(GapiData::default()).await.unwrap();
    fixed.graph().await.unwrap();
    fixed.graph().await.unwrap_err();
}

#[tokio::test]
async fn a_graph_without_a_name_has_the_programs() {
    let name = async |name: Option<&str>, program: Option<&str>| {
        let gapi = mgmt::native(|_, _| Ok(()));
        let gapi = match name {
            Some(name) => gapi.named(name),
            None => gapi,
        };
        let builder = Engine::builder().gapi(gapi);
        let builder = match program {
            Some(program) => builder.name(program),
            None => builder,
        };
        builder.check().await.unwrap().config().name.clone()
    };
    assert_eq!(name(Some("own"), Some("program")).await, "own");
    assert_eq!(name(None, Some("program")).await, "program");
    assert_eq!(name(None, None).await, "graph");
}
