//! Making the entries of directories durable: at once, or many changes of one directory together.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::calls::Call;
use super::error::FsError;
use super::read::open_dir;
use super::walk::Place;
use super::write::WriteFs;

/// How many directories a batch holds open; one more makes the first of them durable early.
const OPEN_DIRS_MAX: usize = 64;

/// Several changes whose directories are made durable together, by [`SyncBatch::commit`]: 500 new files in one directory
/// cost one `fsync` of the directory instead of 500.
///
/// Before the commit each file is already complete under its name, its content is on the disk, and a crash of the process
/// changes nothing. A power cut before the commit leaves, for each path by itself, what was there before or what was
/// written; after it, what was written. Dropping a batch commits it too, but can tell nobody if that fails.
#[derive(Debug)]
#[must_use = "commit it: only then are the changes durable"]
pub struct SyncBatch {
    fs: WriteFs,
}

/// The directories of a batch that wait for their `fsync`.
#[derive(Debug, Default)]
pub(super) struct Pending {
    dirs: Mutex<BTreeMap<PathBuf, OwnedFd>>,
}

impl WriteFs {
    /// Begins a batch: changes made through [`SyncBatch::fs`] are made durable together.
    pub fn batch(&self) -> SyncBatch {
        let mut fs = self.clone();
        fs.pending = Some(Arc::new(Pending::default()));
        SyncBatch { fs }
    }

    /// Makes what happened in the directory `path` durable: names that came, went or changed, not the content of files.
    /// Nothing is owed for a directory that is gone.
    pub fn sync_dir(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        let normal = self.normal(path.as_ref())?;
        let dir = match self.walker().directory(&normal) {
            Err(error) if error.is_missing() => {
                self.inner.memory.pay(&normal);
                return Ok(());
            }
            other => other?,
        };
        match self.open_to_sync(&dir, &normal)? {
            Some(fd) => self.sync_now(&fd, &normal),
            None => Ok(()),
        }
    }

    /// Makes the directory that holds `place` durable, now or with the batch.
    pub(super) fn sync_parent(&self, place: &Place) -> Result<(), FsError> {
        let path = place.path.parent().unwrap_or(&place.path);
        let Some(pending) = &self.pending else {
            return match self.open_to_sync(&place.dir, path)? {
                Some(fd) => self.sync_now(&fd, path),
                None => Ok(()),
            };
        };
        let early = {
            let mut dirs = lock(&pending.dirs);
            if dirs.contains_key(path) {
                return Ok(());
            }
            let Some(fd) = self.open_to_sync(&place.dir, path)? else { return Ok(()) };
            dirs.insert(path.to_path_buf(), fd);
            if dirs.len() > OPEN_DIRS_MAX { dirs.pop_first() } else { None }
        };
        early.map_or(Ok(()), |(path, fd)| self.sync_now(&fd, &path))
    }

    /// A directory that we may change but not read (`-wx`) can't be opened for `fsync`; then there is nothing to be done.
    fn open_to_sync(&self, dir: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>, FsError> {
        match open_dir(&self.inner.calls, dir, OsStr::new("."), path) {
            Ok(fd) => Ok(Some(fd)),
            Err(error) if error.is(Errno::ACCESS) => Ok(None),
            Err(error) => {
                self.inner.memory.owe(path);
                Err(error)
            }
        }
    }

    fn sync_now(&self, fd: &OwnedFd, path: &Path) -> Result<(), FsError> {
        let outcome = match self.inner.calls.run(Call::SyncDir, path, || rustix::fs::fsync(fd)) {
            // The file system has no such thing as an unsynced directory.
            Err(error) if error.is(Errno::INVAL) => Ok(()),
            other => other,
        };
        match &outcome {
            Ok(()) => self.inner.memory.pay(path),
            Err(_) => self.inner.memory.owe(path),
        }
        outcome
    }
}

impl SyncBatch {
    /// The door to make the batch's changes through; it can be cloned and used on several threads.
    pub fn fs(&self) -> &WriteFs {
        &self.fs
    }

    /// Makes everything durable; says how many directories that were.
    ///
    /// # Errors
    /// The first error; the other directories are made durable nevertheless. What failed is remembered
    /// ([`ReadFs::owes_sync`](super::ReadFs::owes_sync)).
    pub fn commit(self) -> Result<usize, FsError> {
        self.sync_all()
    }

    fn sync_all(&self) -> Result<usize, FsError> {
        let dirs =
            self.fs.pending.as_ref().map(|pending| std::mem::take(&mut *lock(&pending.dirs))).unwrap_or_default();
        let count = dirs.len();
        let mut outcome = Ok(count);
        for (path, fd) in dirs {
            let synced = self.fs.sync_now(&fd, &path);
            outcome = outcome.and_then(|count| synced.map(|()| count));
        }
        outcome
    }
}

impl Drop for SyncBatch {
    fn drop(&mut self) {
        if let Err(error) = self.sync_all() {
            tracing::warn!(%error, "a batch that nobody committed is not durable");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
