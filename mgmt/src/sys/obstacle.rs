//! Obstacles to a call to the system that may be gone at any time, without any action of the caller.

use std::io::{Error, ErrorKind};

use serde::{Deserialize, Serialize};

/// A kind of cause for a failure that lasts until something outside removes the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ObstacleKind {
    /// Something that is needed does not exist: a file, a directory, a program, a user.
    Missing,
    /// Something is there that must not be: a directory in the place of a file, entries in a directory that must be
    /// empty, a symlink that is not followed.
    InTheWay,
    /// Something is in use: a lock, a mount, a port, a program that runs.
    Busy,
    /// No space, or no quota, is left, or a file would be larger than a limit allows.
    NoSpace,
    /// The system does not permit the call.
    NoPermission,
    /// The file system is mounted read-only.
    ReadOnly,
    /// A component does not answer: a daemon that does not run, a bus that does not exist.
    NoComponent,
    /// No descriptor, no process or no memory is left.
    NoDescriptors,
    /// Something is being changed again and again.
    Changing,
}

impl ObstacleKind {
    /// The name of the kind, as in data but with spaces.
    pub fn word(self) -> &'static str {
        match self {
            ObstacleKind::Missing => "missing",
            ObstacleKind::InTheWay => "in the way",
            ObstacleKind::Busy => "busy",
            ObstacleKind::NoSpace => "no space",
            ObstacleKind::NoPermission => "no permission",
            ObstacleKind::ReadOnly => "read only",
            ObstacleKind::NoComponent => "no component",
            ObstacleKind::NoDescriptors => "no descriptors",
            ObstacleKind::Changing => "changing",
        }
    }

    /// Whether a watch of the path reports when the obstacle is gone.
    pub fn is_seen(self) -> bool {
        use ObstacleKind::*;
        matches!(self, Missing | InTheWay | NoPermission | Changing)
    }

    /// The obstacle that an error of the system means; `None` if the error is not a temporary one (`EIO`, `EINVAL`).
    pub fn of(error: &Error) -> Option<ObstacleKind> {
        use rustix::io::Errno;
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => return Some(ObstacleKind::NoDescriptors),
            Some(Errno::LOOP | Errno::NOTEMPTY) => return Some(ObstacleKind::InTheWay),
            // The limit for the size of files (`ulimit -f`), or that of the file system.
            Some(Errno::FBIG) => return Some(ObstacleKind::NoSpace),
            Some(Errno::NOLCK | Errno::TXTBSY | Errno::AGAIN) => return Some(ObstacleKind::Busy),
            _ => {}
        }
        Some(match error.kind() {
            ErrorKind::NotFound => ObstacleKind::Missing,
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory | ErrorKind::IsADirectory => ObstacleKind::InTheWay,
            ErrorKind::ResourceBusy | ErrorKind::ExecutableFileBusy | ErrorKind::AddrInUse => ObstacleKind::Busy,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ObstacleKind::NoSpace,
            ErrorKind::PermissionDenied => ObstacleKind::NoPermission,
            ErrorKind::ReadOnlyFilesystem => ObstacleKind::ReadOnly,
            ErrorKind::AddrNotAvailable
            | ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown => ObstacleKind::NoComponent,
            ErrorKind::StaleNetworkFileHandle => ObstacleKind::Changing,
            ErrorKind::OutOfMemory => ObstacleKind::NoDescriptors,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        use rustix::io::Errno;
        let of = |errno: Errno| ObstacleKind::of(&Error::from_raw_os_error(errno.raw_os_error()));
        for (errno, kind) in [
            (Errno::NOENT, ObstacleKind::Missing),
            (Errno::NOTDIR, ObstacleKind::InTheWay),
            (Errno::ISDIR, ObstacleKind::InTheWay),
            (Errno::NOTEMPTY, ObstacleKind::InTheWay),
            (Errno::EXIST, ObstacleKind::InTheWay),
            (Errno::LOOP, ObstacleKind::InTheWay),
            (Errno::BUSY, ObstacleKind::Busy),
            (Errno::TXTBSY, ObstacleKind::Busy),
            (Errno::AGAIN, ObstacleKind::Busy),
            (Errno::ADDRINUSE, ObstacleKind::Busy),
            (Errno::NOSPC, ObstacleKind::NoSpace),
            (Errno::DQUOT, ObstacleKind::NoSpace),
            (Errno::FBIG, ObstacleKind::NoSpace),
            (Errno::ACCESS, ObstacleKind::NoPermission),
            (Errno::PERM, ObstacleKind::NoPermission),
            (Errno::ROFS, ObstacleKind::ReadOnly),
            (Errno::CONNREFUSED, ObstacleKind::NoComponent),
            (Errno::MFILE, ObstacleKind::NoDescriptors),
            (Errno::NFILE, ObstacleKind::NoDescriptors),
            (Errno::NOMEM, ObstacleKind::NoDescriptors),
            (Errno::STALE, ObstacleKind::Changing),
        ] {
            assert_eq!(of(errno), Some(kind), "{errno:?}");
        }
        for errno in [Errno::IO, Errno::INVAL, Errno::NAMETOOLONG, Errno::NOSYS] {
            assert_eq!(of(errno), None, "{errno:?}");
        }
    }
}
