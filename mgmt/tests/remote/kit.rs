//! A machine that is a process on this one: the program `mgmt`, in directories of its own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mgmt::gapi::builtin_kinds;
use mgmt::graph::GraphConfig;
use mgmt::prelude::*;
use mgmt::remote::{Host, Job, Local, Parcel, Report, Run};
use mgmt::runtime::{Event, EventKind};
use tempfile::TempDir;

use crate::executable::program;

/// So long a loaded machine may take for anything.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// What the machine there has: a directory for its files, and a prefix.
pub(crate) struct There {
    pub(crate) dir: TempDir,
}

impl There {
    pub(crate) fn new() -> There {
        There { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    pub(crate) fn prefix(&self) -> PathBuf {
        self.path("prefix")
    }

    /// A job that runs this graph.
    pub(crate) async fn job(&self, declare: impl FnOnce(&mut Graph)) -> Job {
        Job::graph(parcel(declare).await).arguments(["remote", "run", "there"]).prefix(self.prefix())
    }
}

pub(crate) fn host() -> Host {
    Host::new("there", Local::program(program()))
}

pub(crate) fn graph(declare: impl FnOnce(&mut Graph)) -> GraphConfig {
    let mut g = Graph::new("sent");
    declare(&mut g);
    g.finish().unwrap()
}

pub(crate) async fn parcel(declare: impl FnOnce(&mut Graph)) -> Parcel {
    Parcel::of(graph(declare), &builtin_kinds(), &[]).await.unwrap()
}

/// Reads reports until one is as wanted. An error: there are no more, and these have come.
pub(crate) async fn found<R>(
    mut next: impl AsyncFnMut() -> Option<R>,
    is_wanted: impl Fn(&R) -> bool,
) -> Result<R, Vec<R>> {
    let mut seen = Vec::new();
    let found = tokio::time::timeout(LONG, async {
        while let Some(report) = next().await {
            if is_wanted(&report) {
                return Some(report);
            }
            seen.push(report);
        }
        None
    });
    found.await.expect("no such report").ok_or(seen)
}

/// Reads reports until one is as wanted; panics if the run ends before.
pub(crate) async fn until(run: &mut Run, is_wanted: impl Fn(&Report) -> bool) -> Report {
    match found(async || run.next().await, is_wanted).await {
        Ok(report) => report,
        Err(seen) => panic!("the run has ended: {:?}; it reported {seen:#?}", run.ended().await),
    }
}

pub(crate) async fn until_event(run: &mut Run, is_wanted: impl Fn(&EventKind) -> bool) -> Event {
    match until(run, |report| matches!(report, Report::Event(event) if is_wanted(&event.kind))).await {
        Report::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

/// The number of the process there.
pub(crate) async fn pid(run: &mut Run) -> u32 {
    match until(run, |report| matches!(report, Report::Hello(_))).await {
        Report::Hello(hello) => hello.pid,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until that is so.
pub(crate) async fn wait(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "not so yet: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every file below a directory, with its content.
pub(crate) fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut all, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            let is_dir = path.is_dir() && !path.is_symlink();
            all.push((path.clone(), std::fs::read(&path).unwrap_or_default()));
            if is_dir {
                dirs.push(path);
            }
        }
    }
    all.sort();
    all
}
