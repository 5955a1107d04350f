//! A temporary directory that is removed on drop, and after a `kill -9` by the next process of this user that needs one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::gapi::failure::Failure;
use crate::sys::rng;

/// What the names of the directories begin with.
const NAME: &str = "mgmt-plan-";
/// A directory that is not locked and has not changed for this long was left: between being made and being locked, no
/// process takes that long.
const LEFT_AFTER: Duration = Duration::from_secs(60);

/// A temporary directory, made when it is needed.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    /// The directory, which is locked as long as this process lives.
    lock: Mutex<Option<File>>,
}

impl Temporary {
    /// A name for one. Nothing is made.
    pub(super) fn new() -> Result<(PathBuf, Temporary), Failure> {
        let letters = rng::letters(16, "abcdefghijklmnopqrstuvwxyz0123456789")
            .map_err(|error| Failure::of("a temporary directory has no name", error))?;
        let path = std::env::temp_dir().join(format!("{NAME}{}", &*letters));
        Ok((path.clone(), Temporary { path, lock: Mutex::default() }))
    }

    /// Makes it, unless it is there, and removes those that were left.
    pub(super) fn make(&self) -> io::Result<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_some() && self.path.exists() {
            return Ok(());
        }
        if let Some(above) = self.path.parent() {
            remove_left(above);
        }
        DirBuilder::new().mode(0o700).create(&self.path)?;
        let dir = File::open(&self.path)?;
        // Where nothing can be locked, what is left is left to the cleaning of the system.
        let _ = dir.try_lock();
        *lock = Some(dir);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.path.exists() {
            // What can't be removed is left to the next process.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes what processes of this user have left in a directory.
fn remove_left(above: &Path) {
    let Ok(own) = fs::metadata("/proc/self") else { return };
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(NAME.as_bytes()) {
            continue;
        }
        // The directory itself is looked at, not what a symlink leads to.
        let Ok(there) = entry.metadata() else { continue };
        let is_old = there.modified().is_ok_and(|when| when.elapsed().is_ok_and(|age| age > LEFT_AFTER));
        if !there.is_dir() || there.uid() != own.uid() || !is_old {
            continue;
        }
        let is_left = OpenOptions::new().read(true).open(entry.path()).is_ok_and(|dir| dir.try_lock().is_ok());
        if is_left {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_was_left_is_removed_and_what_is_in_use_is_not() {
        let above = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = above.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), "x").unwrap();
            path
        };
        let age = |path: &Path| {
            let old = SystemTime::now() - 2 * LEFT_AFTER;
            File::open(path).unwrap().set_modified(old).unwrap();
        };
        let (left, new, used, other) =
            (make("mgmt-plan-left"), make("mgmt-plan-new"), make("mgmt-plan-used"), make("other"));
        let link = above.path().join("mgmt-plan-link");
        std::os::unix::fs::symlink(&other, &link).unwrap();
        [&left, &used, &other].into_iter().for_each(|path| age(path));
        let lock = File::open(&used).unwrap();
        lock.try_lock().unwrap();
        remove_left(above.path());
        assert!(!left.exists());
        assert!(new.exists() && used.exists() && other.join("file").exists() && link.exists());
        drop(lock);
        remove_left(above.path());
        assert!(!used.exists());
    }
}
