//! A file system in memory: a table of objects, and the watches on it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::{Errno, Result};

use super::inode::{Body, Inode, Number, ROOT};
use super::timeline::Timeline;
use super::watched::{Change, Watchers};

/// The most symlinks on the way of one path, as in the kernel.
const LINKS_MAX: usize = 40;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// A file system. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tree: Mutex<Tree>,
    time: Arc<Timeline>,
}

/// All objects.
#[derive(Debug)]
pub(super) struct Tree {
    inodes: HashMap<Number, Inode>,
    last: Number,
    openings: u64,
    pub(super) watchers: Watchers,
}

impl Disk {
    /// A file system with a root directory.
    pub(super) fn new(time: Arc<Timeline>) -> Disk {
        let mut root = Inode::new(Body::Directory(BTreeMap::new()), 0o755, time.stamp());
        root.names.push((ROOT, OsString::new()));
        let inodes = HashMap::from([(ROOT, root)]);
        let tree = Tree { inodes, last: ROOT, openings: 0, watchers: Watchers::default() };
        Disk(Arc::new(Shared { tree: Mutex::new(tree), time }))
    }

    /// A copy that has the same content and nothing open.
    pub(super) fn fork(&self, time: Arc<Timeline>) -> Disk {
        let tree = self.tree();
        let mut inodes = tree.inodes.clone();
        inodes.retain(|_, inode| !inode.names.is_empty());
        inodes.values_mut().for_each(|inode| (inode.opened, inode.locked) = (0, None));
        let tree = Tree { inodes, last: tree.last, openings: 0, watchers: Watchers::default() };
        Disk(Arc::new(Shared { tree: Mutex::new(tree), time }))
    }

    pub(super) fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time of a change that is made now.
    pub(super) fn stamp(&self) -> i128 {
        self.0.time.stamp()
    }
}

impl Tree {
    pub(super) fn get(&self, number: Number) -> Result<&Inode> {
        self.inodes.get(&number).ok_or(Errno::STALE)
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Result<&mut Inode> {
        self.inodes.get_mut(&number).ok_or(Errno::STALE)
    }

    /// The number of one more opening.
    pub(super) fn new_opening(&mut self) -> u64 {
        self.openings += 1;
        self.openings
    }

    /// The entries of a directory.
    pub(super) fn entries(&self, dir: Number) -> Result<&BTreeMap<OsString, Number>> {
        match &self.get(dir)?.body {
            Body::Directory(entries) => Ok(entries),
            _ => Err(Errno::NOTDIR),
        }
    }

    /// The object with this name in a directory.
    pub(super) fn child(&self, dir: Number, name: &OsStr) -> Result<Option<Number>> {
        let entries = self.entries(dir)?;
        match name.as_bytes() {
            b"." | b"" => Ok(Some(dir)),
            b".." => Ok(Some(self.get(dir)?.names.first().map_or(ROOT, |(parent, _)| *parent))),
            bytes if bytes.len() > NAME_BYTES_MAX => Err(Errno::NAMETOOLONG),
            _ => Ok(entries.get(name).copied()),
        }
    }

    /// The object with this name, which must exist.
    pub(super) fn existing(&self, dir: Number, name: &OsStr) -> Result<Number> {
        self.child(dir, name)?.ok_or(Errno::NOENT)
    }

    /// Adds an object to a directory.
    pub(super) fn add(&mut self, dir: Number, name: &OsStr, mut inode: Inode) -> Result<Number> {
        let stamp = inode.ctime_ns;
        let parent = self.get(dir)?;
        if parent.names.is_empty() {
            // The directory was removed.
            return Err(Errno::NOENT);
        }
        if parent.mode & 0o2000 != 0 {
            inode.gid = parent.gid;
            if matches!(inode.body, Body::Directory(_)) {
                inode.mode |= 0o2000;
            }
        }
        inode.inherit(parent);
        self.last += 1;
        let number = self.last;
        self.inodes.insert(number, inode);
        self.link(dir, name, number, stamp)?;
        Ok(number)
    }

    /// Gives a name to an object.
    pub(super) fn link(&mut self, dir: Number, name: &OsStr, number: Number, stamp: i128) -> Result<()> {
        self.edit(dir, stamp, |entries| _ = entries.insert(name.to_owned(), number))?;
        self.get_mut(number)?.names.push((dir, name.to_owned()));
        self.changed(&Change::Entry(dir, name.to_owned()));
        Ok(())
    }

    /// Takes a name from an object, which is gone with its last name and its last opening.
    pub(super) fn unlink(&mut self, dir: Number, name: &OsStr, number: Number, stamp: i128) -> Result<()> {
        self.edit(dir, stamp, |entries| _ = entries.remove(name))?;
        // Before the object loses its name: watches are on the way to it.
        let inode = self.get_mut(number)?;
        inode.names.retain(|(at, other)| (*at, other.as_os_str()) != (dir, name));
        inode.ctime_ns = stamp;
        self.changed(&Change::Entry(dir, name.to_owned()));
        self.forget_unless_used(number);
        Ok(())
    }

    fn edit(&mut self, dir: Number, stamp: i128, f: impl FnOnce(&mut BTreeMap<OsString, Number>)) -> Result<()> {
        let inode = self.get_mut(dir)?;
        let Body::Directory(entries) = &mut inode.body else { return Err(Errno::NOTDIR) };
        f(entries);
        (inode.mtime_ns, inode.ctime_ns) = (stamp, stamp);
        Ok(())
    }

    /// An object is open once less.
    pub(super) fn close(&mut self, number: Number, opening: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.opened = inode.opened.saturating_sub(1);
            if inode.locked == Some(opening) {
                inode.locked = None;
            }
        }
        self.forget_unless_used(number);
    }

    fn forget_unless_used(&mut self, number: Number) {
        if self.inodes.get(&number).is_some_and(|inode| inode.names.is_empty() && inode.opened == 0) {
            self.inodes.remove(&number);
        }
    }

    /// Tells the watches of a change.
    pub(super) fn changed(&mut self, change: &Change) {
        let mut watchers = std::mem::take(&mut self.watchers);
        watchers.note(self, change);
        self.watchers = watchers;
    }

    /// The object at a path; `follow`: a symlink at its end is followed.
    pub(super) fn resolve(&self, path: &Path, follow: bool) -> Result<Number> {
        let mut way = vec![ROOT];
        let mut rest: Vec<OsString> = names(path).rev().collect();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == ".." {
                if way.len() > 1 {
                    way.pop();
                }
                continue;
            }
            let dir = way.last().copied().unwrap_or(ROOT);
            let number = self.existing(dir, &name)?;
            match &self.get(number)?.body {
                Body::Symlink(target) if follow || !rest.is_empty() => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Errno::LOOP);
                    }
                    if target.as_bytes().first() == Some(&b'/') {
                        way.truncate(1);
                    }
                    rest.extend(names(Path::new(target)).rev());
                }
                _ => way.push(number),
            }
        }
        way.last().copied().ok_or(Errno::NOENT)
    }

    /// The path of a directory, or of an object with one name.
    pub(super) fn path_of(&self, number: Number) -> PathBuf {
        let mut all = Vec::new();
        let mut at = number;
        while at != ROOT
            && let Some((parent, name)) = self.inodes.get(&at).and_then(|inode| inode.names.first())
        {
            all.push(name);
            at = *parent;
        }
        let mut path = PathBuf::from("/");
        path.extend(all.into_iter().rev());
        path
    }
}

/// The components of a path, without `.` and the root.
pub(super) fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    })
}
