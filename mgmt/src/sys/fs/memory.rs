//! What a door to the file system remembers between calls.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a door and its clones remember.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Directories whose `fsync` failed after a change.
    owes: Mutex<BTreeSet<PathBuf>>,
    /// Directories that were looked through for left-over temporary files.
    cleaned: Mutex<HashSet<(u64, u64)>>,
}

impl Memory {
    pub(super) fn owes(&self, dir: &Path) -> bool {
        lock(&self.owes).contains(dir)
    }

    /// The `fsync` of that directory failed.
    pub(super) fn owe(&self, dir: &Path) {
        lock(&self.owes).insert(dir.to_path_buf());
    }

    /// That directory is on the disk, or gone.
    pub(super) fn pay(&self, dir: &Path) {
        lock(&self.owes).remove(dir);
    }

    /// Whether this is the first time for that directory.
    pub(super) fn first_visit(&self, dir: (u64, u64)) -> bool {
        lock(&self.cleaned).insert(dir)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
