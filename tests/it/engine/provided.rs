//! What the program gives its kinds: found by its type in every operation, and missed before anything runs.

use std::sync::{Arc, Mutex};

use mgmt::Engine;
use mgmt::graph::{Pass, PassGraph};
use mgmt::prelude::*;
use mgmt::resource::{Findings, Leave, Prepare, PrepareCx};
use mgmt::testing::Fake;
use mgmt::testing::laws::{self, Law, Subject};

use crate::kit::within;

/// The client of a store that the program has.
#[derive(Clone, Debug, Default)]
struct Client(Arc<Mutex<Vec<String>>>);

impl Client {
    fn note(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }

    fn has(&self, what: &str) -> bool {
        self.0.lock().unwrap().iter().any(|noted| noted == what)
    }
}

/// A second value.
#[derive(Debug)]
struct Cache;

/// A row of the store.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:row", provided = (Client, Cache))]
struct Row {
    #[resource(name)]
    name: String,
}

impl Converge for Row {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let (client, _) = (cx.provided::<Client>()?, cx.provided::<Cache>()?);
        let row = format!("row {}", self.name);
        Ok((!client.has(&row)).then(|| Change::new("row", "absent", "present")))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        cx.provided::<Client>()?.note(&format!("row {}", self.name));
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        if let Ok(client) = cx.provided::<Client>() {
            client.note("watch");
        }
        Watch::every(Duration::from_secs(60))
    }
}

impl Refresh for Row {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        cx.provided::<Client>()?.note("refresh");
        Ok(true)
    }
}

impl Leave for Row {
    async fn leave(&self, cx: &ApplyCx) -> Result<()> {
        cx.provided::<Client>()?.note("leave");
        Ok(())
    }
}

impl Prepare for Row {
    async fn prepare(&self, cx: &PrepareCx) -> Result<Findings> {
        cx.provided::<Client>()?.note("prepare");
        Ok(Findings::default())
    }
}

/// Needs what it does not declare.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:silent", unwatched)]
struct Silent {
    #[resource(name)]
    name: String,
}

impl Converge for Silent {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        cx.provided::<Client>().map(|_| None)
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

/// Has resources look at the system.
#[derive(Debug)]
struct Nothing;

impl Pass for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn run(&self, _: &mut PassGraph<'_>) {}
}

fn rows() -> GraphConfig {
    let mut g = Graph::new("rows");
    let first = g.add(Row::new("first"));
    g.add(Row::new("second").subscribe(&first));
    g.finish().unwrap()
}

#[tokio::test]
async fn every_operation_finds_what_the_program_has_given() {
    let client = Client::default();
    client.note("row second");
    let builder = Engine::builder().graph(rows()).pass(Nothing);
    let engine = within(builder.provide(client.clone()).provide(Cache).start()).await.unwrap();
    within(engine.converged()).await.unwrap();
    within(engine.swap(GraphConfig::default())).await.unwrap();
    within(engine.stop()).await.unwrap();
    for what in ["prepare", "watch", "row first", "refresh", "leave"] {
        assert!(client.has(what), "{what}: {client:?}");
    }
}

#[tokio::test]
async fn a_graph_whose_kinds_need_what_the_program_has_not_is_refused_before_anything_runs() {
    let client = Client::default();
    let builder = || Engine::builder().graph(rows()).provide(client.clone());
    for error in [
        within(builder().start()).await.map(drop).unwrap_err().to_string(),
        within(builder().plan()).await.map(drop).unwrap_err().to_string(),
        within(builder().check()).await.map(drop).unwrap_err().to_string(),
    ] {
        for part in [
            "test:row[first]: the kind `test:row` needs a `Cache` from the program, which has provided `",
            "::Client`: give it with `.provide(value)`",
            "test:row[second]: ",
            "provided.rs:",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("needs a `Client`"), "{error}");
    }
    let engine = within(Engine::builder().provide(client.clone()).start()).await.unwrap();
    let error = within(engine.swap(rows())).await.unwrap_err().to_string();
    assert!(error.contains("needs a `Cache`"), "{error}");
    within(engine.stop()).await.unwrap();
    assert!(client.0.lock().unwrap().is_empty(), "nothing ran");
}

#[tokio::test]
async fn what_a_kind_does_not_declare_fails_its_operation_with_the_same_words() {
    let host = Fake::new().unwrap();
    let error = host.put(Silent::new("s")).check().await.unwrap_err().to_string();
    assert!(error.contains("the kind `test:silent` needs a `") && error.contains("has provided nothing"), "{error}");
    assert!(error.contains("::Client` from the program"), "{error}");
    let mut host = host.provide(Client::default());
    assert!(host.put(Silent::new("s")).check().await.unwrap().in_sync());
    host.restart();
    assert!(host.put(Silent::new("s")).check().await.unwrap().in_sync());
}

#[test]
fn a_kind_that_needs_something_of_the_program_keeps_the_laws() {
    let (client, other) = (Client::default(), Client::default());
    let (made, broken) = (client.clone(), client.clone());
    let subject = Subject::new(|_| Row::new("r"))
        .prepare(move |_| made.0.lock().unwrap().clear())
        .break_it(move |_| broken.0.lock().unwrap().clear())
        .provide(other)
        .provide(client)
        .provide(Cache)
        .unwatched();
    assert!(laws::check(subject).contains(&Law::ApplyThenCheckIsInSync), "the last one of a type counts");
}
