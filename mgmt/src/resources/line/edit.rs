//! One edit of a file: read, changed in memory, and replaced, if nothing else has changed it meanwhile.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use crate::id::in_one_line;
use crate::resource::{Change, Error, Obstacle, ObstacleKind, OwnedPaths, Recorders, Result, Stopping};
use crate::resources::beside;
use crate::resources::edits::{self, BYTES_MAX, TRIES, is_raced, may_edit, open, read_all};
use crate::resources::line::kind::Line;
use crate::resources::line::replaced::Replaced;
use crate::resources::line::reverse;
use crate::resources::line::state::LineState;
use crate::resources::line::text::{self, Was};
use crate::resources::locks::Locks;
use crate::resources::paths::{missing_dir, shown};
use crate::sys::fs::{Content, Links, ReadFs, Replace, WriteFs, WriteOptions};

/// A line that must be, or must not be, in a file.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// In normal form.
    pub(super) path: PathBuf,
    /// Without its end.
    pub(super) line: String,
    pub(super) state: LineState,
    /// Whether a missing file is made.
    pub(super) create: bool,
    pub(super) follow_symlinks: bool,
    /// Instead of `state`: the line as it was before.
    pub(super) was: Option<Was>,
}

impl Wanted {
    /// File system access for reading, with the rule for symlinks.
    pub(super) fn reader(&self, fs: &ReadFs) -> ReadFs {
        if self.follow_symlinks { fs.clone().links(Links::Follow) } else { fs.clone() }
    }

    /// File system access for writing, with the rule for symlinks.
    pub(super) fn writer(&self, fs: &WriteFs) -> WriteFs {
        if self.follow_symlinks { fs.clone().links(Links::Follow) } else { fs.clone() }
    }

    /// The path by which all resources know the file.
    fn real(&self, fs: &ReadFs) -> Result<PathBuf> {
        edits::real(fs, &self.path)
    }

    /// The text as it must be, if it differs.
    fn edited(&self, text: &[u8]) -> Option<Vec<u8>> {
        let line = self.line.as_bytes();
        if let Some(was) = &self.was {
            return Some(text::restored(text, line, was));
        }
        match (self.state, text::count(text, line)) {
            (LineState::Exists, 0) => Some(text::with(text, line)),
            (LineState::Absent, 1..) => Some(text::without(text, line)),
            _ => None,
        }
    }
}

/// The changes that a check finds to be necessary.
pub(super) fn look(wanted: &Wanted, fs: &ReadFs, replaced: &Replaced, owned: &OwnedPaths) -> Result<Vec<Change>> {
    let (path, fs) = (&wanted.path, wanted.reader(fs).near(&wanted.path));
    let reader = open(&fs, path)?;
    let mut changes = match reader {
        None => differences(wanted, None)?,
        Some(mut reader) => {
            let stat = reader.stat().clone();
            let mut changes = differences(wanted, Some(&read_all(&mut reader)?))?;
            if replaced.has_late(&wanted.real(&fs)?) {
                changes.push(Change::new("file", "lacks what was written to it while it was replaced", "has it"));
            }
            if !changes.is_empty() && fs.is_written_in_place(path, &stat)? {
                changes.push(Change::new("in place", "no", "yes: nothing can take the place of this file"));
            }
            changes
        }
    };
    if !changes.is_empty() {
        may_edit(&fs, owned, path)?;
    }
    changes.extend(beside::leftovers(&fs, path));
    if changes.is_empty() {
        changes.extend(beside::unsynced(&fs, path));
    }
    Ok(changes)
}

/// What must change in the text of the file; `None`: there is no file.
fn differences(wanted: &Wanted, text: Option<&[u8]>) -> Result<Vec<Change>> {
    let diff = |sign| format!("{sign}{}\n", in_one_line(&wanted.line));
    let added = || Change::new("content", "absent", "in the file").with_diff(diff('+'));
    let times = text.map_or(0, |text| text::count(text, wanted.line.as_bytes()));
    Ok(match (wanted.state, times) {
        (LineState::Exists, 0) if text.is_some() => vec![added()],
        (LineState::Exists, 0) if wanted.create => vec![Change::new("file", "absent", "created"), added()],
        (LineState::Exists, 0) => return Err(missing(&wanted.path)),
        (LineState::Exists, _) | (LineState::Absent, 0) => Vec::new(),
        (LineState::Absent, times) => {
            let from = if times == 1 { "in the file".to_owned() } else { format!("{times} times in the file") };
            let shown = diff('-').repeat(times.min(LINES_SHOWN_MAX));
            vec![Change::new("content", from, "absent").with_diff(shown)]
        }
    })
}

/// The most copies of a line that are shown.
const LINES_SHOWN_MAX: usize = 20;

/// The reason why the file can't be edited now, as far as that can be found without a change.
pub(super) fn foresee(wanted: &Wanted, fs: &ReadFs, owned: &OwnedPaths) -> Result<()> {
    edits::foresee(&wanted.reader(fs), owned, &wanted.path)
}

/// An edit, with what the resources of an engine share.
pub(super) struct Edit<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) locks: &'a Locks,
    pub(super) replaced: &'a Replaced,
    pub(super) owned: &'a OwnedPaths,
    pub(super) stop: &'a Stopping,
    /// The journal holds that this change will owe refreshes.
    pub(super) is_announced: bool,
    /// Where to record what is there before.
    pub(super) recorders: &'a Recorders<Line>,
}

impl Edit<'_> {
    /// Edits the file. Returns whether it was replaced. The change is durable when the batch of `fs` is committed.
    pub(super) fn run(&self, fs: &WriteFs) -> Result<bool> {
        let fs = self.wanted.writer(fs);
        let real = self.wanted.real(&fs)?;
        let lock = self.locks.of(&real);
        let _alone = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_changed = false;
        for _ in 0..TRIES {
            self.stop.check()?;
            match self.step(&fs, &real) {
                Ok(true) => is_changed = true,
                Ok(false) => return Ok(is_changed),
                Err(error) if is_raced(&error) => {}
                Err(error) => return Err(error),
            }
            if is_changed && !self.replaced.has_late(&real) {
                return Ok(true);
            }
        }
        let path = shown(&self.wanted.path);
        Err(Error::new(format!("{path} was changed by another program again and again while it was edited")).outdated())
    }

    /// One try. Returns whether the file was written.
    fn step(&self, fs: &WriteFs, real: &Path) -> Result<bool> {
        let path = &self.wanted.path;
        let Some(mut reader) = open(fs, path)? else { return self.create(fs) };
        let text = read_all(&mut reader)?;
        let late = self.replaced.late(real, BYTES_MAX);
        // A program that rewrote the file which was replaced did not see what took its place.
        let base = if late.is_whole { late.bytes.clone() } else { text.clone() };
        let new = self.wanted.edited(&base).unwrap_or(base);
        let mut is_written = false;
        if new != text {
            may_edit(fs, self.owned, path)?;
            self.record(Some(&text))?;
            let content = Content::Edited { bytes: &new, former: &reader, text: &text };
            let written = fs.write_file(path, content, &WriteOptions::new())?;
            if written.stat.identity() != reader.stat().identity() {
                self.replaced.keep(real, reader, &text);
            }
            is_written = true;
        }
        if late.is_whole {
            self.replaced.carried_over(real);
        }
        is_written |= self.carry_over(fs, real)?;
        if !is_written {
            beside::tidy(fs, &self.wanted.path)?;
        }
        Ok(is_written)
    }

    /// Adds to the file what programs have added to those that it replaced, in the manner of these programs. Returns
    /// whether there was anything.
    fn carry_over(&self, fs: &WriteFs, real: &Path) -> Result<bool> {
        let late = self.replaced.late(real, BYTES_MAX);
        if late.is_whole || late.bytes.is_empty() {
            // What was rewritten as a whole is the text for the next try.
            return Ok(late.is_whole);
        }
        may_edit(fs, self.owned, &self.wanted.path)?;
        fs.append(&self.wanted.path, &late.bytes)?;
        self.replaced.carried_over(real);
        Ok(true)
    }

    /// Records how the line is in the text, before that is changed; `None`: there is no file.
    fn record(&self, text: Option<&[u8]>) -> Result<()> {
        self.recorders.iter().try_for_each(|recorder| reverse::record(recorder, self.wanted, text))
    }

    fn create(&self, fs: &WriteFs) -> Result<bool> {
        let path = &self.wanted.path;
        if self.wanted.was.is_some() {
            return Ok(false);
        }
        match self.wanted.state {
            LineState::Absent => beside::tidy(fs, &self.wanted.path).map(|()| false),
            LineState::Exists if self.wanted.create => {
                may_edit(fs, self.owned, path)?;
                self.record(None)?;
                let options = WriteOptions::new().replace(Replace::Nothing).named_first(!self.is_announced);
                let line = text::with(b"", self.wanted.line.as_bytes());
                match fs.write_file(path, &line, &options) {
                    Ok(_) => Ok(true),
                    Err(error) => Err(missing_dir(fs, self.owned, path).unwrap_or_else(|| error.into())),
                }
            }
            LineState::Exists => Err(missing(path)),
        }
    }
}

fn missing(path: &Path) -> Error {
    let why = format!("{} does not exist: declare it as a `file`, or set `create`", shown(path));
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(path))
}
