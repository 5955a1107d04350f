//! What a look at a path shows: its kind, and a signature that differs when it has changed.

use std::io;
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD, FileType, Statx, StatxAttributes, StatxFlags};
use rustix::time::{ClockId, clock_gettime};

/// A file system that keeps times coarsely may not show a second change within this time of the first.
const COARSE: Duration = Duration::from_millis(25);

/// The state of a path at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat {
    pub(super) is_dir: bool,
    pub(super) is_link: bool,
    /// Has other names, or is mounted there: a watch on its directory does not tell all of its changes.
    pub(super) is_shared: bool,
    pub(super) signature: Signature,
}

/// Equal as long as nothing has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Signature {
    inode: u64,
    device: (u32, u32),
    mode: u16,
    owner: (u32, u32),
    born: (i64, u32),
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
    links: u32,
    /// Changed so lately that one more change might not show: to be taken for changed when next compared.
    pub(super) is_fresh: bool,
}

impl Signature {
    /// What stays the same as long as it is the same thing, whatever happens to it.
    pub(super) fn identity(self) -> Self {
        Self { inode: self.inode, device: self.device, born: self.born, ..Self::default() }
    }

    /// Whether both are on the same device.
    pub(super) fn is_beside(self, other: Self) -> bool {
        self.device == other.device
    }

    /// Whether it is known when the thing was made: numbers of inodes are used again.
    pub(super) fn is_born(self) -> bool {
        self.born != (0, 0)
    }

    /// Of the thing as an entry: of a directory, without what changes whenever something in it does.
    pub(super) fn as_entry(self, is_dir: bool) -> Self {
        if !is_dir {
            return self;
        }
        Self { size: 0, modified: (0, 0), changed: (0, 0), links: 0, is_fresh: false, ..self }
    }
}

/// Looks at a path.
pub(super) fn stat(path: &[u8], follow: bool) -> io::Result<Stat> {
    let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW } | AtFlags::NO_AUTOMOUNT;
    let seen = rustix::fs::statx(CWD, path, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
    let kind = FileType::from_raw_mode(seen.stx_mode.into());
    Ok(Stat {
        is_dir: kind == FileType::Directory,
        is_link: kind == FileType::Symlink,
        is_shared: seen.stx_nlink > 1 || seen.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        signature: signature(&seen),
    })
}

/// Whether this process may look at what is in a directory by name.
pub(super) fn can_enter(path: &[u8]) -> bool {
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

fn signature(seen: &Statx) -> Signature {
    let changed = (seen.stx_ctime.tv_sec, seen.stx_ctime.tv_nsec);
    Signature {
        inode: seen.stx_ino,
        device: (seen.stx_dev_major, seen.stx_dev_minor),
        mode: seen.stx_mode,
        owner: (seen.stx_uid, seen.stx_gid),
        born: (seen.stx_btime.tv_sec, seen.stx_btime.tv_nsec),
        size: seen.stx_size,
        modified: (seen.stx_mtime.tv_sec, seen.stx_mtime.tv_nsec),
        changed,
        links: seen.stx_nlink,
        is_fresh: is_fresh(changed),
    }
}

/// A clock that was set back makes a time of the future: not fresh, or it would be so for long.
///
/// The age is by the clock that stamps files. On a host that is short of processors it stands still for longer than
/// any bound, and what is changed meanwhile gets the same time again.
fn is_fresh((seconds, nanos): (i64, u32)) -> bool {
    let Ok(seconds) = u64::try_from(seconds) else { return false };
    let then = Duration::new(seconds, nanos);
    stamp().abs_diff(then) < COARSE
}

/// The time that a file changed now would get, since 1970.
fn stamp() -> Duration {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or_default(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_just_written_will_seem_changed_once_more() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("f");
        let bytes = path.as_os_str().as_encoded_bytes();
        // On a busy machine it may have aged before it is looked at.
        let young = (0..1000).find_map(|_| {
            std::fs::write(&path, "").expect("a written file");
            let seen = stat(bytes, false).expect("a file").signature;
            seen.is_fresh.then_some(seen)
        });
        let young = young.expect("a file that is seen when it is young");
        std::thread::sleep(2 * COARSE);
        let old = stat(bytes, false).expect("a file").signature;
        assert_ne!(young, old);
        assert_eq!(old, stat(bytes, false).expect("a file").signature);
    }

    #[test]
    fn a_time_far_ahead_is_not_young() {
        let ahead = stamp().as_secs() + 3600;
        assert!(!is_fresh((i64::try_from(ahead).expect("a time"), 0)));
        assert!(!is_fresh((-1, 0)));
    }
}
