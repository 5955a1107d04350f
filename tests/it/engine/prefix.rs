//! The prefix of an engine that runs: deleted, moved, taken.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mgmt::Engine;
use mgmt::prelude::*;
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
