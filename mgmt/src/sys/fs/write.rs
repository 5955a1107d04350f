//! Access to the file system that also writes; a file is replaced as a whole or not at all.

use std::fmt;
use std::io::Read;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::attributes::{Adoption, Attributes, Handle, copy_xattrs};
use super::batch::{NewFile, Pending};
use super::calls::{Call, Calls};
use super::copy::{CopySource, copy, read_error, write_all};
use super::digest::{Digest, Hasher};
use super::error::FsError;
use super::fd::{Fd, How};
use super::likeness::{Likeness, Trait};
use super::options::{Replace, WriteOptions};
use super::read::{CHUNK_BYTES, FileReader, ReadFs, expect_kind};
use super::stat::{FileKind, Stat, stat_fd};
use super::temp::{Temp, clean};
#[cfg(any(test, feature = "testing"))]
use super::walk::Root;
use super::walk::{Links, Place};

/// The mode of a new file if none is given. The umask of the process has no influence on it.
const FILE_MODE: u32 = 0o644;

/// The file system, to read and to change. Cheap to clone. It is a [`ReadFs`] too.
///
/// Changes (of files, and of the entries of directories) are made durable before a function returns, unless they belong
/// to a [`SyncBatch`](super::SyncBatch) or [`WriteOptions::durable`] is off.
#[derive(Clone, Debug)]
pub struct WriteFs {
    read: ReadFs,
    pub(super) pending: Option<Arc<Pending>>,
}

/// The content for a file.
pub enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Everything that the reader yields until its end; for content that need not be in memory at once.
    Reader(&'a mut dyn Read),
    /// The content of another file: shared with it or copied by the kernel where possible.
    File(CopySource<'a>),
    /// These bytes, made from the content of the file that they replace. If the file at the path is another one by
    /// then, or no longer begins with that content, nothing is replaced, and the error is [`FsError::Changed`]. The
    /// file may have become longer: the caller carries that over.
    Edited {
        /// The new content.
        bytes: &'a [u8],
        /// The file from which the content was read.
        former: &'a FileReader,
        /// What was read.
        text: &'a [u8],
    },
}

impl Content<'_> {
    /// Fails if the content was made from another content than the one that it would replace now.
    fn must_be_current(&self, fs: &ReadFs, place: &Place) -> Result<(), FsError> {
        let Content::Edited { former, text, .. } = self else { return Ok(()) };
        let is_same = fs.stat_required(place)?.identity() == former.stat().identity();
        let begins_with = |text: &[u8]| Ok(former.digest_of_first(text.len() as u64)? == Some(Digest::of(text)));
        match is_same && (!former.changed_since_opened()? || begins_with(text)?) {
            true => Ok(()),
            false => Err(FsError::Changed { path: place.path.clone() }),
        }
    }
}

/// The result of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The stat of the new file.
    pub stat: Stat,
    /// The stat of the object that it replaced, if any.
    pub replaced: Option<Stat>,
    /// The SHA-256 of the content.
    pub digest: Digest,
}

impl<'a> From<&'a [u8]> for Content<'a> {
    fn from(bytes: &'a [u8]) -> Content<'a> {
        Content::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Content<'a> {
    fn from(bytes: &'a [u8; N]) -> Content<'a> {
        Content::Bytes(bytes)
    }
}

impl<'a> From<&'a str> for Content<'a> {
    fn from(text: &'a str) -> Content<'a> {
        Content::Bytes(text.as_bytes())
    }
}

impl<'a> From<&'a Vec<u8>> for Content<'a> {
    fn from(bytes: &'a Vec<u8>) -> Content<'a> {
        Content::Bytes(bytes)
    }
}

impl<'a> From<&'a String> for Content<'a> {
    fn from(text: &'a String) -> Content<'a> {
        Content::Bytes(text.as_bytes())
    }
}

/// Shows nothing of the content, which may be secret.
impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Content::Reader(_) => f.write_str("Reader"),
            Content::File(source) => write!(f, "File({})", source.file.path().display()),
            Content::Edited { bytes, .. } => write!(f, "Edited({} bytes)", bytes.len()),
        }
    }
}

impl Deref for WriteFs {
    type Target = ReadFs;
    fn deref(&self) -> &ReadFs {
        &self.read
    }
}

impl Default for WriteFs {
    fn default() -> WriteFs {
        WriteFs::new()
    }
}

impl WriteFs {
    /// This machine's file system, with the rights of this process.
    pub fn new() -> WriteFs {
        WriteFs { read: ReadFs::new(), pending: None }
    }

    /// The tree below `root`: see [`ReadFs::below`].
    pub fn below(root: &Path) -> Result<WriteFs, FsError> {
        Ok(WriteFs { read: ReadFs::below(root)?, pending: None })
    }

    /// This machine's file system, with faults.
    #[cfg(any(test, feature = "testing"))]
    #[doc(hidden)]
    pub fn with_faults(faults: Arc<super::Faults>) -> WriteFs {
        WriteFs { read: ReadFs::with(Calls::with(faults), Root::System), pending: None }
    }

    /// The rules are those for the user `euid`; the rights are still those of this process.
    #[cfg(test)]
    pub(super) fn as_if_euid(euid: u32) -> WriteFs {
        let mut read = ReadFs::new();
        if let Some(inner) = Arc::get_mut(&mut read.inner) {
            inner.euid = euid;
        }
        WriteFs { read, pending: None }
    }

    /// Read-only access, which shares the memory of this value.
    pub fn reader(&self) -> ReadFs {
        self.read.clone()
    }

    /// The same file system with another rule about symlinks in the middle of a path.
    #[must_use]
    pub fn links(mut self, links: Links) -> WriteFs {
        self.read = self.read.links(links);
        self
    }

    /// Gives the regular file `path` this content: all of it or, after an error, nothing of it.
    ///
    /// The new file is written under another name in the same directory, readable by this user alone. It gets its
    /// owner, then its mode, is made durable, and is renamed over the target (see [`WriteOptions::named_first`] for
    /// another order). Other programs see the old file or the new one, even if this process is killed at any point.
    /// Other hard links of an old file keep the old content.
    ///
    /// # Errors
    /// The old file is intact after any error except one: its directory could not be made durable. Then the new file is
    /// complete and in place, and [`ReadFs::owes_sync`] is true until a later sync succeeds.
    pub fn write_file<'c>(
        &self,
        path: impl AsRef<Path>,
        content: impl Into<Content<'c>>,
        options: &WriteOptions,
    ) -> Result<Written, FsError> {
        self.write(path.as_ref(), content.into(), options, None)
    }

    /// Like [`WriteFs::write_file`], for a copy. It gets from its original everything that `likeness` names and
    /// `options` does not set, except for what the system refuses ([`ReadFs::can_have`]). If a file is written in
    /// place, only its content changes.
    ///
    /// # Errors
    /// As [`WriteFs::write_file`], and [`FsError::Changed`] if the original was written while it was copied.
    pub fn write_copy(
        &self,
        path: impl AsRef<Path>,
        original: CopySource<'_>,
        options: &WriteOptions,
        likeness: &Likeness,
    ) -> Result<Written, FsError> {
        self.write(path.as_ref(), Content::File(original), options, Some(likeness))
    }

    fn write(
        &self,
        path: &Path,
        mut content: Content<'_>,
        options: &WriteOptions,
        likeness: Option<&Likeness>,
    ) -> Result<Written, FsError> {
        let place = self.place(path)?;
        self.clean_once(&place);
        let old = self.stat_optional(&place)?;
        if let Some(old) = old.clone().filter(|_| options.replace != Replace::Nothing)
            && self.is_only_in_place(&place, &old)?
        {
            content.must_be_current(self, &place)?;
            return self.write_in_place(&place, old, content, options);
        }
        self.may_replace(&place, old.as_ref(), FileKind::File, options.replace)?;
        let kept = old.as_ref().filter(|old| options.keep && old.is_file());
        let euid = self.inner.euid;
        let asked = likeness.map_or(options.attributes, |likeness| options.attributes.or(&likeness.attributes));
        let adoption = kept.map_or(Adoption::None, |old| Adoption::of(old, &asked, euid));
        let kept_mode = kept.map(|old| self.adopted_mode(&place.path, old, &asked)).transpose()?;
        let as_it_was = Attributes {
            mode: kept_mode.or(Some(FILE_MODE)),
            uid: kept.map(|old| old.uid),
            gid: kept.map(|old| old.gid),
        };
        let desired = asked.or(&as_it_was);
        let calls = &self.inner.calls;
        let mut temp = Temp::create(calls, &place, euid, desired.mode.unwrap_or(FILE_MODE))?;
        let opened = self.inner.group.opened();
        let digest = fill(calls, &temp, &mut content, &place.path)?;
        let is_kept = kept.is_some() && adoption != Adoption::Foreign;
        let alike = Alike::new(&content, likeness);
        let finish = Finish { desired, declared: &options.attributes, is_kept, alike };
        let refused = self.finish(&temp, &place, &finish)?;
        let named_first = options.named_first && options.durable && old.is_none() && temp.rename_to_free()?;
        if options.durable && !named_first {
            calls.run(Call::Sync, &place.path, || temp.fd.sync())?;
        }
        if !named_first {
            content.must_be_current(self, &place)?;
            self.clear_the_way(&place, old.as_ref(), options.replace)?;
            temp.rename(options.replace != Replace::Nothing)?;
        }
        let stat = stat_fd(calls, &temp.fd, &place.path)?;
        if let Some(likeness) = likeness {
            self.note_refused(&stat, likeness, &refused);
        }
        let fd = Arc::clone(&temp.fd);
        drop(temp);
        if named_first {
            self.sync_new(NewFile { fd, place, stat: stat.clone(), opened })?;
        } else if options.durable {
            self.sync_parent(&place)?;
        }
        Ok(Written { stat, replaced: old, digest })
    }

    /// Copies the content of the regular file `from` to `to`. If `to` is new and no mode is given, it gets the mode of
    /// `from`, without set-user-id, set-group-id and sticky.
    ///
    /// # Errors
    /// As [`WriteFs::write_file`], and [`FsError::Changed`] if `from` was written while it was copied.
    pub fn copy_file(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        options: &WriteOptions,
    ) -> Result<Written, FsError> {
        let mut file = self.open(from)?;
        let mut options = *options;
        if options.attributes.mode.is_none() && self.stat(to.as_ref())?.is_none_or(|old| !old.is_file()) {
            options.attributes.mode = Some(file.stat().mode & 0o777);
        }
        let source = CopySource { file: &mut file, is_stopped: &|| false };
        self.write_file(to, Content::File(source), &options)
    }

    /// Removes the temporary files that killed processes of this user left in the directory `path`; returns their
    /// number. [`WriteFs::write_file`] and the other functions do this by themselves, once for each directory.
    pub fn clean_temporary_files(&self, path: impl AsRef<Path>) -> Result<usize, FsError> {
        let normal = self.normal(path.as_ref())?;
        let dir = self.walker().directory(&normal)?;
        clean(&self.inner.calls, &dir, self.inner.euid, &normal)
    }

    /// Removes left-over temporary files before the first change in a directory. A failure does not prevent the change.
    pub(super) fn clean_once(&self, place: &Place) {
        let path = place.path.parent().unwrap_or(&place.path);
        let outcome = stat_fd(&self.inner.calls, &place.dir, path).and_then(|stat| {
            if !self.inner.memory.first_visit(stat.identity()) {
                return Ok(0);
            }
            clean(&self.inner.calls, &place.dir, self.inner.euid, path)
        });
        match outcome {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, ?path, "removed temporary files that a killed process left"),
            Err(error) => tracing::debug!(%error, "did not look for left-over temporary files"),
        }
    }

    /// Fails if the object at a place may not be replaced by one of type `new`.
    pub(super) fn may_replace(
        &self,
        place: &Place,
        old: Option<&Stat>,
        new: FileKind,
        replace: Replace,
    ) -> Result<(), FsError> {
        let Some(old) = old else { return Ok(()) };
        if old.mount_root {
            return Err(FsError::MountPoint { path: place.path.clone() });
        }
        match replace {
            Replace::Nothing => Err(FsError::Exists { path: place.path.clone() }),
            Replace::SameKind => expect_kind(&place.path, old.kind, new),
            Replace::NotDirectory if old.is_dir() => expect_kind(&place.path, old.kind, new),
            Replace::NotDirectory => Ok(()),
            Replace::Tree { cap } if old.is_dir() => self.may_remove_tree(place, cap).map(drop),
            Replace::Tree { .. } => Ok(()),
        }
    }

    /// Removes the directory that will be replaced.
    pub(super) fn clear_the_way(&self, place: &Place, old: Option<&Stat>, replace: Replace) -> Result<(), FsError> {
        match (old, replace) {
            (Some(old), Replace::Tree { cap }) if old.is_dir() => self.remove_place(place, cap).map(drop),
            _ => Ok(()),
        }
    }

    /// Gives the new file its attributes: owner, then extended attributes, then mode. A mode that is `declared` is
    /// final, whatever the directory adds to new files; other attributes are given up if the system refuses them.
    /// Returns the traits of a likeness that were refused.
    fn finish(&self, temp: &Temp<'_>, place: &Place, finish: &Finish<'_>) -> Result<Vec<Trait>, FsError> {
        let calls = &self.inner.calls;
        let handle = Handle { calls, fd: &temp.fd, how: How::Opened, path: &place.path };
        let mut now = stat_fd(calls, &temp.fd, &place.path)?;
        let Finish { mut desired, declared, is_kept, alike } = *finish;
        let owner = Attributes { mode: None, ..desired };
        if !owner.are_those_of(&now) {
            match handle.set(&now, &owner, Adoption::of(&now, &owner, self.inner.euid)) {
                // The group of the old file, which we are not in and no option asks for: leave it, and the rights that
                // go with it.
                Err(error) if is_refused(&error) && declared.gid.is_none() && owner.uid == Some(now.uid) => {
                    desired.mode = desired.mode.map(|mode| declared.mode.unwrap_or(without_group(mode)));
                }
                // Owner and group of the original: leave them, and the rights that go with them.
                Err(error) if is_refused(&error) && alike.is_some() && declared.has_no_owners() => {
                    desired.mode = desired.mode.map(|mode| declared.mode.unwrap_or(mode & 0o1777));
                }
                other => other?,
            }
        }
        if is_kept && alike.is_some() {
            // With the access list, which is removed below.
            copy_xattrs(calls, place, &temp.fd)?;
        }
        if declared.mode.is_some() || is_kept || alike.is_some() {
            handle.remove_acl()?;
        }
        if is_kept && alike.is_none() {
            copy_xattrs(calls, place, &temp.fd)?;
        }
        if is_kept {
            now = stat_fd(calls, &temp.fd, &place.path)?;
        }
        if !desired.are_those_of(&now) {
            match handle.set(&now, &Attributes { mode: desired.mode, uid: None, gid: None }, Adoption::None) {
                // The file system has no modes, and no option asks for one.
                Err(error) if is_refused(&error) && declared.mode.is_none() => {}
                other => other?,
            }
        }
        alike.map_or(Ok(Vec::new()), |alike| handle.take_over(&now, alike.original, alike.likeness))
    }
}

/// What a new file gets besides its content.
struct Finish<'a> {
    desired: Attributes,
    declared: &'a Attributes,
    /// Whether the extended attributes of the old file are kept.
    is_kept: bool,
    alike: Option<Alike<'a>>,
}

/// The original of a copy, and what the copy takes over from it.
#[derive(Clone, Copy)]
struct Alike<'a> {
    original: &'a Fd,
    likeness: &'a Likeness,
}

impl<'a> Alike<'a> {
    fn new(content: &'a Content<'_>, likeness: Option<&'a Likeness>) -> Option<Alike<'a>> {
        match (content, likeness) {
            (Content::File(source), Some(likeness)) => Some(Alike { original: &source.file.fd, likeness }),
            _ => None,
        }
    }
}

pub(super) fn is_refused(error: &FsError) -> bool {
    [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL].iter().any(|errno| error.is(*errno))
}

/// The mode for a group that it was not meant for: the group may do no more than others.
pub(crate) fn without_group(mode: u32) -> u32 {
    let others = mode & 0o007;
    mode & !0o2070 | mode & others << 3
}

/// Writes the content into the new file.
fn fill(calls: &Calls, temp: &Temp<'_>, content: &mut Content<'_>, path: &Path) -> Result<Digest, FsError> {
    let reader = match content {
        Content::Bytes(bytes) | Content::Edited { bytes, .. } => {
            write_all(calls, &temp.fd, bytes, path)?;
            return Ok(Digest::of(bytes));
        }
        Content::File(source) => return copy(calls, source, &temp.fd, path),
        Content::Reader(reader) => reader,
    };
    let mut hasher = Hasher::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let n = match reader.read(&mut chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other.map_err(|error| read_error(error, path))?,
        };
        if n == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&chunk[..n]);
        write_all(calls, &temp.fd, &chunk[..n], path)?;
    }
}
