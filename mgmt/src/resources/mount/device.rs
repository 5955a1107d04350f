//! What a device leads to: paths with symlinks, `UUID=`, `LABEL=`, images.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::resource::Result;
use crate::resources::paths::with_remedy;
use crate::sys::fs::ReadFs;

/// The directories in which udev names devices, by the beginning of a device in fstab(5).
const NAMES: [(&str, &str); 5] = [
    ("UUID=", "/dev/disk/by-uuid"),
    ("LABEL=", "/dev/disk/by-label"),
    ("PARTUUID=", "/dev/disk/by-partuuid"),
    ("PARTLABEL=", "/dev/disk/by-partlabel"),
    ("ID=", "/dev/disk/by-id"),
];
/// The longest name of a file that is behind a loop device, in bytes.
const NAME_BYTES_MAX: u64 = 8192;

/// The path of a device; `None`: it is no path (`tmpfs`, `host:/dir`).
pub(super) fn path(device: &str) -> Option<PathBuf> {
    if device.starts_with('/') {
        return Some(PathBuf::from(device));
    }
    let (dir, name) = NAMES.iter().find_map(|(tag, dir)| Some((dir, device.strip_prefix(tag)?)))?;
    Some(Path::new(dir).join(encoded(name.trim_matches('"'))))
}

/// A name as udev writes it.
fn encoded(name: &str) -> String {
    let mut encoded = String::new();
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) || !c.is_ascii() => encoded.push(c),
            c => _ = write!(encoded, "\\x{:02x}", u32::from(c)),
        }
    }
    encoded
}

/// A path without symlinks, as far as it exists.
pub(super) fn real(fs: &ReadFs, path: &Path) -> Result<PathBuf> {
    fs.real_path_of_the_existing(path).map_err(with_remedy)
}

/// Whether a mount of `source`, which the kernel shows, is one of `device`. If that can't be found out, it is taken for
/// one: it is not unmounted for a doubt.
pub(super) fn is_of(fs: &ReadFs, device: &str, source: &str) -> Result<bool> {
    if device == source || source == "/dev/root" {
        return Ok(true);
    }
    let Some(path) = path(device) else {
        // `host:/dir` and `host:/dir/`
        return Ok(device.trim_end_matches('/') == source.trim_end_matches('/'));
    };
    if fs.stat(&path)?.is_none() {
        return Ok(true);
    }
    if !source.starts_with('/') {
        return Ok(false);
    }
    let (device, source) = (real(fs, &path)?, real(fs, Path::new(source))?);
    Ok(device == source || image(fs, &source).is_some_and(|image| image == device))
}

/// The file behind a loop device.
fn image(fs: &ReadFs, source: &Path) -> Option<PathBuf> {
    let name = source.strip_prefix("/dev").ok()?;
    let file = Path::new("/sys/block").join(name).join("loop/backing_file");
    // `/sys/block` has symlinks of root, which are followed.
    let text = fs.read_file(file, NAME_BYTES_MAX).ok()?;
    Some(PathBuf::from(String::from_utf8(text).ok()?.trim_end_matches('\n')))
}

/// Whether the type that the kernel shows is the declared one.
pub(super) fn is_type(declared: &str, found: &str) -> bool {
    declared == found
        || declared == "auto"
        || declared == "nfs" && found == "nfs4"
        || found == "fuseblk"
        || found.strip_prefix("fuse.").is_some_and(|found| found == declared)
        || declared.strip_prefix("fuse.").is_some_and(|declared| declared == found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_leads_to_its_path() {
        for (device, expected) in [
            ("/dev/sda1", Some("/dev/sda1")),
            ("UUID=1-2", Some("/dev/disk/by-uuid/1-2")),
            ("LABEL=\"my disk\"", Some("/dev/disk/by-label/my\\x20disk")),
            ("PARTLABEL=a/b", Some("/dev/disk/by-partlabel/a\\x2fb")),
            ("tmpfs", None),
            ("host:/dir", None),
        ] {
            assert_eq!(path(device), expected.map(PathBuf::from), "{device}");
        }
    }
}
