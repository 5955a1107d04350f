//! Compares what is in a directory with its source.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::resource::{Error, Result};
use crate::resources::file::compare::FileRules;
use crate::resources::file::drift::{Action, FileDrift, Found, Listing};
use crate::resources::file::look::Look;
use crate::resources::file::path::shown;
use crate::resources::file::purge::Spare;
use crate::resources::file::wanted::Directory;
use crate::resources::file::wanted_content::{WantedContent, is_temporary, original};
use crate::sys::fs::{FileKind, Mode, ReadFs, Stat};

/// How many entries a source may have.
const ENTRIES_MAX: usize = 1_000_000;

/// An entry of the source, relative to it.
struct Original {
    entry: PathBuf,
    stat: Stat,
}

impl Look<'_> {
    /// What is in the wanted directory; `there` is what is at its path now.
    pub(super) fn tree(&self, directory: &Directory, there: Option<&Stat>, drift: &mut FileDrift) -> Result<()> {
        let mut listing = Listing::default();
        let mut wanted = HashMap::new();
        let is_there = there.is_some_and(Stat::is_dir);
        if let Some(source) = &directory.source {
            let originals = self.originals(source, directory.recurse, there)?;
            self.sync(source, &originals, is_there, drift, &mut listing)?;
            wanted.extend(originals.into_iter().map(|original| (original.entry, original.stat.is_dir())));
        }
        if directory.purge && is_there {
            self.purge(directory.recurse, &wanted, &mut drift.steps, &mut listing)?;
        }
        drift.changes.extend(listing.into_changes());
        Ok(())
    }

    /// What is in the source: each directory before its entries.
    fn originals(&self, source: &Path, recurse: bool, there: Option<&Stat>) -> Result<Vec<Original>> {
        let mut originals = Vec::new();
        let refuse_self = |stat: &Stat, path: &Path| match there {
            Some(there) if there.identity() == stat.identity() => Err(Error::new(format!(
                "the source {} is, or holds, the directory {} by another name: it would copy itself",
                shown(path),
                shown(&self.wanted.path)
            ))),
            _ => Ok(()),
        };
        refuse_self(&original(self.fs, source, FileKind::Directory)?, source)?;
        let (mut dirs, mut last) = (vec![PathBuf::new()], None);
        while let Some(dir) = dirs.pop() {
            self.stop.check()?;
            for found in self.fs.read_dir(source.join(&dir))? {
                let entry = dir.join(&found.name);
                let path = source.join(&entry);
                let Some(stat) = self.stat_near(&mut last, &path)? else { continue };
                match stat.kind {
                    FileKind::File if is_temporary(&found.name) => continue,
                    FileKind::File | FileKind::Symlink => {}
                    FileKind::Directory => {
                        refuse_self(&stat, &path)?;
                        if recurse {
                            dirs.push(entry.clone());
                        }
                    }
                    kind => {
                        let path = shown(&path);
                        return Err(Error::new(format!(
                            "the source holds {path}, which is a {kind} and can't be copied: move it out of the source"
                        )));
                    }
                }
                if originals.len() == ENTRIES_MAX {
                    let source = shown(source);
                    return Err(Error::new(format!("the source {source} holds more than {ENTRIES_MAX} entries")));
                }
                originals.push(Original { entry, stat });
            }
        }
        Ok(originals)
    }

    fn sync(
        &self,
        source: &Path,
        originals: &[Original],
        is_there: bool,
        drift: &mut FileDrift,
        listing: &mut Listing,
    ) -> Result<()> {
        let spare = Spare::spelled(self.owned, &self.wanted.path);
        // Directories that will be new: nothing is in them yet, whatever is at their paths now.
        let mut new: HashSet<&Path> = HashSet::new();
        if !is_there {
            new.insert(Path::new(""));
        }
        let mut last = None;
        for original in originals {
            self.stop.check()?;
            let entry = original.entry.as_path();
            let in_new = entry.parent().is_some_and(|dir| new.contains(dir));
            let is_dir = original.stat.is_dir();
            let is_owned = spare.owns(entry);
            if is_owned && !is_dir {
                continue;
            }
            let Some(found) = self.entry(source, original, in_new, &mut last)? else { continue };
            // A directory of another resource is made, for what goes into it, but not altered.
            if is_owned && found.step.seen.is_some() {
                continue;
            }
            if matches!(found.step.action, Action::MakeDir { .. }) {
                new.insert(entry);
            }
            listing.note(entry, &found.changes);
            drift.steps.push(found.step);
        }
        Ok(())
    }

    fn entry(
        &self,
        source: &Path,
        original: &Original,
        in_new: bool,
        last: &mut Option<(PathBuf, ReadFs)>,
    ) -> Result<Option<Found>> {
        let Original { entry, stat } = original;
        let path = self.wanted.path.join(entry);
        let old = if in_new { None } else { self.stat_near(last, &path)? };
        if let Some(target) = &stat.link_target {
            return self.link(&path, old.as_ref(), target, true);
        }
        if stat.is_dir() {
            // Set-user-id means nothing on a directory.
            let mode = Mode::from(stat.mode & 0o3777);
            let is_there = old.as_ref().is_some_and(Stat::is_dir);
            return self.directory(&path, old.as_ref(), (!is_there).then_some(&mode), true);
        }
        let input = WantedContent::Files(vec![(source.join(entry), stat.clone())]);
        let rules = FileRules { mode: None, create: true, detail: false };
        self.file(&path, old.as_ref(), Some(&input), &rules)
    }
}
