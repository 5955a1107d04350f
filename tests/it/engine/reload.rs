//! A reload: the source is asked for its graph again, though it has noticed no change.

use std::fs;
use std::path::Path;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::resource::Context as _;
use mgmt::runtime::{EngineError, EventKind};

use crate::kit::{Run, within};

/// A closure that reads the content of one file from another, which nothing watches.
fn reading(dir: &Path) -> impl mgmt::gapi::Gapi {
    let (from, to) = (dir.join("from"), dir.join("to").display().to_string());
    mgmt::native(move |g, _| {
        let content = fs::read_to_string(&from).context("from")?;
        g.add(File::new(to.as_str()).content(content));
        Ok(())
    })
}

#[tokio::test]
async fn a_closure_is_called_again_and_what_it_reads_is_in_force() {
    for no_watch in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let read = || fs::read_to_string(dir.path().join("to")).unwrap();
        fs::write(dir.path().join("from"), "one").unwrap();
        let mut run = Run::start(Engine::builder().gapi(reading(dir.path())).no_watch(no_watch)).await;
        run.converged().await;
        fs::write(dir.path().join("from"), "two").unwrap();
        within(run.engine.reload()).await.unwrap();
        run.converged().await;
        assert_eq!(read(), "two");
        // Several at once are one after the other, and each is answered.
        fs::write(dir.path().join("from"), "three").unwrap();
        let (one, other) = within(async { tokio::join!(run.engine.reload(), run.engine.reload()) }).await;
        one.and(other).unwrap();
        run.converged().await;
        assert_eq!(read(), "three");
        run.stop().await;
    }
}

#[tokio::test]
async fn a_graph_that_can_t_be_made_is_refused_and_the_one_before_stays() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("from"), "one").unwrap();
    let mut run = Run::start(Engine::builder().gapi(reading(dir.path()))).await;
    run.converged().await;
    fs::remove_file(dir.path().join("from")).unwrap();
    let error = within(run.engine.reload()).await.unwrap_err();
    assert!(error.to_string().contains("from"), "{error}");
    run.find(|kind| matches!(kind, EventKind::Rejected { .. }).then_some(())).await;
    fs::remove_file(dir.path().join("to")).unwrap();
    run.converged().await;
    assert_eq!(fs::read_to_string(dir.path().join("to")).unwrap(), "one");
    // What was wrong can be mended.
    fs::write(dir.path().join("from"), "two").unwrap();
    within(run.engine.reload()).await.unwrap();
    run.converged().await;
    assert_eq!(fs::read_to_string(dir.path().join("to")).unwrap(), "two");
    run.stop().await;
}

#[tokio::test]
async fn a_source_with_nothing_to_read_again_leaves_the_graph_as_it_is() {
    let mut graph = Graph::new("fixed");
    graph.add(Noop::new("anchor"));
    let mut run = Run::new(graph).await;
    run.converged().await;
    within(run.engine.reload()).await.unwrap();
    assert_eq!(run.engine.status().await.unwrap().resources, 1);
    let engine = run.engine.clone();
    run.stop().await;
    assert!(matches!(within(engine.reload()).await, Err(EngineError::Ended)));
}
