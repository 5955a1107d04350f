//! One edit of a file at a time, for an engine.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The files that are being edited, each with its lock.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashMap<PathBuf, Weak<Mutex<()>>>>);

impl Locks {
    /// The lock of the file at this path.
    pub(super) fn of(&self, path: &Path) -> Arc<Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(path).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        locks.insert(path.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_lock_as_long_as_it_is_in_use() {
        let locks = Locks::default();
        let first = locks.of(Path::new("/a"));
        assert!(Arc::ptr_eq(&first, &locks.of(Path::new("/a"))));
        assert!(!Arc::ptr_eq(&first, &locks.of(Path::new("/b"))));
        drop(first);
        drop(locks.of(Path::new("/c")));
        assert_eq!(locks.0.lock().unwrap().len(), 1);
    }
}
