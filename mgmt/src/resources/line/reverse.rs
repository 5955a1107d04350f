//! How a line was in its file before a resource changed that, and putting it back when the resource has left the graph.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::id::in_one_line;
use crate::resource::{ApplyCx, OwnedPaths, Recorded, Recorder, Recorders, Result, Reverse, Stopping, Uid, Undone};
use crate::resources::edits::waiting;
use crate::resources::line::edit::{Edit, Wanted};
use crate::resources::line::kind::{Line, LineKey};
use crate::resources::line::replaced::Replaced;
use crate::resources::line::state::LineState;
use crate::resources::line::text::{self, Was};
use crate::resources::locks::Locks;
use crate::resources::paths::shown;
use crate::sys::fs::{SavedBytes, WriteFs};

/// How lines were that the resource has changed, in the order of the changes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LineRecord {
    lines: Vec<LineWas>,
}

/// One line of a file.
#[derive(Debug, Serialize, Deserialize)]
struct LineWas {
    path: SavedBytes,
    line: String,
    was: Was,
    /// The file was not there.
    made: bool,
    follow_symlinks: bool,
}

/// Records how the line is in this text of its file; `None`: there is no file.
pub(super) fn record(recorder: &Recorder<Line>, wanted: &Wanted, text: Option<&[u8]>) -> Result<()> {
    let mut record = recorder.read()?.unwrap_or_default();
    let path = SavedBytes::path(&wanted.path);
    if record.lines.iter().any(|known| known.path == path && known.line == wanted.line) {
        return Ok(());
    }
    let was = text::was(text.unwrap_or_default(), wanted.line.as_bytes());
    let (line, follow_symlinks) = (wanted.line.clone(), wanted.follow_symlinks);
    record.lines.push(LineWas { path, line, was, made: text.is_none(), follow_symlinks });
    recorder.write(&record)
}

impl LineWas {
    fn describe(&self) -> String {
        let verb = if matches!(self.was, Was::Absent { .. }) { "remove" } else { "put back" };
        format!("{verb} the line `{}` of {}", in_one_line(&self.line), shown(&self.path.to_path()))
    }
}

/// What the resources of an engine share.
struct Undo<'a> {
    fs: &'a WriteFs,
    locks: &'a Locks,
    replaced: &'a Replaced,
    owned: &'a OwnedPaths,
    stop: &'a Stopping,
}

impl Undo<'_> {
    /// Whether there was something to do.
    fn line(&self, line: &LineWas) -> Result<bool> {
        let path = line.path.to_path();
        let wanted = Wanted {
            path: path.clone(),
            line: line.line.clone(),
            state: LineState::Exists,
            create: false,
            follow_symlinks: line.follow_symlinks,
            was: Some(line.was.clone()),
        };
        let Undo { locks, replaced, owned, stop, .. } = *self;
        let edit =
            Edit { wanted: &wanted, locks, replaced, owned, stop, is_announced: false, recorders: &Recorders::none() };
        let is_changed = edit.run(self.fs).map_err(|error| waiting(error, &path))?;
        Ok(is_changed | self.remove_if_made(&wanted, line.made)?)
    }

    /// A file that was made for the line is removed if nothing else is in it.
    fn remove_if_made(&self, wanted: &Wanted, made: bool) -> Result<bool> {
        let path: &Path = &wanted.path;
        let stat = if made && !self.owned.contains(path) { wanted.reader(self.fs).stat(path)? } else { None };
        let is_empty = stat.is_some_and(|stat| stat.is_file() && stat.size == 0);
        if is_empty {
            wanted.writer(self.fs).remove_file(path)?;
        }
        Ok(is_empty)
    }
}

impl Reverse for Line {
    type Record = LineRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<LineRecord>) -> Result<Undone> {
        let (locks, replaced, owned) = (cx.shared::<Locks>(), cx.shared::<Replaced>(), cx.owned_paths());
        let undone = cx.change(move |fs, stop| {
            let undo = Undo { fs, locks: &locks, replaced: &replaced, owned: &owned, stop };
            let mut undone = Undone::default();
            for line in record.data.lines.iter().rev() {
                stop.check()?;
                if undo.line(line)? {
                    undone = undone.did(line.describe());
                }
            }
            Ok(undone)
        });
        undone.await
    }

    fn describe(record: &LineRecord) -> Vec<String> {
        record.lines.iter().map(LineWas::describe).collect()
    }

    fn owns(record: &LineRecord) -> Vec<Uid> {
        let key = |line: &LineWas| Uid::of(LineKey { file: line.path.to_path(), line: line.line.clone() });
        record.lines.iter().map(key).collect()
    }
}
