//! An open object of a simulated host, and the system calls on it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};

use super::disk::{Disk, Tree, names};
use super::inode::{Body, Found, Inode, Number, ROOT};
use super::kernel;
use super::life::Life;
use super::watched::Change;
use crate::sys::fs::FileKind;

/// An open object, of one process of the host. When the life of the process is over, every call fails without effect.
#[derive(Debug)]
pub(in crate::sys) struct File {
    disk: Disk,
    life: Life,
    number: Number,
    opening: u64,
    at: AtomicUsize,
    appends: bool,
}

impl File {
    /// The root directory, for a process.
    pub(super) fn root(disk: &Disk, life: &Life) -> File {
        let opening = disk.tree().new_opening();
        File { disk: disk.clone(), life: life.clone(), number: ROOT, opening, at: AtomicUsize::new(0), appends: false }
    }

    fn opened(disk: &Disk, life: &Life, number: Number, appends: bool) -> Result<File> {
        let mut tree = disk.tree();
        tree.get_mut(number)?.opened += 1;
        let opening = tree.new_opening();
        drop(tree);
        Ok(File { disk: disk.clone(), life: life.clone(), number, opening, at: AtomicUsize::new(0), appends })
    }

    fn of(&self, number: Number) -> Result<File> {
        File::opened(&self.disk, &self.life, number, false)
    }

    /// Looks at the file system.
    fn look<T>(&self, look: impl FnOnce(&Tree) -> Result<T>) -> Result<T> {
        self.life.go_on()?;
        look(&self.disk.tree())
    }

    /// Changes the file system; the change has the given time.
    fn change<T>(&self, change: impl FnOnce(&mut Tree, i128) -> Result<T>) -> Result<T> {
        self.life.change()?;
        let stamp = self.disk.stamp();
        change(&mut self.disk.tree(), stamp)
    }

    /// Changes this object, whose content or attributes are different then.
    fn edit(&self, edit: impl FnOnce(&mut Inode, i128) -> Result<()>) -> Result<()> {
        self.edit_other(self.number, edit)
    }

    fn edit_other(&self, number: Number, edit: impl FnOnce(&mut Inode, i128) -> Result<()>) -> Result<()> {
        self.change(|tree, stamp| {
            let inode = tree.get_mut(number)?;
            edit(inode, stamp)?;
            inode.ctime_ns = stamp;
            tree.changed(&Change::Object(number));
            Ok(())
        })
    }

    pub(in crate::sys) fn again(&self) -> Result<File> {
        self.life.go_on()?;
        self.of(self.number)
    }

    /// Opens a directory below this one, by a path without links.
    pub(in crate::sys) fn open_below(&self, path: &Path) -> Result<File> {
        let number = self.look(|tree| {
            let mut at = self.number;
            for name in names(path) {
                at = tree.existing(at, &name)?;
                match tree.get(at)?.kind() {
                    FileKind::Directory => {}
                    FileKind::Symlink => return Err(Errno::LOOP),
                    _ => return Err(Errno::NOTDIR),
                }
            }
            Ok(at)
        })?;
        self.of(number)
    }

    pub(in crate::sys) fn open(&self, name: &OsStr, flags: OFlags, mode: Mode) -> Result<File> {
        let found = self.look(|tree| tree.child(self.number, name))?;
        let Some(number) = found else {
            if !flags.contains(OFlags::CREATE) {
                return Err(Errno::NOENT);
            }
            if self.file_system()? == kernel::PROC {
                return Err(Errno::ACCESS);
            }
            let number = self.change(|tree, stamp| {
                let inode = Inode::new(Body::File(Arc::default()), mode.as_raw_mode() & 0o7777, stamp);
                tree.add(self.number, name, inode)
            })?;
            return self.of(number);
        };
        if flags.contains(OFlags::CREATE | OFlags::EXCL) {
            return Err(Errno::EXIST);
        }
        let writes = flags.intersects(OFlags::WRONLY | OFlags::RDWR);
        match self.look(|tree| Ok(tree.get(number)?.kind()))? {
            FileKind::Directory if writes => return Err(Errno::ISDIR),
            FileKind::Directory => {}
            _ if flags.contains(OFlags::DIRECTORY) => return Err(Errno::NOTDIR),
            FileKind::Symlink if !flags.contains(OFlags::PATH) => return Err(Errno::LOOP),
            _ => {}
        }
        File::opened(&self.disk, &self.life, number, flags.contains(OFlags::APPEND))
    }

    pub(in crate::sys) fn stat(&self) -> Result<Found> {
        self.look(|tree| Ok(tree.get(self.number)?.found(self.number)))
    }

    pub(in crate::sys) fn stat_at(&self, name: &OsStr) -> Result<Found> {
        self.look(|tree| {
            let number = tree.existing(self.number, name)?;
            Ok(tree.get(number)?.found(number))
        })
    }

    pub(in crate::sys) fn read_link(&self, name: &OsStr) -> Result<OsString> {
        self.look(|tree| {
            let number = if name.is_empty() { self.number } else { tree.existing(self.number, name)? };
            match &tree.get(number)?.body {
                Body::Symlink(target) => Ok(target.clone()),
                _ => Err(Errno::INVAL),
            }
        })
    }

    pub(in crate::sys) fn entries(&self) -> Result<Vec<(OsString, FileKind)>> {
        self.look(|tree| {
            let entries = tree.entries(self.number)?.iter();
            entries.map(|(name, number)| Ok((name.clone(), tree.get(*number)?.kind()))).collect()
        })
    }

    pub(in crate::sys) fn make_dir(&self, name: &OsStr, mode: Mode) -> Result<()> {
        let body = Body::Directory(BTreeMap::new());
        self.make(name, body, mode.as_raw_mode() & 0o1777)
    }

    pub(in crate::sys) fn symlink(&self, target: &OsStr, name: &OsStr) -> Result<()> {
        self.make(name, Body::Symlink(target.to_owned()), 0o777)
    }

    fn make(&self, name: &OsStr, body: Body, mode: u32) -> Result<()> {
        if self.look(|tree| tree.child(self.number, name))?.is_some() {
            return Err(Errno::EXIST);
        }
        self.change(|tree, stamp| tree.add(self.number, name, Inode::new(body, mode, stamp)).map(drop))
    }

    pub(in crate::sys) fn unlink(&self, name: &OsStr, is_dir: bool) -> Result<()> {
        let number = self.look(|tree| tree.existing(self.number, name))?;
        self.look(|tree| match &tree.get(number)?.body {
            Body::Directory(_) if !is_dir => Err(Errno::ISDIR),
            Body::Directory(entries) if !entries.is_empty() => Err(Errno::NOTEMPTY),
            Body::Directory(_) => Ok(()),
            _ if is_dir => Err(Errno::NOTDIR),
            _ => Ok(()),
        })?;
        self.change(|tree, stamp| tree.unlink(self.number, name, number, stamp))
    }

    pub(in crate::sys) fn rename(&self, from: &OsStr, to: &OsStr, over: bool) -> Result<()> {
        let (number, old) = self.look(|tree| {
            let number = tree.existing(self.number, from)?;
            let old = tree.child(self.number, to)?;
            let Some(old) = old else { return Ok((number, None)) };
            if !over {
                return Err(Errno::EXIST);
            }
            match (&tree.get(number)?.body, &tree.get(old)?.body) {
                (Body::Directory(_), Body::Directory(entries)) if !entries.is_empty() => Err(Errno::NOTEMPTY),
                (Body::Directory(_), Body::Directory(_)) => Ok((number, Some(old))),
                (Body::Directory(_), _) => Err(Errno::NOTDIR),
                (_, Body::Directory(_)) => Err(Errno::ISDIR),
                _ => Ok((number, Some(old))),
            }
        })?;
        if old == Some(number) {
            return Ok(());
        }
        self.change(|tree, stamp| {
            if let Some(old) = old {
                tree.unlink(self.number, to, old, stamp)?;
            }
            tree.link(self.number, to, number, stamp)?;
            tree.unlink(self.number, from, number, stamp)
        })
    }

    pub(in crate::sys) fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        self.chown_number(self.number, uid, gid)
    }

    pub(in crate::sys) fn chown_at(&self, name: &OsStr, uid: u32) -> Result<()> {
        let number = self.look(|tree| tree.existing(self.number, name))?;
        self.chown_number(number, Some(uid), None)
    }

    fn chown_number(&self, number: Number, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        self.edit_other(number, |inode, _| {
            inode.uid = uid.unwrap_or(inode.uid);
            inode.gid = gid.unwrap_or(inode.gid);
            if let Body::File(_) = inode.body {
                // As the kernel does for every user.
                inode.mode &= if inode.mode & 0o010 != 0 { !0o6000 } else { !0o4000 };
                inode.xattrs.remove(&b"security.capability"[..]);
            }
            Ok(())
        })
    }

    pub(in crate::sys) fn chmod(&self, mode: u32) -> Result<()> {
        self.edit(|inode, _| {
            inode.set_mode(mode);
            Ok(())
        })
    }

    pub(in crate::sys) fn set_mtime(&self, ns: i128) -> Result<()> {
        self.edit(|inode, _| {
            inode.mtime_ns = ns;
            Ok(())
        })
    }

    pub(in crate::sys) fn xattr_names(&self) -> Result<Vec<u8>> {
        self.look(|tree| {
            let names = tree.get(self.number)?.xattrs.keys();
            Ok(names.flat_map(|name| name.iter().copied().chain([0])).collect())
        })
    }

    pub(in crate::sys) fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.look(|tree| tree.get(self.number)?.xattrs.get(name).cloned().ok_or(Errno::NODATA))
    }

    pub(in crate::sys) fn set_xattr(&self, name: &[u8], value: &[u8]) -> Result<()> {
        self.edit(|inode, _| inode.set_xattr(name, value))
    }

    pub(in crate::sys) fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        self.xattr(name)?;
        self.edit(|inode, _| inode.xattrs.remove(name).map(drop).ok_or(Errno::NODATA))
    }

    pub(in crate::sys) fn read(&self, into: &mut [u8]) -> Result<usize> {
        let at = self.at.load(Ordering::SeqCst);
        let n = self.read_at(into, at as u64)?;
        self.at.store(at + n, Ordering::SeqCst);
        Ok(n)
    }

    pub(in crate::sys) fn read_at(&self, into: &mut [u8], at: u64) -> Result<usize> {
        self.look(|tree| {
            let Body::File(content) = &tree.get(self.number)?.body else { return Err(Errno::ISDIR) };
            let rest = content.get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or_default();
            let n = rest.len().min(into.len());
            into[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        })
    }

    pub(in crate::sys) fn rewind(&self) -> Result<()> {
        self.life.go_on()?;
        self.at.store(0, Ordering::SeqCst);
        Ok(())
    }

    /// The number of the type of its file system.
    pub(in crate::sys) fn file_system(&self) -> Result<u64> {
        self.look(|tree| Ok(if kernel::is_in_proc(tree, self.number) { kernel::PROC } else { 0 }))
    }

    pub(in crate::sys) fn write(&self, bytes: &[u8]) -> Result<usize> {
        if self.look(|tree| Ok(kernel::is_in_proc(tree, self.number)))? {
            self.edit(|inode, stamp| kernel::take(inode, bytes, stamp))?;
            return Ok(bytes.len());
        }
        self.edit(|inode, stamp| {
            let Body::File(content) = &mut inode.body else { return Err(Errno::ISDIR) };
            let content = Arc::make_mut(content);
            let at = if self.appends { content.len() } else { self.at.load(Ordering::SeqCst) };
            let end = at + bytes.len();
            content.resize(content.len().max(end), 0);
            content[at..end].copy_from_slice(bytes);
            self.at.store(end, Ordering::SeqCst);
            inode.mtime_ns = stamp;
            Ok(())
        })?;
        Ok(bytes.len())
    }

    pub(in crate::sys) fn truncate(&self, bytes: u64) -> Result<()> {
        self.edit(|inode, stamp| {
            let Body::File(content) = &mut inode.body else { return Err(Errno::ISDIR) };
            Arc::make_mut(content).resize(usize::try_from(bytes).map_err(|_| Errno::FBIG)?, 0);
            inode.mtime_ns = stamp;
            Ok(())
        })
    }

    pub(in crate::sys) fn lock(&self) -> Result<()> {
        self.life.go_on()?;
        let mut tree = self.disk.tree();
        let inode = tree.get_mut(self.number)?;
        match inode.locked {
            Some(other) if other != self.opening => Err(Errno::WOULDBLOCK),
            _ => {
                inode.locked = Some(self.opening);
                Ok(())
            }
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.disk.tree().close(self.number, self.opening);
    }
}
