//! Whole trees: listing and removing them. No recursion, no symlink followed, no mount crossed.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, OFlags};

use super::calls::{Call, Calls};
use super::error::FsError;
use super::fd::Fd;
use super::read::{DirEntry, ReadFs, open_dir, read_entries};
use super::stat::{FileKind, Stat, stat_at, stat_fd};
use super::walk::Place;
use super::write::WriteFs;

/// The objects of a tree: its root first, then everything below, each directory before its entries, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tree {
    root: PathBuf,
    /// All entries; the first is the root of the tree.
    pub entries: Vec<TreeEntry>,
}

/// One entry of a [`Tree`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeEntry {
    /// The name; for the first entry, the last component of the tree's path.
    pub name: OsString,
    /// The index of the directory that holds the entry; `None` for the first entry.
    pub parent: Option<usize>,
    /// The stat of the entry.
    pub stat: Stat,
}

impl Tree {
    /// The whole path of an entry. Empty if there is no such entry.
    pub fn path(&self, index: usize) -> PathBuf {
        let mut names = Vec::new();
        let mut at = self.entries.get(index);
        while let Some((entry, parent)) = at.and_then(|entry| Some((entry, entry.parent?))) {
            names.push(&entry.name);
            at = self.entries.get(parent);
        }
        let mut path = if at.is_some() { self.root.clone() } else { PathBuf::new() };
        path.extend(names.into_iter().rev());
        path
    }

    /// All paths, in the order of the entries.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        (0..self.entries.len()).map(|i| self.path(i))
    }
}

impl ReadFs {
    /// Everything at and below `path`. A symlink is an entry, whatever it leads to. This is what
    /// [`WriteFs::remove_tree`] would remove.
    ///
    /// # Errors
    /// [`FsError::TooMany`] beyond `cap` entries, [`FsError::MountPoint`] if something is mounted at or below `path`.
    pub fn list_tree(&self, path: impl AsRef<Path>, cap: usize) -> Result<Tree, FsError> {
        let place = self.place(path.as_ref())?;
        let mut entries = Vec::new();
        self.visit(&place, cap, |entry| entries.push(entry))?;
        Ok(Tree { root: place.path, entries })
    }

    /// Checks that nothing is mounted at `path`.
    ///
    /// # Errors
    /// [`FsError::MountPoint`] if something is.
    pub fn refuse_mount(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        let place = self.place(path.as_ref())?;
        let stat = self.stat_required(&place)?;
        refuse_mounts(&place.path, &stat, &stat_fd(&self.inner.calls, &place.dir, &place.path)?)
    }

    fn visit(&self, place: &Place, cap: usize, mut each: impl FnMut(TreeEntry)) -> Result<usize, FsError> {
        let calls = &self.inner.calls;
        let stat = self.stat_required(place)?;
        refuse_mounts(&place.path, &stat, &stat_fd(calls, &place.dir, &place.path)?)?;
        if cap == 0 {
            return Err(FsError::TooMany { path: place.path.clone(), cap });
        }
        let is_dir = stat.is_dir();
        each(TreeEntry { name: place.name.clone(), parent: None, stat: stat.clone() });
        let mut count = 1;
        if !is_dir {
            return Ok(count);
        }
        let mut descent = Descent::start(calls, place, &stat, 0)?;
        while let Some(step) = descent.next()? {
            let Step::Entry(entry) = step else { continue };
            let path = descent.path.join(&entry.name);
            let stat = stat_at(calls, &descent.dir, &entry.name, &path)?;
            refuse_mounts(&path, &stat, &descent.top().stat)?;
            if count == cap {
                return Err(FsError::TooMany { path: place.path.clone(), cap });
            }
            let is_dir = stat.is_dir();
            each(TreeEntry { name: entry.name.clone(), parent: Some(descent.top().index), stat });
            if is_dir {
                descent.enter(entry.name, count)?;
            }
            count += 1;
        }
        Ok(count)
    }
}

impl WriteFs {
    /// Removes `path` and everything below it; returns the number of entries (0: nothing was there). A first pass
    /// refuses what must not be removed before anything is removed. Symlinks are removed, not followed.
    ///
    /// # Errors
    /// [`FsError::RootDirectory`], [`FsError::TooMany`] beyond `cap` entries, [`FsError::MountPoint`] if something is
    /// mounted at or below `path`, [`FsError::Changed`] if a directory is moved meanwhile.
    pub fn remove_tree(&self, path: impl AsRef<Path>, cap: usize) -> Result<usize, FsError> {
        let place = match self.place(path.as_ref()) {
            Err(error) if error.is_missing() => return Ok(0),
            other => other?,
        };
        self.clean_once(&place);
        if self.stat_optional(&place)?.is_none() {
            return Ok(0);
        }
        self.may_remove_tree(&place, cap)?;
        let removed = self.remove_place(&place, cap)?;
        self.sync_parent(&place)?;
        Ok(removed)
    }

    /// The number of entries, if all of them may be removed.
    pub(super) fn may_remove_tree(&self, place: &Place, cap: usize) -> Result<usize, FsError> {
        self.visit(place, cap, drop)
    }

    /// Removes what is at a place; returns the number of entries. Does not sync.
    pub(super) fn remove_place(&self, place: &Place, cap: usize) -> Result<usize, FsError> {
        let calls = &self.inner.calls;
        let stat = self.stat_required(place)?;
        if !stat.is_dir() {
            unlink(calls, &place.dir, &place.name, &place.path)?;
            return Ok(1);
        }
        refuse_mounts(&place.path, &stat, &stat_fd(calls, &place.dir, &place.path)?)?;
        let mut descent = Descent::start(calls, place, &stat, 0)?;
        let mut removed = 0;
        while let Some(step) = descent.next()? {
            if removed >= cap {
                return Err(FsError::TooMany { path: place.path.clone(), cap });
            }
            match step {
                Step::Entry(entry) => {
                    let path = descent.path.join(&entry.name);
                    if entry.kind == FileKind::Directory {
                        let stat = stat_at(calls, &descent.dir, &entry.name, &path)?;
                        refuse_mounts(&path, &stat, &descent.top().stat)?;
                        descent.enter(entry.name, 0)?;
                    } else {
                        unlink(calls, &descent.dir, &entry.name, &path)?;
                        removed += 1;
                    }
                }
                Step::Left(name) => {
                    remove_dir(calls, &descent.dir, &name, &descent.path.join(&name))?;
                    removed += 1;
                }
            }
        }
        remove_dir(calls, &place.dir, &place.name, &place.path)?;
        Ok(removed + 1)
    }
}

/// A directory on the way from the root of a tree to the current directory.
struct Level {
    stat: Stat,
    /// The index of the directory in the list of entries.
    index: usize,
    /// The entries that are not visited yet, in reverse order.
    entries: Vec<DirEntry>,
}

/// A depth-first walk that holds one directory open at any depth: it returns by `..`, and checks where it arrives.
struct Descent<'a> {
    calls: &'a Calls,
    dir: Fd,
    path: PathBuf,
    levels: Vec<Level>,
}

enum Step {
    /// An entry of the current directory.
    Entry(DirEntry),
    /// The directory with this name is done; its parent is the current directory again.
    Left(OsString),
}

impl<'a> Descent<'a> {
    fn start(calls: &'a Calls, place: &Place, stat: &Stat, index: usize) -> Result<Descent<'a>, FsError> {
        let dir = open_dir(calls, &place.dir, &place.name, &place.path)?;
        let level = level(calls, &dir, &place.path, index)?;
        if level.stat.identity() != stat.identity() {
            return Err(FsError::Changed { path: place.path.clone() });
        }
        Ok(Descent { calls, dir, path: place.path.clone(), levels: vec![level] })
    }

    fn top(&self) -> &Level {
        // There is a level until `next` has returned `None`.
        &self.levels[self.levels.len() - 1]
    }

    fn next(&mut self) -> Result<Option<Step>, FsError> {
        let Some(level) = self.levels.last_mut() else { return Ok(None) };
        if let Some(entry) = level.entries.pop() {
            return Ok(Some(Step::Entry(entry)));
        }
        if self.levels.len() == 1 {
            self.levels.clear();
            return Ok(None);
        }
        self.levels.pop();
        let name = self.path.file_name().unwrap_or_default().to_owned();
        self.path.pop();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let above = self.calls.run(Call::Open, &self.path, || self.dir.open("..", flags))?;
        if stat_fd(self.calls, &above, &self.path)?.identity() != self.top().stat.identity() {
            return Err(FsError::Changed { path: self.path.clone() });
        }
        self.dir = above;
        Ok(Some(Step::Left(name)))
    }

    fn enter(&mut self, name: OsString, index: usize) -> Result<(), FsError> {
        self.path.push(&name);
        let dir = open_dir(self.calls, &self.dir, &name, &self.path)?;
        let level = level(self.calls, &dir, &self.path, index)?;
        refuse_mounts(&self.path, &level.stat, &self.top().stat)?;
        self.levels.push(level);
        self.dir = dir;
        Ok(())
    }
}

fn level(calls: &Calls, dir: &Fd, path: &Path, index: usize) -> Result<Level, FsError> {
    let mut entries = read_entries(calls, dir, path)?;
    entries.reverse();
    Ok(Level { stat: stat_fd(calls, dir, path)?, index, entries })
}

/// Fails if `stat` is on another mount than the directory that holds it.
fn refuse_mounts(path: &Path, stat: &Stat, holder: &Stat) -> Result<(), FsError> {
    let crosses = match (stat.mount, holder.mount) {
        (Some(here), Some(there)) => here != there,
        _ => stat.dev != holder.dev,
    };
    if crosses || stat.mount_root {
        return Err(FsError::MountPoint { path: path.to_path_buf() });
    }
    Ok(())
}

fn unlink(calls: &Calls, dir: &Fd, name: &OsStr, path: &Path) -> Result<(), FsError> {
    gone(calls.run(Call::Unlink, path, || dir.unlink(name, AtFlags::empty())))
}

fn remove_dir(calls: &Calls, dir: &Fd, name: &OsStr, path: &Path) -> Result<(), FsError> {
    gone(calls.run(Call::RemoveDir, path, || dir.unlink(name, AtFlags::REMOVEDIR)))
}

/// An object that another program removed meanwhile counts as removed.
fn gone(outcome: Result<(), FsError>) -> Result<(), FsError> {
    match outcome {
        Err(error) if error.is_missing() => Ok(()),
        other => other,
    }
}
