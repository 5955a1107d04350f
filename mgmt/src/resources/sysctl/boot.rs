//! Which file counts for a parameter at the next boot: sysctl.d(5).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::resource::{Error, Obstacle, ObstacleKind, Result};
use crate::resources::edits::{text_of, waiting};
use crate::resources::paths::{shown, with_remedy};
use crate::resources::sysctl::key::Key;
use crate::resources::sysctl::{text, value};
use crate::sys::fs::ReadFs;

/// The file of resources that name none.
pub(super) const FILE: &str = "/etc/sysctl.d/99-mgmt.conf";
/// The directories with files that are read at boot. Of two files of one name, the one in the first directory counts.
pub(super) const DIRS: [&str; 4] = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"];
/// The largest number of files that are read.
const FILES_MAX: usize = 1000;

/// Whether a file is read at boot because of its directory.
pub(super) fn is_read(file: &Path) -> bool {
    file.parent().is_some_and(|dir| DIRS.iter().any(|known| dir == Path::new(known)))
}

/// Fails if the value in this file does not count at boot, because of another file.
pub(super) fn must_count(fs: &ReadFs, file: &Path, key: &Key, wanted: &str) -> Result<()> {
    let Some(name) = file.file_name().filter(|_| is_read(file)) else { return Ok(()) };
    let all = files(fs)?;
    if let Some(other) = all.get(name).filter(|other| other.as_path() != file) {
        let why = format!("{} is read at boot in place of {}: remove it", shown(other), shown(file));
        return Err(in_the_way(why, other));
    }
    let later = all.range::<OsString, _>((std::ops::Bound::Excluded(name.to_owned()), std::ops::Bound::Unbounded));
    let mut last = None;
    for (_, other) in later {
        let path = fs.real_path_of_the_existing(other).map_err(|error| waiting(with_remedy(error), other))?;
        // A symlink to /dev/null stands for an empty file.
        if fs.stat(&path)?.is_some_and(|found| found.is_file()) {
            let found = text_of(fs, &path)?.and_then(|text| text::value(&text, key));
            last = found.map(|found| (other, found)).or(last);
        }
    }
    match last {
        Some((other, found)) if !value::is_same(&found, wanted) => {
            let (other_shown, found) = (shown(other), value::shown(&found));
            let why = format!(
                "{other_shown} sets `{key}` to `{found}` and is read at boot after {}: remove it there, or name a later \
                 file in `path`",
                shown(file)
            );
            Err(in_the_way(why, other))
        }
        _ => Ok(()),
    }
}

fn in_the_way(why: String, path: &Path) -> Error {
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(path))
}

/// The files that are read at boot, in their order.
fn files(fs: &ReadFs) -> Result<BTreeMap<OsString, PathBuf>> {
    let mut all = BTreeMap::new();
    for dir in DIRS.map(Path::new) {
        let entries = match fs.read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.is_missing() => continue,
            Err(error) => return Err(error.into()),
        };
        for entry in entries.into_iter().take(FILES_MAX) {
            let is_read = Path::new(&entry.name).extension().is_some_and(|end| end == "conf");
            if is_read {
                let path = dir.join(&entry.name);
                all.entry(entry.name).or_insert(path);
            }
        }
    }
    Ok(all)
}
