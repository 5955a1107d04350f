//! Whether the kernel forwards packets that an interface receives.

use std::path::PathBuf;

use crate::resource::{Error, Obstacle, ObstacleKind, Result};
use crate::sys::fs::{ReadFs, WriteFs, WriteOptions};
use crate::sys::netlink::Family;

/// The longest value that is read, in bytes.
const BYTES_MAX: u64 = 64;

/// The file of the setting.
pub(super) fn file(interface: &str, family: Family) -> PathBuf {
    let family = match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    };
    PathBuf::from(format!("/proc/sys/net/{family}/conf/{interface}/forwarding"))
}

/// The settings. A kernel without IPv6, or an interface without, has none for that.
pub(super) fn read(fs: &ReadFs, interface: &str) -> Result<Vec<(Family, bool)>> {
    let mut all = Vec::new();
    for family in Family::ALL {
        match fs.read_file(file(interface, family), BYTES_MAX) {
            Ok(bytes) => all.push((family, bytes.trim_ascii() != b"0")),
            Err(error) if error.is_missing() && family == Family::V6 => {}
            Err(error) if error.is_missing() => {
                let path = file(interface, family);
                let why = format!("{} does not exist: mount /proc", path.display());
                return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(path)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

/// Sets one.
pub(super) fn set(fs: &WriteFs, interface: &str, family: Family, is_on: bool) -> Result<()> {
    let value = if is_on { "1\n" } else { "0\n" };
    Ok(fs.write_file(file(interface, family), value, &WriteOptions::new()).map(drop)?)
}
