//! What can go wrong with the journal.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::sys::ours::NotOurs;

/// Why the journal cannot be opened. A corrupt one is none of the reasons: it is moved aside.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A file or directory cannot be read or written.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The prefix, or the journal in it, is not ours alone.
    #[error("the prefix {} is refused: {source}", .prefix.display())]
    NotOurs {
        /// The prefix.
        prefix: PathBuf,
        /// What is wrong.
        source: NotOurs,
    },
    /// Somebody else works with this prefix.
    #[error("the prefix {} is in use by {}", .prefix.display(), holder(*.pid))]
    Locked {
        /// The prefix.
        prefix: PathBuf,
        /// Who, if that can be known.
        pid: Option<u32>,
    },
    /// A newer version has written it.
    #[error("{} has schema {found}, written by a newer version; this one knows schemas up to {known}: run a version that knows it, or move the file \
             away, which forgets owed refreshes, digests and marks", .path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// The newest that is known here.
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

/// Why something could not be written down.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The disk did not take it. Whether it is there after a crash is not known. It is tried again with whatever is written next.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The journal.
        path: PathBuf,
        /// What the system reports.
        source: Arc<io::Error>,
    },
    /// The journal is closed: its engine has ended.
    #[error("the engine has ended: nothing is written any more")]
    Closed,
    /// An entry of the batch is too large; nothing of the batch was taken.
    #[error("{what} of {bytes} bytes is too large for the journal, which takes {max}")]
    TooLarge {
        /// What it is about.
        what: String,
        /// Its size.
        bytes: usize,
        /// The largest size.
        max: usize,
    },
}
