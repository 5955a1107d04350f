//! The errors of the journal.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::sys::ours::NotOurs;

/// The reason why the journal can't be opened. Corruption is not an error: a corrupt journal is moved aside.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A file or directory can't be read or written.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// The operation that failed.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Another user could have changed the prefix or the journal in it.
    #[error("the prefix {} is refused: {source}", .prefix.display())]
    NotOurs {
        /// The prefix.
        prefix: PathBuf,
        /// The reason.
        source: NotOurs,
    },
    /// Another process uses this prefix.
    #[error("the prefix {} is in use by {}", .prefix.display(), holder(*.pid))]
    Locked {
        /// The prefix.
        prefix: PathBuf,
        /// The process that uses it, if that can be found out.
        pid: Option<u32>,
    },
    /// A newer version has written the journal.
    #[error("{} has schema {found}, written by a newer version; this one knows schemas up to {known}: run a version that knows it, or move the file \
             away, which forgets owed refreshes, digests and marks", .path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// The schema of the journal.
        found: u64,
        /// The newest schema that this version can read.
        known: u64,
    },
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) if pid == std::process::id() => format!("this process (pid {pid})"),
        Some(pid) => format!("another process (pid {pid})"),
        None => "another process".to_owned(),
    }
}

/// The reason why a batch was not written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The disk refused the batch. It is unknown whether the batch is there after a crash. It is written again with the
    /// next batch.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The journal.
        path: PathBuf,
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// The journal is closed: its engine has ended.
    #[error("the engine has ended: nothing is written any more")]
    Closed,
    /// An entry of the batch is too large; nothing of the batch was taken.
    #[error("{what} of {bytes} bytes is too large for the journal, which takes {max}")]
    TooLarge {
        /// The entry, such as `the mark of password[admin]`.
        what: String,
        /// Its size in bytes.
        bytes: usize,
        /// The largest size in bytes.
        max: usize,
    },
}
