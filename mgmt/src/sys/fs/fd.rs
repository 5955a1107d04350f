//! An open object of a file system, and the system calls on it. In tests, it can belong to a simulated host.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{
    Access, Advice, AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, SeekFrom,
    StatVfsMountFlags, StatxFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::Result;

use super::stat::{FileKind, Stat};
#[cfg(any(test, feature = "testing"))]
use crate::sys::simulated::File;

/// The largest list of extended attributes and the largest value of one, in bytes (limits of the kernel).
const XATTR_BYTES_MAX: usize = 64 * 1024;

/// An open object. Every system call on it goes to the kernel or, in tests, to the simulated host that has it.
#[derive(Debug)]
pub(in crate::sys) enum Fd {
    /// An object of this machine.
    Kernel(OwnedFd),
    /// An object of a simulated host.
    #[cfg(any(test, feature = "testing"))]
    Simulated(File),
}

/// How an object is opened for its attributes.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// With `O_PATH`: the kernel has no calls for attributes of such an object but by its magic link.
    PathOnly,
    Opened,
}

/// A path that leads to the object that is open at `fd`, and to no other.
fn magic_link(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// The call on an object of the kernel, or the one on an object of a simulated host.
macro_rules! on {
    ($fd:expr, $kernel:ident => $call:expr, $file:ident => $simulated:expr) => {
        match $fd {
            Fd::Kernel($kernel) => $call,
            #[cfg(any(test, feature = "testing"))]
            Fd::Simulated($file) => $simulated,
        }
    };
}

impl Fd {
    /// The root directory of this machine.
    pub(super) fn system_root(flags: OFlags) -> Result<Fd> {
        rustix::fs::openat(CWD, "/", flags, Mode::empty()).map(Fd::Kernel)
    }

    /// Opens an absolute path of this machine, as far as `resolve` allows.
    pub(super) fn open_system(path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<Fd> {
        rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve).map(Fd::Kernel)
    }

    /// Opens a path below this directory, as far as `resolve` allows.
    pub(super) fn open_below(&self, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<Fd> {
        on!(self,
            fd => rustix::fs::openat2(fd, path, flags, Mode::empty(), resolve).map(Fd::Kernel),
            file => file.open_below(path).map(Fd::Simulated))
    }

    /// Opens a name in this directory.
    pub(super) fn open(&self, name: impl AsRef<OsStr>, flags: OFlags) -> Result<Fd> {
        self.create(name, flags, Mode::empty())
    }

    /// Opens a name in this directory; a new file gets this mode.
    pub(super) fn create(&self, name: impl AsRef<OsStr>, flags: OFlags, mode: Mode) -> Result<Fd> {
        let name = name.as_ref();
        on!(self,
            fd => rustix::fs::openat(fd, name, flags, mode).map(Fd::Kernel),
            file => file.open(name, flags, mode).map(Fd::Simulated))
    }

    /// Opens the same object once more.
    pub(super) fn again(&self) -> Result<Fd> {
        on!(self,
            fd => rustix::io::fcntl_dupfd_cloexec(fd, 0).map(Fd::Kernel),
            file => file.again().map(Fd::Simulated))
    }

    /// The stat of this object.
    pub(super) fn stat(&self) -> Result<Stat> {
        on!(self,
            fd => Stat::of_kernel(fd.as_fd(), OsStr::new(""), AtFlags::EMPTY_PATH),
            file => file.stat().map(Stat::simulated))
    }

    /// The stat of a name in this directory; a symlink is not followed.
    pub(super) fn stat_at(&self, name: &OsStr) -> Result<Stat> {
        on!(self,
            fd => Stat::of_kernel(fd.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT),
            file => file.stat_at(name).map(Stat::simulated))
    }

    /// The target of a symlink in this directory, or of this one if the name is empty.
    pub(super) fn read_link(&self, name: impl AsRef<OsStr>) -> Result<OsString> {
        let name = name.as_ref();
        on!(self,
            fd => rustix::fs::readlinkat(fd, name, Vec::new()).map(|target| OsString::from_vec(target.into_bytes())),
            file => file.read_link(name))
    }

    /// Whether this process may add and remove names in this directory.
    pub(super) fn may_change(&self) -> Result<()> {
        on!(self,
            fd => rustix::fs::accessat(fd, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS),
            file => file.stat().map(drop))
    }

    /// Makes a directory with this mode in this one.
    pub(super) fn make_dir(&self, name: impl AsRef<OsStr>, mode: Mode) -> Result<()> {
        let name = name.as_ref();
        on!(self,
            fd => rustix::fs::mkdirat(fd, name, mode),
            file => file.make_dir(name, mode))
    }

    /// Makes a symlink in this directory.
    pub(super) fn symlink(&self, target: &Path, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        on!(self,
            fd => rustix::fs::symlinkat(target, fd, name),
            file => file.symlink(target.as_os_str(), name))
    }

    /// Removes a name in this directory: of an empty directory with `REMOVEDIR`, otherwise of anything else.
    pub(super) fn unlink(&self, name: impl AsRef<OsStr>, flags: AtFlags) -> Result<()> {
        let name = name.as_ref();
        on!(self,
            fd => rustix::fs::unlinkat(fd, name, flags),
            file => file.unlink(name, flags.contains(AtFlags::REMOVEDIR)))
    }

    /// Renames within this directory, over what has the new name or (`over: false`) only if nothing has.
    pub(super) fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>, over: bool) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        on!(self,
            fd => match over {
                true => rustix::fs::renameat(fd, from, fd, to),
                false => rustix::fs::renameat_with(fd, from, fd, to, RenameFlags::NOREPLACE),
            },
            file => file.rename(from, to, over))
    }

    /// Changes the owner and the group of this object.
    pub(super) fn chown(&self, uid: Option<Uid>, gid: Option<Gid>) -> Result<()> {
        on!(self,
            fd => rustix::fs::chownat(fd, c"", uid, gid, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW),
            file => file.chown(uid.map(Uid::as_raw), gid.map(Gid::as_raw)))
    }

    /// Changes the owner of a symlink in this directory.
    pub(super) fn chown_link(&self, name: &str, uid: Uid) -> Result<()> {
        on!(self,
            fd => rustix::fs::chownat(fd, name, Some(uid), None, AtFlags::SYMLINK_NOFOLLOW),
            file => file.chown_at(name.as_ref(), uid.as_raw()))
    }

    /// Changes the mode of this object.
    pub(super) fn chmod(&self, mode: Mode, how: How) -> Result<()> {
        on!(self,
            fd => match how {
                How::PathOnly => rustix::fs::chmod(magic_link(fd), mode),
                How::Opened => rustix::fs::fchmod(fd, mode),
            },
            file => file.chmod(mode.as_raw_mode()))
    }

    /// Sets the time of the last modification, in nanoseconds since 1970.
    pub(super) fn set_mtime(&self, ns: i128, how: How) -> Result<()> {
        const NS_PER_S: i128 = 1_000_000_000;
        // The system refuses a time that it can't represent.
        let tv_sec = i64::try_from(ns.div_euclid(NS_PER_S)).unwrap_or(i64::MAX);
        #[expect(clippy::cast_possible_truncation, reason = "less than a second")]
        let tv_nsec = ns.rem_euclid(NS_PER_S) as _;
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access, last_modification: Timespec { tv_sec, tv_nsec } };
        on!(self,
            fd => match how {
                How::PathOnly => rustix::fs::utimensat(CWD, magic_link(fd), &times, AtFlags::empty()),
                How::Opened => rustix::fs::futimens(fd, &times),
            },
            file => file.set_mtime(ns))
    }

    /// The names of the extended attributes, each with a NUL at its end.
    pub(super) fn xattr_names(&self) -> Result<Vec<u8>> {
        on!(self,
            fd => {
                let from = magic_link(fd);
                // Nearly always there are none: query the size first.
                let size = rustix::fs::listxattr_query(&*from)?;
                let mut names = Vec::with_capacity(size.min(XATTR_BYTES_MAX));
                if size > 0 {
                    rustix::fs::listxattr(&*from, spare_capacity(&mut names))?;
                }
                Ok(names)
            },
            file => file.xattr_names())
    }

    /// The value of an extended attribute.
    pub(super) fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        on!(self,
            fd => {
                let mut value = Vec::with_capacity(XATTR_BYTES_MAX);
                rustix::fs::getxattr(magic_link(fd), name, spare_capacity(&mut value))?;
                Ok(value)
            },
            file => file.xattr(name))
    }

    /// Succeeds if there is an extended attribute with this name.
    pub(super) fn has_xattr(&self, name: &[u8]) -> Result<()> {
        on!(self,
            fd => rustix::fs::getxattr(magic_link(fd), name, &mut [0_u8; 0][..]).map(drop),
            file => file.xattr(name).map(drop))
    }

    /// Sets an extended attribute.
    pub(super) fn set_xattr(&self, name: &[u8], value: &[u8], how: How) -> Result<()> {
        on!(self,
            fd => match how {
                How::PathOnly => rustix::fs::setxattr(magic_link(fd), name, value, XattrFlags::empty()),
                How::Opened => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            },
            file => file.set_xattr(name, value))
    }

    /// Removes an extended attribute.
    pub(super) fn remove_xattr(&self, name: &[u8], how: How) -> Result<()> {
        on!(self,
            fd => match how {
                How::PathOnly => rustix::fs::removexattr(magic_link(fd), name),
                How::Opened => rustix::fs::fremovexattr(fd, name),
            },
            file => file.remove_xattr(name))
    }

    /// Reads content, and moves the position.
    pub(super) fn read(&self, into: &mut [u8]) -> Result<usize> {
        on!(self, fd => rustix::io::read(fd, into), file => file.read(into))
    }

    /// Reads content at a position.
    pub(super) fn read_at(&self, into: &mut [u8], at: u64) -> Result<usize> {
        on!(self, fd => rustix::io::pread(fd, into, at), file => file.read_at(into, at))
    }

    /// Moves the position to the beginning.
    pub(super) fn rewind(&self) -> Result<()> {
        on!(self, fd => rustix::fs::seek(fd, SeekFrom::Start(0)).map(drop), file => file.rewind())
    }

    /// Writes content, and moves the position.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<usize> {
        on!(self, fd => rustix::io::write(fd, bytes), file => file.write(bytes))
    }

    /// Cuts the content off.
    pub(super) fn truncate(&self, bytes: u64) -> Result<()> {
        on!(self, fd => rustix::fs::ftruncate(fd, bytes), file => file.truncate(bytes))
    }

    /// Makes this object durable.
    pub(super) fn sync(&self) -> Result<()> {
        on!(self, fd => rustix::fs::fsync(fd), file => file.stat().map(drop))
    }

    /// Makes everything in the file system of this object durable, but for what the file system does not report.
    pub(super) fn sync_file_system(&self) -> Result<()> {
        on!(self, fd => rustix::fs::syncfs(fd), _file => Err(rustix::io::Errno::OPNOTSUPP))
    }

    /// Lets the system begin to write the content to the disk.
    pub(super) fn begin_sync(&self) {
        // This only saves time.
        on!(self, fd => _ = rustix::fs::fadvise(fd, 0, None, Advice::DontNeed), _file => ());
    }

    /// Locks this object, without waiting.
    pub(super) fn lock(&self) -> Result<()> {
        on!(self,
            fd => rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive),
            file => file.lock())
    }

    /// Makes this file share the content of another.
    pub(super) fn share_content(&self, from: &Fd) -> Result<()> {
        match (self, from) {
            (Fd::Kernel(to), Fd::Kernel(from)) => rustix::fs::ioctl_ficlone(to, from),
            #[cfg(any(test, feature = "testing"))]
            _ => Err(rustix::io::Errno::OPNOTSUPP),
        }
    }

    /// Copies content from the position of another file to that of this one, at most `bytes_max`.
    pub(super) fn copy_from(&self, from: &Fd, bytes_max: usize) -> Result<usize> {
        match (self, from) {
            (Fd::Kernel(to), Fd::Kernel(from)) => rustix::fs::copy_file_range(from, None, to, None, bytes_max),
            #[cfg(any(test, feature = "testing"))]
            _ => Err(rustix::io::Errno::OPNOTSUPP),
        }
    }

    /// The number that the kernel gives to the type of file system that has this object.
    pub(super) fn file_system(&self) -> Result<u64> {
        on!(self,
            fd => rustix::fs::fstatfs(fd).map(|system| u64::try_from(system.f_type).unwrap_or(0)),
            file => file.file_system())
    }

    /// Whether the file system of this object grants rights by set-user-id, set-group-id and capabilities.
    pub(super) fn grants_rights(&self) -> Result<bool> {
        on!(self,
            fd => rustix::fs::fstatvfs(fd).map(|system| !system.f_flag.contains(StatVfsMountFlags::NOSUID)),
            _file => Ok(true))
    }

    /// Calls `each` with every entry of this directory, `.` and `..` included, in no order; `around` makes each system
    /// call.
    pub(super) fn entries<E>(
        &self,
        mut around: impl FnMut(
            &mut dyn FnMut() -> Result<Option<(OsString, FileKind)>>,
        ) -> std::result::Result<Option<(OsString, FileKind)>, E>,
        mut each: impl FnMut(OsString, FileKind) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        on!(self,
        fd => {
            let mut buffer = Vec::with_capacity(32 * 1024);
            let mut raw = RawDir::new(fd, buffer.spare_capacity_mut());
            let mut next = || {
                let entry = raw.next().transpose()?;
                let name = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
                Ok(entry.map(|e| (name(e.file_name().to_bytes()), FileKind::from_type(e.file_type()))))
            };
            while let Some((name, kind)) = around(&mut next)? {
                each(name, kind)?;
            }
            Ok(())
        },
        file => {
            let mut entries = file.entries().map(Vec::into_iter);
            let mut next = || entries.as_mut().map(Iterator::next).map_err(|errno| *errno);
            while let Some((name, kind)) = around(&mut next)? {
                each(name, kind)?;
            }
            Ok(())
        })
    }
}

impl Stat {
    /// The stat that the kernel reports.
    fn of_kernel(fd: BorrowedFd<'_>, name: &OsStr, flags: AtFlags) -> Result<Stat> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        // An empty name needs no copy.
        let found = match name.is_empty() {
            true => rustix::fs::statx(fd, c"", flags, wanted),
            false => rustix::fs::statx(fd, name, flags, wanted),
        };
        found.map(|found| Stat::new(&found))
    }
}
