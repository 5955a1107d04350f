//! Makes changes durable: at once, or many together.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::calls::Call;
use super::error::FsError;
use super::fd::Fd;
use super::read::open_dir;
use super::stat::{Stat, stat_fd};
use super::walk::Place;
use super::whole;
use super::write::WriteFs;

/// The most files, and the most directories, that a batch holds open: when it reaches this, it makes all of them
/// durable early.
const OPEN_MAX: usize = 64;
/// A file larger than this, in bytes, is synced at once by the thread that has written it.
const TOGETHER_BYTES: u64 = 1 << 20;

/// Several changes that are made durable together, by [`SyncBatch::commit`]: 500 new files in one directory cost one
/// `fsync` of the directory instead of 500.
///
/// Before the commit each file is already complete under its name, and a crash of the process changes nothing. A power
/// cut before the commit leaves, for each path by itself, either the old state or the new one; for a file that was
/// named first ([`WriteOptions::named_first`](super::WriteOptions::named_first)), possibly one with wrong content.
/// After the commit, it leaves the new state. Dropping a batch commits it too, but can only log a failure.
#[derive(Debug)]
#[must_use = "commit it: only then are the changes durable"]
pub struct SyncBatch {
    fs: WriteFs,
}

/// The changes of a batch that are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    owed: Mutex<Owed>,
}

#[derive(Debug, Default)]
struct Owed {
    files: Vec<NewFile>,
    dirs: Vec<ChangedDir>,
}

/// A directory in which names were added, removed or changed.
#[derive(Debug)]
struct ChangedDir {
    /// Device and inode: another directory may have this path by now.
    id: (u64, u64),
    fd: Fd,
    path: PathBuf,
}

/// A file that has its name, where nothing was before, and whose content is not on the disk yet.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) fd: Arc<Fd>,
    pub(super) place: Place,
    pub(super) stat: Stat,
    /// Files with lower numbers were opened before anything was written into this one.
    pub(super) opened: u64,
}

impl WriteFs {
    /// Begins a batch: changes made through [`SyncBatch::fs`] are made durable together.
    pub fn batch(&self) -> SyncBatch {
        let mut fs = self.clone();
        fs.pending = Some(Arc::new(Pending::default()));
        SyncBatch { fs }
    }

    /// Makes the changes of names in the directory `path` durable: added, removed and changed ones, not the content of
    /// files. Succeeds if the directory is gone.
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
            Some(fd) => self.sync_dir_now(&fd, &normal),
            None => Ok(()),
        }
    }

    /// Makes the directory that holds `place` durable, now or with the batch.
    pub(super) fn sync_parent(&self, place: &Place) -> Result<(), FsError> {
        let path = place.path.parent().unwrap_or(&place.path);
        let Some(pending) = &self.pending else {
            return match self.open_to_sync(&place.dir, path)? {
                Some(fd) => self.sync_dir_now(&fd, path),
                None => Ok(()),
            };
        };
        let id = stat_fd(&self.inner.calls, &place.dir, path)?.identity();
        let mut owed = lock(&pending.owed);
        if owed.dirs.iter().any(|dir| dir.id == id) {
            return Ok(());
        }
        let Some(fd) = self.open_to_sync(&place.dir, path)? else { return Ok(()) };
        owed.dirs.push(ChangedDir { id, fd, path: path.to_path_buf() });
        self.stay_within(owed)
    }

    /// Makes a new file and its name durable, now or with the batch. A large file is synced now, outside the lock of
    /// the batch.
    pub(super) fn sync_new(&self, file: NewFile) -> Result<(), FsError> {
        let Some(pending) = self.pending.as_ref().filter(|_| file.stat.size <= TOGETHER_BYTES) else {
            self.sync_file_now(&file)?;
            return self.sync_parent(&file.place);
        };
        let name = self.sync_parent(&file.place);
        let mut owed = lock(&pending.owed);
        owed.files.push(file);
        name.and(self.stay_within(owed))
    }

    /// Commits the batch early if it holds [`OPEN_MAX`] files or directories open.
    fn stay_within(&self, owed: MutexGuard<'_, Owed>) -> Result<(), FsError> {
        if owed.files.len() < OPEN_MAX && owed.dirs.len() < OPEN_MAX {
            return Ok(());
        }
        drop(owed);
        SyncBatch { fs: self.clone() }.commit().map(drop)
    }

    /// Opens a directory for `fsync`. `None` if we may change the directory but not read it (`-wx`): it can't be
    /// synced.
    fn open_to_sync(&self, dir: &Fd, path: &Path) -> Result<Option<Fd>, FsError> {
        match open_dir(&self.inner.calls, dir, OsStr::new("."), path) {
            Ok(fd) => Ok(Some(fd)),
            Err(error) if error.is(Errno::ACCESS) => Ok(None),
            Err(error) => {
                self.inner.memory.owe(path);
                Err(error)
            }
        }
    }

    fn sync_dir_now(&self, fd: &Fd, path: &Path) -> Result<(), FsError> {
        let outcome = match self.inner.calls.run(Call::SyncDir, path, || fd.sync()) {
            // This file system can't sync directories.
            Err(error) if error.is(Errno::INVAL) => Ok(()),
            other => other,
        };
        match &outcome {
            Ok(()) => self.inner.memory.pay(path),
            Err(_) => self.inner.memory.owe(path),
        }
        outcome
    }

    /// Removes a file that could not be made durable: otherwise the next check would find it as desired.
    fn sync_file_now(&self, file: &NewFile) -> Result<(), FsError> {
        let synced = self.inner.calls.run(Call::Sync, &file.place.path, || file.fd.sync());
        if synced.is_err() {
            self.take_back(file);
        }
        synced
    }

    fn take_back(&self, NewFile { place, stat, .. }: &NewFile) {
        let unlink = || place.dir.unlink(&place.name, AtFlags::empty());
        let removed = self.stat_optional(place).and_then(|now| match now {
            Some(now) if now.identity() == stat.identity() => self.inner.calls.run(Call::Unlink, &place.path, unlink),
            _ => Ok(()),
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "a file that may not survive a power cut stays");
        }
    }
}

impl SyncBatch {
    /// The file system through which changes become part of the batch; it can be cloned and used on several threads.
    pub fn fs(&self) -> &WriteFs {
        &self.fs
    }

    /// Makes everything durable, on this thread; returns the number of directories.
    /// [`ApplyCx::commit`](crate::resource::ApplyCx::commit) does the same together with the changes of other
    /// operations.
    ///
    /// # Errors
    /// The first error; everything else is made durable nevertheless. Directories for which it failed are remembered
    /// ([`ReadFs::owes_sync`](super::ReadFs::owes_sync)).
    pub fn commit(mut self) -> Result<usize, FsError> {
        self.due().sync()
    }

    /// Takes what a commit has to do; the batch has nothing left to make durable then.
    pub(super) fn due(&mut self) -> Due {
        let owed = self.fs.pending.as_ref().map(|pending| mem::take(&mut *lock(&pending.owed))).unwrap_or_default();
        Due { fs: self.fs.clone(), owed, dirs: 0, outcome: Ok(()) }
    }
}

/// The work of a commit.
#[derive(Debug)]
pub(super) struct Due {
    fs: WriteFs,
    owed: Owed,
    /// The number of directories that have been handled.
    dirs: usize,
    outcome: Result<(), FsError>,
}

impl Due {
    /// A device that has something to sync; `None` if there is nothing to do.
    pub(super) fn device(&self) -> Option<u64> {
        let of_dir = self.owed.dirs.first().map(|dir| dir.id.0);
        of_dir.or_else(|| self.owed.files.first().map(|file| file.stat.dev))
    }

    /// Makes everything durable; returns the same as [`SyncBatch::commit`].
    pub(super) fn sync(mut self) -> Result<usize, FsError> {
        Due::sync_all(std::slice::from_mut(&mut self));
        self.end()
    }

    /// Does several commits together: all their files first, then each of their directories once.
    pub(super) fn sync_all(dues: &mut [Due]) {
        Due::sync_files(dues);
        let mut synced = BTreeSet::new();
        for due in dues {
            for dir in mem::take(&mut due.owed.dirs) {
                if !synced.contains(&dir.id) {
                    let outcome = due.fs.sync_dir_now(&dir.fd, &dir.path);
                    synced.extend(outcome.is_ok().then_some(dir.id));
                    due.note(outcome);
                }
                due.dirs += 1;
            }
        }
    }

    fn sync_files(dues: &mut [Due]) {
        let Some(fs) = dues.first().map(|due| &due.fs) else { return };
        let files: Vec<&NewFile> = dues.iter().flat_map(|due| &due.owed.files).collect();
        let is_done = whole::sync(&fs.inner.calls, &files);
        if !is_done && files.len() > 1 {
            // Starts writing all of them to the disk before the first is waited for. This only saves time.
            files.iter().for_each(|file| file.fd.begin_sync());
        }
        for due in dues {
            for file in mem::take(&mut due.owed.files) {
                if !is_done {
                    due.note(due.fs.sync_file_now(&file));
                }
            }
        }
    }

    /// Keeps the first error.
    fn note(&mut self, outcome: Result<(), FsError>) {
        if self.outcome.is_ok() {
            self.outcome = outcome;
        }
    }

    pub(super) fn end(self) -> Result<usize, FsError> {
        self.outcome.map(|()| self.dirs)
    }
}

impl Drop for SyncBatch {
    fn drop(&mut self) {
        if let Err(error) = self.due().sync() {
            tracing::warn!(%error, "a batch that was dropped before its commit is not durable");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
