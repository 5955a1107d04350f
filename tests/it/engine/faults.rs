//! Faults around an engine: another program that writes, a damaged journal, one graph after the other.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::EventKind;

use crate::kit::program::act;
use crate::kit::{Run, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_writes_a_file_every_5_ms_is_told_and_neither_starves_others_nor_wins() {
    let dir = tempfile::tempdir().unwrap();
    let (mine, other) = (dir.path().join("mine"), dir.path().join("other"));
    let mut g = Graph::new("fight");
    for path in [&mine, &other] {
        g.add(File::new(path.display().to_string()).content("ours\n").retry(-1));
    }
    let mut run = Run::new(g).await;
    run.converged().await;
    let fights = Arc::new(AtomicBool::new(true));
    let writer = {
        let (fights, mine) = (Arc::clone(&fights), mine.clone());
        std::thread::spawn(move || {
            let mut writes = 0;
            while fights.load(Ordering::Relaxed) {
                fs::write(&mine, format!("theirs {writes}\n")).unwrap();
                writes += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            writes
        })
    };
    let is_mine = |id: &mgmt::id::ResourceId| id.name.ends_with("mine");
    run.find(|event| matches!(event, EventKind::Flapping { id, .. } if is_mine(id)).then_some(())).await;
    // While they fight, the other is repaired.
    for _ in 0..5 {
        fs::remove_file(&other).unwrap();
        run.find(|event| {
            let again = matches!(event, EventKind::Flapping { id, .. } if is_mine(id));
            assert!(!again, "told once, as long as it lasts");
            matches!(event, EventKind::Applied { id, .. } if !is_mine(id)).then_some(())
        })
        .await;
        assert_eq!(fs::read_to_string(&other).unwrap(), "ours\n");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    fights.store(false, Ordering::Relaxed);
    assert!(writer.join().unwrap() > 100, "a fight worth the name");
    // It may have converged between two writes.
    let ours = async {
        while fs::read_to_string(&mine).ok().as_deref() != Some("ours\n") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(ours).await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_deleted_in_a_loop_is_back_at_once_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("motd");
    let mut g = Graph::new("demonstration");
    g.add(File::new(path.display().to_string()).content("hello\n"));
    let mut run = Run::new(g).await;
    run.converged().await;
    let began = Instant::now();
    for _ in 0..40 {
        fs::remove_file(&path).unwrap();
        within(async {
            while fs::read_to_string(&path).ok().as_deref() != Some("hello\n") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Two seconds of these are the pauses of the test.
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    run.stop().await;
}

#[tokio::test]
async fn one_place_by_two_paths_through_a_symlink_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    fs::create_dir(at("real")).unwrap();
    std::os::unix::fs::symlink("real", at("link")).unwrap();
    let graph = |names: &[&str]| {
        let mut g = Graph::new("twice");
        for name in names {
            g.add(File::new(at(name)).content("x").follow_symlinks(true));
        }
        g.finish().unwrap()
    };
    let said = |error: mgmt::runtime::EngineError| error.to_string();
    // Also where neither path is spelled without symlinks, and where the directory is yet to come.
    std::os::unix::fs::symlink("link", at("chain")).unwrap();
    for [one, other] in [["link/a", "real/a"], ["chain/a", "link/a"], ["link/new/a", "real/new/a"]] {
        let refused = said(Engine::builder().graph(graph(&[one, other, "real/b"])).start().await.err().unwrap());
        let real = at(&other.replace("link", "real"));
        assert!(refused.contains(&format!("both own the path {real}, one of them through a symlink")), "{refused}");
        for name in [one, other] {
            assert!(refused.contains(&format!("file[{}]", at(name))), "{refused}");
        }
        assert_eq!(refused.matches("faults.rs:").count(), 2, "both lines: {refused}");
        assert_eq!(refused.matches("both own").count(), 1, "{refused}");
        let refused = said(Engine::builder().graph(graph(&[one, other])).plan().await.err().unwrap());
        assert!(refused.contains(&real), "{refused}");
    }
    assert!(!dir.path().join("real/b").exists(), "nothing ran");
    // Two names of one file are two places; and so are two files by way of one link.
    fs::write(at("real/one"), "x").unwrap();
    fs::hard_link(at("real/one"), at("real/other")).unwrap();
    let mut run = Run::start(Engine::builder().graph(graph(&["real/one", "real/other", "link/a", "link/b"]))).await;
    run.converged().await;
    let refused = said(run.engine.swap(graph(&["link/a", "chain/a"])).await.unwrap_err());
    assert!(refused.contains("both own"), "{refused}");
    run.stop().await;
}

#[tokio::test]
async fn a_damaged_journal_is_said_and_the_engine_runs() {
    let dir = tempfile::tempdir().unwrap();
    let graph = || {
        let mut g = Graph::new("one");
        g.add(File::new(dir.path().join("file").display().to_string()).content("x"));
        g.add(Password::new("remembered"));
        g
    };
    let prefix = dir.path().join("prefix");
    let mut run = Run::with(graph(), |builder| builder.prefix(&prefix)).await;
    run.converged().await;
    run.stop().await;
    let journal = prefix.join("journal.redb");
    let mut bytes = fs::read(&journal).unwrap();
    bytes.iter_mut().take(400).for_each(|byte| *byte = !*byte);
    fs::write(&journal, &bytes).unwrap();
    let mut run = Run::with(graph(), |builder| builder.prefix(&prefix)).await;
    let said = run
        .find(|event| match event {
            EventKind::Warning { message, .. } => Some(message.clone()),
            _ => None,
        })
        .await;
    assert!(said.contains("journal.redb.corrupt-1") && said.contains("owed are lost"), "{said}");
    assert_eq!(fs::read(prefix.join("journal.redb.corrupt-1")).unwrap(), bytes);
    within(run.engine.converged()).await.unwrap();
    run.stop().await;
}

#[test]
fn a_thousand_swaps_hold_the_same_descriptors_and_threads() {
    let dir = tempfile::tempdir().unwrap();
    let ended = act("swaps", dir.path()).run().code(0);
    let counts: Vec<&str> = ended.out.lines().filter(|line| line.starts_with("open: ")).collect();
    let [early, late] = counts[..] else { panic!("{ended:#?}") };
    assert_eq!(early, late, "after 20 swaps and after 1000");
}
