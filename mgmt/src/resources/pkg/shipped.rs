//! The files of packages that are installed.

use std::path::{Path, PathBuf};

use crate::sys::fs::ReadFs;

/// Where dpkg keeps the lists of files.
const INFO: &str = "/var/lib/dpkg/info";
/// The largest list that is read, in bytes.
const BYTES_MAX: u64 = 64 << 20;

/// The files of a package, as long as it is installed: before, nobody knows them.
pub(super) fn files(name: &str) -> Vec<PathBuf> {
    let fs = ReadFs::new();
    let read = |name: &str| fs.read_file(Path::new(INFO).join(format!("{name}.list")), BYTES_MAX).ok();
    // Packages that can be installed for several architectures at once have theirs in the name.
    let others = || {
        let entries = fs.read_dir(INFO).unwrap_or_default();
        let names = entries.into_iter().map(|entry| entry.name.to_string_lossy().into_owned());
        let mut of_name = names.filter(|entry| entry.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')));
        of_name.find_map(|entry| read(entry.strip_suffix(".list")?))
    };
    let Some(list) = read(name).or_else(others) else { return Vec::new() };
    let lines = list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && *line != b"/.");
    lines.map(|line| PathBuf::from(String::from_utf8_lossy(line).into_owned())).collect()
}
