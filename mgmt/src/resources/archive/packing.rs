//! The file that must hold an archive: compared with its inputs, and written.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzEncoder;

use crate::resource::{Digest, OwnedPaths, Result, Stopping};
use crate::resources::archive::contents::{Contents, Gathering, Input};
use crate::resources::archive::format::TarFormat;
use crate::resources::archive::made::{Made, Seen};
use crate::resources::archive::output::{Writing, found, refused};
use crate::resources::archive::packed::Packed;
use crate::resources::archive::sending;
use crate::resources::archive::squeeze::{Found, There, digest_of};
use crate::resources::beside;
use crate::sys::fs::{Content, ReadFs, Stat, WriteFs, WriteOptions};

/// The mode of a new archive, if all users may read what is in it, and if not.
const MODE_PUBLIC: u32 = 0o644;
const MODE_PRIVATE: u32 = 0o600;

/// How an archive is made of its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct How {
    pub(super) format: TarFormat,
    /// The level of the compression by gzip, if it is compressed.
    pub(super) level: Option<u32>,
}

/// What goes into an archive, and how.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) inputs: Vec<Input>,
    pub(super) how: How,
}

/// A file that must hold an archive.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    /// In normal form.
    pub(super) path: PathBuf,
    pub(super) recipe: Recipe,
}

/// What a look needs besides the wanted archive.
pub(super) struct Looking<'a> {
    pub(super) seen: &'a Seen<How>,
    pub(super) owned: &'a OwnedPaths,
    pub(super) stop: &'a Stopping,
}

impl Recipe {
    fn gather(&self, fs: &ReadFs, looking: &Looking<'_>, output: Option<(&Path, Option<&Stat>)>) -> Result<Contents> {
        let (digests, own) = (&looking.seen.digests, &looking.owned.own_state(fs));
        let (inputs, format) = (&self.inputs, self.how.format);
        Gathering { fs, inputs, format, digests, own, output, stop: looking.stop }.run()
    }

    /// The archive, to be sent.
    pub(super) fn value(&self, fs: &ReadFs, looking: &Looking<'_>) -> Result<Arc<Vec<u8>>> {
        let seen = looking.seen;
        seen.digests.begin([None; 2]);
        let contents = self.gather(fs, looking, None)?;
        seen.digests.end(true);
        seen.value(contents.digest, self.how, || {
            self.reading(fs, &contents, looking.stop, |packed| sending::value(packed))
        })
    }

    /// What the archive must be, in words.
    fn shown(&self, contents: &Contents) -> String {
        let (summary, format) = (contents.summary(), self.how.format.word());
        match self.how.level {
            None => format!("{summary}, format {format}"),
            Some(level) => format!("{summary}, format {format}, compressed at level {level}"),
        }
    }

    /// Calls `with` with the bytes of the archive.
    fn reading<T>(
        &self,
        fs: &ReadFs,
        contents: &Contents,
        stop: &Stopping,
        with: impl FnOnce(&mut dyn Read) -> T,
    ) -> T {
        let mut packed = Packed::new(fs, &self.inputs, contents, self.how.format, stop);
        match self.how.level {
            None => with(&mut packed),
            Some(level) => with(&mut GzEncoder::new(packed, Compression::new(level))),
        }
    }

    /// The SHA-256 of the archive.
    fn packed(&self, fs: &ReadFs, contents: &Contents, looking: &Looking<'_>) -> Result<Digest> {
        if let Some(known) = looking.seen.output(contents.digest, self.how) {
            return Ok(known);
        }
        let output = self.reading(fs, contents, looking.stop, |packed| digest_of(packed))?;
        looking.seen.keep(Made { original: contents.digest, how: self.how, output });
        Ok(output)
    }
}

impl Archive {
    /// What must be done, and what the archive must hold. The inputs are read only if they have changed; the archive is
    /// made for the comparison only if this engine does not know yet what it would be.
    pub(super) fn look(&self, fs: &ReadFs, looking: &Looking<'_>) -> Result<(Found, Contents)> {
        let (seen, stop) = (looking.seen, looking.stop);
        let there = found(fs, &self.path)?;
        seen.digests.begin([None; 2]);
        let recipe = &self.recipe;
        let contents = recipe.gather(fs, looking, Some((&self.path, there.as_ref())))?;
        let there = match &there {
            None => There::Nothing,
            Some(stat) => {
                let digest = seen.digests.digest(fs, &self.path, stat, stop)?;
                let is_other = seen.is_of_another(contents.digest, recipe.how, digest);
                There::of(stat, digest, !is_other && digest == recipe.packed(fs, &contents, looking)?)
            }
        };
        seen.digests.end(true);
        Ok((Found::of(fs, &self.path, there, || recipe.shown(&contents)), contents))
    }

    /// Writes the archive.
    pub(super) fn write(&self, fs: &WriteFs, seen: &Seen<How>, writing: &Writing<'_>) -> Result<()> {
        beside::tidy(fs, &self.path)?;
        let looking = Looking { seen, owned: writing.owned, stop: writing.stop };
        let (Found { changes, .. }, contents) = self.look(fs, &looking)?;
        if changes.is_empty() {
            return Ok(());
        }
        let mut options = WriteOptions::new().named_first(!writing.is_announced);
        if found(fs, &self.path)?.is_none() {
            // What others may not read stays so.
            options = options.mode(if contents.is_public { MODE_PUBLIC } else { MODE_PRIVATE });
        }
        let written = self.recipe.reading(fs, &contents, writing.stop, |packed| {
            fs.write_file(&self.path, Content::Reader(packed), &options)
        });
        let written = written.map_err(|error| refused(fs, writing.owned, &self.path, error))?;
        seen.keep(Made { original: contents.digest, how: self.recipe.how, output: *written.digest.as_bytes() });
        Ok(())
    }
}
