//! Carried files on the disk of a host: writes them, and checks that they are what the deploy has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::graph::{CarriedEntry, CarriedTree, ContentId, ContentRef, FILE_BYTES_MAX};
use crate::sys::fs::ReadFs;

fn at(root: &Path, entry: &CarriedEntry) -> PathBuf {
    if entry.path().is_empty() { root.to_owned() } else { root.join(entry.path()) }
}

/// A regular file with this content, or nothing.
pub(super) fn content_at(fs: &ReadFs, path: &Path, content: &ContentRef) -> Option<Vec<u8>> {
    let bytes = fs.read_file(path, FILE_BYTES_MAX).ok()?;
    (ContentRef::of(&bytes) == *content).then_some(bytes)
}

/// Whether the tree at `root` is what the deploy has: all of it, and nothing else. Reads every file.
pub(super) fn is_tree(root: &Path, tree: &CarriedTree) -> bool {
    let fs = ReadFs::new();
    let mut there: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for entry in &tree.entries {
        let path = at(root, entry);
        let Ok(Some(stat)) = fs.stat(&path) else { return false };
        let is_same = match entry {
            CarriedEntry::File { content, mode, .. } => {
                stat.is_file() && stat.mode == *mode && content_at(&fs, &path, content).is_some()
            }
            CarriedEntry::Directory { mode, .. } => {
                there.entry(path.clone()).or_default();
                stat.is_dir() && stat.mode == *mode
            }
            CarriedEntry::Symlink { target, .. } => stat.link_target.as_deref() == Some(Path::new(target)),
        };
        if !is_same {
            return false;
        }
        if let (false, Some(dir), Some(name)) = (entry.path().is_empty(), path.parent(), path.file_name()) {
            there.entry(dir.to_owned()).or_default().insert(name.to_string_lossy().into_owned());
        }
    }
    there.iter().all(|(dir, names)| {
        let found = fs.read_dir(dir).unwrap_or_default();
        found.len() == names.len()
            && found.iter().all(|entry| entry.name.to_str().is_some_and(|name| names.contains(name)))
    })
}

/// Makes the tree at `root`, where nothing is, in a directory that only this user can enter. All of it is durable then.
pub(super) fn make_tree(root: &Path, tree: &CarriedTree, contents: &BTreeMap<ContentId, Vec<u8>>) -> io::Result<()> {
    let mut dirs = Vec::new();
    for entry in &tree.entries {
        let path = at(root, entry);
        match entry {
            CarriedEntry::Directory { mode, .. } => {
                DirBuilder::new().mode(0o700).create(&path)?;
                dirs.push((path, *mode));
            }
            CarriedEntry::Symlink { target, .. } => symlink(target, &path)?,
            CarriedEntry::File { content, mode, mtime, .. } => {
                let bytes = contents.get(&content.sha256).ok_or(io::ErrorKind::NotFound)?;
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                file.write_all(bytes)?;
                // The umask has no effect.
                file.set_permissions(Permissions::from_mode(*mode))?;
                file.set_modified(time(*mtime))?;
                file.sync_all()?;
            }
        }
    }
    for (dir, mode) in dirs.iter().rev() {
        fs::set_permissions(dir, Permissions::from_mode(*mode))?;
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

/// A time that no file can have is that of 1970.
fn time(seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(by) } else { UNIX_EPOCH.checked_add(by) };
    time.unwrap_or(UNIX_EPOCH)
}
