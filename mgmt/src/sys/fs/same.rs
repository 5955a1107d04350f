//! Whether two paths name the same file.

use std::path::{Path, PathBuf};

use super::error::FsError;
use super::read::ReadFs;
use super::stat::FileKind;
use super::walk::Links;

/// The identity of the place that a path names, however it is spelled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FileKey {
    /// The path without links in its directory part: equal for two spellings of one place.
    pub path: PathBuf,
    /// Device and inode number, if the file exists, is no directory, and has more than one name: equal for two hard
    /// links.
    pub inode: Option<(u64, u64)>,
}

impl FileKey {
    /// Whether both keys are of one file: the same place, or two hard links.
    pub fn is_same(&self, other: &FileKey) -> bool {
        self.path == other.path || (self.inode.is_some() && self.inode == other.inode)
    }
}

impl ReadFs {
    /// The path of a directory with all links resolved, also those that [`Links::Guarded`] does not follow: the path is
    /// only looked at. Components that do not exist are kept as they are spelled.
    pub fn real_dir(&self, dir: impl AsRef<Path>) -> Result<PathBuf, FsError> {
        let looser = self.clone().links(Links::Follow);
        looser.walker().real_path_of_the_existing(&looser.normal(dir.as_ref())?)
    }

    /// The identity of the place that `path` names: its normal form with all links before the last component resolved,
    /// also those that [`Links::Guarded`] does not follow: the path is only looked at. Components that do not exist are
    /// kept as they are spelled. The last component is not followed: a symlink and its target are two places.
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
