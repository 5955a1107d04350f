//! Snapshots of a directory, for comparisons.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::resource::{Digest, digest_of};

/// The state of a directory tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    entries: BTreeMap<PathBuf, Entry>,
    observed: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Type and permissions.
    mode: u32,
    owner: (u32, u32),
    /// The digest of the content of a file or a link.
    content: Option<Digest>,
    /// The inode and its time of change, which show that the same content was written again.
    writing: (u64, i64, i64),
}

impl Snapshot {
    pub(super) fn take(root: &Path, observed: Option<String>) -> io::Result<Snapshot> {
        let mut snapshot = Snapshot { entries: BTreeMap::new(), observed };
        let mut open = vec![root.to_owned()];
        while let Some(path) = open.pop() {
            let Some((entry, metadata)) = unless_gone(entry(&path))? else { continue };
            if metadata.is_dir() {
                for child in unless_gone(fs::read_dir(&path))?.into_iter().flatten() {
                    open.push(child?.path());
                }
            }
            snapshot.entries.insert(path.strip_prefix(root).unwrap_or(&path).to_owned(), entry);
        }
        Ok(snapshot)
    }

    /// The differences from this snapshot to another one, in words. With `writing`, writing the same content again is a
    /// difference.
    pub(super) fn difference(&self, after: &Snapshot, writing: bool) -> Option<String> {
        let mut said = Vec::new();
        for (path, entry) in &after.entries {
            match self.entries.get(path) {
                None => said.push(format!("{} was made", path.display())),
                Some(before) => {
                    said.extend(before.change(entry).map(|what| format!("{} {what}", path.display())));
                }
            }
        }
        let gone = self.entries.keys().filter(|path| !after.entries.contains_key(*path));
        said.extend(gone.map(|path| format!("{} was removed", path.display())));
        if self.observed != after.observed {
            let text = |observed: &Option<String>| observed.clone().unwrap_or_default();
            said.push(format!("what is observed went from {:?} to {:?}", text(&self.observed), text(&after.observed)));
        }
        if writing && said.is_empty() {
            let again = after.entries.iter().filter(|(path, entry)| self.entries[*path].writing != entry.writing);
            // Adding or removing a name writes to a directory as well.
            said.extend(again.map(|(path, _)| format!("{} was written again", path.display())));
        }
        (!said.is_empty()).then(|| said.join(", "))
    }
}

impl Entry {
    fn change(&self, after: &Entry) -> Option<&'static str> {
        if self.content != after.content {
            Some("has another content")
        } else if self.mode != after.mode {
            Some("has another type or mode")
        } else if self.owner != after.owner {
            Some("has another owner")
        } else {
            None
        }
    }
}

fn entry(path: &Path) -> io::Result<(Entry, Metadata)> {
    let metadata = fs::symlink_metadata(path)?;
    let content = if metadata.is_file() {
        Some(digest_of(&fs::read(path)?))
    } else if metadata.is_symlink() {
        Some(digest_of(&fs::read_link(path)?))
    } else {
        None
    };
    let writing = (metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
    Ok((Entry { mode: metadata.mode(), owner: (metadata.uid(), metadata.gid()), content, writing }, metadata))
}

/// `None` if the entry disappeared while it was read.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
