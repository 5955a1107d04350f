//! What goes wrong at a start is returned, and nothing runs.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mgmt::Engine;
use mgmt::gapi::{Gapi, GapiData, GapiError};
use mgmt::id::Palette;
use mgmt::prelude::*;
use mgmt::resource::Context as _;
use mgmt::runtime::EngineError;

use crate::kit::probe::Probe;
use crate::kit::{Desk, Run, within};

fn graph(desk: &Desk) -> GraphConfig {
    let mut g = Graph::new("start");
    g.add(desk.probe("a").want("x"));
    g.finish().unwrap()
}

#[tokio::test]
async fn a_wrong_graph_is_refused_with_everything_that_is_wrong() {
    let desk = Desk::new();
    let mut g = Graph::new("wrong");
    g.add(desk.probe("a").want("x"));
    g.add(desk.probe("a"));
    g.add(desk.probe("b").bad("b is odd"));
    g.add(desk.probe("c").retry(-7));
    let builder = Engine::builder().graph(g.finish().unwrap());
    let mut events = builder.events();
    let error = within(builder.start()).await.unwrap_err();
    let said = error.to_string();
    for part in ["probe[a] is declared twice", "probe[b]: b is odd", "probe[c]: `retry` is -7", "start.rs:"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(matches!(error, EngineError::Graph(_)));
    assert!(within(events.next()).await.is_none());
    assert!(desk.log().is_empty());
}

#[tokio::test]
async fn a_prefix_that_cannot_be_is_an_error_that_names_it() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for prefix in [file.clone(), file.join("below")] {
        let error = within(Engine::builder().graph(graph(&desk)).prefix(&prefix).start()).await.unwrap_err();
        assert!(matches!(error, EngineError::Journal(_)));
        assert!(error.to_string().contains(&prefix.display().to_string()), "{error}");
    }
    assert!(desk.log().is_empty());
}

#[tokio::test]
async fn a_prefix_in_use_is_an_error_that_names_its_user() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let run = Run::start(Engine::builder().graph(graph(&desk)).prefix(dir.path())).await;
    let error = within(Engine::builder().graph(graph(&desk)).prefix(dir.path()).start()).await.unwrap_err();
    let (path, pid) = (dir.path().display().to_string(), std::process::id());
    assert_eq!(error.to_string(), format!("the prefix {path} is in use by this process (pid {pid})"));
    // Before the source of graphs is asked for anything.
    let error = within(Engine::builder().gapi(Failing("init panics")).prefix(dir.path()).start()).await.unwrap_err();
    assert!(matches!(error, EngineError::Journal(_)), "{error}");
    run.stop().await;
    Run::start(Engine::builder().graph(graph(&desk)).prefix(dir.path())).await.stop().await;
}

/// Keeps its `cx` in its state, and in a task that asks for a mark when it may.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[resource(kind = "keeper", unwatched)]
struct Keeper {
    #[resource(name)]
    name: String,
}

static LATE: Mutex<Vec<tokio::sync::oneshot::Sender<tokio::sync::oneshot::Sender<String>>>> = Mutex::new(Vec::new());

impl Converge for Keeper {
    type Drift = Change;
    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(Some(Change::new("kept", "no", "yes")))
    }
    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        *cx.local::<Mutex<Option<ApplyCx>>>().lock().unwrap() = Some(cx.clone());
        *cx.shared::<Mutex<Option<ApplyCx>>>().lock().unwrap() = Some(cx.clone());
        let (late, asked) = tokio::sync::oneshot::channel::<tokio::sync::oneshot::Sender<String>>();
        LATE.lock().unwrap().push(late);
        let cx = cx.clone();
        tokio::spawn(async move {
            if let Ok(reply) = asked.await {
                let _ =
                    reply.send(format!("{:?}", cx.set_mark(Some(vec![1])).await.map_err(|error| error.to_string())));
            }
        });
        Ok(())
    }
}

#[tokio::test]
async fn a_kind_that_keeps_its_cx_does_not_keep_the_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let graph = || {
        let mut g = Graph::new("kept");
        g.add(Keeper::new("a"));
        g.finish().unwrap()
    };
    for _ in 0..2 {
        let mut run = Run::start(Engine::builder().graph(graph()).prefix(dir.path())).await;
        run.converged().await;
        run.stop().await;
    }
    // What is written later is refused.
    let late = LATE.lock().unwrap().remove(0);
    let (reply, answer) = tokio::sync::oneshot::channel();
    late.send(reply).unwrap();
    let answer = within(answer).await.unwrap();
    assert!(answer.contains("the engine has ended: nothing is written any more"), "{answer}");
}

/// A source that fails in a way of its own.
struct Failing(&'static str);

impl Gapi for Failing {
    async fn init(&mut self, data: GapiData) -> Result<(), GapiError> {
        assert!(!data.hostname.is_empty() && data.prefix.is_absolute());
        match self.0 {
            "init" => Err(GapiError::Failed("no line to headquarters".into())),
            "init panics" => panic!("no line at all"),
            _ => Ok(()),
        }
    }

    async fn graph(&mut self) -> Result<GraphConfig, GapiError> {
        Err(GapiError::Failed("nobody answers".into()))
    }
}

#[tokio::test]
async fn an_error_in_the_closure_of_a_graph_names_its_line_and_the_closure() {
    let (closure, failing) = (line!() + 1, line!() + 2);
    let gapi = mgmt::native(|_, _| {
        std::fs::read_to_string("/nonexistent/motd").context("the motd")?;
        Ok(())
    });
    let error = within(Engine::builder().gapi(gapi).start()).await.unwrap_err();
    let text = "no graph: the motd: No such file or directory (os error 2)";
    let (file, source) = (file!(), error.source().and_then(|failure| failure.source()));
    assert_eq!(error.to_string(), format!("{text} ({file}:{failing})"));
    assert!(source.is_some_and(|error| error.is::<std::io::Error>()), "{error:?}");
    let shown = error.painted(Palette::Plain).to_string();
    assert_eq!(shown, format!("error: {text}\n  at {file}:{failing}\n  in the closure at {file}:{closure}"));
    // Without a word of context, the line of the `?`.
    let failing = line!() + 2;
    let gapi = mgmt::native(|_, _| {
        "x".parse::<u16>()?;
        Ok(())
    });
    let error = within(Engine::builder().gapi(gapi).plan()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no graph: invalid digit found in string ({file}:{failing})"));
}

#[tokio::test]
async fn a_source_without_a_graph_is_an_error() {
    for (how, expected) in [
        ("init", "no graph: no line to headquarters"),
        ("init panics", "no graph: panicked: no line at all"),
        ("graph", "no graph: nobody answers"),
    ] {
        let error = within(Engine::builder().gapi(Failing(how)).start()).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        let error = within(Engine::builder().gapi(Failing(how)).plan()).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_start_that_waits_for_its_first_graph_can_be_given_up() {
    let (sender, gapi) = mgmt::gapi::channel();
    let start = Engine::builder().gapi(gapi).start();
    assert!(tokio::time::timeout(Duration::from_millis(20), start).await.is_err());
    let desk = Desk::new();
    within(sender.send(graph(&desk))).await.unwrap_err();
}

#[tokio::test]
async fn without_a_prefix_nothing_is_left_behind() {
    let desk = Desk::new();
    let (key, place) = (desk.key.clone(), Arc::new(Mutex::new(PathBuf::new())));
    let seen = Arc::clone(&place);
    let gapi = mgmt::native(move |g, cx| {
        *seen.lock().unwrap() = cx.prefix().to_owned();
        let password = g.add(Password::new("p").saved(true));
        let length = password.password().map(|password| password.declassify().len().to_string());
        g.add(Probe::new("length", &key).want(length));
        Ok(())
    });
    let mut run = Run::start(Engine::builder().gapi(gapi)).await;
    run.converged().await;
    assert_eq!(desk.real("length"), "24");
    let place = place.lock().unwrap().clone();
    assert!(place.is_dir(), "{}", place.display());
    run.stop().await;
    assert!(!place.exists(), "{}", place.display());
}

#[test]
fn a_runtime_that_lacks_what_it_needs_is_an_error() {
    let desk = Desk::new();
    let start = || Engine::builder().graph(graph(&desk)).start();
    let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let only_time = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for runtime in [&bare, &only_time] {
        let said = runtime.block_on(start()).unwrap_err().to_string();
        assert!(said.starts_with("can't start: it needs a tokio runtime with time and io enabled"), "{said}");
        runtime.block_on(Engine::builder().graph(graph(&desk)).plan()).unwrap_err();
    }
    assert!(desk.log().is_empty());
    let all = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    all.block_on(async { within(start().await.unwrap().stop()).await.unwrap() });
}
