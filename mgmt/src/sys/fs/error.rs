//! What can go wrong with the file system; every error names the place and the cause.

use std::io;
use std::path::{Path, PathBuf};

use super::calls::Call;
use super::path::PathError;
use super::stat::FileKind;
use crate::id::is_hidden;
use crate::sys::obstacle::ObstacleKind;

/// Why the file system said no. Every one names the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// The path itself is not one that can be used.
    #[error("`{}`: {reason}", shown(.path))]
    BadPath {
        /// As it was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: PathError,
    },
    /// A symlink that is not followed or not replaced.
    #[error("symlink at {}, {reason}", shown(.link))]
    Symlink {
        /// Where the link is.
        link: PathBuf,
        /// Why it is refused.
        reason: LinkReason,
    },
    /// A system call failed.
    #[error("{call} {}: {source}", shown(.path))]
    Call {
        /// Which one.
        call: Call,
        /// On what; for a file that is being written its final name.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Something of another type is there.
    #[error("{} is a {found}, not a {wanted}", shown(.path))]
    WrongType {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: FileKind,
        /// What is wanted there.
        wanted: FileKind,
    },
    /// Something is there already, and nothing was expected.
    #[error("{} exists already", shown(.path))]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Nothing is there.
    #[error("{} does not exist", shown(.path))]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// A file is bigger than the reader allows.
    #[error("{} has more than {cap} bytes", shown(.path))]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit, in bytes.
        cap: u64,
    },
    /// A directory or a tree has more entries than allowed.
    #[error("{} holds more than {cap} entries", shown(.path))]
    TooMany {
        /// Which directory.
        path: PathBuf,
        /// The limit.
        cap: usize,
    },
    /// Something is mounted at a path that is to be replaced, or in a tree that is to be removed.
    #[error("{} is a mount point, which is never replaced, removed or crossed", shown(.path))]
    MountPoint {
        /// Where something is mounted.
        path: PathBuf,
    },
    /// `/`, in whatever spelling, is not removed, replaced or written.
    #[error("{} is the root directory, which is never replaced or removed", shown(.path))]
    RootDirectory {
        /// As it was given.
        path: PathBuf,
    },
    /// Changing the attributes through one name would change them for other names, in a directory that others can write.
    #[error("{} has {links} names (hard links), in a directory that others can write", shown(.path))]
    HardLink {
        /// The name that was given.
        path: PathBuf,
        /// How many names there are.
        links: u64,
    },
    /// It was moved or replaced by somebody else while we worked on it.
    #[error("{} was changed by somebody else meanwhile", shown(.path))]
    Changed {
        /// Where.
        path: PathBuf,
    },
}

/// Why a symlink is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkReason {
    /// Others than root can write the directory that holds it, so anybody may have planted it.
    #[error("in a directory that others can write")]
    WritableParent,
    /// It belongs to a user who is not trusted.
    #[error("owned by uid {0}")]
    Owner(u32),
    /// It is a copy of a link of a user who is not trusted.
    #[error("copied from a link of uid {0}")]
    CopiedFrom(u32),
    /// Links that lead to links, too many of them.
    #[error("the {0}th on the way: a loop")]
    Loop(usize),
    /// It stands where the object itself was expected.
    #[error("where a {0} was expected")]
    NotA(FileKind),
}

impl FsError {
    /// The number the system gave (`ENOSPC` is 28), if it was a system call that failed.
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

    /// What was there when it was looked at is not there any more, or something else is: a moment later it may be different again.
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

    /// The sort of cause that it waits for: what the file system is like now, and may be otherwise in a moment. `None`:
    /// a path that can't be used, a disk that fails.
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

    /// Whether it says that nothing is there.
    pub fn is_missing(&self) -> bool {
        matches!(self, FsError::Missing { .. }) || self.is(rustix::io::Errno::NOENT)
    }

    pub(super) fn is(&self, errno: rustix::io::Errno) -> bool {
        self.errno() == Some(errno.raw_os_error())
    }
}

/// A path for a line of text: no control characters, and not longer than a reader can bear.
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
