//! The content that a file must get: its size, its digest, and a sample to show.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::resource::Stopping;
use crate::resource::{Digest, Error, Obstacle, ObstacleKind, Result};
use crate::resources::digests::Digests;
use crate::resources::file::content::Content;
use crate::resources::file::path::Spelled;
use crate::resources::file::wanted::Origin;
use crate::resources::paths::shown;
use crate::resources::paths::with_remedy;
use crate::sys::fs::{FileKind, ReadFs, Stat, is_temporary_name};

/// A content, as it is now.
#[derive(Clone, Debug)]
pub(super) enum WantedContent {
    Given(Content),
    Files(Vec<(PathBuf, Stat)>),
}

impl WantedContent {
    /// Finds the files that make up the content.
    pub(super) fn look(fs: &ReadFs, origin: &Origin) -> Result<WantedContent> {
        match origin {
            Origin::Given(content) => Ok(WantedContent::Given(content.clone())),
            Origin::Files(files) => {
                let mut found = Vec::with_capacity(files.len());
                for file in files {
                    find(fs, file, &mut found)?;
                }
                Ok(WantedContent::Files(found))
            }
        }
    }

    /// The content was made from a secret.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, WantedContent::Given(content) if content.is_secret())
    }

    /// The size in bytes, if it is known.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            WantedContent::Given(content) => content.bytes().map(|bytes| bytes.len() as u64),
            WantedContent::Files(files) => Some(files.iter().map(|(_, stat)| stat.size).sum()),
        }
    }

    /// The modes of the files that the content is made from.
    pub(super) fn modes(&self) -> impl Iterator<Item = u32> {
        let files = match self {
            WantedContent::Given(_) => &[][..],
            WantedContent::Files(files) => files,
        };
        files.iter().map(|(_, stat)| stat.mode)
    }

    /// The original is this very file.
    pub(super) fn is_same_file(&self, stat: &Stat) -> bool {
        matches!(self, WantedContent::Files(files) if files.len() == 1 && files[0].1.identity() == stat.identity())
    }

    /// Whether the content has this SHA-256.
    pub(super) fn has_sha256(&self, there: &Digest, fs: &ReadFs, seen: &Digests, stop: &Stopping) -> Result<bool> {
        match self {
            WantedContent::Given(content) => Ok(content.has_sha256(there)),
            WantedContent::Files(files) => match &files[..] {
                [(path, stat)] => Ok(seen.digest(fs, path, stat, stop)? == *there),
                files => Ok(seen.joined(fs, files, stop)? == *there),
            },
        }
    }

    /// The whole content, if it may be shown and is not too big.
    pub(super) fn sample(&self, fs: &ReadFs, bytes_max: u64) -> Option<Cow<'_, [u8]>> {
        if self.is_secret() || self.size()? > bytes_max {
            return None;
        }
        match self {
            WantedContent::Given(content) => content.bytes().map(Cow::Borrowed),
            WantedContent::Files(files) => {
                let mut all = Vec::new();
                for (path, _) in files {
                    all.extend(fs.read_file(path, bytes_max).ok()?);
                }
                Some(all.into())
            }
        }
    }

    /// Fails if only the digest of the content is known, so that it cannot be written.
    pub(super) fn must_be_whole(&self) -> Result<()> {
        match self {
            WantedContent::Given(content) if content.bytes().is_none() => Err(Error::needs_value("content")),
            _ => Ok(()),
        }
    }
}

/// Others may not read a file with this mode: its content must not appear in a plan or a log.
pub(super) fn is_private(mode: u32) -> bool {
    mode & 0o004 == 0
}

fn find(fs: &ReadFs, file: &Spelled, found: &mut Vec<(PathBuf, Stat)>) -> Result<()> {
    let stat = original(fs, &file.path, if file.dir { FileKind::Directory } else { FileKind::File })?;
    if !file.dir {
        found.push((file.path.clone(), stat));
        return Ok(());
    }
    for entry in fs.read_dir(&file.path)? {
        let path = file.path.join(&entry.name);
        match entry.kind {
            FileKind::File | FileKind::Symlink if !is_temporary_name(&entry.name) => {
                let stat = original(fs, &path, FileKind::File)?;
                found.push((path, stat));
            }
            // No regular file: a directory, a pipe, a socket, a device.
            _ => {}
        }
    }
    Ok(())
}

/// The metadata of an original, which must have the wanted type.
pub(super) fn original(fs: &ReadFs, path: &Path, wanted: FileKind) -> Result<Stat> {
    let path_shown = shown(path);
    let Some(stat) = fs.stat(path).map_err(with_remedy)? else {
        return Err(Error::new(format!(
            "the source {path_shown} does not exist: what was copied from it is left as it is; bring it back, or name another"
        ))
        .waiting_for(Obstacle::new(ObstacleKind::Missing).at(path)));
    };
    let in_the_way = |text: String| Err(Error::new(text).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(path)));
    match stat.kind {
        kind if kind == wanted => Ok(stat),
        FileKind::Directory => {
            in_the_way(format!("the source {path_shown} is a directory: write it as {path_shown}/ if that is meant"))
        }
        FileKind::Symlink => {
            let target = stat.link_target.as_deref().map(shown).unwrap_or_default();
            in_the_way(format!("the source {path_shown} is a symlink to {target}: name what it leads to"))
        }
        kind => in_the_way(format!("the source {path_shown} is a {kind}, not a {wanted}: name a {wanted}")),
    }
}
