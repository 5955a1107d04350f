//! Many new files are made durable by one call for their whole file system, which costs far less than one for each. The
//! call also waits for what other programs have written there, so it is made only if that is little.

use std::sync::LazyLock;

use super::batch::NewFile;
use super::calls::{Call, Calls};
use crate::sys::facts::{kernel, version};

/// Fewer files are made durable one by one.
const FILES_MIN: usize = 8;

/// At most this many bytes of other programs, for each file, may wait to be written: about what a disk writes in the
/// time of an `fsync`.
const OTHERS_BYTES_MAX: u64 = 256 << 10;

/// File systems for which the call does what `fsync` does, but for the names in directories (magic numbers of
/// statfs(2)): ext4, with ext2 and ext3, and XFS.
pub(super) const FILE_SYSTEMS: [u64; 2] = [0xEF53, 0x5846_5342];

/// From this version of Linux on, the call reports what could not be written (syncfs(2): 5.8), also if only the file
/// system itself has noticed (5.17).
const LINUX_MIN: (u32, u32) = (5, 17);

/// Makes the content of all files durable with one call. Returns `false` if it did not: then it may have failed for
/// some of them.
pub(super) fn sync(calls: &Calls, files: &[&NewFile]) -> bool {
    // The call reports errors since its file was opened: that must be before any of them was written.
    let Some(first) = files.iter().min_by_key(|file| file.opened) else { return false };
    let NewFile { fd, place, stat, .. } = first;
    files.len() >= FILES_MIN
        && files.iter().all(|file| file.stat.dev == stat.dev)
        && *IS_RELIABLE
        && calls.run(Call::Stat, &place.path, || fd.file_system()).is_ok_and(|kind| FILE_SYSTEMS.contains(&kind))
        && is_little(files)
        && calls.run(Call::SyncAll, &place.path, || fd.sync_file_system()).is_ok()
}

pub(super) static IS_RELIABLE: LazyLock<bool> = LazyLock::new(|| version(&kernel()).is_some_and(|is| is >= LINUX_MIN));

/// Whether all that waits to be written on this machine is little beside these files.
fn is_little(files: &[&NewFile]) -> bool {
    let allowed: u64 = files.iter().map(|file| file.stat.size + OTHERS_BYTES_MAX).sum();
    let counts = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let pages = unwritten(&counts);
    pages.is_some_and(|pages| pages.saturating_mul(rustix::param::page_size() as u64) <= allowed)
}

/// The pages that wait to be written, by the lines of `/proc/vmstat`. Unlike those of `/proc/meminfo`, containers do
/// not replace them by their own.
fn unwritten(counts: &str) -> Option<u64> {
    let count = |name: &str| counts.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(count("nr_dirty ")? + count("nr_writeback ")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_to_be_written_is_dirty_or_under_way() {
        assert_eq!(unwritten("nr_dirty_threshold 9\nnr_dirty 3\nnr_writeback_temp 7\nnr_writeback 2\n"), Some(5));
        assert_eq!(unwritten("nr_dirty 3\n"), None);
        assert!(unwritten(&std::fs::read_to_string("/proc/vmstat").unwrap()).is_some());
    }
}
