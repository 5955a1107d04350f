//! Files that an edit has replaced. A program that had one of them open may still write to it: what it writes is
//! carried over to the file that took its place.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::resource::Result;
use crate::sys::fs::{Digest, FileReader, FsError};

/// How long a program that had opened a file before the file was replaced may take to write to it. (Programs that open
/// a file to append to it write at once.)
const KEPT_FOR: Duration = Duration::from_secs(6);
/// The pauses after which a replaced file is looked at again.
pub(super) const PAUSES: [Duration; 4] =
    [Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];
/// The most files that are kept open for this, for an engine: with more, the oldest is closed.
const KEPT_MAX: usize = 64;

/// The files that were replaced a moment ago, oldest first.
#[derive(Debug, Default)]
pub(super) struct Replaced(Mutex<Vec<Former>>);

/// A file that was replaced.
#[derive(Debug)]
struct Former {
    /// The path at which it was, without symlinks.
    path: PathBuf,
    /// Open at the end of what has been read of it.
    reader: FileReader,
    /// Its size and the time of its last change when it was looked at last.
    seen: (u64, i128),
    /// The size and the digest of what has been read.
    read: (u64, Digest),
    since: Instant,
    late: Late,
}

/// What was written to a file after it was read for the edit that replaced it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Late {
    pub(super) bytes: Vec<u8>,
    /// The bytes are all of the file: it was not only extended.
    pub(super) is_whole: bool,
}

impl Late {
    fn followed_by(mut self, other: &Late) -> Late {
        if other.is_whole {
            return other.clone();
        }
        self.bytes.extend_from_slice(&other.bytes);
        self
    }
}

impl Former {
    fn is_changed(&self) -> Result<bool, FsError> {
        let now = self.reader.stat_now()?;
        Ok((now.size, now.mtime_ns) != self.seen)
    }

    /// Reads what was written since the last time.
    fn read_on(&mut self, bytes_max: u64) -> Result<()> {
        if !self.is_changed()? {
            return Ok(());
        }
        let now = self.reader.stat_now()?;
        let is_extended = self.reader.digest_of_first(self.read.0)? == Some(self.read.1);
        if !is_extended {
            self.reader.rewind()?;
        }
        let mut bytes = Vec::new();
        self.reader.by_ref().take(bytes_max).read_to_end(&mut bytes)?;
        let size = bytes.len() as u64 + if is_extended { self.read.0 } else { 0 };
        // If it is changed again at this moment, the next look finds that.
        let digest = self.reader.digest_of_first(size)?.unwrap_or_else(|| Digest::of(b""));
        let read = Late { bytes, is_whole: !is_extended };
        self.late = std::mem::take(&mut self.late).followed_by(&read);
        (self.seen, self.read) = ((now.size, now.mtime_ns), (size, digest));
        Ok(())
    }
}

impl Replaced {
    fn lock(&self) -> MutexGuard<'_, Vec<Former>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a file of which this text was read, and which has been replaced.
    pub(super) fn keep(&self, path: &Path, reader: FileReader, text: &[u8]) {
        let mut all = self.lock();
        if all.len() >= KEPT_MAX {
            all.remove(0);
        }
        let (path, since) = (path.to_owned(), Instant::now());
        let seen = (reader.stat().size, reader.stat().mtime_ns);
        let read = (text.len() as u64, Digest::of(text));
        all.push(Former { path, reader, seen, read, since, late: Late::default() });
    }

    /// Whether something was written to a file that was replaced at this path. Closes the files that were replaced long
    /// ago.
    pub(super) fn has_late(&self, path: &Path) -> bool {
        let mut all = self.lock();
        if all.is_empty() {
            return false;
        }
        let mut has_late = false;
        all.retain(|former| {
            // A file that can't be looked at can't be carried over either.
            let is_late = former.late != Late::default() || former.is_changed().unwrap_or(false);
            has_late |= is_late && former.path == path;
            is_late || former.since.elapsed() < KEPT_FOR
        });
        has_late
    }

    /// What was written to files that were replaced at this path; kept until [`Replaced::carried_over`].
    pub(super) fn late(&self, path: &Path, bytes_max: u64) -> Late {
        let mut late = Late::default();
        for former in self.lock().iter_mut().filter(|former| former.path == path) {
            if let Err(error) = former.read_on(bytes_max) {
                tracing::warn!("{}: what was written to it late can't be read: {error}", path.display());
            }
            late = late.followed_by(&former.late);
        }
        late
    }

    /// What [`Replaced::late`] has returned last is in the file now.
    pub(super) fn carried_over(&self, path: &Path) {
        let mut all = self.lock();
        all.iter_mut().filter(|former| former.path == path).for_each(|former| former.late = Late::default());
    }
}
