//! The values that a parameter had before a resource changed them, and putting them back when the resource has left
//! the graph.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, OwnedPaths, Recorded, Recorder, Result, Reverse, Stopping, Uid, Undone};
use crate::resources::edits::FileEdit;
use crate::resources::locks::Locks;
use crate::resources::paths::shown;
use crate::resources::sysctl::key::Key;
use crate::resources::sysctl::kind::Sysctl;
use crate::resources::sysctl::text::{self, Was};
use crate::resources::sysctl::{live, value};
use crate::sys::fs::{SavedBytes, WriteFs};

/// What the resource has changed, in the order of the changes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SysctlRecord {
    live: Vec<LiveWas>,
    files: Vec<LineWas>,
}

/// The value of a running kernel.
#[derive(Debug, Serialize, Deserialize)]
struct LiveWas {
    name: String,
    was: String,
    /// What the last changes set: another value is one of another program.
    ours: Vec<String>,
}

/// The line of a file.
#[derive(Debug, Serialize, Deserialize)]
struct LineWas {
    path: SavedBytes,
    name: String,
    was: Was,
    /// The file was not there.
    made: bool,
    ours: Vec<String>,
}

/// The changes that `ours` names.
const OURS_MAX: usize = 2;

/// Notes what a change sets.
fn note(ours: &mut Vec<String>, value: &str) {
    if ours.last().is_none_or(|last| last != value) {
        ours.push(value.to_owned());
    }
    let surplus = ours.len().saturating_sub(OURS_MAX);
    ours.drain(..surplus);
}

/// Records the present value of a parameter, before `value` takes its place.
pub(super) fn record_live(recorder: &Recorder<Sysctl>, name: &str, was: &str, value: &str) -> Result<()> {
    let mut record = recorder.read()?.unwrap_or_default();
    let key = Key::of(name);
    let at = record.live.iter().position(|known| Key::of(&known.name) == key).unwrap_or_else(|| {
        record.live.push(LiveWas { name: name.to_owned(), was: was.to_owned(), ours: Vec::new() });
        record.live.len() - 1
    });
    note(&mut record.live[at].ours, value);
    recorder.write(&record)
}

/// Records how a parameter is in this text of a file, before `value` takes its place; `None`: there is no file.
pub(super) fn record_line(
    recorder: &Recorder<Sysctl>,
    file: &Path,
    name: &str,
    text: Option<&[u8]>,
    value: &str,
) -> Result<()> {
    let mut record = recorder.read()?.unwrap_or_default();
    let (path, key) = (SavedBytes::path(file), Key::of(name));
    let known = |known: &LineWas| known.path == path && Key::of(&known.name) == key;
    let at = record.files.iter().position(known).unwrap_or_else(|| {
        let was = text::was(text.unwrap_or_default(), &key);
        let (path, name, made) = (path.clone(), name.to_owned(), text.is_none());
        record.files.push(LineWas { path, name, was, made, ours: Vec::new() });
        record.files.len() - 1
    });
    note(&mut record.files[at].ours, value);
    recorder.write(&record)
}

fn is_ours(ours: &[String], found: &str) -> bool {
    ours.iter().any(|ours| value::is_same(ours, found))
}

impl LiveWas {
    fn describe(&self) -> String {
        format!("set `{}` to {}", Key::of(&self.name), value::shown(&self.was))
    }

    fn undo(&self, fs: &WriteFs, undone: Undone) -> Result<Undone> {
        let key = Key::of(&self.name);
        let now = match live::read(fs, &key) {
            Ok(now) => now,
            // The module was unloaded, and with it the value.
            Err(_) if fs.stat(key.path())?.is_none() => return Ok(undone),
            Err(error) => return Err(error),
        };
        if value::is_same(&now, &self.was) {
            return Ok(undone);
        }
        if !is_ours(&self.ours, &now) {
            return Ok(undone.kept(format!("the value of `{key}` was changed by another program")));
        }
        live::set(fs, &key, &self.was)?;
        Ok(undone.did(self.describe()))
    }
}

impl LineWas {
    fn path(&self) -> PathBuf {
        self.path.to_path()
    }

    fn describe(&self) -> String {
        let (key, path) = (Key::of(&self.name), self.path());
        match &self.was {
            Was::Absent { .. } => format!("remove `{key}` from {}", shown(&path)),
            Was::Line(_) => format!("put the line of `{key}` in {} back", shown(&path)),
        }
    }
}

/// What the resources of an engine share.
struct Undo<'a> {
    fs: &'a WriteFs,
    locks: &'a Locks,
    owned: &'a OwnedPaths,
    stop: &'a Stopping,
}

impl Undo<'_> {
    fn line(&self, line: &LineWas, undone: Undone) -> Result<Undone> {
        let (path, key) = (line.path(), Key::of(&line.name));
        let Undo { locks, owned, stop, .. } = *self;
        let removes_empty = line.made && !owned.contains(&path);
        let edit = FileEdit { path: &path, locks, owned, stop, is_announced: false, removes_empty };
        let mut is_foreign = false;
        let is_changed = edit.run(self.fs, |text| {
            let Some(text) = text else { return Ok(None) };
            if text::was(text, &key) == line.was {
                return Ok(None);
            }
            is_foreign = text::value(text, &key).is_some_and(|now| !is_ours(&line.ours, &now));
            Ok((!is_foreign).then(|| text::restored(text, &key, &line.was)))
        })?;
        Ok(match is_foreign {
            true => undone.kept(format!("`{key}` in {} was changed by another program", shown(&path))),
            false if is_changed => undone.did(line.describe()),
            false => undone,
        })
    }
}

impl Reverse for Sysctl {
    type Record = SysctlRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<SysctlRecord>) -> Result<Undone> {
        let (locks, owned) = (cx.shared::<Locks>(), cx.owned_paths());
        let undone = cx.change(move |fs, stop| {
            let undo = Undo { fs, locks: &locks, owned: &owned, stop };
            let mut undone = Undone::default();
            for line in record.data.files.iter().rev() {
                stop.check()?;
                undone = undo.line(line, undone)?;
            }
            for live in record.data.live.iter().rev() {
                stop.check()?;
                undone = live.undo(fs, undone)?;
            }
            Ok(undone)
        });
        undone.await
    }

    fn describe(record: &SysctlRecord) -> Vec<String> {
        record.live.iter().map(LiveWas::describe).chain(record.files.iter().map(LineWas::describe)).collect()
    }

    fn owns(record: &SysctlRecord) -> Vec<Uid> {
        let live = record.live.iter().map(|live| &live.name);
        live.chain(record.files.iter().map(|line| &line.name)).map(|name| Uid::of(Key::of(name))).collect()
    }
}
