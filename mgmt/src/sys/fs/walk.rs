//! From a path to the open directory that holds its last component, through no link that another user may have planted.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::Errno;

use super::calls::{Call, Calls};
use super::error::{FsError, LinkReason};
use super::fd::Fd;
use super::memory::Memory;
use super::stat::{FileKind, Stat, stat_fd};

/// The most symlinks that one path may lead through.
const LINKS_MAX: usize = 40;
/// The most components that are visited for one path, those of its links included.
const STEPS_MAX: usize = 10_000;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Which symlinks in the middle of a path are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// The default. As root: links that belong to root, in a directory that only root can write. As another user: links
    /// that belong to root or to that user, and were not copied from a link of a third user. Any other link is an error
    /// that names it.
    #[default]
    Guarded,
    /// All links. Any user who can write a directory on the way decides where the path leads.
    Follow,
}

/// The directory at which absolute paths begin.
#[derive(Clone, Debug)]
pub(super) enum Root {
    System,
    Dir(Arc<Fd>),
}

/// A directory that is opened once for all looks at its entries.
#[derive(Debug)]
pub(super) struct Near {
    path: PathBuf,
    opened: OnceLock<Opened>,
    /// Device and inode number of the directory, if it was asked for.
    identity: OnceLock<(u64, u64)>,
}

/// A directory, open for paths relative to it.
#[derive(Clone, Debug)]
struct Opened {
    dir: Arc<Fd>,
    /// Whether no component of its path is a link.
    without_links: bool,
}

impl Near {
    pub(super) fn new(path: &Path) -> Near {
        Near { path: path.to_path_buf(), opened: OnceLock::new(), identity: OnceLock::new() }
    }

    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Device and inode number of an open directory, which are remembered if it is this one.
    pub(super) fn identity_of(
        &self,
        dir: &Arc<Fd>,
        stat: impl FnOnce() -> Result<Stat, FsError>,
    ) -> Result<(u64, u64), FsError> {
        let is_it = self.opened.get().is_some_and(|opened| Arc::ptr_eq(&opened.dir, dir));
        match self.identity.get() {
            Some(known) if is_it => Ok(*known),
            _ => {
                let identity = stat()?.identity();
                if is_it {
                    // If two threads ask at once, both have the same answer.
                    let _ = self.identity.set(identity);
                }
                Ok(identity)
            }
        }
    }
}

/// Walks paths; borrows the state that this needs.
#[derive(Clone, Copy)]
pub(super) struct Walker<'a> {
    pub(super) calls: &'a Calls,
    pub(super) root: &'a Root,
    pub(super) links: Links,
    pub(super) euid: u32,
    pub(super) near: Option<&'a Near>,
    pub(super) memory: &'a Memory,
}

/// A directory, held open, and a name in it: they stay the same even if another program swaps a directory on the way.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: Arc<Fd>,
    pub(super) name: OsString,
    /// The path in normal form, as the user spelled it.
    pub(super) path: PathBuf,
}

/// What must be at the end of a walk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Directory,
    Anything,
    /// Anything or nothing: components that do not exist are kept as they are spelled.
    Missing,
}

/// The state of a walk.
struct Walk {
    /// The directory reached so far; `None` if it must be opened by its path.
    at: Option<Fd>,
    /// The path of that directory, free of links.
    real: Vec<OsString>,
    /// The components that are left, the next one last.
    pending: Vec<OsString>,
    links: usize,
    steps: usize,
}

impl Walker<'_> {
    /// The place of a path in normal form that is not `/`.
    pub(super) fn place(&self, normal: &Path) -> Result<Place, FsError> {
        match super::path::split_last(normal) {
            Some((parent, name)) => {
                Ok(Place { dir: self.directory(parent)?, name: name.to_owned(), path: normal.to_path_buf() })
            }
            None => Err(FsError::RootDirectory { path: normal.to_path_buf() }),
        }
    }

    /// The directory at a path in normal form, opened only as a base for relative paths (`O_PATH`).
    pub(super) fn directory(&self, normal: &Path) -> Result<Arc<Fd>, FsError> {
        Ok(self.open(normal)?.dir)
    }

    fn open(&self, normal: &Path) -> Result<Opened, FsError> {
        let near = self.near.filter(|near| near.path == normal);
        if let Some(opened) = near.and_then(|near| near.opened.get()) {
            return Ok(opened.clone());
        }
        let opened = match self.open_without_links(normal) {
            Ok(fd) => Opened { dir: Arc::new(fd), without_links: true },
            // There is a link, or an error whose component must be found, or the system lacks `openat2`.
            Err(_) => {
                let walk = self.walk(normal, End::Directory)?;
                let fd = match walk.at {
                    Some(fd) => fd,
                    None => self.reopen(&walk.real)?,
                };
                Opened { dir: Arc::new(fd), without_links: false }
            }
        };
        if let Some(near) = near {
            // If two threads open it at once, the directory of the first is kept.
            let _ = near.opened.set(opened.clone());
        }
        Ok(opened)
    }

    /// The path with all links resolved, the last component included.
    pub(super) fn real_path(&self, normal: &Path) -> Result<PathBuf, FsError> {
        Ok(joined(&self.walk(normal, End::Anything)?.real))
    }

    /// The path with the links before its last component resolved. `None` if there are none, or if the directory is
    /// missing.
    pub(super) fn behind_links(&self, normal: &Path) -> Result<Option<PathBuf>, FsError> {
        let Some((parent, name)) = super::path::split_last(normal) else { return Ok(None) };
        if self.open(parent).is_ok_and(|opened| opened.without_links) {
            return Ok(None);
        }
        match self.real_path(parent) {
            Ok(real) => Ok((real != parent).then(|| real.join(name))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Like [`Walker::real_path`], for a path that may end in components that do not exist.
    pub(super) fn real_path_of_the_existing(&self, normal: &Path) -> Result<PathBuf, FsError> {
        Ok(joined(&self.walk(normal, End::Missing)?.real))
    }

    fn open_without_links(&self, normal: &Path) -> rustix::io::Result<Fd> {
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match self.root {
            Root::System => Fd::open_system(normal, DIRECTORY, resolve),
            Root::Dir(fd) => fd.open_below(normal, DIRECTORY, resolve | ResolveFlags::IN_ROOT),
        }
    }

    fn open_root(&self) -> Result<Fd, FsError> {
        let path = Path::new("/");
        self.calls.run(Call::Open, path, || match self.root {
            Root::System => Fd::system_root(DIRECTORY),
            Root::Dir(fd) => fd.again(),
        })
    }

    /// Opens a directory whose path had no links a moment ago.
    fn reopen(&self, real: &[OsString]) -> Result<Fd, FsError> {
        let mut dir = self.open_root()?;
        for (i, name) in real.iter().enumerate() {
            let path = joined(&real[..=i]);
            dir = match self.calls.run(Call::Open, &path, || dir.open(name, DIRECTORY)) {
                Err(error) if error.is(Errno::NOTDIR) || error.is(Errno::LOOP) => {
                    return Err(FsError::Changed { path });
                }
                other => other?,
            };
        }
        Ok(dir)
    }

    fn walk(&self, normal: &Path, end: End) -> Result<Walk, FsError> {
        let mut walk = Walk { at: Some(self.open_root()?), real: Vec::new(), pending: Vec::new(), links: 0, steps: 0 };
        walk.push(normal.as_os_str());
        while let Some(name) = walk.pending.pop() {
            walk.steps += 1;
            if walk.steps > STEPS_MAX {
                let reason = LinkReason::Loop(walk.links);
                return Err(FsError::Symlink { link: normal.to_path_buf(), reason });
            }
            if name.as_bytes() == b".." {
                walk.real.pop();
                walk.at = None;
                continue;
            }
            match self.step(&mut walk, name, end) {
                Err(error) if end == End::Missing && error.is_missing() => {
                    walk.keep_the_rest();
                    break;
                }
                other => other?,
            }
        }
        Ok(walk)
    }

    /// Moves on by one component.
    fn step(&self, walk: &mut Walk, name: OsString, end: End) -> Result<(), FsError> {
        let dir = match walk.at.take() {
            Some(dir) => dir,
            None => self.reopen(&walk.real)?,
        };
        walk.real.push(name.clone());
        let here = joined(&walk.real);
        let open = |flags| self.calls.run(Call::Open, &here, || dir.open(&name, flags));
        let fd = match open(DIRECTORY) {
            Err(error) if error.is(Errno::NOTDIR) || error.is(Errno::LOOP) => {
                open(DIRECTORY.difference(OFlags::DIRECTORY))?
            }
            other => {
                walk.at = Some(other?);
                return Ok(());
            }
        };
        let stat = stat_fd(self.calls, &fd, &here)?;
        match stat.kind {
            FileKind::Directory => walk.at = Some(fd),
            FileKind::Symlink => {
                walk.links += 1;
                if walk.links > LINKS_MAX {
                    return Err(FsError::Symlink { link: here, reason: LinkReason::Loop(walk.links) });
                }
                self.guard(&dir, &stat, &here)?;
                let target = self.calls.run(Call::ReadLink, &here, || fd.read_link(""))?;
                walk.follow(dir, &target);
            }
            _ if end != End::Directory && walk.pending.is_empty() => {}
            found => return Err(FsError::WrongType { path: here, found, wanted: FileKind::Directory }),
        }
        Ok(())
    }

    /// Fails if the link at `here`, which is in `dir`, may not be followed.
    fn guard(&self, dir: &Fd, link: &Stat, here: &Path) -> Result<(), FsError> {
        let refuse = |reason| Err(FsError::Symlink { link: here.to_path_buf(), reason });
        if self.links == Links::Follow {
            return Ok(());
        }
        if link.uid != 0 && (self.euid == 0 || link.uid != self.euid) {
            return refuse(LinkReason::Owner(link.uid));
        }
        if let Some(maker) = self.memory.maker(link) {
            return refuse(LinkReason::CopiedFrom(maker));
        }
        if self.euid == 0 && stat_fd(self.calls, dir, here)?.others_can_write() {
            return refuse(LinkReason::WritableParent);
        }
        Ok(())
    }
}

impl Walk {
    fn push(&mut self, path: &OsStr) {
        let names = path.as_bytes().split(|b| *b == b'/').filter(|name| !name.is_empty() && *name != b".");
        self.pending.extend(names.rev().map(|name| OsStr::from_bytes(name).to_owned()));
    }

    /// Continues at the target of the link that was just entered, which is in `dir`.
    fn follow(&mut self, dir: Fd, target: &OsStr) {
        if target.as_bytes().first() == Some(&b'/') {
            self.real.clear();
            self.at = None;
        } else {
            self.real.pop();
            self.at = Some(dir);
        }
        self.push(target);
    }

    fn keep_the_rest(&mut self) {
        while let Some(name) = self.pending.pop() {
            if name.as_bytes() == b".." { self.real.pop().map_or((), drop) } else { self.real.push(name) }
        }
        self.at = None;
    }
}

fn joined(names: &[OsString]) -> PathBuf {
    let mut bytes = Vec::new();
    for name in names {
        bytes.push(b'/');
        bytes.extend_from_slice(name.as_bytes());
    }
    if bytes.is_empty() {
        bytes.push(b'/');
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The flag of `open` that refuses a symlink, for `OpenOptionsExt::custom_flags`.
pub const NOFOLLOW: i32 = OFlags::NOFOLLOW.bits().cast_signed();
