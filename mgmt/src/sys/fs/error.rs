//! The errors of the file system; every one has the path and the cause.

use std::io;
use std::path::{Path, PathBuf};

use super::calls::Call;
use super::path::PathError;
use super::stat::FileKind;
use crate::id::is_hidden;
use crate::sys::obstacle::ObstacleKind;

/// Why a file system operation failed. Every variant has the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// The path can't be used.
    #[error("`{}`: {reason}", shown(.path))]
    BadPath {
        /// The path, as it was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: PathError,
    },
    /// A symlink that is not followed or not replaced.
    #[error("symlink at {}, {reason}", shown(.link))]
    Symlink {
        /// The path of the link.
        link: PathBuf,
        /// Why it is refused.
        reason: LinkReason,
    },
    /// A system call failed.
    #[error("{call} {}: {source}", shown(.path))]
    Call {
        /// The failed call.
        call: Call,
        /// The path it was made on; for a file that is being written, its final name.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Something of another type is there.
    #[error("{} is a {found}, not a {wanted}", shown(.path))]
    WrongType {
        /// The path of the object.
        path: PathBuf,
        /// The type of the object.
        found: FileKind,
        /// The expected type.
        wanted: FileKind,
    },
    /// Something is already at a path that was expected to be free.
    #[error("{} exists already", shown(.path))]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// Nothing is there.
    #[error("{} does not exist", shown(.path))]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A file is bigger than the reader allows.
    #[error("{} has more than {cap} bytes", shown(.path))]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
        /// The limit, in bytes.
        cap: u64,
    },
    /// A directory or a tree has more entries than allowed.
    #[error("{} holds more than {cap} entries", shown(.path))]
    TooMany {
        /// The path of the directory.
        path: PathBuf,
        /// The limit, in entries.
        cap: usize,
    },
    /// Something is mounted at a path that would be replaced, or in a tree that would be removed.
    #[error("{} is a mount point, which is never replaced, removed or crossed", shown(.path))]
    MountPoint {
        /// The mount point.
        path: PathBuf,
    },
    /// `/`, in whatever spelling, is never removed, replaced or written.
    #[error("{} is the root directory, which is never replaced or removed", shown(.path))]
    RootDirectory {
        /// The path, as it was given.
        path: PathBuf,
    },
    /// A change of the attributes through this name would change them for the other names too, and others can write the
    /// directory.
    #[error("{} has {links} names (hard links), in a directory that others can write", shown(.path))]
    HardLink {
        /// The path, as it was given.
        path: PathBuf,
        /// The number of names.
        links: u64,
    },
    /// Another program moved or replaced the object during the operation.
    #[error("{} was changed by another program meanwhile", shown(.path))]
    Changed {
        /// The path.
        path: PathBuf,
    },
}

/// Why a symlink is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkReason {
    /// Users other than root can write the directory of the link, so any of them may have planted it.
    #[error("in a directory that others can write")]
    WritableParent,
    /// The link belongs to a user who is not trusted.
    #[error("owned by uid {0}")]
    Owner(u32),
    /// The link is a copy of a link of a user who is not trusted.
    #[error("copied from a link of uid {0}")]
    CopiedFrom(u32),
    /// The path leads through too many links.
    #[error("the {0}th on the way: a loop")]
    Loop(usize),
    /// The link is where another type of object was expected.
    #[error("where a {0} was expected")]
    NotA(FileKind),
}

impl FsError {
    /// The error number of the system (`ENOSPC` is 28), if a system call failed.
    pub fn errno(&self) -> Option<i32> {
        match self {
            FsError::Call { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// The path that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            FsError::BadPath { path, .. }
            | FsError::Symlink { link: path, .. }
            | FsError::Call { path, .. }
            | FsError::WrongType { path, .. }
            | FsError::Exists { path }
            | FsError::Missing { path }
            | FsError::TooLarge { path, .. }
            | FsError::TooMany { path, .. }
            | FsError::MountPoint { path }
            | FsError::RootDirectory { path }
            | FsError::HardLink { path, .. }
            | FsError::Changed { path } => path,
        }
    }

    /// The system call that failed, if one did.
    pub fn call(&self) -> Option<Call> {
        match self {
            FsError::Call { call, .. } => Some(*call),
            _ => None,
        }
    }

    /// Whether the cause may be a race: the object that was looked at is gone or is another one, and the next attempt
    /// may find something else again.
    pub fn is_race(&self) -> bool {
        use rustix::io::Errno;
        let errno = self.errno().map(Errno::from_raw_os_error);
        let raced = [Errno::NOENT, Errno::NOTDIR, Errno::ISDIR, Errno::EXIST, Errno::NOTEMPTY, Errno::STALE];
        matches!(
            self,
            FsError::Changed { .. }
                | FsError::WrongType { .. }
                | FsError::Exists { .. }
                | FsError::Missing { .. }
                | FsError::Symlink { reason: LinkReason::NotA(_), .. }
        ) || errno.is_some_and(|errno| raced.contains(&errno))
    }

    /// The kind of obstacle that a retry waits for: a state of the file system that may change at any moment. `None`
    /// for other errors: a path that can't be used, a disk that fails.
    pub fn obstacle(&self) -> Option<ObstacleKind> {
        Some(match self {
            FsError::BadPath { .. } | FsError::RootDirectory { .. } => return None,
            FsError::Call { source, .. } => return ObstacleKind::of(source),
            FsError::Missing { .. } => ObstacleKind::Missing,
            FsError::Changed { .. } => ObstacleKind::Changing,
            FsError::Symlink { .. }
            | FsError::WrongType { .. }
            | FsError::Exists { .. }
            | FsError::TooLarge { .. }
            | FsError::TooMany { .. }
            | FsError::MountPoint { .. }
            | FsError::HardLink { .. } => ObstacleKind::InTheWay,
        })
    }

    /// Whether the error means that nothing is at the path.
    pub fn is_missing(&self) -> bool {
        matches!(self, FsError::Missing { .. }) || self.is(rustix::io::Errno::NOENT)
    }

    /// Whether the system does not take the value that was written, such as a parameter of the kernel.
    pub fn is_value_refused(&self) -> bool {
        use rustix::io::Errno;
        let refusals = [Errno::INVAL, Errno::RANGE, Errno::OVERFLOW, Errno::TOOBIG];
        self.call() == Some(Call::Write) && refusals.iter().any(|errno| self.is(*errno))
    }

    pub(super) fn is(&self, errno: rustix::io::Errno) -> bool {
        self.errno() == Some(errno.raw_os_error())
    }
}

/// A path as part of a line of text: without control characters, and shortened in the middle if it is long.
pub(super) fn shown(path: &Path) -> String {
    const CHARS_MAX: usize = 512;
    let text = path.to_string_lossy();
    let count = text.chars().count();
    let mut line = String::with_capacity(text.len());
    for (i, c) in text.chars().enumerate() {
        if count > CHARS_MAX && i == CHARS_MAX / 2 {
            line.push_str("[…]");
        }
        if count > CHARS_MAX && i >= CHARS_MAX / 2 && i < count - CHARS_MAX / 2 {
            continue;
        }
        if is_hidden(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_message_stays_on_its_line_and_keeps_its_ends() {
        assert_eq!(shown(Path::new("/a\nb")), "/a\\nb");
        let long = format!("/begin{}end", "/x".repeat(5000));
        let line = shown(Path::new(&long));
        assert!(line.starts_with("/begin/x") && line.ends_with("/xend") && line.contains("[…]"), "{line}");
        assert_eq!(line.chars().count(), 512 + 3);
    }
}
