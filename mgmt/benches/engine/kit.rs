//! What the rows share: how a figure is printed, processes of this program, places to work in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mgmt::graph::{Graph, GraphConfig};
use mgmt::prelude::*;

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads are to be had")
}

pub(crate) fn row(name: &str, figure: &str, more: &str) {
    println!("{name:<44} {figure:>12}  {more}");
}

pub(crate) fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// What the file with this number is called, in its directory.
pub(crate) fn file_name(n: usize) -> String {
    format!("f{n:06}.conf")
}

/// What it holds: the same as for the floor.
pub(crate) fn content(n: usize) -> String {
    format!("key{n:06} = value {n:06} of a managed file\n").repeat(5)
}

pub(crate) fn files_graph(dir: &Path, count: usize) -> GraphConfig {
    let mut g = Graph::new("files");
    let parent = g.add(File::new(format!("{}/", dir.display())));
    for n in 0..count {
        let path = dir.join(file_name(n));
        g.add(File::new(path.display().to_string()).content(content(n)).mode(0o644).after(&parent));
    }
    g.finish().expect("the graph is right")
}

/// This program again.
pub(crate) fn again() -> Command {
    Command::new(std::env::current_exe().expect("we have a name"))
}

pub(crate) fn child(what: &str, dir: &Path) -> Command {
    let mut command = again();
    command.args(["child", what]).arg(dir).stdout(Stdio::piped());
    command
}

pub(crate) fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("there is room");
    let path = dir.path().to_owned();
    (dir, path)
}

/// A figure of this process, in KiB.
pub(crate) fn status_kib(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("there is /proc");
    let line = status.lines().find(|line| line.starts_with(name)).expect("it has that figure");
    line.split_whitespace().nth(1).and_then(|figure| figure.parse().ok()).expect("in KiB")
}
