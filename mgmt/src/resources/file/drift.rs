//! The result of a check of a file: the steps that would repair it, and how they are shown.

use std::path::{Path, PathBuf};

use crate::resource::{Change, Drift};
use crate::resources::file::wanted_content::WantedContent;
use crate::resources::paths::shown;
use crate::sys::fs::{FileKind, Likeness, Replace};

/// What is not as declared at a path, and how it will be repaired.
#[derive(Clone, Debug, Default)]
pub struct FileDrift {
    pub(super) steps: Vec<Step>,
    pub(super) changes: Vec<Change>,
}

impl Drift for FileDrift {
    fn changes(&self) -> Vec<Change> {
        self.changes.clone()
    }
}

impl FileDrift {
    pub(super) fn add(&mut self, found: Option<Found>) {
        if let Some(found) = found {
            self.steps.push(found.step);
            self.changes.extend(found.changes);
        }
    }
}

/// The drift at one path.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) step: Step,
    pub(super) changes: Vec<Change>,
}

/// One repair.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) path: PathBuf,
    /// The type of what was at the path at the check.
    pub(super) seen: Option<FileKind>,
    pub(super) action: Action,
    /// For a copy in a tree: its original.
    pub(super) original: Option<Box<Original>>,
}

/// The original of a copy, and what the copy takes over besides the content.
#[derive(Clone, Debug)]
pub(super) struct Original {
    pub(super) path: PathBuf,
    pub(super) likeness: Likeness,
}

impl Step {
    pub(super) fn new(path: &Path, seen: Option<FileKind>, action: Action) -> Step {
        Step { path: path.to_owned(), seen, action, original: None }
    }
}

/// The action of a repair. Without a mode, the mode is kept, or is the default of a new entry.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// Writes a regular file; without input an empty one. `keep`: keeps what is not declared as it was.
    Write { input: Option<WantedContent>, mode: Option<u32>, replace: Replace, keep: bool },
    /// Makes a directory, in place of what is there.
    MakeDir { mode: Option<u32> },
    /// Makes a symlink. `maker`: the stranger to whom the original of the link belongs. `gid`: the group of the
    /// original.
    Link { target: PathBuf, replace: Replace, maker: Option<u32>, gid: Option<u32> },
    /// Sets owner and group of a symlink, as above.
    SetLink { maker: Option<u32>, gid: Option<u32> },
    /// Sets owner, group and mode.
    Set { mode: Option<u32> },
    /// Gives a new directory of a copy its time, once it is filled.
    Date,
    /// Removes everything at the path, at most `cap` entries.
    Remove { cap: usize },
    /// Removes temporary files that killed writes have left in this directory.
    Clean,
    /// Makes an earlier change durable.
    Sync,
}

/// The differences in a tree, as lines of text: one entry per line.
#[derive(Debug, Default)]
pub(super) struct Listing {
    made: Lines,
    altered: Lines,
    removed: Lines,
}

#[derive(Debug, Default)]
struct Lines {
    text: String,
    count: usize,
}

/// At most this many new or altered entries are shown. Removals are shown in full: their number has its own limit.
const LINES_MAX: usize = 200;

impl Lines {
    fn push(&mut self, line: impl FnOnce() -> String, lines_max: usize) {
        self.count += 1;
        if self.count <= lines_max {
            self.text.push_str(&line());
            self.text.push('\n');
        }
    }

    fn into_change(mut self, is: &str, wanted: &str, lines_max: usize) -> Option<Change> {
        if self.count == 0 {
            return None;
        }
        if self.count > lines_max {
            self.text.push_str(&format!("… and {} more\n", self.count - lines_max));
        }
        Some(Change::new("entries", format!("{} {is}", self.count), wanted).with_diff(self.text))
    }
}

impl Listing {
    /// Adds the changes of an entry.
    pub(super) fn note(&mut self, entry: &Path, changes: &[Change]) {
        if changes.iter().any(|change| change.field == "state") {
            self.made.push(|| format!("+ {}", shown(entry)), LINES_MAX);
        } else {
            let fields = || changes.iter().map(|change| change.field.as_str()).collect::<Vec<_>>().join(", ");
            self.altered.push(|| format!("~ {} ({})", shown(entry), fields()), LINES_MAX);
        }
    }

    /// Adds an entry that will be removed.
    pub(super) fn removed(&mut self, entry: &Path) {
        self.removed.push(|| format!("- {}", shown(entry)), usize::MAX);
    }

    pub(super) fn into_changes(self) -> impl Iterator<Item = Change> {
        let made = self.made.into_change("missing", "made", LINES_MAX);
        let altered = self.altered.into_change("different", "as declared", LINES_MAX);
        let removed = self.removed.into_change("too many", "removed", usize::MAX);
        [made, altered, removed].into_iter().flatten()
    }
}
