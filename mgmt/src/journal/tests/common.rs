//! Common functions of the journal's tests.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use tempfile::TempDir;

use crate::id::{JournalOp, ResourceId};
use crate::journal::*;

/// Makes an entry about an edge.
pub(super) type Make = fn(ResourceId, ResourceId) -> Entry;

pub(super) fn id(text: &str) -> ResourceId {
    text.parse().unwrap()
}

pub(super) fn edge(make: Make, from: &str, to: &str) -> Entry {
    make(id(from), id(to))
}

pub(super) const INTENT: Make = |from, to| Entry::Edge(JournalOp::Intent { from, to });
pub(super) const DROP: Make = |from, to| Entry::Edge(JournalOp::Drop { from, to });
pub(super) const DEBT: Make = |from, to| Entry::Edge(JournalOp::Debt { from, to });
pub(super) const PAID: Make = |from, to| Entry::Edge(JournalOp::Paid { from, to });

pub(super) fn value(of: &str, key: &str, value: Option<&str>) -> Entry {
    Entry::Value { of: id(of), key: key.into(), value: value.map(|v| v.as_bytes().to_vec()) }
}

/// Writes the batch and waits until it is durable.
pub(super) fn put(journal: &Journal, batch: Vec<Entry>) -> Result<(), CommitError> {
    let (sender, receiver) = channel();
    journal.submit(batch, move |result| sender.send(result).unwrap());
    receiver.recv_timeout(Duration::from_secs(60)).expect("an answer")
}

/// A new directory, in memory if possible: the tests make many syncs, and what a killed process leaves does not depend
/// on the disk.
pub(super) fn dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// The journal after a restart.
pub(super) fn again(journal: Journal, prefix: &Path) -> Journal {
    journal.close().unwrap();
    Journal::open(prefix).unwrap()
}

/// The value under `a[b]` in a copy of the journal, as it is on disk now.
pub(super) fn look(prefix: &Path, key: &str) -> Option<Vec<u8>> {
    let copy = dir();
    // The file is created with the first write.
    fs::copy(prefix.join("journal.redb"), copy.path().join("journal.redb")).ok()?;
    let journal = Journal::open(copy.path()).unwrap();
    // A copy made in the middle of a write may be incomplete; then the next call finds the value.
    journal.value(&id("a[b]"), key)
}

pub(super) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// This test program, started again as another process.
pub(super) struct Helper(pub(super) Child, BufReader<std::process::ChildStderr>);

impl Helper {
    pub(super) fn start(what: &str, prefix: &Path) -> Helper {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::tests::crash::helper", "--ignored", "--nocapture"])
            .env("MGMT_JOURNAL_HELPER", what)
            .env("MGMT_JOURNAL_PREFIX", prefix)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Helper(child, lines)
    }

    /// The next line; empty at the end.
    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }

    pub(super) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
