//! Carries out the steps that a check of a file found to be necessary.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::resource::{Error, OwnedPaths, Result, Stopping};
use crate::resources::file::drift::{Action, Original, Step};
use crate::resources::file::foresee::owners;
use crate::resources::file::maker::is_stranger;
use crate::resources::file::wanted::Wanted;
use crate::resources::file::wanted_content::WantedContent;
use crate::resources::paths::missing_dir;
use crate::sys::fs::{
    Attributes, Content, CopySource, FileKind, FileReader, FsError, Replace, SyncBatch, WriteFs, WriteOptions,
    is_temporary_name,
};
use crate::sys::users;

/// One apply.
pub(super) struct Work<'a> {
    pub(super) fs: &'a WriteFs,
    pub(super) wanted: &'a Wanted,
    pub(super) stop: &'a Stopping,
    /// The journal holds that this change will owe refreshes.
    pub(super) is_announced: bool,
    /// The paths that resources of the graph own.
    pub(super) owned: &'a OwnedPaths,
}

impl Work<'_> {
    /// Runs the steps in their order, up to the first that fails. The changes are durable when the batch is committed.
    pub(super) fn run(&self, steps: Vec<Step>) -> (SyncBatch, Result<()>) {
        let batch = self.fs.batch();
        let outcome = owners(self.wanted).and_then(|owners| {
            steps.iter().try_for_each(|step| {
                self.stop.check()?;
                self.step(batch.fs(), step, &owners)
            })
        });
        (batch, outcome)
    }

    fn step(&self, fs: &WriteFs, step: &Step, owners: &Attributes) -> Result<()> {
        self.is_as_seen(fs, step)?;
        let path = &step.path;
        let outcome = match &step.action {
            Action::Write { input, mode, replace, keep } => {
                let attributes = Attributes { mode: *mode, ..*owners };
                let is_secret = matches!(input, Some(WantedContent::Given(content)) if content.is_secret());
                let options = WriteOptions { attributes, ..WriteOptions::new() }.replace(*replace).keep(*keep);
                let options = options.named_first(!is_secret && !self.is_announced);
                let written = match &step.original {
                    Some(original) => {
                        let options = options.attributes(*owners);
                        self.copy(fs, path, original, &options)
                    }
                    None => self.write(fs, path, input.as_ref(), &options),
                };
                return written.map_err(|error| missing_dir(fs, self.owned, path).unwrap_or(error));
            }
            Action::MakeDir { mode } => make_dir(fs, step, &Attributes { mode: *mode, ..*owners }),
            Action::Link { target, replace, maker, gid } => {
                let made = match maker {
                    Some(maker) => fs.make_symlink_of(path, target, *maker, *replace),
                    None => fs.make_symlink(path, target, *replace),
                };
                made.and_then(|_| own(fs, path, &owners_of_link(owners, *maker, *gid)))
            }
            Action::SetLink { maker, gid } => fs.set_attributes(path, &owners_of_link(owners, *maker, *gid)).map(drop),
            Action::Set { mode } => set(fs, step, &Attributes { mode: *mode, ..*owners }),
            Action::Date => step.original.as_ref().map_or(Ok(()), |original| fs.set_time(path, &original.likeness)),
            Action::Clean => fs.clean_temporary_files(path).map(drop),
            // The file was left over at the check, and is in use now.
            Action::Remove { .. }
                if path.file_name().is_some_and(is_temporary_name) && fs.is_being_written(path).unwrap_or(false) =>
            {
                Ok(())
            }
            Action::Remove { cap } => fs.remove_tree(path, *cap).map(drop),
            Action::Sync => fs.sync_dir(path.parent().unwrap_or(path)),
        };
        outcome.map_err(|error| missing_dir(fs, self.owned, path).unwrap_or_else(|| error.into()))
    }

    /// Since the check, the thing at the path may have been swapped for another type, which no check has permitted to
    /// remove.
    fn is_as_seen(&self, fs: &WriteFs, step: &Step) -> Result<()> {
        // Where only the same type is replaced, the write itself checks; between its check and its rename this still
        // holds, as the rename replaces a name and follows nothing.
        let looks_itself = matches!(
            &step.action,
            Action::Write { replace: Replace::SameKind, .. }
                | Action::Link { replace: Replace::SameKind, .. }
                | Action::Clean
                | Action::Sync
                | Action::Date
        );
        if looks_itself {
            return Ok(());
        }
        match (fs.stat(&step.path)?.map(|stat| stat.kind), step.seen) {
            (Some(now), Some(seen)) if now != seen => Err(FsError::Changed { path: step.path.clone() }.into()),
            // Another program made the directory that this step would make.
            (Some(FileKind::Directory), None) => Ok(()),
            (Some(_), None) => Err(FsError::Changed { path: step.path.clone() }.into()),
            _ => Ok(()),
        }
    }

    fn write(&self, fs: &WriteFs, path: &Path, input: Option<&WantedContent>, options: &WriteOptions) -> Result<()> {
        match input {
            None => fs.write_file(path, "", options)?,
            Some(WantedContent::Given(content)) => {
                let bytes = content.bytes().ok_or_else(|| Error::needs_value("content"))?;
                fs.write_file(path, bytes, options)?
            }
            Some(WantedContent::Files(files)) if files.len() == 1 => {
                let mut file = fs.open(&files[0].0)?;
                let source = CopySource { file: &mut file, is_stopped: &|| self.stop.is_stopped() };
                fs.write_file(path, Content::File(source), options)?
            }
            Some(WantedContent::Files(files)) => {
                let paths = files.iter().map(|(path, _)| path.clone()).rev().collect();
                let mut reader = Joined { fs, todo: paths, now: None, stop: self.stop };
                fs.write_file(path, Content::Reader(&mut reader), options)?
            }
        };
        Ok(())
    }

    fn copy(&self, fs: &WriteFs, path: &Path, original: &Original, options: &WriteOptions) -> Result<()> {
        let mut file = fs.open(&original.path)?;
        let source = CopySource { file: &mut file, is_stopped: &|| self.stop.is_stopped() };
        fs.write_copy(path, source, options, &original.likeness)?;
        Ok(())
    }
}

fn make_dir(fs: &WriteFs, step: &Step, attributes: &Attributes) -> Result<(), FsError> {
    // The check has permitted to remove exactly this, and it is no directory.
    if step.seen.is_some_and(|seen| seen != FileKind::Directory) {
        fs.remove_file(&step.path)?;
    }
    let Some(original) = &step.original else {
        if !fs.make_dir(&step.path, attributes)? {
            fs.set_attributes(&step.path, attributes)?;
        }
        return Ok(());
    };
    // Accessible to this user alone until it is like its original.
    fs.make_dir(&step.path, &Attributes::new().mode(0o700))?;
    let likeness = original.likeness.with(attributes).without_time();
    fs.set_attributes(&step.path, &Attributes { mode: None, ..*attributes })?;
    fs.make_alike(&step.path, &original.path, &likeness)
}

fn set(fs: &WriteFs, step: &Step, attributes: &Attributes) -> Result<(), FsError> {
    fs.set_attributes(&step.path, attributes)?;
    match &step.original {
        Some(original) => fs.make_alike(&step.path, &original.path, &original.likeness),
        None => Ok(()),
    }
}

/// The owners of a symlink that is a copy of a stranger's: the copy must not belong to root or this user, since it
/// would then be followed.
fn owners_of_link(owners: &Attributes, maker: Option<u32>, gid: Option<u32>) -> Attributes {
    let owners = Attributes { gid: owners.gid.or(gid), ..*owners };
    let Some(maker) = maker else { return owners };
    let uid = owners.uid.filter(|uid| is_stranger(*uid)).or(users::is_root().then_some(maker));
    Attributes { uid, ..owners }
}

fn own(fs: &WriteFs, link: &Path, owners: &Attributes) -> Result<(), FsError> {
    if *owners != Attributes::default() {
        fs.set_attributes(link, owners)?;
    }
    Ok(())
}

/// The contents of several files, one after the other, each as it is when its turn comes.
struct Joined<'a> {
    fs: &'a WriteFs,
    /// In reverse order: the next file is the last.
    todo: Vec<PathBuf>,
    now: Option<FileReader>,
    stop: &'a Stopping,
}

impl Read for Joined<'_> {
    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            return Err(io::Error::other("cancelled"));
        }
        loop {
            let reader = match &mut self.now {
                Some(reader) => reader,
                None => match self.todo.pop() {
                    Some(path) => self.now.insert(self.fs.open(path).map_err(io::Error::other)?),
                    None => return Ok(0),
                },
            };
            let n = reader.read(chunk)?;
            if n > 0 || chunk.is_empty() {
                return Ok(n);
            }
            // A mixture of two versions of a file would be neither.
            if reader.changed_since_opened().map_err(io::Error::other)? {
                return Err(io::Error::other(FsError::Changed { path: reader.path().to_owned() }));
            }
            self.now = None;
        }
    }
}
