//! What a `ReadFs` or `WriteFs` remembers between calls.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::likeness::Trait;
use super::stat::Stat;

/// The most files for which refused traits are remembered; when more are refused, all are forgotten.
const REFUSED_MAX: usize = 100_000;

/// The memory that a `ReadFs` or `WriteFs` and its clones share.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Directories whose `fsync` failed after a change.
    owes: Mutex<BTreeSet<PathBuf>>,
    /// Directories that were searched for left-over temporary files.
    cleaned: Mutex<HashSet<(u64, u64)>>,
    /// Directories in which left-over temporary files may be, and the path for which they were found.
    littered: Mutex<HashMap<(u64, u64), PathBuf>>,
    /// Symlinks that are copies: the identity of each, and the user who made the original.
    copied_links: Mutex<HashMap<(u64, u64, i128), u32>>,
    /// The traits that copies could not get from their originals, as bits of [`Trait`]s.
    refused: Mutex<HashMap<(u64, u64), u8>>,
}

impl Memory {
    pub(super) fn owes(&self, dir: &Path) -> bool {
        lock(&self.owes).contains(dir)
    }

    /// Remembers that the `fsync` of the directory failed.
    pub(super) fn owe(&self, dir: &Path) {
        lock(&self.owes).insert(dir.to_path_buf());
    }

    /// Notes that the directory is on the disk, or gone.
    pub(super) fn pay(&self, dir: &Path) {
        lock(&self.owes).remove(dir);
    }

    /// Whether this is the first visit of the directory.
    pub(super) fn first_visit(&self, dir: (u64, u64)) -> bool {
        lock(&self.cleaned).insert(dir)
    }

    /// Whether left-over files must be looked for in the directory `dir`, for the path `path` in it.
    pub(super) fn looks_for_leftovers(&self, dir: (u64, u64), path: &Path) -> bool {
        !lock(&self.cleaned).contains(&dir)
            && lock(&self.littered).entry(dir).or_insert_with(|| path.to_path_buf()) == path
    }

    /// Remembers that the symlink is a copy of one that `maker` made.
    pub(super) fn note_maker(&self, link: &Stat, maker: u32) {
        lock(&self.copied_links).insert(link_key(link), maker);
    }

    /// The user who made the original of the symlink, if that is remembered.
    pub(super) fn maker(&self, link: &Stat) -> Option<u32> {
        lock(&self.copied_links).get(&link_key(link)).copied()
    }

    /// Remembers which traits the copy was refused, and that it was refused no others. (Its inode may have belonged to
    /// another file, which was refused more.)
    pub(super) fn refuse(&self, copy: &Stat, all: &[Trait]) {
        let mut refused = lock(&self.refused);
        if all.is_empty() {
            refused.remove(&copy.identity());
            return;
        }
        if refused.len() >= REFUSED_MAX {
            refused.clear();
        }
        refused.insert(copy.identity(), all.iter().fold(0, |bits, what| bits | 1 << *what as u8));
    }

    /// Whether the copy was refused this trait.
    pub(super) fn is_refused(&self, copy: &Stat, what: Trait) -> bool {
        lock(&self.refused).get(&copy.identity()).is_some_and(|bits| bits & 1 << what as u8 != 0)
    }
}

/// The identity of a symlink. Inode numbers are used again, and the target of a symlink is set once, when it is made:
/// so the time of that is part of the identity.
fn link_key(link: &Stat) -> (u64, u64, i128) {
    (link.dev, link.ino, link.mtime_ns)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fs::ReadFs;

    #[test]
    fn what_a_copy_was_refused_last_counts_and_not_what_an_earlier_file_of_its_inode_was() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let copy = ReadFs::new().stat(file.path()).unwrap().unwrap();
        let memory = Memory::default();
        memory.refuse(&copy, &[Trait::Owner, Trait::Xattrs]);
        assert!(memory.is_refused(&copy, Trait::Owner) && !memory.is_refused(&copy, Trait::Mode));
        memory.refuse(&copy, &[Trait::Mode]);
        assert!(!memory.is_refused(&copy, Trait::Owner) && memory.is_refused(&copy, Trait::Mode));
        memory.refuse(&copy, &[]);
        assert!(!memory.is_refused(&copy, Trait::Mode));
    }
}
