//! Which changes of a simulated file system which watches notice.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::task::Waker;

use super::disk::{Tree, names};
use super::inode::{Body, Number, ROOT};
use crate::sys::fs::hub::{Extent, Watched};

/// A change.
#[derive(Debug)]
pub(super) enum Change {
    /// A directory has got or lost this name, or the name stands for another object.
    Entry(Number, OsString),
    /// The content or the attributes of an object.
    Object(Number),
}

/// All watches, and what they have noticed.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    subscriptions: Vec<Subscription>,
    seats: BTreeMap<u64, Pending>,
    last_seat: u64,
}

/// What a process has not taken yet.
#[derive(Debug, Default)]
struct Pending {
    changed: BTreeMap<u64, Extent>,
    waker: Option<Waker>,
    /// How many times events were taken.
    taken: u64,
}

/// A watched path.
#[derive(Debug)]
struct Subscription {
    seat: u64,
    key: u64,
    path: PathBuf,
    watched: Watched,
    /// The names on the way to the object, and the object, the way that its symlinks lead.
    spots: Vec<(Number, OsString)>,
    /// The object, and the symlinks that lead to it.
    objects: Vec<Number>,
    /// The directory at the end of the way.
    dir: Option<Number>,
}

impl Subscription {
    /// Follows the path again, after something on the way has changed.
    fn follow(&mut self, tree: &Tree) {
        (self.spots, self.objects, self.dir) = (Vec::new(), Vec::new(), None);
        let mut way = vec![ROOT];
        let mut rest: Vec<OsString> = names(&self.path).rev().collect();
        // Links in a circle lead nowhere.
        for _ in 0..10_000 {
            let dir = way.last().copied().unwrap_or(ROOT);
            let Some(name) = rest.pop() else {
                self.objects.push(dir);
                self.dir = tree.entries(dir).is_ok().then_some(dir);
                return;
            };
            if name == ".." {
                if way.len() > 1 {
                    way.pop();
                }
                continue;
            }
            self.spots.push((dir, name.clone()));
            let Ok(Some(number)) = tree.child(dir, &name) else { return };
            match tree.get(number).map(|inode| &inode.body) {
                Ok(Body::Symlink(target)) => {
                    self.objects.push(number);
                    if target.as_bytes().first() == Some(&b'/') {
                        way.truncate(1);
                    }
                    rest.extend(names(Path::new(target)).rev());
                }
                _ => way.push(number),
            }
        }
    }

    /// How many levels below the path are watched; 0: only its names.
    fn levels(&self) -> Option<usize> {
        match self.watched {
            Watched::Itself => None,
            Watched::Path => Some(0),
            Watched::Levels(levels) => Some(levels.into()),
            Watched::Tree => Some(Watched::LEVELS_MAX.into()),
        }
    }

    /// How much of what is watched has changed.
    fn extent(&self, tree: &Tree, change: &Change) -> Option<Extent> {
        match change {
            Change::Entry(dir, name) => {
                if self.spots.iter().any(|(at, spot)| at == dir && spot == name) {
                    return Some(Extent::All);
                }
                self.below(tree, *dir, Some(name), 1)
            }
            Change::Object(number) => {
                if self.objects.contains(number) {
                    return Some(Extent::All);
                }
                let names = &tree.get(*number).ok()?.names;
                names.iter().find_map(|(dir, name)| self.below(tree, *dir, Some(name), 0))
            }
        }
    }

    /// The entry of a tree, if `dir` is in it and the entry is at most `beyond` its levels.
    fn below(&self, tree: &Tree, dir: Number, name: Option<&OsStr>, beyond: usize) -> Option<Extent> {
        let (levels, top) = (self.levels()?, self.dir?);
        let mut way: Vec<OsString> = name.map(OsStr::to_owned).into_iter().collect();
        let mut at = dir;
        while at != top {
            if at == ROOT {
                return None;
            }
            let (parent, name) = tree.get(at).ok()?.names.first()?;
            way.push(name.clone());
            at = *parent;
        }
        if way.len() > levels + beyond {
            return None;
        }
        if !self.watched.is_tree() {
            return Some(Extent::All);
        }
        let path = self.path.join(way.into_iter().rev().collect::<PathBuf>());
        Some(Extent::Entries(BTreeSet::from([path])))
    }
}

impl Watchers {
    pub(super) fn take_seat(&mut self) -> u64 {
        self.last_seat += 1;
        self.seats.insert(self.last_seat, Pending::default());
        self.last_seat
    }

    pub(super) fn leave(&mut self, seat: u64) {
        self.seats.remove(&seat);
        self.subscriptions.retain(|one| one.seat != seat);
    }

    pub(super) fn note(&mut self, tree: &Tree, change: &Change) {
        for one in &mut self.subscriptions {
            let Some(extent) = one.extent(tree, change) else { continue };
            one.follow(tree);
            if let Some(pending) = self.seats.get_mut(&one.seat) {
                pending.changed.entry(one.key).or_insert_with(Extent::none).merge(extent);
                pending.waker.take().into_iter().for_each(Waker::wake);
            }
        }
    }

    pub(super) fn subscribe(&mut self, tree: &Tree, seat: u64, key: u64, path: &Path, watched: Watched) {
        let path = path.to_owned();
        let mut one = Subscription { seat, key, path, watched, spots: Vec::new(), objects: Vec::new(), dir: None };
        one.follow(tree);
        self.subscriptions.push(one);
    }

    pub(super) fn unsubscribe(&mut self, seat: u64, key: u64) {
        self.subscriptions.retain(|one| (one.seat, one.key) != (seat, key));
        if let Some(pending) = self.seats.get_mut(&seat) {
            pending.changed.remove(&key);
        }
    }

    /// The paths that are watched for a key.
    pub(super) fn paths(&self, seat: u64, key: u64) -> impl Iterator<Item = (&Path, Watched)> {
        let ours = self.subscriptions.iter().filter(move |one| (one.seat, one.key) == (seat, key));
        ours.map(|one| (one.path.as_path(), one.watched))
    }

    /// The events of a seat. Without any, `waker` is woken for the next one.
    pub(super) fn take(&mut self, seat: u64, waker: Option<&Waker>) -> Vec<(u64, Extent)> {
        let Some(pending) = self.seats.get_mut(&seat) else { return Vec::new() };
        if pending.changed.is_empty() {
            pending.waker = waker.cloned();
            return Vec::new();
        }
        pending.taken += 1;
        std::mem::take(&mut pending.changed).into_iter().collect()
    }

    /// How many times events were taken from a seat; `None` if there are some to take.
    pub(super) fn quiet(&self, seat: u64) -> Option<u64> {
        self.seats.get(&seat).filter(|pending| pending.changed.is_empty()).map(|pending| pending.taken)
    }
}
