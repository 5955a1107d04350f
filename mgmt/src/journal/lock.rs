//! One process a prefix.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::error::JournalError;

/// A holder that is just ending (killed, its descriptors not closed yet) is waited for that long: tries, and the pause between them.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// Held for as long as this lives; the kernel gives it back however the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Take the prefix, or say who has it.
    pub(super) fn take(prefix: &Path) -> Result<Lock, JournalError> {
        let path = prefix.join("journal.lock");
        let fail = |what, source| JournalError::Io { what, path: path.clone(), source };
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let mut file = options.open(&path).map_err(|source| fail("open", source))?;
        let mut tries = TRIES;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if tries > 0 => {
                    tries -= 1;
                    std::thread::sleep(PAUSE);
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(JournalError::Locked { prefix: prefix.to_owned(), pid: read_pid(&mut file) });
                }
                Err(error) => return Err(fail("lock", io::Error::from(error))),
            }
        }
        // Only for the message to others: the lock holds without it, also on a full disk.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Lock { _file: file })
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
