//! What an engine, a plan and a swap make of automatic edges.

use std::fs;
use std::sync::{Arc, Mutex};

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::EventKind;

use crate::kit::Run;

/// A site without a single edge, each part declared before what it needs.
fn site(dir: &std::path::Path) -> Graph {
    let at = |rest: &str| dir.join(rest).to_str().unwrap().to_owned();
    let mut g = Graph::new("site");
    g.add(Exec::new("build").cmd(at("app/bin/build")).cwd(at("app/work")).creates(at("app/out/page")));
    g.add(File::new(at("app/all")).fragments([at("app/parts/")]));
    g.add(File::new(at("app/copy")).source(at("app/parts/1")));
    g.add(File::new(at("app/current")).symlink("parts/2"));
    g.add(File::new(at("app/parts/2")).content("two\n"));
    g.add(File::new(at("app/parts/1")).content("one\n"));
    g.add(File::new(at("app/parts/")));
    g.add(File::new(at("app/bin/build")).content("#!/bin/sh\npwd > ../out/page\n").mode(0o755));
    g.add(File::new(at("app/bin/")));
    g.add(File::new(at("app/out/")));
    g.add(File::new(at("app/work/")));
    g.add(File::new(at("app/")));
    g
}

#[tokio::test]
async fn a_graph_without_an_edge_converges_at_the_first_try_in_the_right_order() {
    let host = tempfile::tempdir().unwrap();
    let dir = host.path().canonicalize().unwrap();
    let mut run = Run::new(site(&dir)).await;
    let mut applied = Vec::new();
    loop {
        match run.next().await.kind {
            EventKind::Applied { id, .. } => applied.push(id.name.replace(&format!("{}/", dir.display()), "")),
            EventKind::Failed { id, error, .. } => panic!("{id}: {error}"),
            EventKind::Warning { message, .. } => panic!("{message}"),
            EventKind::Converged => break,
            EventKind::Waiting { id, .. } => panic!("{id} waits"),
            _ => {}
        }
    }
    assert_eq!(applied.len(), 12, "each once: {applied:?}");
    let place =
        |name: &str| applied.iter().position(|other| other == name).unwrap_or_else(|| panic!("{name}: {applied:?}"));
    for (first, second) in [
        ("app/", "app/parts/"),
        ("app/parts/", "app/parts/1"),
        ("app/parts/1", "app/all"),
        ("app/parts/2", "app/all"),
        ("app/parts/1", "app/copy"),
        ("app/parts/2", "app/current"),
        ("app/bin/build", "build"),
        ("app/work/", "build"),
        ("app/out/", "build"),
    ] {
        assert!(place(first) < place(second), "{first} before {second}: {applied:?}");
    }
    assert_eq!(fs::read_to_string(dir.join("app/all")).unwrap(), "one\ntwo\n");
    assert_eq!(fs::read_to_string(dir.join("app/out/page")).unwrap().trim(), dir.join("app/work").to_str().unwrap());
    run.stop().await;
}

#[tokio::test]
async fn a_plan_states_why_a_resource_comes_after_another() {
    let host = tempfile::tempdir().unwrap();
    let dir = host.path().canonicalize().unwrap();
    let mut g = Graph::new("g");
    g.add(File::new(dir.join("a/b").to_str().unwrap()).content("x"));
    g.add(File::new(format!("{}/a/", dir.display())));
    let config = g.finish().unwrap();
    let plan = Engine::builder().graph(config.clone()).plan().await.unwrap();
    assert_eq!(plan.resources[0].id.name, format!("{}/a/", dir.display()));
    let text = plan.to_string();
    assert!(text.contains(&format!("    after file[{}/a/]: its directory\n", dir.display())), "{text}");
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["resources"][1]["after"][0]["why"], "its directory");
    assert!(json["resources"][0].get("after").is_none());
    let plan = Engine::builder().graph(config).autoedge(false).plan().await.unwrap();
    assert!(plan.resources.iter().all(|entry| entry.after.is_empty()));
}

#[tokio::test]
async fn a_new_graph_of_a_running_engine_brings_its_edges_and_takes_the_old_ones() {
    let host = tempfile::tempdir().unwrap();
    let dir = host.path().canonicalize().unwrap();
    let at = |rest: &str| format!("{}/{rest}", dir.display());
    let graph = |with_dir: bool| {
        let mut g = Graph::new("g");
        g.add(File::new(at("a/b")).content("x"));
        if with_dir {
            g.add(File::new(at("a/")));
        }
        g.finish().unwrap()
    };
    let edges: Arc<Mutex<Vec<usize>>> = Arc::default();
    let seen = Arc::clone(&edges);
    let builder = Engine::builder().graph(graph(false)).inspect(move |prepared| {
        seen.lock().unwrap().push(prepared.config().edges.len());
        async {}
    });
    let mut run = Run::start(builder).await;
    run.find(|event| matches!(event, EventKind::Waiting { .. }).then_some(())).await;
    run.engine.swap(graph(true)).await.unwrap();
    run.converged().await;
    assert!(dir.join("a/b").exists());
    // The directory is removed with what is in it. It comes back first, so the file never waits for it.
    fs::rename(dir.join("a"), dir.join("gone")).unwrap();
    loop {
        match run.next().await.kind {
            EventKind::Waiting { id, .. } | EventKind::Failed { id, .. } => panic!("{id}"),
            EventKind::Applied { id, .. } if id.name == at("a/b") => break,
            _ => {}
        }
    }
    run.converged().await;
    run.engine.swap(graph(false)).await.unwrap();
    assert_eq!(*edges.lock().unwrap(), [0, 1, 0]);
    run.stop().await;
}
