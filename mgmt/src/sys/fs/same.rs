//! One path owned twice: what two spellings of one place have in common.

use std::path::{Path, PathBuf};

use super::error::FsError;
use super::read::ReadFs;
use super::stat::FileKind;
use super::walk::Links;

/// What identifies the place that a path names, however it is spelled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FileKey {
    /// The path without links in its directory part. Two spellings of one place have the same.
    pub path: PathBuf,
    /// Device and number, if it exists, is no directory, and has more than one name: two hard links have the same.
    pub inode: Option<(u64, u64)>,
}

impl FileKey {
    /// Whether both are one file: the same place, or two hard links.
    pub fn is_same(&self, other: &FileKey) -> bool {
        self.path == other.path || (self.inode.is_some() && self.inode == other.inode)
    }
}

impl ReadFs {
    /// A directory without links in its path, all of them followed: only looking. What does not exist is kept as it is
    /// spelled.
    pub fn real_dir(&self, dir: impl AsRef<Path>) -> Result<PathBuf, FsError> {
        let looser = self.clone().links(Links::Follow);
        looser.walker().real_path_of_the_existing(&looser.normal(dir.as_ref())?)
    }

    /// The identity of the place `path` names: its normal form, with the links in the directories before the last component
    /// resolved (all of them: only looking), and what does not exist yet kept as spelled. The last component is not followed:
    /// a symlink and the file it leads to are two things.
    pub fn same_file_key(&self, path: impl AsRef<Path>) -> Result<FileKey, FsError> {
        let looser = self.clone().links(Links::Follow);
        let normal = looser.normal(path.as_ref())?;
        let Some((parent, name)) = super::path::split_last(&normal) else {
            return Ok(FileKey { path: normal, inode: None });
        };
        let real = looser.walker().real_path_of_the_existing(parent)?.join(name);
        let inode = looser.stat(&real)?.filter(|stat| stat.kind != FileKind::Directory && stat.nlink > 1);
        Ok(FileKey { path: real, inode: inode.map(|stat| stat.identity()) })
    }
}
