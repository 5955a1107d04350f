//! The original of a compressed file or of an archive: a file that must be there, and that must not change while it is
//! read.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::resource::{Digest, Error, Obstacle, ObstacleKind, Result, Stopping};
use crate::resources::paths::{shown, with_remedy};
use crate::sys::fs::{FileKind, FileReader, FsError, ReadFs, Stat};

/// The stat of a regular file. If it is missing or of another type, the error waits for that to change.
///
/// `what` is the field that names it.
pub(super) fn regular(fs: &ReadFs, path: &Path, what: &str) -> Result<Stat> {
    present(fs, path, what, "name a regular file", |kind| kind == FileKind::File)
}

/// The stat of an object of an accepted type. If it is missing or of another type, the error waits for that to change.
pub(super) fn present(
    fs: &ReadFs,
    path: &Path,
    what: &str,
    remedy: &str,
    is_accepted: impl Fn(FileKind) -> bool,
) -> Result<Stat> {
    let at = shown(path);
    let Some(stat) = fs.stat(path).map_err(with_remedy)? else {
        let why = format!("the {what} {at} does not exist: nothing is changed until it does");
        return Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Missing).at(path)));
    };
    let why = match stat.kind {
        kind if is_accepted(kind) => return Ok(stat),
        FileKind::Symlink => {
            let target = stat.link_target.as_deref().map(shown).unwrap_or_default();
            format!("the {what} {at} is a symlink to {target}: name what it leads to")
        }
        kind => format!("the {what} {at} is a {kind}: {remedy}"),
    };
    Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(path)))
}

/// Reads an original from its beginning to its end and computes its SHA-256. Ends early if the work must stop, and with
/// an error if the file was changed meanwhile.
pub(super) struct Original<'a> {
    from: From<'a>,
    hasher: Sha256,
    stop: &'a Stopping,
}

enum From<'a> {
    File(FileReader),
    Bytes(&'a [u8]),
}

impl<'a> Original<'a> {
    pub(super) fn file(file: FileReader, stop: &'a Stopping) -> Original<'a> {
        Original { from: From::File(file), hasher: Sha256::new(), stop }
    }

    pub(super) fn bytes(bytes: &'a [u8], stop: &'a Stopping) -> Original<'a> {
        Original { from: From::Bytes(bytes), hasher: Sha256::new(), stop }
    }

    /// The SHA-256 of what was read.
    pub(super) fn digest(self) -> Digest {
        self.hasher.finalize().into()
    }
}

impl Read for Original<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            return Err(io::Error::other("cancelled"));
        }
        let n = match &mut self.from {
            From::File(file) => file.read(into)?,
            From::Bytes(bytes) => bytes.read(into)?,
        };
        if let (0, From::File(file), false) = (n, &self.from, into.is_empty())
            && file.changed_since_opened().map_err(io::Error::other)?
        {
            return Err(io::Error::other(FsError::Changed { path: file.path().to_path_buf() }));
        }
        self.hasher.update(&into[..n]);
        Ok(n)
    }
}
