//! Compares the content of a directory with its source.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::resource::{Change, Error, Result};
use crate::resources::file::compare::LinkRules;
use crate::resources::file::copies::Pair;
use crate::resources::file::drift::{Action, FileDrift, Found, Listing, Step};
use crate::resources::file::look::Look;
use crate::resources::file::maker::Holder;
use crate::resources::file::parts::is_whole;
use crate::resources::file::purge::{Kept, Spare};
use crate::resources::file::wanted::Directory;
use crate::resources::file::wanted_content::original;
use crate::resources::paths::shown;
use crate::sys::fs::hub::Watched;
use crate::sys::fs::{FileKind, ReadFs, Stat, is_temporary_name};
use crate::sys::users;

/// The largest number of entries of a source.
const ENTRIES_MAX: usize = 1_000_000;

/// An entry of the source, relative to it.
struct SourceEntry {
    entry: PathBuf,
    stat: Stat,
}

/// The inputs of the comparison of a tree.
struct Sync<'a> {
    source: &'a Path,
    originals: &'a [SourceEntry],
    is_there: bool,
    /// Receives the steps that come last, in reverse order.
    dates: &'a mut Vec<Step>,
    /// Whether to search the target for temporary files of killed writes.
    is_cleaned: bool,
}

/// What is known about the directories of the previous entry.
#[derive(Default)]
struct Near {
    wanted: Option<(PathBuf, ReadFs)>,
    source: Holder,
}

impl Look<'_> {
    /// Compares the content of the wanted directory; `there` is what is at its path now.
    pub(super) fn tree(&self, directory: &Directory, there: Option<&Stat>, drift: &mut FileDrift) -> Result<()> {
        let mut listing = Listing::default();
        let mut wanted = HashMap::new();
        let is_there = there.is_some_and(Stat::is_dir);
        if (directory.source.is_some() || directory.purge) && there.is_some_and(|there| self.own().is(there)) {
            return Err(engines_own(&self.wanted.path));
        }
        let parts = self.parts(directory, there)?;
        let mut dates = Vec::new();
        if let Some(source) = &directory.source {
            let top = original(self.fs, source, FileKind::Directory)?;
            let originals = self.originals(source, directory, (there, &top), &parts)?;
            self.like_its_source(source, &top, there, drift, &mut dates)?;
            // A purge finds temporary files by itself.
            let is_cleaned = self.paths.is_none() && !directory.purge;
            if let Some(there) = there.filter(|there| is_cleaned && there.is_dir()) {
                self.leftovers_in(&self.wanted.path, there, drift);
            }
            let mut tree = Sync { source, originals: &originals, is_there, dates: &mut dates, is_cleaned };
            self.sync(&mut tree, drift, &mut listing)?;
            wanted.extend(originals.into_iter().map(|original| (original.entry, original.stat.is_dir())));
        }
        if directory.purge && is_there {
            let wanted = Kept { directory, source: &wanted, parts: &parts };
            self.purge(&wanted, &mut drift.steps, &mut listing)?;
        }
        // The time of a directory changes with each new entry.
        drift.steps.extend(dates.into_iter().rev());
        drift.changes.extend(listing.into_changes());
        Ok(())
    }

    /// A directory that is made for a tree is like the source, except for what is declared. An existing directory stays
    /// as it is: the source only determines its content.
    fn like_its_source(
        &self,
        source: &Path,
        top: &Stat,
        there: Option<&Stat>,
        drift: &mut FileDrift,
        dates: &mut Vec<Step>,
    ) -> Result<()> {
        let made = drift.steps.pop_if(|step| matches!(step.action, Action::MakeDir { .. }));
        let Some(step) = made else { return Ok(()) };
        let pair = Pair { path: &self.wanted.path, old: there, source, original: top };
        let found = self.like(Found { step, changes: Vec::new() }, &pair)?;
        dates.extend(date(&found.step));
        drift.steps.push(found.step);
        Ok(())
    }

    /// The entries in these parts of the source: each directory before its entries.
    fn originals(
        &self,
        source: &Path,
        directory: &Directory,
        (there, top): (Option<&Stat>, &Stat),
        parts: &[PathBuf],
    ) -> Result<Vec<SourceEntry>> {
        let refuse_self = |stat: &Stat, path: &Path| match there {
            Some(there) if there.identity() == stat.identity() => Err(Error::new(format!(
                "the source {} is, or holds, the directory {} by another name: it would copy itself",
                shown(path),
                shown(&self.wanted.path)
            ))),
            _ => Ok(()),
        };
        refuse_self(top, source)?;
        let own = self.own();
        if own.is(top) {
            return Err(engines_own(source));
        }
        let (mut originals, mut dirs, mut last) = (Vec::new(), Vec::new(), None);
        for part in parts {
            let above = part.parent().unwrap_or(part);
            if self.is_in_state(own, source, above)? || self.is_in_state(own, &self.wanted.path, above)? {
                continue;
            }
            let mut entries = match is_whole(part) {
                true => self.entries_of(source, part)?,
                false => vec![part.clone()],
            };
            loop {
                for entry in entries {
                    let path = source.join(&entry);
                    let Some(stat) = self.stat_near(&mut last, &path)? else {
                        self.seen.forget(&path);
                        continue;
                    };
                    // What is saved there, passwords for example, gets no copy.
                    if own.is(&stat) {
                        continue;
                    }
                    if stat.is_dir() {
                        refuse_self(&stat, &path)?;
                        if directory.goes_into(&entry) {
                            not_too_deep(&entry, &path)?;
                            dirs.push(entry.clone());
                        }
                    }
                    if !is_copied(&entry, stat.kind, &path)? {
                        continue;
                    }
                    if originals.len() == ENTRIES_MAX {
                        let source = shown(source);
                        return Err(Error::new(format!("the source {source} holds more than {ENTRIES_MAX} entries")));
                    }
                    originals.push(SourceEntry { entry, stat });
                }
                let Some(dir) = dirs.pop() else { break };
                entries = self.entries_of(source, &dir)?;
            }
        }
        Ok(originals)
    }

    fn entries_of(&self, source: &Path, dir: &Path) -> Result<Vec<PathBuf>> {
        self.stop.check()?;
        let found = self.fs.read_dir(source.join(dir))?;
        Ok(found.into_iter().map(|found| dir.join(found.name)).collect())
    }

    fn sync(&self, tree: &mut Sync<'_>, drift: &mut FileDrift, listing: &mut Listing) -> Result<()> {
        let spare = Spare::spelled(self.owned, &self.wanted.path);
        // Directories that will be new: they are empty, whatever is at their paths now.
        let mut new: HashSet<&Path> = HashSet::new();
        if !tree.is_there {
            new.insert(Path::new(""));
        }
        let mut near = Near::default();
        // A copy of a directory above leaves out the engine's working directory.
        let (own, mut left) = (self.own(), Vec::new());
        for original in tree.originals {
            self.stop.check()?;
            let entry = original.entry.as_path();
            if left.iter().any(|left| entry.starts_with(left)) {
                continue;
            }
            let in_new = entry.parent().is_some_and(|dir| new.contains(dir));
            let is_dir = original.stat.is_dir();
            let is_owned = spare.owns(entry);
            if is_owned && !is_dir {
                continue;
            }
            let path = self.wanted.path.join(entry);
            let old = if in_new { None } else { self.stat_near(&mut near.wanted, &path)? };
            if self.owned.is_in_own(&path) || old.as_ref().is_some_and(|old| own.is(old)) {
                left.push(entry);
                continue;
            }
            if let Some(old) = old.as_ref().filter(|old| tree.is_cleaned && is_dir && old.is_dir()) {
                self.leftovers_in(&path, old, drift);
            }
            let Some(found) = self.entry(tree.source, original, (&path, old.as_ref()), &mut near)? else { continue };
            // A directory of another resource is made if an entry needs it, but not altered.
            if is_owned && found.step.seen.is_some() {
                continue;
            }
            if matches!(found.step.action, Action::MakeDir { .. }) {
                new.insert(entry);
                tree.dates.extend(date(&found.step));
            }
            listing.note(entry, &found.changes);
            drift.steps.push(found.step);
        }
        Ok(())
    }

    /// Finds temporary files that killed writes have left in a directory that is filled from a source.
    fn leftovers_in(&self, dir: &Path, there: &Stat, drift: &mut FileDrift) {
        // An error here must not prevent other repairs.
        let count = self.fs.leftovers_in(dir, there).unwrap_or_default();
        if count > 0 {
            let from = format!("{count} in {}, left by killed writes", shown(dir));
            drift.changes.push(Change::new("temporary files", from, "none"));
            drift.steps.push(Step::new(dir, None, Action::Clean));
        }
    }

    fn entry(
        &self,
        source: &Path,
        original: &SourceEntry,
        (path, old): (&Path, Option<&Stat>),
        near: &mut Near,
    ) -> Result<Option<Found>> {
        let SourceEntry { entry, stat } = original;
        if old.is_none() {
            self.seen.forget(path);
        }
        let source = source.join(entry);
        if let Some(target) = &stat.link_target {
            let maker = self.maker(&source, stat, &mut near.source)?;
            let gid = (users::is_root() && self.wanted.owners.group.is_none()).then_some(stat.gid);
            return self.link(path, old, &LinkRules { target, create: true, maker, gid });
        }
        let pair = Pair { path, old, source: &source, original: stat };
        if stat.is_dir() { self.directory_copy(&pair) } else { self.file_copy(&pair) }
    }
}

/// The error of a resource that would copy, or fill, the engine's own working directory by another path.
pub(super) fn engines_own(path: &Path) -> Error {
    Error::new(format!("{} is where the engine keeps its own state: name another directory", shown(path)))
}

/// The step that gives a new directory the time of its original.
fn date(made: &Step) -> Option<Step> {
    let original = made.original.clone()?;
    Some(Step { original: Some(original), ..Step::new(&made.path, None, Action::Date) })
}

/// A source with endless nesting must not keep the engine busy.
fn not_too_deep(entry: &Path, path: &Path) -> Result<()> {
    let max = Watched::LEVELS_MAX;
    if entry.components().count() < usize::from(max) {
        return Ok(());
    }
    Err(Error::new(format!(
        "the source is nested deeper than {max} levels, at {}: give `recurse` a number of levels (at most {max}), and what is deeper is left out",
        shown(path)
    )))
}

/// Whether an entry of the source is copied.
fn is_copied(entry: &Path, kind: FileKind, path: &Path) -> Result<bool> {
    match kind {
        FileKind::File => Ok(!entry.file_name().is_some_and(is_temporary_name)),
        FileKind::Symlink | FileKind::Directory => Ok(true),
        kind => Err(Error::new(format!(
            "the source holds {}, which is a {kind} and can't be copied: move it out of the source",
            shown(path)
        ))),
    }
}
