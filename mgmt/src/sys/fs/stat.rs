//! The stat of an object in the file system: type, owner, mode, size, times and identity.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::calls::{Call, Calls};
use super::error::FsError;
use super::fd::Fd;

/// The type of an object in the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A type that the system does not report.
    Unknown,
}

impl FileKind {
    pub(super) fn from_type(kind: FileType) -> FileKind {
        match kind {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Symlink,
            FileType::Fifo => FileKind::Fifo,
            FileType::Socket => FileKind::Socket,
            FileType::CharacterDevice => FileKind::CharDevice,
            FileType::BlockDevice => FileKind::BlockDevice,
            FileType::Unknown => FileKind::Unknown,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::File => "regular file",
            FileKind::Directory => "directory",
            FileKind::Symlink => "symlink",
            FileKind::Fifo => "named pipe",
            FileKind::Socket => "socket",
            FileKind::CharDevice => "character device",
            FileKind::BlockDevice => "block device",
            FileKind::Unknown => "thing of unknown type",
        })
    }
}

/// The attributes of the object at a path. For a symlink, those of the link itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// The type.
    pub kind: FileKind,
    /// Permission bits with set-user-id, set-group-id and sticky: 0 to 0o7777.
    pub mode: u32,
    /// The number of the owner.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
    /// The size in bytes.
    pub size: u64,
    /// When the content changed last, in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// When the content or the attributes changed last, in nanoseconds since 1970.
    pub ctime_ns: i128,
    /// The number of the device that holds the object.
    pub dev: u64,
    /// The inode number of the object on the device.
    pub ino: u64,
    /// The number of names (hard links).
    pub nlink: u64,
    /// The target of a symlink.
    pub link_target: Option<PathBuf>,
    /// The mount through which the object is seen, if the system reports it.
    pub(super) mount: Option<u64>,
    /// Whether something is mounted exactly here.
    pub(super) mount_root: bool,
}

impl Stat {
    /// Device and inode number: equal for two names of one object.
    pub fn identity(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// Whether it is a symlink.
    pub fn is_symlink(&self) -> bool {
        self.kind == FileKind::Symlink
    }

    /// Whether a user other than root may write the object. The write bit of the group counts even if the group is
    /// root's: with an access list, this bit stands for the users and groups of the list.
    pub(super) fn others_can_write(&self) -> bool {
        self.uid != 0 || self.mode & 0o022 != 0
    }

    /// The stat of an object of a simulated host.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn simulated(found: crate::sys::simulated::Found) -> Stat {
        Stat {
            kind: found.kind,
            mode: found.mode,
            uid: found.uid,
            gid: found.gid,
            size: found.size,
            mtime_ns: found.mtime_ns,
            ctime_ns: found.ctime_ns,
            dev: 1,
            ino: found.ino,
            nlink: found.nlink,
            link_target: None,
            mount: Some(1),
            mount_root: false,
        }
    }

    pub(super) fn new(x: &Statx) -> Stat {
        let mode = u32::from(x.stx_mode);
        let ns = |t: &rustix::fs::StatxTimestamp| i128::from(t.tv_sec) * 1_000_000_000 + i128::from(t.tv_nsec);
        Stat {
            kind: FileKind::from_type(FileType::from_raw_mode(mode)),
            mode: mode & 0o7777,
            uid: x.stx_uid,
            gid: x.stx_gid,
            size: x.stx_size,
            mtime_ns: ns(&x.stx_mtime),
            ctime_ns: ns(&x.stx_ctime),
            dev: rustix::fs::makedev(x.stx_dev_major, x.stx_dev_minor),
            ino: x.stx_ino,
            nlink: u64::from(x.stx_nlink),
            link_target: None,
            mount: (x.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(x.stx_mnt_id),
            mount_root: x.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        }
    }
}

/// The stat of `name` in `dir`; a symlink is not followed. `path` is for errors.
pub(super) fn stat_at(calls: &Calls, dir: &Fd, name: &OsStr, path: &Path) -> Result<Stat, FsError> {
    const TRIES: usize = 8;
    for _ in 0..TRIES {
        let mut stat = calls.run(Call::Stat, path, || dir.stat_at(name))?;
        if !stat.is_symlink() {
            return Ok(stat);
        }
        match calls.run(Call::ReadLink, path, || dir.read_link(name)) {
            Ok(target) => {
                stat.link_target = Some(PathBuf::from(target));
                return Ok(stat);
            }
            // The link was replaced or removed since: look again.
            Err(error) if error.is(Errno::INVAL) || error.is(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Err(FsError::Changed { path: path.to_path_buf() })
}

/// The stat of the object that is open at `fd`. `path` is for errors.
pub(super) fn stat_fd(calls: &Calls, fd: &Fd, path: &Path) -> Result<Stat, FsError> {
    calls.run(Call::Stat, path, || fd.stat())
}
