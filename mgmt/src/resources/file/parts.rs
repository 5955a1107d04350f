//! The entries of a directory that a check must compare, if not all of them.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use crate::resource::Result;
use crate::resources::file::look::Look;
use crate::resources::file::purge::Spare;
use crate::resources::file::wanted::Directory;
use crate::sys::fs::Stat;

/// The directory itself, with everything in it.
pub(super) fn whole() -> Vec<PathBuf> {
    vec![PathBuf::new()]
}

pub(super) fn is_whole(part: &Path) -> bool {
    part.as_os_str().is_empty()
}

impl Look<'_> {
    /// The entries to compare, relative to the directory and to its source, each with everything below it, and none
    /// below another. The directories above each entry are such that a complete check goes into them.
    pub(super) fn parts(&self, directory: &Directory, there: Option<&Stat>) -> Result<Vec<PathBuf>> {
        let Some(paths) = self.paths.filter(|_| there.is_some_and(Stat::is_dir)) else { return Ok(whole()) };
        // A change of the owners concerns each entry, not only those that have changed.
        if self.seen.owners() != self.owners() {
            return Ok(whole());
        }
        let spare = Spare::spelled(self.owned, &self.wanted.path);
        let mut parts = BTreeSet::new();
        let mut open = HashSet::new();
        for path in paths {
            let source = directory.source.as_deref().and_then(|source| path.strip_prefix(source).ok());
            match path.strip_prefix(&self.wanted.path).ok().or(source) {
                Some(entry) if !is_whole(entry) => parts.extend(self.part(directory, entry, &spare, &mut open)?),
                _ => return Ok(whole()),
            }
        }
        let mut apart: Vec<PathBuf> = Vec::new();
        for part in parts {
            // Paths below another path follow it directly.
            if !apart.last().is_some_and(|last| part.starts_with(last)) {
                apart.push(part);
            }
        }
        Ok(apart)
    }

    /// The entry, or the first directory above it into which a complete check would not go as it is. `None`: a complete
    /// check would not get that far.
    fn part(
        &self,
        directory: &Directory,
        entry: &Path,
        spare: &Spare<'_>,
        open: &mut HashSet<PathBuf>,
    ) -> Result<Option<PathBuf>> {
        let mut above: Vec<&Path> = entry.ancestors().skip(1).filter(|above| !is_whole(above)).collect();
        while let Some(dir) = above.pop() {
            if !directory.goes_into(dir) {
                return Ok(None);
            }
            if open.contains(dir) {
                continue;
            }
            let is_entered = match &directory.source {
                Some(source) => self.is_dir(&source.join(dir))?,
                None if spare.owns(dir) => return Ok(None),
                None => spare.is_below(dir),
            };
            if !is_entered || !self.is_dir(&self.wanted.path.join(dir))? {
                return Ok(Some(dir.to_owned()));
            }
            open.insert(dir.to_owned());
        }
        Ok(Some(entry.to_owned()))
    }

    fn is_dir(&self, path: &Path) -> Result<bool> {
        Ok(self.stat(path)?.is_some_and(|stat| stat.is_dir()))
    }

    /// The numbers of the declared owners, as far as they exist.
    pub(super) fn owners(&self) -> [Option<u32>; 2] {
        let now = self.names.resolve(self.fs, &self.wanted.owners);
        [now.uid, now.gid].map(|id| id.and_then(Result::ok))
    }
}
