//! What goes into an archive: everything at and below the inputs, in one order, with digests of the files.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::resource::{Digest, Error, Obstacle, ObstacleKind, OwnState, Result, Stopping};
use crate::resources::archive::format::TarFormat;
use crate::resources::archive::member::{DEPTH_MAX, MODE_BITS, Member, What};
use crate::resources::archive::original::present;
use crate::resources::digests::Digests;
use crate::resources::paths::{shown, with_remedy};
use crate::sys::fs::{FileKind, ReadFs, Stat, is_temporary_name};

/// The most members of an archive: their names and digests are kept in memory.
const MEMBERS_MAX: usize = 1_000_000;

/// A file or a directory that goes into an archive.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// In normal form.
    pub(super) path: PathBuf,
    /// It was written with a slash at its end: only what is in the directory goes into the archive.
    pub(super) is_content: bool,
}

impl Input {
    /// The directory to which the names in the archive are relative.
    pub(super) fn base(&self) -> &Path {
        match self.is_content {
            true => &self.path,
            false => self.path.parent().unwrap_or(&self.path),
        }
    }

    /// As it was written, for messages.
    fn text(&self) -> String {
        let path = shown(&self.path);
        if self.is_content && path != "/" { format!("{path}/") } else { path }
    }

    /// The name of the input itself in the archive; empty if only its content goes there.
    pub(super) fn name(&self) -> &Path {
        self.path.strip_prefix(self.base()).unwrap_or(&self.path)
    }
}

/// What an archive must hold.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Sorted by their names, component by component, each with the number of its input.
    pub(super) members: Vec<(u32, Member)>,
    /// The digest of all that the archive holds: names, types, permissions, targets and contents.
    pub(super) digest: Digest,
    /// Every user may read all of it, as far as the permissions of the members show.
    pub(super) is_public: bool,
}

impl Contents {
    /// In a few words, for a plan.
    pub(super) fn summary(&self) -> String {
        let (mut files, mut directories, mut links, mut bytes) = (0u64, 0u64, 0u64, 0u64);
        for (_, member) in &self.members {
            match member.what {
                What::File { size, .. } | What::SameAs { size, .. } => (files, bytes) = (files + 1, bytes + size),
                What::Directory { .. } => directories += 1,
                What::Symlink { .. } => links += 1,
            }
        }
        format!("files: {files} ({bytes} bytes), directories: {directories}, symlinks: {links}")
    }
}

/// Collects what goes into an archive.
pub(super) struct Gathering<'a> {
    pub(super) fs: &'a ReadFs,
    pub(super) inputs: &'a [Input],
    pub(super) format: TarFormat,
    pub(super) digests: &'a Digests,
    /// The engine's own working directory.
    pub(super) own: &'a OwnState,
    /// The archive, and what is at its path now; `None` if it is not written.
    pub(super) output: Option<(&'a Path, Option<&'a Stat>)>,
    pub(super) stop: &'a Stopping,
}

impl Gathering<'_> {
    pub(super) fn run(&self) -> Result<Contents> {
        let mut contents = Contents { is_public: true, ..Contents::default() };
        for (number, input) in (0..).zip(self.inputs) {
            self.gather(number, input, &mut contents)?;
        }
        contents.members.sort_by(|(_, a), (_, b)| a.path.cmp(&b.path));
        for two in contents.members.windows(2) {
            let [(number, member), (other, same)] = two else { continue };
            if member.path == same.path {
                let [one, other] = [number, other].map(|number| self.inputs[*number as usize].text());
                let why = format!(
                    "`{}` would be in the archive twice: from {one} and from {other}; put one of them into another archive",
                    shown(&member.path)
                );
                return Err(in_the_way(&self.path_of(*number, member), why));
            }
        }
        contents.digest = digest_of(&contents.members);
        Ok(contents)
    }

    fn gather(&self, number: u32, input: &Input, contents: &mut Contents) -> Result<()> {
        let stat = self.top(input)?;
        let (base, mut dirs) = (input.base(), Vec::new());
        match input.is_content {
            true => dirs.push(PathBuf::new()),
            false => self.add(self.fs, number, input.name().to_owned(), &stat, (&mut dirs, contents))?,
        }
        while let Some(dir) = dirs.pop() {
            self.stop.check()?;
            let found = self.fs.read_dir(base.join(&dir))?;
            let Some(first) = found.first() else { continue };
            // The directory is held open while its entries are looked at.
            let near = self.fs.near(base.join(&dir).join(&first.name));
            for entry in found {
                let path = dir.join(entry.name);
                match near.stat(base.join(&path)).map_err(with_remedy)? {
                    Some(stat) => self.add(&near, number, path, &stat, (&mut dirs, contents))?,
                    None => self.digests.forget(&base.join(&path)),
                }
            }
        }
        Ok(())
    }

    /// The stat of an input, which must be there, and must not hold the archive.
    fn top(&self, input: &Input) -> Result<Stat> {
        let path = &input.path;
        let remedy = if input.is_content { "leave the slash at its end out" } else { "name a file or a directory" };
        let stat = present(self.fs, path, "input", remedy, |kind| match kind {
            FileKind::File => !input.is_content,
            kind => kind == FileKind::Directory,
        })?;
        let real = |path: &Path| self.fs.real_path_of_the_existing(path).map_err(with_remedy);
        if let Some((output, _)) = self.output
            && real(output)?.starts_with(real(path)?)
        {
            let why = format!(
                "the archive {} lies in {}, which goes into it: keep it somewhere else",
                shown(output),
                shown(path)
            );
            return Err(in_the_way(output, why));
        }
        Ok(stat)
    }

    fn path_of(&self, number: u32, member: &Member) -> PathBuf {
        self.inputs[number as usize].base().join(&member.path)
    }

    /// Adds a member, or leaves it out.
    fn add(
        &self,
        fs: &ReadFs,
        number: u32,
        path: PathBuf,
        stat: &Stat,
        (dirs, contents): (&mut Vec<PathBuf>, &mut Contents),
    ) -> Result<()> {
        let at = self.inputs[number as usize].base().join(&path);
        let mode = stat.mode & MODE_BITS;
        let what = match stat.kind {
            // What is saved there, passwords for example, goes into no archive.
            _ if self.own.is(stat) => return Ok(()),
            FileKind::File | FileKind::Symlink if path.file_name().is_some_and(is_temporary_name) => return Ok(()),
            // It is nothing without the program that made it.
            FileKind::Socket => return Ok(()),
            FileKind::File => {
                if self.output.and_then(|output| output.1).is_some_and(|output| output.identity() == stat.identity()) {
                    let why = format!("{} is the archive itself by another name: remove one of them", shown(&at));
                    return Err(in_the_way(&at, why));
                }
                contents.is_public &= mode & 0o004 != 0;
                What::File { mode, size: stat.size, digest: self.digests.digest(fs, &at, stat, self.stop)? }
            }
            FileKind::Directory => {
                contents.is_public &= mode & 0o005 == 0o005;
                dirs.push(path.clone());
                What::Directory { mode }
            }
            FileKind::Symlink => What::Symlink { target: stat.link_target.clone().unwrap_or_default() },
            kind => {
                let why =
                    format!("{} is a {kind}, which can't go into an archive: move it out of the input", shown(&at));
                return Err(in_the_way(&at, why));
            }
        };
        if path.components().count() > DEPTH_MAX {
            return Err(in_the_way(&at, format!("{} lies more than {DEPTH_MAX} directories deep", shown(&at))));
        }
        if contents.members.len() == MEMBERS_MAX {
            return Err(Error::new(format!("the inputs hold more than {MEMBERS_MAX} files and directories")));
        }
        let member = Member { path, what };
        if self.format == TarFormat::Ustar
            && let Err(why) = self.format.head(&member)
        {
            let why =
                format!("{} does not fit into an archive of the format ustar: {why}; set `format` to pax", shown(&at));
            return Err(in_the_way(&at, why));
        }
        contents.members.push((number, member));
        Ok(())
    }
}

fn in_the_way(path: &Path, why: String) -> Error {
    Error::new(why).waiting_for(Obstacle::new(ObstacleKind::InTheWay).at(path))
}

/// The digest of members in their order. Each text is preceded by its length, so that no two lists have one digest.
fn digest_of(members: &[(u32, Member)]) -> Digest {
    let mut hasher = Sha256::new();
    let text = |hasher: &mut Sha256, bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for (_, member) in members {
        text(&mut hasher, member.path.as_os_str().as_bytes());
        match &member.what {
            What::Directory { mode } => {
                hasher.update(b"d");
                hasher.update(mode.to_le_bytes());
            }
            What::File { mode, size, digest } | What::SameAs { mode, size, digest, .. } => {
                hasher.update(b"f");
                hasher.update(mode.to_le_bytes());
                hasher.update(size.to_le_bytes());
                hasher.update(digest);
            }
            What::Symlink { target } => {
                hasher.update(b"l");
                text(&mut hasher, target.as_os_str().as_bytes());
            }
        }
    }
    hasher.finalize().into()
}
