//! Files that can't be replaced by another file: the kernel generates them (`/proc/sys`), or each is a mount point.
//! They are written in place, so that a crash in between leaves a part of the content.

use std::io::Read;
use std::path::Path;

use rustix::fs::OFlags;

use super::attributes::{Adoption, Attributes, Handle};
use super::calls::Call;
use super::copy::{read_error, write_all};
use super::digest::Digest;
use super::error::FsError;
use super::fd::{Fd, How};
use super::options::WriteOptions;
use super::read::{ReadFs, expect_kind};
use super::stat::{FileKind, Stat, stat_fd};
use super::walk::Place;
use super::write::{Content, WriteFs, Written};

/// The numbers that the kernel gives to file systems whose files it generates: proc, sysfs, cgroup, cgroup2, debugfs,
/// tracefs, securityfs, configfs.
const MADE_UP: [u64; 8] =
    [0x0000_9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270, 0x6462_6720, 0x7472_6163, 0x7363_6673, 0x6265_6570];

impl ReadFs {
    /// Whether the regular file that was found at `path` can be written in place only.
    ///
    /// # Errors
    /// The directory of the file can't be examined.
    pub fn is_written_in_place(&self, path: impl AsRef<Path>, found: &Stat) -> Result<bool, FsError> {
        self.is_only_in_place(&self.place(path.as_ref())?, found)
    }

    pub(super) fn is_only_in_place(&self, place: &Place, found: &Stat) -> Result<bool, FsError> {
        if !found.is_file() || found.mount_root {
            return Ok(found.is_file());
        }
        let system = self.inner.calls.run(Call::Stat, &place.path, || place.dir.file_system())?;
        Ok(MADE_UP.contains(&system))
    }
}

impl WriteFs {
    /// Adds bytes at the end of the existing regular file `path`, in place, as other programs do that append to it, and
    /// makes them durable. If this process is killed meanwhile, a part of them may be there.
    ///
    /// # Errors
    /// [`FsError::Missing`], [`FsError::WrongType`], a symlink at the path, or what the system reports.
    pub fn append(&self, path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FsError> {
        let place = self.place(path.as_ref())?;
        let old = self.stat_required(&place)?;
        expect_kind(&place.path, old.kind, FileKind::File)?;
        self.guard_hard_links(&place, &old)?;
        let calls = &self.inner.calls;
        let fd = self.open_to_write(&place, OFlags::APPEND)?;
        expect_kind(&place.path, stat_fd(calls, &fd, &place.path)?.kind, FileKind::File)?;
        write_all(calls, &fd, bytes, &place.path)?;
        calls.run(Call::Sync, &place.path, || fd.sync())
    }

    fn open_to_write(&self, place: &Place, how: OFlags) -> Result<Fd, FsError> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | how;
        self.inner.calls.run(Call::Open, &place.path, || place.dir.open(&place.name, flags))
    }

    /// Writes the content into the existing file, in one call if the system takes that, and cuts off the rest.
    pub(super) fn write_in_place(
        &self,
        place: &Place,
        old: Stat,
        content: Content<'_>,
        options: &WriteOptions,
    ) -> Result<Written, FsError> {
        if !options.keep && old.mount_root {
            // Without `keep`, a new file was asked for.
            return Err(FsError::MountPoint { path: place.path.clone() });
        }
        self.guard_hard_links(place, &old)?;
        let calls = &self.inner.calls;
        let content = whole(content, &place.path)?;
        let fd = self.open_to_write(place, OFlags::empty())?;
        let now = stat_fd(calls, &fd, &place.path)?;
        expect_kind(&place.path, now.kind, FileKind::File)?;
        if now.identity() != old.identity() {
            return Err(FsError::Changed { path: place.path.clone() });
        }
        let handle = Handle { calls, fd: &fd, how: How::Opened, path: &place.path };
        let desired: &Attributes = &options.attributes;
        if !desired.are_those_of(&now) {
            handle.set(&now, desired, Adoption::of(&now, desired, self.inner.euid))?;
        }
        write_all(calls, &fd, &content, &place.path)?;
        if old.mount_root {
            calls.run(Call::Write, &place.path, || fd.truncate(content.len() as u64))?;
            if options.durable {
                calls.run(Call::Sync, &place.path, || fd.sync())?;
            }
        }
        let stat = stat_fd(calls, &fd, &place.path)?;
        Ok(Written { stat, replaced: Some(old), digest: Digest::of(&content) })
    }
}

/// Reads all of the content before anything is written: if that fails, the file stays as it is.
fn whole(content: Content<'_>, path: &Path) -> Result<Vec<u8>, FsError> {
    let mut all = Vec::new();
    match content {
        Content::Bytes(bytes) | Content::Edited { bytes, .. } => all.extend_from_slice(bytes),
        Content::Reader(reader) => drop(reader.read_to_end(&mut all).map_err(|error| read_error(error, path))?),
        Content::File(source) => {
            source.file.read_to_end(&mut all).map_err(|error| read_error(error, path))?;
            if source.file.changed_since_opened()? {
                return Err(FsError::Changed { path: source.file.path().to_path_buf() });
            }
        }
    }
    Ok(all)
}
