//! A run that finds everything in sync writes nothing: no byte, and no time of a file, is other than before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use mgmt::prelude::*;

use crate::kit::Run;

/// What shows that something was changed: times, inode, content.
#[derive(Debug, PartialEq)]
struct Seen {
    times: [i64; 4],
    inode: u64,
    content: Vec<u8>,
}

/// A directory and all that is below it.
fn seen(dir: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut all = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        if meta.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
        all.insert(path, Seen { times, inode: meta.ino(), content });
    }
    all
}

fn graph(tree: &Path, with_old: bool) -> Graph {
    let mut g = Graph::new("quiet");
    let path = |name: &str| tree.join(name).display().to_string();
    let dir = g.add(File::new(format!("{}/", tree.display())));
    let conf = g.add(File::new(path("conf")).content("one\n").mode(0o644).after(&dir));
    // What is sent, received, marked and owed is remembered.
    let password = g.add(Password::new("admin").saved(true));
    g.add(File::new(path("hash")).content(password.hash()).mode(0o600).after(&dir));
    g.add(Exec::new("made").cmd("touch").args([path("made")]).creates(path("made")).subscribe(&conf));
    if with_old {
        g.add(File::new(path("old")).content("old\n").after(&dir));
    }
    g
}

async fn run(prefix: &Path, tree: &Path, with_old: bool) -> Vec<String> {
    let mut run = Run::with(graph(tree, with_old), |builder| builder.prefix(prefix)).await;
    let events = run.converged().await;
    run.stop().await;
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_sync_costs_no_write_in_the_tree_nor_below_the_prefix() {
    let place = tempfile::tempdir().unwrap();
    let (prefix, tree) = (place.path().join("prefix"), place.path().join("tree"));
    run(&prefix, &tree, true).await;
    // That `old` has left is noted once, and no more on that day.
    run(&prefix, &tree, false).await;
    for _ in 0..3 {
        let before = seen(place.path());
        let events = run(&prefix, &tree, false).await;
        assert!(!events.iter().any(|event| event.starts_with("applied")), "{events:?}");
        assert_eq!(seen(place.path()), before);
    }
}
