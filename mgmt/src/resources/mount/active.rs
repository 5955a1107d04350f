//! What is mounted now: `/proc/self/mountinfo`, and swap devices: `/proc/swaps`.

use std::path::Path;

use crate::resource::{Error, Obstacle, ObstacleKind, Result};
use crate::resources::mount::fstab::unescape;
use crate::sys::fs::ReadFs;

/// The table of mounts, and the one of swap devices.
pub(super) const MOUNTS: &str = "/proc/self/mountinfo";
pub(super) const SWAPS: &str = "/proc/swaps";
/// The largest table that is read, in bytes.
const TABLE_BYTES_MAX: u64 = 64 << 20;

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Active {
    /// The directory of the file system that is its root; for all but bind mounts and subvolumes `/`.
    pub(super) root: String,
    pub(super) point: String,
    /// The options of this mount (`ro`, `nosuid`, …).
    pub(super) options: Vec<String>,
    pub(super) fstype: String,
    pub(super) source: String,
    /// The options of the file system.
    pub(super) fs_options: Vec<String>,
}

impl Active {
    /// The mount of a line of the table.
    fn of(line: &str) -> Option<Active> {
        let mut fields = line.split(' ');
        let [root, point, options] = [fields.nth(3)?, fields.next()?, fields.next()?];
        let mut rest = fields.skip_while(|field| *field != "-").skip(1);
        let [fstype, source] = [rest.next()?, rest.next()?];
        Some(Active {
            root: unescape(root),
            point: unescape(point),
            options: words(options),
            fstype: unescape(fstype),
            source: unescape(source),
            fs_options: words(rest.next().unwrap_or_default()),
        })
    }
}

fn words(options: &str) -> Vec<String> {
    options.split(',').map(unescape).collect()
}

/// The mounts at a mount point and below it, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// At the mount point; the last one hides the others.
    pub(super) here: Vec<Active>,
    /// Below it.
    pub(super) below: Vec<Active>,
}

/// What is mounted at a mount point.
pub(super) fn mounts(fs: &ReadFs, point: &Path) -> Result<Mounts> {
    let mut mounts = Mounts::default();
    for active in table(fs, MOUNTS)?.lines().filter_map(Active::of) {
        let at = Path::new(&active.point);
        if at == point {
            mounts.here.push(active);
        } else if at.starts_with(point) {
            mounts.below.push(active);
        }
    }
    Ok(mounts)
}

/// A swap device in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Swap {
    pub(super) device: String,
    pub(super) priority: i32,
}

/// The swap devices in use.
pub(super) fn swaps(fs: &ReadFs) -> Result<Vec<Swap>> {
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        Some(Swap { device: unescape(fields.first()?), priority: fields.get(4)?.parse().ok()? })
    };
    Ok(table(fs, SWAPS)?.lines().skip(1).filter_map(parse).collect())
}

fn table(fs: &ReadFs, path: &str) -> Result<String> {
    match fs.read_file(path, TABLE_BYTES_MAX) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.is_missing() => {
            let why = format!("{path} does not exist: what is mounted can't be seen; mount /proc");
            Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(path)))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_has_its_fields() {
        let line = "36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let active = Active::of(line).unwrap();
        assert_eq!((active.root.as_str(), active.point.as_str()), ("/mnt1", "/mnt/a b"));
        assert_eq!((active.fstype.as_str(), active.source.as_str()), ("ext3", "/dev/root"));
        assert_eq!(active.options, ["rw", "noatime"]);
        assert_eq!(active.fs_options, ["rw", "errors=continue"]);
        let no_optional = Active::of("1 2 0:1 / /x ro - tmpfs none rw").unwrap();
        assert_eq!(no_optional.fstype, "tmpfs");
        assert_eq!(Active::of("nothing of it"), None);
    }
}
