//! Writes the members of an archive that differ from what is on disk.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::Digest as _;
use sha2::Sha256;

use crate::resource::{OwnedPaths, Result, Stopping};
use crate::resources::archive::compare::{Differences, Due, Wanted};
use crate::resources::archive::member::{Head, Member, What};
use crate::resources::archive::output::refused;
use crate::resources::archive::reading::{Verified, each_member, refused as refused_archive};
use crate::sys::fs::{Attributes, Content, Replace, WriteFs, WriteOptions};

/// The mode of a directory that the archive needs but does not list.
const DIR_MODE: u32 = 0o755;

/// One repair.
pub(super) struct Extraction<'a> {
    pub(super) fs: &'a WriteFs,
    pub(super) wanted: &'a Wanted,
    pub(super) owned: &'a OwnedPaths,
    pub(super) stop: &'a Stopping,
    /// The journal holds that this change will owe refreshes.
    pub(super) is_announced: bool,
}

impl Extraction<'_> {
    /// Writes what differs. Directories come first, and get their modes last, so that files can be made in them.
    pub(super) fn run(&self, found: &Differences) -> Result<()> {
        let due: Vec<(&Member, Due)> =
            found.due.iter().map(|(place, due)| (&found.listing.members[*place], *due)).collect();
        self.make_directory(&self.wanted.dir, DIR_MODE)?;
        let mut directories: Vec<(&Path, u32)> = Vec::new();
        for (member, due) in &due {
            if let What::Directory { mode } = member.what {
                directories.push((&member.path, mode));
                if *due == Due::Make {
                    self.make_above(&member.path)?;
                    self.make_directory(&self.at(member)?, mode | 0o700)?;
                }
            }
        }
        self.write_files(&due)?;
        for (member, due) in &due {
            self.stop.check()?;
            match (&member.what, due) {
                (What::SameAs { file, mode, .. }, Due::Make) => self.copy(member, file, *mode)?,
                (What::Symlink { target }, _) => {
                    let path = self.place(member)?;
                    self.fs.make_symlink(path, target, Replace::NotDirectory)?;
                }
                (What::File { mode, .. } | What::SameAs { mode, .. }, Due::Mode) => self.set_mode(member, *mode)?,
                _ => {}
            }
        }
        directories.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        for (path, mode) in directories {
            let path = self.wanted.dir.join(path);
            // Set-group-id of a directory is inherited, and stays.
            let now = self.fs.stat(&path)?.map_or(0, |stat| stat.mode & 0o7000);
            self.fs.set_attributes(&path, &Attributes::new().mode(mode | now))?;
        }
        Ok(())
    }

    /// The path of a member, reached through no symlink.
    fn at(&self, member: &Member) -> Result<PathBuf> {
        self.wanted.check_above(self.fs, &member.path)?;
        Ok(self.wanted.dir.join(&member.path))
    }

    /// The same, with the directories above it.
    fn place(&self, member: &Member) -> Result<PathBuf> {
        self.make_above(&member.path)?;
        self.at(member)
    }

    fn make_directory(&self, path: &Path, mode: u32) -> Result<()> {
        let made = self.fs.make_dir(path, &Attributes::new().mode(mode));
        made.map(drop).map_err(|error| refused(self.fs, self.owned, path, error))
    }

    /// Makes the missing directories above a member.
    fn make_above(&self, member: &Path) -> Result<()> {
        self.wanted.check_above(self.fs, member)?;
        let mut above: Vec<_> = member.ancestors().skip(1).filter(|path| *path != Path::new("")).collect();
        above.reverse();
        for path in above {
            let path = self.wanted.dir.join(path);
            if self.fs.stat(&path)?.is_none() {
                self.make_directory(&path, DIR_MODE)?;
            }
        }
        Ok(())
    }

    fn options(&self, mode: u32) -> WriteOptions {
        let options = WriteOptions::new().mode(mode).replace(Replace::NotDirectory);
        options.named_first(!self.is_announced)
    }

    /// Reads the archive again, and writes the files that are due.
    fn write_files(&self, due: &[(&Member, Due)]) -> Result<()> {
        let is_file = |member: &Member| matches!(member.what, What::File { .. });
        let mut files: HashMap<&Path, &Member> = due
            .iter()
            .filter(|(member, due)| *due == Due::Make && is_file(member))
            .map(|(member, _)| (member.path.as_path(), *member))
            .collect();
        if files.is_empty() {
            return Ok(());
        }
        let (source, limits) = (&self.wanted.source, self.wanted.limits);
        each_member(self.fs, source, limits, self.stop, |head: Head, content: &mut dyn Read| {
            let Some(member) = head.path.as_deref().and_then(|path| files.remove(path)) else { return Ok(()) };
            let What::File { mode, digest, .. } = member.what else { return Ok(()) };
            let path = self.place(member)?;
            let mut verified = Verified { from: content, hasher: Sha256::new(), digest };
            let written = self.fs.write_file(&path, Content::Reader(&mut verified), &self.options(mode));
            written.map(drop).map_err(|error| refused(self.fs, self.owned, &path, error))
        })?;
        match files.is_empty() {
            true => Ok(()),
            false => Err(refused_archive(source, "it was changed while it was unpacked").outdated()),
        }
    }

    fn copy(&self, member: &Member, file: &Path, mode: u32) -> Result<()> {
        let path = self.place(member)?;
        self.wanted.check_above(self.fs, file)?;
        let copied = self.fs.copy_file(self.wanted.dir.join(file), &path, &self.options(mode));
        copied.map(drop).map_err(|error| refused(self.fs, self.owned, &path, error))
    }

    fn set_mode(&self, member: &Member, mode: u32) -> Result<()> {
        self.fs.set_attributes(self.at(member)?, &Attributes::new().mode(mode))?;
        Ok(())
    }
}
