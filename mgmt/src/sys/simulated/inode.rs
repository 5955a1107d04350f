//! The objects of a simulated file system.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use crate::sys::fs::FileKind;

/// The number of an object.
pub(super) type Number = u64;

/// The root directory.
pub(super) const ROOT: Number = 1;

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime_ns: i128,
    pub(super) ctime_ns: i128,
    pub(super) body: Body,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Its names: the directories that have them, and the names in these.
    pub(super) names: Vec<(Number, OsString)>,
    /// How many times it is open.
    pub(super) opened: u32,
    /// The number of the opening that has locked it.
    pub(super) locked: Option<u64>,
}

/// What an object is.
#[derive(Clone, Debug)]
pub(super) enum Body {
    File(Arc<Vec<u8>>),
    Directory(BTreeMap<OsString, Number>),
    Symlink(OsString),
}

/// What a stat reports.
#[derive(Debug)]
pub(in crate::sys) struct Found {
    pub(in crate::sys) kind: FileKind,
    pub(in crate::sys) mode: u32,
    pub(in crate::sys) uid: u32,
    pub(in crate::sys) gid: u32,
    pub(in crate::sys) size: u64,
    pub(in crate::sys) mtime_ns: i128,
    pub(in crate::sys) ctime_ns: i128,
    pub(in crate::sys) ino: u64,
    pub(in crate::sys) nlink: u64,
}

impl Inode {
    pub(super) fn new(body: Body, mode: u32, stamp: i128) -> Inode {
        Inode {
            mode,
            uid: 0,
            gid: 0,
            mtime_ns: stamp,
            ctime_ns: stamp,
            body,
            xattrs: BTreeMap::new(),
            names: Vec::new(),
            opened: 0,
            locked: None,
        }
    }

    pub(super) fn kind(&self) -> FileKind {
        match self.body {
            Body::File(_) => FileKind::File,
            Body::Directory(_) => FileKind::Directory,
            Body::Symlink(_) => FileKind::Symlink,
        }
    }

    pub(super) fn found(&self, ino: Number) -> Found {
        let (size, below) = match &self.body {
            Body::File(content) => (content.len(), 0),
            Body::Directory(entries) => (4096, 1 + entries.len()),
            Body::Symlink(target) => (target.len(), 0),
        };
        Found {
            kind: self.kind(),
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: size as u64,
            mtime_ns: self.mtime_ns,
            ctime_ns: self.ctime_ns,
            ino,
            nlink: (self.names.len() + below) as u64,
        }
    }
}
