//! The one place through which every system call on files goes, so that tests can make any of them fail.

use std::fmt;
use std::path::Path;

use super::error::FsError;
#[cfg(any(test, feature = "testing"))]
use super::faults::Faults;

/// What a system call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Call {
    /// Opens something that exists.
    Open,
    /// Reads the type and attributes of something.
    Stat,
    /// Asks for this process's rights.
    Access,
    /// Reads where a symlink leads.
    ReadLink,
    /// Reads content.
    Read,
    /// Reads the entries of a directory.
    ReadDir,
    /// Reads extended attributes.
    ReadXattr,
    /// Gets random bytes.
    Random,
    /// Creates a temporary file.
    Create,
    /// Locks a temporary file, so that no other process removes it as a left-over.
    Lock,
    /// Writes content.
    Write,
    /// Makes a file share the content of another.
    Clone,
    /// Copies content from one file to another.
    Copy,
    /// Changes the owner or the group.
    Chown,
    /// Changes the mode.
    Chmod,
    /// Changes the times.
    SetTimes,
    /// Writes an extended attribute.
    SetXattr,
    /// Makes a file's content durable.
    Sync,
    /// Makes a whole file system durable.
    SyncAll,
    /// Makes the entries of a directory durable.
    SyncDir,
    /// Puts something under its final name.
    Rename,
    /// Creates a directory.
    MakeDir,
    /// Creates a symlink.
    Symlink,
    /// Removes a name of anything but a directory.
    Unlink,
    /// Removes an empty directory.
    RemoveDir,
}

impl Call {
    /// Whether the call changes something, or decides whether a change survives: such calls are counted as changes.
    pub fn is_change(self) -> bool {
        self >= Call::Create
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Open => "open",
            Call::Stat => "stat",
            Call::Access => "change entries of",
            Call::ReadLink => "readlink",
            Call::Read => "read",
            Call::ReadDir => "list",
            Call::ReadXattr => "getxattr",
            Call::Random => "random bytes for",
            Call::Create => "create",
            Call::Lock => "lock",
            Call::Write => "write",
            Call::Clone => "clone",
            Call::Copy => "copy",
            Call::Chown => "chown",
            Call::Chmod => "chmod",
            Call::SetTimes => "utimens",
            Call::SetXattr => "setxattr",
            Call::Sync => "fsync",
            Call::SyncAll => "sync of file system",
            Call::SyncDir => "fsync of directory",
            Call::Rename => "rename",
            Call::MakeDir => "mkdir",
            Call::Symlink => "symlink",
            Call::Unlink => "unlink",
            Call::RemoveDir => "rmdir",
        })
    }
}

/// Runs system calls. In production it has no size and adds nothing to the call.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    #[cfg(any(test, feature = "testing"))]
    faults: Option<std::sync::Arc<Faults>>,
}

impl Calls {
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn with(faults: std::sync::Arc<Faults>) -> Calls {
        Calls { faults: Some(faults) }
    }

    /// Makes one system call on `path`; interrupted calls are repeated.
    pub(super) fn run<T>(
        &self,
        call: Call,
        path: &Path,
        mut f: impl FnMut() -> rustix::io::Result<T>,
    ) -> Result<T, FsError> {
        let outcome = loop {
            #[cfg(any(test, feature = "testing"))]
            let outcome = match &self.faults {
                Some(faults) => faults.around(call, path, &mut f),
                None => f(),
            };
            #[cfg(not(any(test, feature = "testing")))]
            let outcome = f();
            if !matches!(outcome, Err(rustix::io::Errno::INTR)) {
                break outcome;
            }
        };
        outcome.map_err(|errno| FsError::Call { call, path: path.to_path_buf(), source: errno.into() })
    }
}
