//! The prefix of an engine that runs: deleted, moved, taken.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::resources::FileBuilder;
use mgmt::runtime::EngineError;

use crate::kit::{Desk, Run, within};

fn chain(desk: &Desk) -> GraphConfig {
    let mut g = Graph::new("graph");
    let a = g.add(desk.probe("a").want("x"));
    g.add(desk.probe("b").want("x").after(&a));
    g.finish().unwrap()
}

#[tokio::test]
async fn a_prefix_that_is_deleted_while_an_engine_runs_is_made_again_and_stays_its_own() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let prefix = dir.path().join("prefix");
    let run = Run::start(Engine::builder().graph(chain(&desk)).prefix(&prefix)).await;
    for _ in 0..3 {
        // What comes back while it is deleted is in the way of its end.
        while fs::remove_dir_all(&prefix).is_ok() {}
        within(async {
            while !prefix.join("journal.redb").exists() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
        .await;
        let error = within(Engine::builder().graph(chain(&desk)).prefix(&prefix).start()).await.unwrap_err();
        assert!(error.to_string().contains("is in use by this process"), "{error}");
    }
    run.stop().await;
    assert!(fs::metadata(&prefix).unwrap().permissions().mode() & 0o077 == 0);
    Run::start(Engine::builder().graph(chain(&desk)).prefix(&prefix)).await.stop().await;
}

#[tokio::test]
async fn an_engine_whose_prefix_is_lost_for_good_ends_and_names_it() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let prefix = dir.path().join("prefix");
    let run = Run::start(Engine::builder().graph(chain(&desk)).prefix(&prefix)).await;
    // A directory that others can write comes in its place.
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o777)).unwrap();
    rustix::fs::renameat_with(rustix::fs::CWD, &other, rustix::fs::CWD, &prefix, rustix::fs::RenameFlags::EXCHANGE)
        .unwrap();
    let error = within(run.engine.ended()).await.unwrap_err();
    assert!(matches!(error, EngineError::Lost(_)), "{error}");
    assert!(error.to_string().contains(&prefix.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_private_directory_that_others_can_write_is_refused_before_anything_runs() {
    let (desk, dir) = (Desk::new(), tempfile::tempdir().unwrap());
    let own = dir.path().join("pgraph/exec/seed");
    fs::create_dir_all(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o707)).unwrap();
    for _ in 0..2 {
        let builder = || Engine::builder().graph(chain(&desk)).prefix(dir.path());
        for error in [within(builder().start()).await.err(), within(builder().plan()).await.err()] {
            let error = error.unwrap().to_string();
            assert!(error.contains("pgraph/exec/seed has mode 0707"), "{error}");
        }
    }
    assert!(desk.log().is_empty());
}

/// What is refused before anything runs, by a run and by a plan, with the prefix at `state`.
async fn refused(state: &std::path::Path, file: FileBuilder, what: &str) {
    let graph = || {
        let mut g = Graph::new("graph");
        g.add(file.clone());
        g.finish().unwrap()
    };
    let builder = || Engine::builder().graph(graph()).prefix(state);
    for error in [within(builder().start()).await.err(), within(builder().plan()).await.err()] {
        let error = error.unwrap_or_else(|| panic!("not refused: {what}")).to_string();
        assert!(error.contains(what) && error.contains("the engine keeps its own state in"), "{error}");
        assert!(error.contains("prefix.rs:"), "{error}");
    }
}

#[tokio::test]
async fn a_graph_that_would_remove_the_engines_own_state_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, link, state) = (dir.path().join("tree"), dir.path().join("link"), dir.path().join("tree/a/state"));
    fs::create_dir_all(&tree).unwrap();
    std::os::unix::fs::symlink(&tree, &link).unwrap();
    let at = |path: std::path::PathBuf| File::new(path.to_str().unwrap());
    let slash = |path: &std::path::Path| format!("{}/", path.display());
    refused(&state, File::new(slash(&tree)).purge(true).recurse(true), "may remove what is at").await;
    refused(&state, File::new(slash(&tree)).purge(true), "may remove what is at").await;
    refused(&state, File::new(slash(&dir.path().join("tree/a"))).absent(), "may remove what is at").await;
    refused(&state, at(tree.join("a")).content("x").force(true), "may remove what is at").await;
    refused(&state, File::new(slash(&state)).purge(true), "may remove what is at").await;
    refused(&state, File::new(slash(&state.join("pgraph/exec"))).purge(true), "may remove what is at").await;
    refused(&state, at(state.join("journal.redb")).content("x"), "owns").await;
    // By another spelling, of either.
    refused(&link.join("a/state"), File::new(slash(&tree)).purge(true).recurse(true), "may remove what is at").await;
    fs::create_dir_all(tree.join("a/state")).unwrap();
    refused(&state, File::new(slash(&link.join("a"))).purge(true).recurse(true), "may remove what is at").await;
    // A resource that is only in the prefix, or only keeps something there, does no harm.
    let mut g = Graph::new("graph");
    g.add(File::new(slash(&tree)));
    g.add(File::new(slash(&tree.join("b"))).purge(true).recurse(true));
    let run = Run::start(Engine::builder().graph(g.finish().unwrap()).prefix(&state)).await;
    within(run.engine.converged()).await.unwrap();
    run.stop().await;
}

#[tokio::test]
async fn a_purge_at_a_received_path_spares_the_engines_own_state() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    let state = tree.join("a/state");
    fs::create_dir_all(&state).unwrap();
    fs::write(tree.join("a/extra"), "").unwrap();
    let mut g = Graph::new("graph");
    let path = g.add(Exec::new("path").cmd(format!("printf %s {}/", tree.display())));
    g.add(File::new("tree").path(path.stdout()).purge(true).recurse(true));
    let run = Run::start(Engine::builder().graph(g.finish().unwrap()).prefix(&state)).await;
    within(run.engine.converged()).await.unwrap();
    run.stop().await;
    assert!(state.join("journal.lock").exists() && !tree.join("a/extra").exists());
}
