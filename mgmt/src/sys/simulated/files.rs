//! The files of a simulated host, as its tests see and change them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::{Errno, Result};

use super::accounts::Names;
use super::disk::{Tree, names};
use super::host::Host;
use super::inode::{Body, Inode, Number, ROOT};
use super::watched::Change;
use crate::id::shortened;
use crate::sys::account_files::{GROUP, PASSWD, SHADOW};
use crate::sys::fs::{Digest, is_temporary_name};

/// The most characters of a file's content in the description of a host's state.
const CONTENT_CHARS_MAX: usize = 60;

impl Host {
    /// Writes a file, as another program of the host would: in place if it exists. Missing directories are made.
    ///
    /// # Panics
    /// Something that is no directory is on the way, or a directory is at the path.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let (path, content) = (path.as_ref(), content.as_ref());
        self.edit("write", path, |tree, stamp| match tree.resolve(path, true) {
            Ok(number) => {
                let inode = tree.get_mut(number)?;
                let Body::File(old) = &mut inode.body else { return Err(Errno::ISDIR) };
                *old = Arc::new(content.to_vec());
                (inode.mtime_ns, inode.ctime_ns) = (stamp, stamp);
                tree.changed(&Change::Object(number));
                Ok(())
            }
            Err(_) => {
                let body = Body::File(Arc::new(content.to_vec()));
                make(tree, path, Inode::new(body, 0o644, stamp)).map(drop)
            }
        });
    }

    /// The content of a file as text; `None` if there is no file.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        self.read_bytes(path).map(|content| String::from_utf8_lossy(&content).into_owned())
    }

    /// The content of a file; `None` if there is no file.
    pub fn read_bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let tree = self.disk().tree();
        let number = tree.resolve(path.as_ref(), true).ok()?;
        match &tree.get(number).ok()?.body {
            Body::File(content) => Some(content.to_vec()),
            _ => None,
        }
    }

    /// Whether something is at the path; a symlink counts, wherever it leads.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.disk().tree().resolve(path.as_ref(), false).is_ok()
    }

    /// Whether a directory is at the path.
    pub fn is_dir(&self, path: impl AsRef<Path>) -> bool {
        let tree = self.disk().tree();
        tree.resolve(path.as_ref(), true).is_ok_and(|number| tree.entries(number).is_ok())
    }

    /// The permission bits of what is at the path.
    pub fn mode(&self, path: impl AsRef<Path>) -> Option<u32> {
        self.inode(path.as_ref()).map(|inode| inode.mode)
    }

    /// The names of the owner and the group of what is at the path.
    pub fn owner(&self, path: impl AsRef<Path>) -> Option<(String, String)> {
        self.inode(path.as_ref()).map(|inode| (self.user_name(inode.uid), self.group_name(inode.gid)))
    }

    /// Where the symlink at the path leads.
    pub fn link(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        match self.inode(path.as_ref())?.body {
            Body::Symlink(target) => Some(target.into()),
            _ => None,
        }
    }

    /// The names in a directory, sorted; empty if there is none.
    pub fn list(&self, path: impl AsRef<Path>) -> Vec<String> {
        let tree = self.disk().tree();
        let entries = tree.resolve(path.as_ref(), true).and_then(|number| tree.entries(number));
        entries.map(|all| all.keys().map(|name| name.to_string_lossy().into_owned()).collect()).unwrap_or_default()
    }

    /// Makes a directory and its missing parents.
    ///
    /// # Panics
    /// Something that is no directory is on the way.
    pub fn make_dir(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        self.edit("make", path, |tree, stamp| make_dirs(tree, path, stamp).map(drop));
    }

    /// Makes a symlink; what was at the path is replaced. Missing directories are made.
    ///
    /// # Panics
    /// Something that is no directory is on the way.
    pub fn symlink(&self, path: impl AsRef<Path>, target: impl AsRef<Path>) {
        let path = path.as_ref();
        self.remove(path);
        let body = Body::Symlink(target.as_ref().as_os_str().to_owned());
        self.edit("link", path, |tree, stamp| make(tree, path, Inode::new(body, 0o777, stamp)).map(drop));
    }

    /// Removes what is at the path, with everything in it. Returns whether something was there.
    pub fn remove(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        let mut is_there = false;
        self.edit("remove", path, |tree, stamp| {
            let Ok(number) = tree.resolve(path, false) else { return Ok(()) };
            is_there = true;
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::BUSY) };
            let dir = tree.resolve(parent, true)?;
            remove_below(tree, number, stamp)?;
            tree.unlink(dir, name, number, stamp)
        });
        is_there
    }

    /// Moves what is at a path to another one, where nothing is. Missing directories are made.
    ///
    /// # Panics
    /// Nothing is at the first path, or something that is no directory is on the way to the other one.
    pub(super) fn rename(&self, from: &str, to: &str) {
        let (from, to) = (Path::new(from), Path::new(to));
        self.edit("move", from, |tree, stamp| {
            let number = tree.resolve(from, false)?;
            let (Some(old), Some(old_name)) = (from.parent(), from.file_name()) else { return Err(Errno::BUSY) };
            let (Some(new), Some(new_name)) = (to.parent(), to.file_name()) else { return Err(Errno::BUSY) };
            let (old, new) = (tree.resolve(old, true)?, make_dirs(tree, new, stamp)?);
            tree.link(new, new_name, number, stamp)?;
            tree.unlink(old, old_name, number, stamp)
        });
    }

    /// Sets the permission bits of what is at the path.
    ///
    /// # Panics
    /// Nothing is there.
    pub fn chmod(&self, path: impl AsRef<Path>, mode: u32) {
        self.edit_inode("chmod", path.as_ref(), |inode| inode.set_mode(mode));
    }

    /// Sets the owner and the group of what is at the path, by name or number.
    ///
    /// # Panics
    /// Nothing is there, or there is no such user or group.
    #[track_caller]
    pub fn chown(&self, path: impl AsRef<Path>, user: &str, group: &str) {
        let ids = self.on(|| (crate::sys::users::uid_of(user), crate::sys::users::gid_of(group)));
        let (Ok(uid), Ok(gid)) = ids else { panic!("the simulated host has no user `{user}` or no group `{group}`") };
        self.edit_inode("chown", path.as_ref(), |inode| (inode.uid, inode.gid) = (uid, gid));
    }

    /// Sets an extended attribute of what is at the path. An access list (`system.posix_acl_access`, in the form of the
    /// kernel) changes the mode too; new objects in a directory get its `system.posix_acl_default`.
    ///
    /// # Panics
    /// Nothing is there, or the value is no list.
    #[track_caller]
    pub fn set_xattr(&self, path: impl AsRef<Path>, name: &str, value: impl AsRef<[u8]>) {
        let path = path.as_ref();
        self.edit("set an attribute of", path, |tree, stamp| {
            let number = tree.resolve(path, true)?;
            let inode = tree.get_mut(number)?;
            inode.set_xattr(name.as_bytes(), value.as_ref())?;
            inode.ctime_ns = stamp;
            tree.changed(&Change::Object(number));
            Ok(())
        });
    }

    /// An extended attribute of what is at the path.
    pub fn xattr(&self, path: impl AsRef<Path>, name: &str) -> Option<Vec<u8>> {
        self.inode(path.as_ref())?.xattrs.get(name.as_bytes()).cloned()
    }

    fn inode(&self, path: &Path) -> Option<Inode> {
        let tree = self.disk().tree();
        tree.resolve(path, false).and_then(|number| tree.get(number)).ok().cloned()
    }

    #[track_caller]
    fn edit_inode(&self, what: &str, path: &Path, edit: impl FnOnce(&mut Inode)) {
        self.edit(what, path, |tree, stamp| {
            let number = tree.resolve(path, true)?;
            let inode = tree.get_mut(number)?;
            edit(inode);
            inode.ctime_ns = stamp;
            tree.changed(&Change::Object(number));
            Ok(())
        });
    }

    #[track_caller]
    fn edit(&self, what: &str, path: &Path, edit: impl FnOnce(&mut Tree, i128) -> Result<()>) {
        let stamp = self.disk().stamp();
        let outcome = edit(&mut self.disk().tree(), stamp);
        if let Err(errno) = outcome {
            let error = std::io::Error::from(errno);
            panic!("can't {what} {} on the simulated host: {error}", path.display());
        }
    }

    /// The state of the host, one line for each thing: its files, and its parts such as services. What is below the
    /// directories in `but` is left out, and so are times.
    pub fn state(&self, but: &[&str]) -> Vec<String> {
        let mut lines = BTreeMap::new();
        let names = self.names();
        let tree = self.disk().tree();
        let mut waiting = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, number)) = waiting.pop() {
            let Ok(inode) = tree.get(number) else { continue };
            if but.iter().any(|but| path.starts_with(but)) {
                continue;
            }
            if let Body::Directory(entries) = &inode.body {
                let below = entries.iter().map(|(name, number)| (path.join(name), *number));
                waiting.extend(below);
            }
            lines.insert(path.clone(), describe(&path, inode, &names));
        }
        drop(tree);
        lines.into_values().chain(self.states_of_parts()).collect()
    }

    /// The temporary files that are there: writes that have not ended, or that were killed.
    pub fn temporary_files(&self) -> Vec<PathBuf> {
        let tree = self.disk().tree();
        let mut found = Vec::new();
        let mut waiting = vec![ROOT];
        while let Some(dir) = waiting.pop() {
            for (name, number) in tree.entries(dir).into_iter().flatten() {
                if is_temporary_name(name) {
                    found.push(tree.path_of(*number));
                }
                waiting.extend(tree.entries(*number).is_ok().then_some(*number));
            }
        }
        found.sort();
        found
    }
}

fn describe(path: &Path, inode: &Inode, names: &Names) -> String {
    let xattr = |(name, value): (&Vec<u8>, &Vec<u8>)| {
        let digest = Digest::of(value).to_string();
        format!(" +{}={}", name.escape_ascii(), digest.get(..12).unwrap_or_default())
    };
    let xattrs: Vec<String> = inode.xattrs.iter().map(xattr).collect();
    let (path, xattrs) = (path.display().to_string().escape_debug().to_string(), xattrs.concat());
    let who = format!("{:04o} {}:{}", inode.mode, names.user(inode.uid), names.group(inode.gid));
    match &inode.body {
        Body::Directory(_) => format!("{path} directory {who}{xattrs}"),
        Body::Symlink(target) => format!("{path} → {}", target.to_string_lossy().escape_debug()),
        Body::File(content) if [PASSWD, GROUP, SHADOW].contains(&path.as_str()) => {
            // The order of the lines is that in which the accounts were made.
            let text = String::from_utf8_lossy(content);
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            format!("{path} file {who}{xattrs} {}", shown(lines.join("\n").as_bytes()))
        }
        Body::File(content) => format!("{path} file {who}{xattrs} {}", shown(content)),
    }
}

/// A content in a line: its beginning, and its digest where that is not all.
fn shown(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content).escape_debug().to_string();
    if text.chars().count() <= CONTENT_CHARS_MAX {
        return format!("“{text}”");
    }
    let digest = Digest::of(content).to_string();
    format!("“{}” (sha256 {}…)", shortened(&text, CONTENT_CHARS_MAX), digest.get(..12).unwrap_or_default())
}

/// Makes an object and the missing directories on the way.
fn make(tree: &mut Tree, path: &Path, inode: Inode) -> Result<Number> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::EXIST) };
    let dir = make_dirs(tree, parent, inode.ctime_ns)?;
    tree.add(dir, name, inode)
}

fn make_dirs(tree: &mut Tree, path: &Path, stamp: i128) -> Result<Number> {
    let mut at = PathBuf::from("/");
    let mut dir = ROOT;
    for name in names(path) {
        at.push(&name);
        dir = match tree.resolve(&at, true) {
            Ok(number) => number,
            Err(_) => tree.add(dir, &name, Inode::new(Body::Directory(BTreeMap::new()), 0o755, stamp))?,
        };
        tree.entries(dir)?;
    }
    Ok(dir)
}

fn remove_below(tree: &mut Tree, number: Number, stamp: i128) -> Result<()> {
    let mut dirs = vec![number];
    let mut all: Vec<(Number, OsString, Number)> = Vec::new();
    while let Some(dir) = dirs.pop() {
        for (name, number) in tree.entries(dir).into_iter().flatten() {
            debug_assert!(!name.as_bytes().is_empty());
            all.push((dir, name.clone(), *number));
            dirs.extend(tree.entries(*number).is_ok().then_some(*number));
        }
    }
    all.into_iter().rev().try_for_each(|(dir, name, number)| tree.unlink(dir, &name, number, stamp))
}
