//! The lock of a prefix: one process at a time uses it.

use std::collections::BTreeSet;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::JournalError;
use crate::sys::fs::NOFOLLOW;
use crate::sys::ours::{Trust, examine_file};

/// The file in a prefix that is locked while the prefix is in use.
pub const LOCK_NAME: &str = "journal.lock";

/// The time to wait for a holder that still runs: it may be about to end.
const RUNNING_MAX: Duration = Duration::from_millis(300);
/// The time to wait for a holder whose process has ended: it was killed, and its descriptors are not closed yet, or are
/// still open in a command that it was starting, between fork and exec.
const ENDED_MAX: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// The lock, held as long as this value lives; the kernel releases it however the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of the prefix; the error names the process that has it.
    pub(super) fn take(prefix: &Path) -> Result<Lock, JournalError> {
        let path = prefix.join(LOCK_NAME);
        let fail = |what, source| JournalError::Io { what, path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(NOFOLLOW);
        let file = options.open(&path).map_err(|source| fail("open", source))?;
        examine_file(&file, &path, Trust::Us)
            .map_err(|source| JournalError::NotOurs { prefix: prefix.to_owned(), source })?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(fail("lock", error)),
                Err(TryLockError::WouldBlock) => {}
            }
            let waited = began.elapsed();
            let pid = if waited < RUNNING_MAX { None } else { holder(&file).filter(|pid| is_running(*pid)) };
            if pid.is_some() || waited > ENDED_MAX {
                return Err(JournalError::Locked { prefix: prefix.to_owned(), pid });
            }
            std::thread::sleep(PAUSE);
        }
        Ok(Lock { file, path })
    }

    /// Whether the locked file is still the prefix's lock file.
    pub(super) fn is_in_place(&self) -> bool {
        let identity = |meta: Metadata| (meta.dev(), meta.ino());
        let there = std::fs::symlink_metadata(&self.path).map(identity);
        there.is_ok_and(|there| self.file.metadata().map(identity).is_ok_and(|ours| ours == there))
    }
}

/// The process that holds the lock of the prefix.
pub(super) fn holder_of(prefix: &Path) -> Option<u32> {
    let file = OpenOptions::new().read(true).custom_flags(NOFOLLOW).open(prefix.join(LOCK_NAME)).ok()?;
    holder(&file).filter(|pid| is_running(*pid))
}

/// Whether a process with that number exists and has not ended.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// The process that holds the lock, from the kernel's list of locks: `1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF`.
/// So the holder need not write its number into a file.
fn holder(file: &File) -> Option<u32> {
    let inode = file.metadata().ok()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let pids = locks.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, place, ..] = fields[..] else { return None };
        (place.rsplit(':').next() == Some(&inode)).then(|| pid.parse().ok()).flatten()
    });
    // Files of two file systems may have the same inode number. The kernel lists a process of another PID namespace as
    // 0.
    let pids: BTreeSet<u32> = pids.collect();
    pids.first().copied().filter(|pid| pids.len() == 1 && *pid != 0)
}
