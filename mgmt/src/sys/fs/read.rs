//! Read-only access to the file system, without any way to change it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::calls::{Call, Calls};
use super::digest::{Digest, Hasher};
use super::error::{FsError, LinkReason};
use super::fd::Fd;
use super::group::Group;
use super::memory::Memory;
use super::path::normal_form;
use super::shelf;
use super::stat::{FileKind, Stat, stat_at, stat_fd};
use super::walk::{Links, Near, Place, Root, Walker};
use crate::sys::{if_simulated, users};

/// The most bytes that are read or written at a time.
pub(super) const CHUNK_BYTES: usize = 128 * 1024;
/// The most entries that a directory to read may have.
const DIR_ENTRIES_MAX: usize = 4_000_000;

/// The file system, read-only. Cheap to clone. All functions block, and take absolute paths (see
/// [`normal_form`](super::normal_form)). The last component of a path is never followed if it is a symlink; [`Links`]
/// decides about the components before it.
#[derive(Clone, Debug)]
pub struct ReadFs {
    pub(super) inner: Arc<Inner>,
    pub(super) links: Links,
    near: Option<Arc<Near>>,
    /// The number of the operation that this door belongs to, in the order in which operations begin.
    operation: Option<u64>,
}

/// The state that all clones share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) calls: Calls,
    pub(super) root: Root,
    pub(super) euid: u32,
    pub(super) memory: Memory,
    pub(super) group: Group,
    /// The number of the last operation that is known to have begun.
    pub(super) begun: AtomicU64,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without the directory.
    pub name: OsString,
    /// The type of the entry; a symlink is not followed.
    pub kind: FileKind,
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct FileReader {
    pub(super) fd: Fd,
    pub(super) calls: Calls,
    pub(super) path: PathBuf,
    stat: Stat,
}

impl Default for ReadFs {
    fn default() -> ReadFs {
        ReadFs::new()
    }
}

impl ReadFs {
    /// This machine's file system, with the rights of this process.
    pub fn new() -> ReadFs {
        if_simulated!(host => ReadFs::simulated(&host));
        ReadFs::with(Calls::default(), Root::System)
    }

    /// The tree below `root`: the path `/etc` means `root/etc`, and no link leads out of it.
    pub fn below(root: &Path) -> Result<ReadFs, FsError> {
        Ok(ReadFs::with(Calls::default(), ReadFs::new().root_at(root)?))
    }

    pub(super) fn with(calls: Calls, root: Root) -> ReadFs {
        let euid = users::us();
        let (memory, group, begun) = (Memory::default(), Group::default(), AtomicU64::new(0));
        let inner = Inner { calls, root, euid, memory, group, begun };
        ReadFs { inner: Arc::new(inner), links: Links::default(), near: None, operation: None }
    }

    /// The file system of a simulated host, for the process that runs on it.
    #[cfg(any(test, feature = "testing"))]
    fn simulated(host: &crate::sys::simulated::Host) -> ReadFs {
        ReadFs::with(Calls::default(), Root::Dir(Arc::new(Fd::Simulated(host.root()))))
    }

    pub(super) fn root_at(&self, root: &Path) -> Result<Root, FsError> {
        Ok(Root::Dir(self.walker().directory(&self.normal(root)?)?))
    }

    /// The same file system with another rule about symlinks in the middle of a path.
    #[must_use]
    pub fn links(mut self, links: Links) -> ReadFs {
        self.links = links;
        // The directory was opened by the former rule.
        self.near = None;
        self
    }

    /// The same file system for several looks at `path` and its neighbours: the directory that holds them is opened
    /// once, and stays the same one even if it is moved meanwhile. Drop this value after these looks.
    #[must_use]
    pub fn near(&self, path: impl AsRef<Path>) -> ReadFs {
        let normal = self.normal(path.as_ref()).ok();
        let dir = normal.as_ref().and_then(|path| path.parent());
        let near = dir.map(|dir| shelf::near(&self.inner, self.links, dir, self.operation));
        ReadFs { near, ..self.clone() }
    }

    /// All operations up to this number have begun.
    pub(crate) fn note_begun(&self, number: u64) {
        self.inner.begun.store(number, Ordering::Release);
    }

    /// The same door for the operation with this number.
    pub(crate) fn of_operation(&self, number: u64) -> ReadFs {
        ReadFs { operation: Some(number), ..self.clone() }
    }

    /// Device and inode number of the directory that holds `place`.
    pub(super) fn identity_of_dir(&self, place: &Place) -> Result<(u64, u64), FsError> {
        let stat = || stat_fd(&self.inner.calls, &place.dir, &place.path);
        match &self.near {
            Some(near) => near.identity_of(&place.dir, stat),
            None => Ok(stat()?.identity()),
        }
    }

    /// The stat of the object at `path`; `None` if nothing is there. For a symlink, it is that of the link itself.
    ///
    /// # Errors
    /// A directory on the way can't be entered, is of another type, or is a symlink that is not followed.
    pub fn stat(&self, path: impl AsRef<Path>) -> Result<Option<Stat>, FsError> {
        let normal = self.normal(path.as_ref())?;
        let found = if normal == Path::new("/") {
            self.walker().directory(&normal).and_then(|fd| stat_fd(&self.inner.calls, &fd, &normal))
        } else {
            self.walker().place(&normal).and_then(|place| self.stat_place(&place))
        };
        match found {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Succeeds if this process may add and remove names in the directory that holds `path`.
    ///
    /// # Errors
    /// It may not, the file system is read-only, or the directory can't be entered.
    pub fn can_change_dir_of(&self, path: impl AsRef<Path>) -> Result<(), FsError> {
        let place = self.place(path.as_ref())?;
        let dir = place.path.parent().unwrap_or(&place.path);
        self.inner.calls.run(Call::Access, dir, || place.dir.may_change())
    }

    /// The content of a regular file of at most `cap` bytes.
    ///
    /// # Errors
    /// [`FsError::TooLarge`], [`FsError::Missing`], [`FsError::WrongType`], or what the system reports.
    pub fn read_file(&self, path: impl AsRef<Path>, cap: u64) -> Result<Vec<u8>, FsError> {
        let mut file = self.open(path)?;
        let too_large = |file: &FileReader| FsError::TooLarge { path: file.path.clone(), cap };
        if file.stat.size > cap {
            return Err(too_large(&file));
        }
        let mut content = Vec::with_capacity(usize::try_from(file.stat.size).unwrap_or(0) + 1);
        let mut chunk = vec![0; chunk_bytes(file.stat.size)];
        loop {
            let n = file.read_chunk(&mut chunk)?;
            if n == 0 {
                return Ok(content);
            }
            // The reported size may be wrong, as in /proc, or the file may grow meanwhile.
            if (content.len() + n) as u64 > cap {
                return Err(too_large(&file));
            }
            content.extend_from_slice(&chunk[..n]);
        }
    }

    /// The SHA-256 of a regular file of any size.
    pub fn hash_file(&self, path: impl AsRef<Path>) -> Result<Digest, FsError> {
        let mut file = self.open(path)?;
        let mut hasher = Hasher::default();
        let mut chunk = vec![0; chunk_bytes(file.stat.size)];
        loop {
            let n = file.read_chunk(&mut chunk)?;
            if n == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(&chunk[..n]);
        }
    }

    /// Opens a regular file to read it piece by piece.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<FileReader, FsError> {
        let place = self.place(path.as_ref())?;
        // Opening a device or a pipe can block or have effects: check the type first.
        let kind = self.stat_required(&place)?.kind;
        self.open_kind(place, kind)
    }

    /// Like [`ReadFs::open`], with a stat of the file that was read just now.
    pub fn open_seen(&self, path: impl AsRef<Path>, seen: &Stat) -> Result<FileReader, FsError> {
        self.open_kind(self.place(path.as_ref())?, seen.kind)
    }

    fn open_kind(&self, place: Place, kind: FileKind) -> Result<FileReader, FsError> {
        expect_kind(&place.path, kind, FileKind::File)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let calls = &self.inner.calls;
        let opened = calls.run(Call::Open, &place.path, || place.dir.open(&place.name, flags));
        let fd = match opened {
            Err(error) if error.is_missing() => return Err(FsError::Missing { path: place.path }),
            Err(error) if error.is(Errno::LOOP) => {
                return expect_kind(&place.path, FileKind::Symlink, kind).and(Err(error));
            }
            other => other?,
        };
        let stat = stat_fd(calls, &fd, &place.path)?;
        expect_kind(&place.path, stat.kind, FileKind::File)?;
        Ok(FileReader { fd, calls: calls.clone(), path: place.path, stat })
    }

    /// The entries of a directory, sorted by name (as bytes), without `.` and `..`.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<Vec<DirEntry>, FsError> {
        let normal = self.normal(path.as_ref())?;
        let calls = &self.inner.calls;
        let fd = if normal == Path::new("/") {
            open_dir(calls, &*self.walker().directory(&normal)?, OsStr::new("."), &normal)?
        } else {
            let place = self.walker().place(&normal)?;
            expect_kind(&place.path, self.stat_required(&place)?.kind, FileKind::Directory)?;
            open_dir(calls, &place.dir, &place.name, &normal)?
        };
        read_entries(calls, &fd, &normal)
    }

    /// The path with all symlinks resolved, the last component included, as far as [`Links`] allows. Every component
    /// must exist.
    pub fn real_path(&self, path: impl AsRef<Path>) -> Result<PathBuf, FsError> {
        self.walker().real_path(&self.normal(path.as_ref())?)
    }

    /// Like [`ReadFs::real_path`], for a path that may end in components that do not exist.
    ///
    /// # Errors
    /// A symlink on the way is not followed, or can't be looked at.
    pub fn real_path_of_the_existing(&self, path: impl AsRef<Path>) -> Result<PathBuf, FsError> {
        self.walker().real_path_of_the_existing(&self.normal(path.as_ref())?)
    }

    /// The path with the symlinks before its last component resolved. `None` if there are none, or if the directory is
    /// missing.
    ///
    /// # Errors
    /// A symlink on the way is not followed, or can't be looked at.
    pub fn behind_links(&self, path: impl AsRef<Path>) -> Result<Option<PathBuf>, FsError> {
        self.walker().behind_links(&self.normal(path.as_ref())?)
    }

    /// Whether a change of the directory that holds `path` could not be made durable: the content is as desired now,
    /// but a power cut may undo it. A successful [`WriteFs::sync_dir`](super::WriteFs::sync_dir) makes up for it.
    pub fn owes_sync(&self, path: impl AsRef<Path>) -> bool {
        normal_form(path.as_ref()).is_ok_and(|normal| self.inner.memory.owes(normal.parent().unwrap_or(&normal)))
    }

    /// Remembers that the symlink is a copy of one that the user `maker` made, who is neither root nor the user of this
    /// process. As long as this value or a clone of it lives, [`Links::Guarded`] follows the copy no more than the
    /// original.
    pub fn note_maker(&self, link: &Stat, maker: u32) {
        self.inner.memory.note_maker(link, maker);
    }

    pub(super) fn normal(&self, path: &Path) -> Result<PathBuf, FsError> {
        normal_form(path).map_err(|reason| FsError::BadPath { path: path.to_path_buf(), reason })
    }

    pub(super) fn walker(&self) -> Walker<'_> {
        let inner = &*self.inner;
        Walker {
            calls: &inner.calls,
            root: &inner.root,
            links: self.links,
            euid: inner.euid,
            near: self.near.as_deref(),
            memory: &inner.memory,
        }
    }

    pub(super) fn place(&self, path: &Path) -> Result<Place, FsError> {
        self.walker().place(&self.normal(path)?)
    }

    pub(super) fn stat_place(&self, place: &Place) -> Result<Stat, FsError> {
        stat_at(&self.inner.calls, &place.dir, &place.name, &place.path)
    }

    /// The stat of the object at `place`, or [`FsError::Missing`].
    pub(super) fn stat_required(&self, place: &Place) -> Result<Stat, FsError> {
        self.stat_place(place)
            .map_err(|error| if error.is_missing() { FsError::Missing { path: place.path.clone() } } else { error })
    }

    /// The stat of the object at `place`, if there is one.
    pub(super) fn stat_optional(&self, place: &Place) -> Result<Option<Stat>, FsError> {
        match self.stat_place(place) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl FileReader {
    /// The stat of the file when it was opened.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// The path of the file, in normal form.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the content has changed since the file was opened, judged by its size and modification time.
    pub fn changed_since_opened(&self) -> Result<bool, FsError> {
        let now = self.stat_now()?;
        Ok((now.size, now.mtime_ns) != (self.stat.size, self.stat.mtime_ns))
    }

    /// The stat of the file now, even if it is no longer at its path.
    pub fn stat_now(&self) -> Result<Stat, FsError> {
        stat_fd(&self.calls, &self.fd, &self.path)
    }

    /// The SHA-256 of the first bytes of the file, this many; `None` if there are fewer.
    pub fn digest_of_first(&self, bytes: u64) -> Result<Option<Digest>, FsError> {
        let (mut hasher, mut chunk, mut at) = (Hasher::default(), vec![0; chunk_bytes(bytes)], 0);
        while at < bytes {
            let most = chunk.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
            let n = self.calls.run(Call::Read, &self.path, || self.fd.read_at(&mut chunk[..most], at))?;
            if n == 0 {
                return Ok(None);
            }
            hasher.update(&chunk[..n]);
            at += n as u64;
        }
        Ok(Some(hasher.finish()))
    }

    /// Continues to read at the beginning of the file.
    pub fn rewind(&mut self) -> Result<(), FsError> {
        self.calls.run(Call::Read, &self.path, || self.fd.rewind())
    }

    fn read_chunk(&mut self, chunk: &mut [u8]) -> Result<usize, FsError> {
        self.calls.run(Call::Read, &self.path, || self.fd.read(chunk))
    }
}

impl io::Read for FileReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_chunk(buf).map_err(io::Error::other)
    }
}

/// The size of the chunks to read a file of `size` bytes with, in bytes: a small file fits into one.
fn chunk_bytes(size: u64) -> usize {
    usize::try_from(size).map_or(CHUNK_BYTES, |size| size.saturating_add(1).clamp(4096, CHUNK_BYTES))
}

pub(super) fn expect_kind(path: &Path, found: FileKind, wanted: FileKind) -> Result<(), FsError> {
    match found {
        _ if found == wanted => Ok(()),
        FileKind::Symlink => Err(FsError::Symlink { link: path.to_path_buf(), reason: LinkReason::NotA(wanted) }),
        found => Err(FsError::WrongType { path: path.to_path_buf(), found, wanted }),
    }
}

/// Opens a directory to read its entries; a symlink is refused.
pub(super) fn open_dir(calls: &Calls, dir: &Fd, name: &OsStr, path: &Path) -> Result<Fd, FsError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    calls.run(Call::Open, path, || dir.open(name, flags))
}

/// All entries of an open directory, sorted.
pub(super) fn read_entries(calls: &Calls, fd: &Fd, path: &Path) -> Result<Vec<DirEntry>, FsError> {
    let mut entries = Vec::new();
    let keep = |name: OsString, kind| {
        if name == "." || name == ".." {
            return Ok(());
        }
        if entries.len() == DIR_ENTRIES_MAX {
            return Err(FsError::TooMany { path: path.to_path_buf(), cap: DIR_ENTRIES_MAX });
        }
        let kind = match kind {
            // Some file systems do not report the type.
            FileKind::Unknown => match stat_at(calls, fd, &name, &path.join(&name)) {
                Ok(stat) => stat.kind,
                Err(error) if error.is_missing() => return Ok(()),
                Err(error) => return Err(error),
            },
            kind => kind,
        };
        entries.push(DirEntry { name, kind });
        Ok(())
    };
    fd.entries(|next| calls.run(Call::ReadDir, path, next), keep)?;
    entries.sort();
    Ok(entries)
}
