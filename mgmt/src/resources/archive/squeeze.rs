//! The compressed form of an original, made piece by piece: the same bytes at any time and on any host.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::resource::{Change, Digest, Result, Stopping};
use crate::resources::archive::made::{Made, Seen};
use crate::resources::archive::original::{Original, regular};
use crate::resources::archive::output::{Writing, found, raced, refused};
use crate::resources::archive::sending::value;
use crate::resources::beside;
use crate::sys::fs::{Content, FsError, ReadFs, Stat, WriteFs, WriteOptions};

const CHUNK_BYTES: usize = 64 * 1024;
/// The mode of a new file that is made of a text.
const MODE: u32 = 0o644;

/// What is compressed.
#[derive(Clone, Debug)]
pub(super) enum Input {
    File(PathBuf),
    Text(String),
}

/// What is compressed, and how.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) input: Input,
    pub(super) level: u32,
}

/// A file that must be the compressed form of an original.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// In normal form.
    pub(super) path: PathBuf,
    pub(super) recipe: Recipe,
}

/// What a check has found.
pub(super) struct Found {
    pub(super) changes: Vec<Change>,
    /// The SHA-256 of the output, if it is as it must be.
    pub(super) digest: Option<Digest>,
}

/// What is there in the place of the output.
pub(super) enum There {
    Nothing,
    /// The output, with its SHA-256.
    Output(Digest),
    /// Something else, of this many bytes.
    Other(u64),
}

impl There {
    pub(super) fn of(stat: &Stat, digest: Digest, is_output: bool) -> There {
        if is_output { There::Output(digest) } else { There::Other(stat.size) }
    }
}

impl Found {
    /// What must be done where this is there; `shown`: what the output must hold, in words.
    pub(super) fn of(fs: &ReadFs, path: &Path, there: There, shown: impl FnOnce() -> String) -> Found {
        let (from, digest) = match there {
            There::Nothing => (Some("absent".to_owned()), None),
            There::Output(digest) => (None, Some(digest)),
            There::Other(size) => (Some(format!("other content, {size} bytes")), None),
        };
        let content = from.map(|from| Change::new("content", from, shown()));
        let beside = beside::leftovers(fs, path).into_iter().chain(beside::unsynced(fs, path));
        Found { changes: content.into_iter().chain(beside).collect(), digest }
    }
}

impl Recipe {
    /// The SHA-256 of the original.
    fn original(&self, fs: &ReadFs, seen: &Seen<u32>, stop: &Stopping) -> Result<Digest> {
        match &self.input {
            Input::File(path) => seen.digests.digest(fs, path, &regular(fs, path, "input")?, stop),
            Input::Text(text) => Ok(Sha256::digest(text).into()),
        }
    }

    /// The compressed form of the original, to be sent.
    pub(super) fn value(&self, fs: &ReadFs, seen: &Seen<u32>, stop: &Stopping) -> Result<Arc<Vec<u8>>> {
        seen.value(self.original(fs, seen, stop)?, self.level, || {
            value(&mut GzEncoder::new(self.open(fs, stop)?, Compression::new(self.level)))
        })
    }

    /// What the output must hold, in words.
    fn shown(&self) -> String {
        let level = self.level;
        match &self.input {
            Input::File(path) => format!("{}, compressed at level {level}", crate::resources::paths::shown(path)),
            Input::Text(text) => format!("`content` ({} bytes), compressed at level {level}", text.len()),
        }
    }

    /// The SHA-256 of the compressed form of the original.
    fn squeezed(&self, fs: &ReadFs, seen: &Seen<u32>, original: Digest, stop: &Stopping) -> Result<Digest> {
        if let Some(known) = seen.output(original, self.level) {
            return Ok(known);
        }
        let mut from = self.open(fs, stop)?;
        let output = digest_of(&mut GzEncoder::new(&mut from, Compression::new(self.level)))?;
        let made = Made { original: from.digest(), how: self.level, output };
        seen.keep(made);
        Ok(made.output)
    }

    fn open<'a>(&'a self, fs: &ReadFs, stop: &'a Stopping) -> Result<Original<'a>> {
        Ok(match &self.input {
            Input::File(path) => Original::file(fs.open_seen(path, &regular(fs, path, "input")?)?, stop),
            Input::Text(text) => Original::bytes(text.as_bytes(), stop),
        })
    }
}

impl Wanted {
    /// What must be done. The original is compressed only if neither this engine has compressed it before nor a look at
    /// the output is enough.
    pub(super) fn look(&self, fs: &ReadFs, seen: &Seen<u32>, stop: &Stopping) -> Result<Found> {
        let recipe = &self.recipe;
        let original = recipe.original(fs, seen, stop)?;
        let there = match found(fs, &self.path)? {
            None => There::Nothing,
            Some(stat) => {
                let digest = seen.digests.digest(fs, &self.path, &stat, stop)?;
                let is_other = seen.is_of_another(original, recipe.level, digest);
                There::of(&stat, digest, !is_other && digest == recipe.squeezed(fs, seen, original, stop)?)
            }
        };
        Ok(Found::of(fs, &self.path, there, || recipe.shown()))
    }

    /// Writes the output.
    pub(super) fn write(&self, fs: &WriteFs, seen: &Seen<u32>, writing: &Writing<'_>) -> Result<()> {
        beside::tidy(fs, &self.path)?;
        let Found { changes, .. } = self.look(fs, seen, writing.stop)?;
        if changes.is_empty() {
            return Ok(());
        }
        let mut options = WriteOptions::new().named_first(!writing.is_announced);
        if found(fs, &self.path)?.is_none() {
            // What others may not read stays so.
            options = options.mode(match &self.recipe.input {
                Input::File(path) => regular(fs, path, "input")?.mode & 0o666,
                Input::Text(_) => MODE,
            });
        }
        let mut from = self.recipe.open(fs, writing.stop)?;
        let mut squeezed = GzEncoder::new(&mut from, Compression::new(self.recipe.level));
        let written = fs
            .write_file(&self.path, Content::Reader(&mut squeezed), &options)
            .map_err(|error| refused(fs, writing.owned, &self.path, error))?;
        drop(squeezed);
        seen.keep(Made { original: from.digest(), how: self.recipe.level, output: *written.digest.as_bytes() });
        Ok(())
    }
}

/// The SHA-256 of what is read to its end.
pub(super) fn digest_of(from: &mut dyn Read) -> Result<Digest> {
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        match from.read(&mut chunk).map_err(of_original)? {
            0 => return Ok(hasher.finalize().into()),
            n => hasher.update(&chunk[..n]),
        }
    }
}

/// The error of reading an original.
pub(super) fn of_original(error: io::Error) -> crate::resource::Error {
    match error.downcast::<FsError>() {
        Ok(error) => raced(error.into()),
        Err(error) => error.into(),
    }
}
