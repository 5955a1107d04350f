//! One file under two spellings: through a directory that is a symlink, or as two hard links. The graph does not show
//! this, only the file system does.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::ResourceId;
use crate::resource::{Error, OwnedPaths, Result};
use crate::resources::file::kept::Kept;
use crate::resources::paths::shown;
use crate::sys::fs::{ReadFs, Stat};

/// Identifies a file whatever its spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// The path of the file without symlinks, if it is spelled with some.
    Path(PathBuf),
    /// Device and inode number of the file, if it has several names.
    Inode(u64, u64),
}

/// The resource that has each file, for an engine. Files with one name that are spelled without symlinks are not in it.
#[derive(Debug, Default)]
pub(super) struct Aliases(Mutex<HashMap<Key, Owner>>);

#[derive(Clone, Debug)]
struct Owner {
    id: ResourceId,
    spelled: PathBuf,
}

/// The files that one resource has; released when it leaves the graph.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<Vec<Claim>>);

#[derive(Debug)]
struct Claim {
    aliases: Arc<Aliases>,
    key: Key,
    id: ResourceId,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut owners = self.aliases.lock();
        if owners.get(&self.key).is_some_and(|owner| owner.id == self.id) {
            owners.remove(&self.key);
        }
    }
}

impl Aliases {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Owner>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A resource that asks whether another one has its file.
pub(super) struct Asker {
    /// The paths that resources of the graph own.
    pub(super) owned: Arc<OwnedPaths>,
    pub(super) id: ResourceId,
    pub(super) aliases: Arc<Aliases>,
    pub(super) kept: Arc<Kept>,
}

impl Asker {
    /// The file at this path must not belong to another resource by another spelling.
    pub(super) fn is_only_owner(&self, fs: &ReadFs, path: &Path) -> Result<()> {
        // The check itself reports errors on the way to the file.
        let Ok(Some(real)) = fs.behind_links(path) else { return Ok(()) };
        if self.owned.contains(&real) {
            return Err(Error::new(format!(
                "{} leads through a symlink to {}, which another resource of the graph owns: they would undo each other's work; leave it to one of them",
                shown(path),
                shown(&real)
            )));
        }
        let still = |owner: &Owner| fs.behind_links(&owner.spelled).is_ok_and(|now| now.as_ref() == Some(&real));
        match self.claim(Key::Path(real.clone()), path, still) {
            None => Ok(()),
            Some(other) => Err(Error::new(format!(
                "{} and {} of {} lead through symlinks to one path, {}: they would undo each other's work; leave it to one of them",
                shown(path),
                shown(&other.spelled),
                other.id,
                shown(&real)
            ))),
        }
    }

    /// The resource that has this file by another of its names. Content is no problem: it is replaced, and so becomes a
    /// file of its own; but attributes are set on all names.
    pub(super) fn other_name(&self, fs: &ReadFs, path: &Path, stat: &Stat) -> Option<String> {
        if stat.nlink < 2 || !stat.is_file() {
            return None;
        }
        let is_it = |at: &Path| matches!(fs.stat(at), Ok(Some(now)) if now.identity() == stat.identity());
        let (device, number) = stat.identity();
        let other = self.claim(Key::Inode(device, number), path, |owner| is_it(&owner.spelled))?;
        Some(format!(
            "{} and {} of {} are two names of one file (hard links), and what is set on one is set on both: copy one of them, or leave it to one resource",
            shown(path),
            shown(&other.spelled),
            other.id
        ))
    }

    /// Takes the file, unless another resource has it and its spelling still leads there.
    fn claim(&self, key: Key, path: &Path, still: impl FnOnce(&Owner) -> bool) -> Option<Owner> {
        let found = self.aliases.lock().get(&key).filter(|owner| owner.id != self.id).cloned();
        // A resource that has just left the graph may not have released its files yet.
        let found = found.filter(|owner| self.owned.contains(&owner.spelled));
        if let Some(owner) = found.filter(still) {
            return Some(owner);
        }
        let owner = Owner { id: self.id.clone(), spelled: path.to_owned() };
        self.aliases.lock().insert(key.clone(), owner);
        let mut claims = self.kept.claims.0.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.iter().all(|claim| claim.key != key) {
            // One of each sort: the resource no longer has the former file.
            claims.retain(|claim| std::mem::discriminant(&claim.key) != std::mem::discriminant(&key));
            claims.push(Claim { aliases: Arc::clone(&self.aliases), key, id: self.id.clone() });
        }
        None
    }
}
