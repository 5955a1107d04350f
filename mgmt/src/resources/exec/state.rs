//! The state of an exec: in the process, and beyond it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, CheckCx, Context as _, Digest, Result};
use crate::sys::fs::{Attributes, WriteOptions};
use crate::sys::process::{Captured, Output};

/// The longest record that is read: outputs are bounded, and text in JSON is at most six times as long.
const RECORD_BYTES_MAX: u64 = 64 << 20;

/// Identifies a version of a file: a difference means that the file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) mtime_ns: i128,
    pub(super) size: u64,
    pub(super) ino: u64,
}

/// The outputs of a run. `None`: the output can't be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Outputs {
    pub(super) stdout: Option<String>,
    pub(super) stderr: Option<String>,
}

impl Outputs {
    pub(super) fn of(output: &Output) -> Outputs {
        let text = |captured: &Captured| String::from_utf8(captured.whole()?.to_vec()).ok();
        Outputs { stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// The record of the last successful run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Identifies the command that ran.
    pub(super) definition: String,
    /// `donecmd` has succeeded.
    pub(super) done: bool,
    /// When the files of `mtimes` had last changed, in nanoseconds since 1970.
    pub(super) mtimes: BTreeMap<PathBuf, i128>,
    pub(super) outputs: Outputs,
}

impl Record {
    /// The record that an earlier process wrote.
    pub(super) async fn read(cx: &CheckCx) -> Result<Option<Record>> {
        let path = path(cx);
        let read = cx.look(move |fs, _| fs.read_file(path, RECORD_BYTES_MAX)).await;
        match read {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)
                .inspect_err(|error| tracing::warn!(exec = %cx.id(), %error, "the record of the last run can't be read: taken as none"))
                .ok()),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error).context("the record of the last run"),
        }
    }

    pub(super) async fn write(&self, cx: &ApplyCx) -> Result<()> {
        let (dir, path, bytes) = (cx.var_dir(), path(cx), serde_json::to_vec(self)?);
        let written = cx.change(move |fs, _| {
            fs.make_dirs(dir, &Attributes::new().mode(0o700))?;
            fs.write_file(path, &bytes, &WriteOptions::new().mode(0o600))
        });
        written.await.map(drop).context("the record of this run")
    }
}

fn path(cx: &CheckCx) -> PathBuf {
    cx.var_dir().join("run.json")
}

/// The state within the process.
#[derive(Debug, Default)]
pub(super) struct State(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The command that ran, if any has.
    ran: Option<Digest>,
    /// How many lines the watch command has printed, and how many of them came before the last run.
    lines: u64,
    covered: u64,
    /// The signatures of the watched files before the last run.
    files: BTreeMap<PathBuf, Option<Signature>>,
    record: Option<Arc<Record>>,
    /// The record on disk has been read.
    loaded: bool,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch command has printed a line.
    pub(super) fn line(&self) {
        self.lock().lines += 1;
    }

    pub(super) fn lines(&self) -> u64 {
        self.lock().lines
    }

    /// The watch command has printed a line since the last run.
    pub(super) fn has_news(&self) -> bool {
        let inner = self.lock();
        inner.lines > inner.covered
    }

    /// Why the command must run, as far as the state in memory shows.
    pub(super) fn need(&self, definition: Digest) -> Option<&'static str> {
        let inner = self.lock();
        match inner.ran {
            None => Some("not run yet"),
            Some(ran) if ran != definition => Some("run with other settings"),
            Some(_) if inner.lines > inner.covered => Some("the watch command has printed a line"),
            Some(_) => None,
        }
    }

    /// A watched file that has changed since before the last run.
    pub(super) fn changed_file<'a>(&self, now: &'a BTreeMap<PathBuf, Option<Signature>>) -> Option<&'a Path> {
        let inner = self.lock();
        now.iter().find(|(path, found)| inner.files.get(*path) != Some(found)).map(|(path, _)| path.as_path())
    }

    /// The command has run.
    pub(super) fn ran(
        &self,
        definition: Digest,
        covered: u64,
        files: BTreeMap<PathBuf, Option<Signature>>,
        record: Arc<Record>,
    ) {
        let mut inner = self.lock();
        inner.ran = Some(definition);
        inner.covered = covered;
        inner.files = files;
        inner.record = Some(record);
        inner.loaded = true;
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.lock().loaded
    }

    pub(super) fn load(&self, record: Option<Record>) {
        let mut inner = self.lock();
        inner.record = record.map(Arc::new);
        inner.loaded = true;
    }

    pub(super) fn record(&self) -> Option<Arc<Record>> {
        self.lock().record.clone()
    }
}
