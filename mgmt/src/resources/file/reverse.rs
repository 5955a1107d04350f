//! What was there before a file, a directory or a symlink was changed: recorded before each repair, and put back when
//! the resource has left the graph.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::resource::{ApplyCx, OwnedPaths, Recorded, Recorder, Result, Reverse, Stopping, Undone};
use crate::resources::digests::{Digests, hex};
use crate::resources::file::drift::{Action, Step};
use crate::resources::file::kind::File;
use crate::resources::file::wanted::Wanted;
use crate::resources::file::wanted_content::WantedContent;
use crate::resources::paths::shown;
use crate::sys::fs::{Digest, FileKind, FsError, Links, Saved, SavedBytes, Stat, WriteFs};

/// What was at the paths that a file resource has changed, in the order of the changes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FileRecord {
    follow_symlinks: bool,
    paths: Vec<PathRecord>,
    /// Where in `paths` each path is.
    #[serde(skip)]
    places: HashMap<Vec<u8>, usize>,
}

/// One path.
#[derive(Debug, Serialize, Deserialize)]
struct PathRecord {
    path: SavedBytes,
    #[serde(flatten)]
    saved: Saved,
    /// What the last repair, and the one before, put there: anything else was put there by another program.
    ours: Vec<Ours>,
    /// The modes that these repairs set: another mode was set by another program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    modes: Vec<u32>,
}

/// What a repair puts at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ours {
    /// A regular file with this content.
    Content(String),
    /// A symlink that leads there.
    Link(SavedBytes),
    /// A directory.
    Directory,
    /// Nothing.
    Nothing,
}

/// The repairs that `ours` names.
const OURS_MAX: usize = 2;

/// Records what is at the paths that these steps change.
pub(super) struct Recording<'a> {
    pub(super) recorder: &'a Recorder<File>,
    pub(super) fs: &'a WriteFs,
    pub(super) wanted: &'a Wanted,
    pub(super) digests: &'a Digests,
    pub(super) stop: &'a Stopping,
}

impl Recording<'_> {
    /// The record is on disk when this returns.
    pub(super) fn before(&self, steps: &[Step]) -> Result<()> {
        let mut record = self.recorder.read()?.unwrap_or_default();
        record.places = (0..).zip(&record.paths).map(|(at, known)| (known.path.bytes().to_owned(), at)).collect();
        record.follow_symlinks = self.wanted.follow_symlinks;
        for step in steps {
            self.stop.check()?;
            match &step.action {
                Action::Set { .. } | Action::SetLink { .. } => self.note(&mut record, step, &step.path, false, None)?,
                Action::Remove { cap } => self.note_tree(&mut record, step, *cap, Ours::Nothing)?,
                Action::Write { input, .. } => {
                    let ours = Ours::Content(self.digest(step, input.as_ref())?);
                    self.note_whole(&mut record, step, ours)?;
                }
                Action::MakeDir { .. } => self.note_whole(&mut record, step, Ours::Directory)?,
                Action::Link { target, .. } => {
                    self.note_whole(&mut record, step, Ours::Link(SavedBytes::path(target)))?;
                }
                Action::Date | Action::Clean | Action::Sync => {}
            }
        }
        if record.paths.is_empty() { Ok(()) } else { self.recorder.write(&record) }
    }

    /// The digest of what a step writes.
    fn digest(&self, step: &Step, input: Option<&WantedContent>) -> Result<String> {
        let (fs, seen, stop) = (self.fs, self.digests, self.stop);
        let of_file = |path: &Path, stat: &Stat| Ok(hex(&seen.digest(fs, path, stat, stop)?));
        if let Some(original) = &step.original {
            let stat = fs.stat(&original.path)?.ok_or_else(|| FsError::Missing { path: original.path.clone() })?;
            return of_file(&original.path, &stat);
        }
        match input {
            None => Ok(Digest::of(b"").to_string()),
            Some(WantedContent::Given(content)) => Ok(Digest::of(content.bytes().unwrap_or_default()).to_string()),
            Some(WantedContent::Files(files)) => match &files[..] {
                [(path, stat)] => of_file(path, stat),
                files => Ok(hex(&seen.joined(fs, files, stop)?)),
            },
        }
    }

    /// A step that replaces the whole of what is there, which may be a directory with entries.
    fn note_whole(&self, record: &mut FileRecord, step: &Step, ours: Ours) -> Result<()> {
        match step.seen {
            Some(FileKind::Directory) if ours != Ours::Directory => {
                self.note_tree(record, step, self.wanted.removals_max, ours)
            }
            _ => self.note(record, step, &step.path, true, Some(ours)),
        }
    }

    /// A tree that is removed, and what comes in its place.
    fn note_tree(&self, record: &mut FileRecord, step: &Step, cap: usize, ours: Ours) -> Result<()> {
        for entry in self.fs.list_tree(&step.path, cap)?.paths().collect::<Vec<_>>() {
            self.stop.check()?;
            let ours = if entry == step.path { ours.clone() } else { Ours::Nothing };
            self.note(record, step, &entry, true, Some(ours))?;
        }
        Ok(())
    }

    /// What was recorded first stays; only a content that was not needed so far is added.
    fn note(
        &self,
        record: &mut FileRecord,
        step: &Step,
        path: &Path,
        with_content: bool,
        ours: Option<Ours>,
    ) -> Result<()> {
        let name = SavedBytes::path(path);
        let at = match record.places.get(name.bytes()) {
            Some(at) => {
                let known = &mut record.paths[*at];
                if let (Saved::File { content: lacking @ None, .. }, true) = (&mut known.saved, with_content)
                    && let Saved::File { content, .. } = self.recorder.save(self.fs, path, true)?
                {
                    *lacking = content;
                }
                *at
            }
            None => {
                let saved = self.recorder.save(self.fs, path, with_content)?;
                let at = record.paths.len();
                record.places.insert(name.bytes().to_owned(), at);
                record.paths.push(PathRecord { path: name, saved, ours: Vec::new(), modes: Vec::new() });
                at
            }
        };
        let known = &mut record.paths[at];
        add(&mut known.ours, ours);
        add(&mut known.modes, step.mode().filter(|_| path == step.path));
        Ok(())
    }
}

/// Adds what the next repair does; only the last repairs count.
fn add<T: PartialEq>(all: &mut Vec<T>, next: Option<T>) {
    all.extend(next.filter(|next| all.last() != Some(next)));
    let surplus = all.len().saturating_sub(OURS_MAX);
    all.drain(..surplus);
}

impl Step {
    /// The mode that the step sets; `None`: it leaves the mode as it is.
    fn mode(&self) -> Option<u32> {
        let own = match &self.action {
            Action::Set { mode } | Action::Write { mode, .. } | Action::MakeDir { mode } => *mode,
            _ => None,
        };
        own.or_else(|| self.original.as_ref()?.likeness.attributes.mode)
    }
}

/// What is done about one path.
enum Verdict {
    /// It is put back.
    PutBack,
    /// It is left, for this reason.
    Leave(String),
    /// There is nothing to do.
    Done,
}

impl PathRecord {
    fn verdict(&self, fs: &WriteFs, path: &Path) -> Result<Verdict> {
        let now = fs.stat(path)?;
        if now.as_ref().is_some_and(|now| self.has_a_foreign_mode(now)) {
            return Ok(Verdict::Leave(format!("the mode of {} was changed by another program", shown(path))));
        }
        if fs.is_as_saved(path, &self.saved)? {
            return Ok(if self.saved == Saved::Nothing { Verdict::Done } else { Verdict::PutBack });
        }
        if let Saved::Other { what } = &self.saved {
            return Ok(Verdict::Leave(format!("{} was a {what}, which can't be made again", shown(path))));
        }
        let Some(now) = now else { return Ok(Verdict::PutBack) };
        let is_ours = |ours: &Ours| {
            Ok(match ours {
                Ours::Content(digest) => now.is_file() && fs.hash_file(path)?.to_string() == *digest,
                Ours::Link(target) => now.link_target.as_deref() == Some(&*target.to_path()),
                Ours::Directory => now.is_dir(),
                Ours::Nothing => false,
            })
        };
        let found: Result<Vec<bool>> = self.ours.iter().map(is_ours).collect();
        if !found?.contains(&true) {
            return Ok(Verdict::Leave(format!("{} was changed by another program", shown(path))));
        }
        if now.is_dir() && !fs.read_dir(path)?.is_empty() {
            return Ok(Verdict::Leave(format!("{} is not empty", shown(path))));
        }
        Ok(Verdict::PutBack)
    }

    /// Its mode is neither what it was nor what the last repairs set.
    fn has_a_foreign_mode(&self, now: &Stat) -> bool {
        let Some(was) = self.saved.mode_of(now.kind) else { return false };
        // A directory that is made again has fewer rights at first, and an undo may have been killed then.
        let made_again = now.is_dir() && self.ours.iter().any(|ours| *ours != Ours::Directory);
        let is_on_its_way = made_again && now.mode & !was == 0;
        now.mode != was && !self.modes.contains(&now.mode) && !is_on_its_way
    }

    /// What putting it back means, in words.
    fn word(&self) -> &'static str {
        match &self.saved {
            Saved::Nothing => "remove",
            Saved::File { content: None, .. } => "restore owner and mode of",
            _ => "restore",
        }
    }
}

/// One undo.
struct Undo<'a> {
    fs: WriteFs,
    copies: PathBuf,
    owned: &'a OwnedPaths,
    stop: &'a Stopping,
}

impl Undo<'_> {
    /// What was made is removed, the last first; then what was there is put back, the first first. So a directory is
    /// empty when it is removed, and there when its entries are put back.
    fn run(&self, record: &FileRecord) -> Result<Undone> {
        let mut undone = Undone::default();
        let (made, others): (Vec<_>, Vec<_>) = record.paths.iter().partition(|path| path.saved == Saved::Nothing);
        for path in made.into_iter().rev().chain(others) {
            self.stop.check()?;
            undone = self.path(path, undone)?;
        }
        self.tidy(record)?;
        Ok(undone)
    }

    /// No check will look at these directories again: what killed repairs and undos have left in them is removed, and
    /// what is undone is on disk before the record is dropped.
    fn tidy(&self, record: &FileRecord) -> Result<()> {
        let paths: Vec<PathBuf> = record.paths.iter().map(|path| path.path.to_path()).collect();
        let dirs: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        for dir in dirs {
            self.stop.check()?;
            let tidied = self.fs.clean_temporary_files(dir).and_then(|_| self.fs.sync_dir(dir));
            match tidied {
                Err(error) if error.is_missing() => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    fn path(&self, record: &PathRecord, undone: Undone) -> Result<Undone> {
        let path = record.path.to_path();
        if self.owned.contains(&path) {
            // That resource decides what is there; when it has left, the next start puts this back.
            return Ok(undone.kept(format!("{} is owned by another resource now", shown(&path))));
        }
        match record.verdict(&self.fs, &path)? {
            Verdict::Done => Ok(undone),
            Verdict::Leave(why) => Ok(undone.kept(why)),
            Verdict::PutBack => {
                self.fs.put_back(&path, &record.saved, &self.copies)?;
                Ok(undone.did(format!("{} {}", record.word(), shown(&path))))
            }
        }
    }
}

impl Reverse for File {
    type Record = FileRecord;

    async fn undo(cx: &ApplyCx, record: Recorded<FileRecord>) -> Result<Undone> {
        let owned = cx.owned_paths();
        let undone = cx.change(move |fs, stop| {
            let links = if record.data.follow_symlinks { Links::Follow } else { Links::default() };
            let undo = Undo { fs: fs.clone().links(links), copies: record.dir, owned: &owned, stop };
            undo.run(&record.data)
        });
        undone.await
    }

    fn describe(record: &FileRecord) -> Vec<String> {
        record.paths.iter().map(|path| format!("{} {}", path.word(), shown(&path.path.to_path()))).collect()
    }
}
