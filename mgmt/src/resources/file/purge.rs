//! What a purge removes: entries of a directory that are neither in the source nor owned by a resource.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use crate::resource::{Error, OwnState, OwnedPaths, Result};
use crate::resources::file::drift::{Action, Listing, Step};
use crate::resources::file::look::Look;
use crate::resources::file::parts::is_whole;
use crate::resources::file::wanted::Directory;
use crate::resources::paths::shown;
use crate::sys::fs::{DirEntry, FileKind, FsError, ReadFs, Tree, is_temporary_name};

/// What resources of the graph own below a directory. Queries are relative to the directory.
pub(super) struct Spare<'a> {
    owned: &'a OwnedPaths,
    dir: &'a Path,
    /// Owned paths with another spelling: relative, with symlinks resolved.
    real: BTreeSet<PathBuf>,
}

impl<'a> Spare<'a> {
    /// By spelling alone.
    pub(super) fn spelled(owned: &'a OwnedPaths, dir: &'a Path) -> Spare<'a> {
        Spare { owned, dir, real: BTreeSet::new() }
    }

    /// By any spelling: with the symlinks in the paths resolved. Reads each directory that holds an owned path.
    pub(super) fn real(fs: &ReadFs, owned: &'a OwnedPaths, dir: &'a Path) -> Result<Spare<'a>> {
        let mut spare = Spare::spelled(owned, dir);
        let mut last: Option<(PathBuf, Option<PathBuf>)> = None;
        // If the directory itself is a symlink, it is not followed.
        let real_dir = fs.same_file_key(dir)?.path;
        for path in owned.all() {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            // Paths of one directory follow each other, since they are in order.
            if last.as_ref().is_none_or(|(known, _)| known != parent) {
                last = Some((parent.to_owned(), fs.real_dir(parent).ok()));
            }
            let Some((_, Some(real_parent))) = &last else { continue };
            if let Ok(below) = real_parent.join(name).strip_prefix(&real_dir)
                && dir.join(below) != path
            {
                spare.real.insert(below.to_owned());
            }
        }
        spare.real.remove(Path::new(""));
        Ok(spare)
    }

    pub(super) fn owns(&self, entry: &Path) -> bool {
        self.owned.is_taken(&self.dir.join(entry)) || self.real.contains(entry)
    }

    /// A path below `entry` is owned.
    pub(super) fn is_below(&self, entry: &Path) -> bool {
        // Paths are ordered by their components: those below follow directly.
        let next = self.real.range::<Path, _>((Bound::Excluded(entry), Bound::Unbounded)).next();
        self.owned.is_above(&self.dir.join(entry)) || next.is_some_and(|path| path.starts_with(entry))
    }

    /// All owned paths, with the directory.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let mut paths = self.owned.below(self.dir);
        paths.extend(self.real.iter().map(|path| self.dir.join(path)));
        paths
    }
}

/// What is kept in a directory.
pub(super) struct Kept<'a> {
    pub(super) directory: &'a Directory,
    /// The entries of the source, and which of them are directories.
    pub(super) source: &'a HashMap<PathBuf, bool>,
    /// The parts of the directory to compare.
    pub(super) parts: &'a [PathBuf],
}

impl Kept<'_> {
    /// Whether this entry, a tree, holds entries deeper than `recurse` allows: these stay, with the directories above
    /// them.
    fn is_deeper(&self, entry: &Path, tree: &Tree) -> bool {
        let Some(levels) = self.directory.recurse.levels() else { return false };
        let mut depths = vec![entry.components().count()];
        for entry in tree.entries.iter().skip(1) {
            // A directory comes before its entries.
            let depth = entry.parent.and_then(|parent| depths.get(parent)).copied().unwrap_or_default() + 1;
            depths.push(depth);
            if depth > usize::from(levels) {
                return true;
            }
        }
        false
    }
}

/// An entry that will be removed, with everything in it.
struct Extra {
    path: PathBuf,
    kind: FileKind,
    /// The entry and everything below it.
    entries: Vec<PathBuf>,
}

impl Look<'_> {
    /// Finds entries in the directory besides those that are kept or owned by other resources.
    pub(super) fn purge(&self, kept: &Kept<'_>, steps: &mut Vec<Step>, listing: &mut Listing) -> Result<()> {
        let mut extras = self.extras(kept, &Spare::spelled(self.owned, &self.wanted.path))?;
        if !extras.is_empty() {
            // Before any removal: check for owners by another spelling.
            extras = self.extras(kept, &Spare::real(self.fs, self.owned, &self.wanted.path)?)?;
        }
        for extra in extras {
            for entry in &extra.entries {
                listing.removed(entry.strip_prefix(&self.wanted.path).unwrap_or(entry));
            }
            let action = Action::Remove { cap: extra.entries.len() };
            steps.push(Step::new(&extra.path, Some(extra.kind), action));
        }
        Ok(())
    }

    fn extras(&self, kept: &Kept<'_>, spare: &Spare<'_>) -> Result<Vec<Extra>> {
        let (top, cap) = (&self.wanted.path, self.wanted.removals_max);
        let own = self.own();
        let mut extras = Vec::new();
        let mut count = 0;
        let (mut dirs, mut mounts) = (Vec::new(), Vec::new());
        for part in kept.parts {
            if self.is_in_state(own, top, part)? {
                continue;
            }
            let mut entries = self.first_entries(part, spare)?;
            loop {
                for (entry, kind) in entries {
                    let is_dir = kind == FileKind::Directory;
                    let is_temporary = !is_dir && entry.file_name().is_some_and(is_temporary_name);
                    let is_temporary = is_temporary && self.is_being_written(&top.join(&entry));
                    // Entries of another resource are left to it, with everything in them.
                    if spare.owns(&entry) || is_temporary || (is_dir && !kept.directory.goes_into(&entry)) {
                        continue;
                    }
                    let path = top.join(&entry);
                    let original = kept.source.get(&entry);
                    if original.is_some() || (is_dir && spare.is_below(&entry)) {
                        // A directory that is replaced by a file is removed as a whole, elsewhere.
                        if is_dir && original != Some(&false) && !self.is_in_state(own, top, &entry)? {
                            match self.fs.refuse_mount(&path) {
                                Err(FsError::MountPoint { path }) => mounts.push(path),
                                _ => dirs.push(entry),
                            }
                        }
                        continue;
                    }
                    let tree = match self.fs.list_tree(&path, cap) {
                        Err(error) if error.is_missing() => continue,
                        Err(FsError::MountPoint { path }) => {
                            mounts.push(path);
                            continue;
                        }
                        other => other.map_err(|error| self.not_removable(error))?,
                    };
                    if own.is(&tree.entries[0].stat) {
                        continue;
                    }
                    let is_above_own = tree.entries.iter().any(|entry| own.is(&entry.stat));
                    if is_dir && (is_above_own || kept.is_deeper(&entry, &tree)) {
                        dirs.push(entry);
                        continue;
                    }
                    count += tree.entries.len();
                    if count > cap {
                        return Err(self.not_removable(FsError::TooMany { path: top.clone(), cap }));
                    }
                    extras.push(Extra { kind, entries: tree.paths().collect(), path });
                }
                let Some(dir) = dirs.pop() else { break };
                entries = self.entries(&dir)?;
            }
        }
        if mounts.is_empty() { Ok(extras) } else { Err(mounted(&mounts)) }
    }

    /// Whether this entry of a directory, or a directory between the two, is the engine's own working directory by
    /// another path.
    pub(super) fn is_in_state(&self, own: &OwnState, dir: &Path, entry: &Path) -> Result<bool> {
        if own.is_empty() {
            return Ok(false);
        }
        for above in entry.ancestors().filter(|above| !is_whole(above)) {
            if self.stat(&dir.join(above))?.is_some_and(|stat| own.is(&stat)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The entries with which the comparison of this part begins.
    fn first_entries(&self, part: &Path, spare: &Spare<'_>) -> Result<Vec<(PathBuf, FileKind)>> {
        if is_whole(part) {
            return self.entries(part);
        }
        let above = || part.ancestors().skip(1).filter(|above| !is_whole(above));
        // Nothing is removed in a directory of another resource.
        if above().any(|above| spare.owns(above)) {
            return Ok(Vec::new());
        }
        above().try_for_each(|above| self.refuse_mount(&self.wanted.path.join(above)))?;
        let stat = self.stat(&self.wanted.path.join(part))?;
        Ok(stat.map(|stat| (part.to_owned(), stat.kind)).into_iter().collect())
    }

    fn entries(&self, dir: &Path) -> Result<Vec<(PathBuf, FileKind)>> {
        self.stop.check()?;
        match self.fs.read_dir(self.wanted.path.join(dir)) {
            // The directory does not exist yet, or no longer: nothing to remove.
            Err(error) if error.is_missing() => Ok(Vec::new()),
            other => Ok(other?.into_iter().map(|DirEntry { name, kind }| (dir.join(name), kind)).collect()),
        }
    }

    /// A temporary file that another program is writing stays; one that a killed program has left is removed.
    fn is_being_written(&self, path: &Path) -> bool {
        self.fs.is_being_written(path).unwrap_or(true)
    }

    /// A purge does not go into mounts below its directory.
    fn refuse_mount(&self, dir: &Path) -> Result<()> {
        match self.fs.refuse_mount(dir) {
            Err(error @ FsError::MountPoint { .. }) => Err(Error::new(format!(
                "{error}; nothing is purged: unmount it first, or declare {}/ as a resource of its own, which is then spared",
                shown(dir)
            ))),
            _ => Ok(()),
        }
    }
}

/// Names all of them: each prevents the purge.
fn mounted(mounts: &[PathBuf]) -> Error {
    const NAMED_MAX: usize = 20;
    let mut named: Vec<_> = mounts.iter().take(NAMED_MAX).map(|path| shown(path)).collect();
    if mounts.len() > NAMED_MAX {
        named.push(format!("and {} more", mounts.len() - NAMED_MAX));
    }
    let (is, them) = if mounts.len() == 1 { ("is a mount point", "it") } else { ("are mount points", "them") };
    Error::new(format!(
        "{} {is}, never removed or crossed; nothing is purged: unmount {them} first, or declare {them} as resources, which are spared then",
        named.join(", ")
    ))
}
