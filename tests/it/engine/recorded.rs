//! Where graphs run whose changes are recorded: a prefix, and a directory with what they change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use mgmt::prelude::*;
use mgmt::runtime::Builder;
use tempfile::{TempDir, tempdir};

use crate::kit::Run;

pub(super) struct Bed {
    pub(super) prefix: TempDir,
    pub(super) dir: TempDir,
}

impl Bed {
    pub(super) fn new() -> Bed {
        Bed { prefix: tempdir().unwrap(), dir: tempdir().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub(super) fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    /// The resources that have a record for the time when they have left the graph.
    pub(super) fn records(&self) -> Vec<String> {
        self.records_in("records")
    }

    /// The resources that have a record in this directory of the prefix.
    pub(super) fn records_in(&self, dir: &str) -> Vec<String> {
        let mut all = Vec::new();
        for kind in fs::read_dir(self.prefix.path().join(dir)).into_iter().flatten().flatten() {
            let names = fs::read_dir(kind.path()).unwrap().flatten();
            all.extend(names.map(|name| name.file_name().into_string().unwrap()));
        }
        all.sort();
        all
    }

    pub(super) fn builder(&self, graph: GraphConfig) -> Builder {
        mgmt::Engine::builder().graph(graph).prefix(self.prefix.path())
    }

    /// Runs the graph, which has converged when this returns.
    pub(super) async fn run(&self, graph: GraphConfig) -> Run {
        converged(self.builder(graph)).await
    }

    /// Runs the graph until it has converged.
    pub(super) async fn pass(&self, graph: GraphConfig) {
        self.run(graph).await.stop().await;
    }
}

pub(super) async fn converged(builder: Builder) -> Run {
    let mut run = Run::start(builder).await;
    run.converged().await;
    run
}

pub(super) fn graph(fill: impl FnOnce(&mut Graph)) -> GraphConfig {
    let mut g = Graph::new("recorded");
    fill(&mut g);
    g.finish().unwrap()
}

pub(super) fn one(resource: impl Declare) -> GraphConfig {
    graph(|g| {
        g.add(resource);
    })
}

pub(super) fn empty() -> GraphConfig {
    graph(|_| ())
}

/// A tree as it is: paths, modes and contents.
pub(super) fn snapshot(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut stack = vec![dir.to_owned()];
    while let Some(path) = stack.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        let content = match stat.file_type() {
            kind if kind.is_dir() => {
                stack.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                String::new()
            }
            kind if kind.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
            _ => format!("{} {}", fs::read_to_string(&path).unwrap(), stat.mtime_nsec()),
        };
        all.push(format!("{} {:o} {content}", path.strip_prefix(dir).unwrap().display(), stat.mode()));
    }
    all.sort();
    all
}
