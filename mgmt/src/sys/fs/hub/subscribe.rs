//! Subscribing and unsubscribing.

use std::cmp::Reverse;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf, absolute};

use super::api::{Error, Listening, Watched};
use super::backend::Backend;
use super::core::{Core, to_path};
use super::stat;
use super::trie::{Kind, LISTED, NodeId, QUEUED, ROOT, Sub, components};

/// The longest path that the system takes, with the NUL at its end.
const PATH_MAX: usize = 4096;

impl Core {
    /// Watches a path for a key. When this returns, every later change is reported.
    pub(super) fn subscribe(
        &mut self,
        backend: &mut dyn Backend,
        key: u64,
        path: &Path,
        kind: Watched,
    ) -> Result<(), Error> {
        let id = self.enter(key, path, kind)?;
        self.settle(backend);
        self.complain(id, key);
        Ok(())
    }

    /// Like [`Core::subscribe`], in a short time: what is left to do is a part of the work that is done in slices.
    pub(super) fn subscribe_in_slices(
        &mut self,
        backend: &mut dyn Backend,
        key: u64,
        path: &Path,
        kind: Watched,
    ) -> Result<Listening, Error> {
        let (was_settled, queued) = (self.is_settled(), self.work.len());
        let id = self.enter(key, path, kind)?;
        let listens = if was_settled {
            self.settle_slice(backend);
            self.is_settled()
        } else {
            // It need not wait for a large tree that came before it.
            !kind.is_tree() && self.settle_above(backend, queued) && self.is_way_watched(id)
        };
        self.complain(id, key);
        // If it was a tree with too many directories, the subscription has ended.
        if listens || !self.keys.contains_key(&key) {
            return Ok(Listening::Now);
        }
        self.unready.insert(key);
        Ok(Listening::Later)
    }

    /// Whether the node and all nodes above it have been looked at, and no link among them leads elsewhere.
    fn is_way_watched(&self, id: NodeId) -> bool {
        self.trie.upwards(id).all(|up| {
            let node = self.trie.get(up);
            !node.is(QUEUED) && !matches!(node.kind, Kind::Unknown | Kind::Link)
        })
    }

    /// Enters a subscription, and queues what must be looked at for it.
    fn enter(&mut self, key: u64, path: &Path, kind: Watched) -> Result<NodeId, Error> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.contains(&0) {
            return Err(Error::Nul { path: path.to_owned() });
        }
        let path = if path.is_absolute() {
            path.to_owned()
        } else {
            absolute(path).map_err(|source| Error::Relative { path: path.to_owned(), source })?
        };
        if path.as_os_str().len() >= PATH_MAX {
            let start: PathBuf = path.to_string_lossy().chars().take(80).collect::<String>().into();
            return Err(Error::TooLong { path: start, max: PATH_MAX - 1 });
        }
        self.begin();
        Ok(self.subscribe_bytes(key, path.as_os_str().as_bytes(), kind))
    }

    /// Whether the key has subscribed to these paths and no others.
    pub(super) fn has_just(&self, key: u64, paths: &[(&Path, Watched)]) -> bool {
        let mut places = Vec::with_capacity(paths.len());
        for (path, kind) in paths {
            let Some(id) = self.known_place(path) else { return false };
            places.push((id, Reverse(*kind)));
        }
        // Of several subscriptions of one path the widest counts.
        places.sort_unstable();
        places.dedup_by_key(|(id, _)| *id);
        let known = self.keys.get(&key).map_or(0, |nodes| nodes.as_slice().len());
        known == places.len() && places.iter().all(|(id, Reverse(kind))| self.has_sub(*id, &Sub { key, kind: *kind }))
    }

    /// Whether every change at this path itself is reported to the key.
    pub(super) fn listens_to(&self, key: u64, path: &Path) -> bool {
        let Ok(path) = absolute(path) else { return false };
        let (deepest, rest) = self.trie.deepest(path.as_os_str().as_bytes());
        let has_itself = || self.trie.get(deepest).subs.as_slice().iter().any(|sub| sub.key == key);
        let is_tree = |id| self.has_sub(id, &Sub { key, kind: Watched::Tree });
        // Trees do not follow links.
        let is_led_away = || path.ancestors().skip(1).take(rest).any(Path::is_symlink);
        rest == 0 && has_itself() || self.trie.upwards(deepest).any(is_tree) && !is_led_away()
    }

    fn has_sub(&self, id: NodeId, sub: &Sub) -> bool {
        self.trie.get(id).subs.as_slice().contains(sub)
    }

    /// The node of a path, if it is in the trie.
    fn known_place(&self, path: &Path) -> Option<NodeId> {
        let path = absolute(path).ok()?;
        match self.trie.deepest(path.as_os_str().as_bytes()) {
            (id, 0) => Some(id),
            _ => None,
        }
    }

    fn subscribe_bytes(&mut self, key: u64, path: &[u8], kind: Watched) -> NodeId {
        let (mut id, mut fresh) = (ROOT, None);
        for name in components(path) {
            let (child, is_new) = self.trie.child_or_insert(id, name);
            if is_new && fresh.is_none() {
                fresh = Some(child);
            }
            if !is_new {
                self.compare_known(id, child);
            }
            id = child;
        }
        self.add_sub(id, Sub { key, kind });
        if kind.is_tree() {
            self.list_further(id);
        }
        let parent = self.want_content_of(id);
        self.queue_way(fresh.or(Some(id)), parent);
        if self.trie.get(ROOT).kind == Kind::Unknown {
            self.queue(ROOT, false);
        }
        id
    }

    /// Lists directories of a tree whose entries were in no tree before, or not deep enough in one.
    fn list_further(&mut self, id: NodeId) {
        for below in self.trie.subtree(id) {
            let node = self.trie.get(below);
            if node.kind == Kind::Dir && !node.is(LISTED) {
                self.queue(below, false);
            }
        }
    }

    /// Reports the failure of an unreachable node to a new subscription below it too.
    fn complain(&mut self, id: NodeId, key: u64) {
        if !self.keys.contains_key(&key) {
            return;
        }
        let Some(place) = self.trie.upwards(id).find(|&up| self.trie.get(up).kind == Kind::Unreachable) else { return };
        let path = self.trie.path(place);
        if let Err(source) = stat::stat(&path, true) {
            self.fail(key, Error::Unreachable { path: to_path(&path), source });
        }
    }

    fn add_sub(&mut self, id: NodeId, sub: Sub) {
        let node = self.trie.get_mut(id);
        let had = node.subs.remove(|old| old.key == sub.key);
        let kind = had.map_or(sub.kind, |had| had.kind.max(sub.kind));
        node.subs.push(Sub { key: sub.key, kind });
        self.trees += usize::from(kind.is_tree());
        match had {
            Some(had) => self.trees -= usize::from(had.kind.is_tree()),
            None => self.keys.entry(sub.key).or_default().push(id),
        }
    }

    pub(super) fn unsubscribe(&mut self, backend: &mut dyn Backend, key: u64) {
        let Some(nodes) = self.keys.remove(&key) else { return };
        let was_settled = self.is_settled();
        for &id in nodes.as_slice() {
            let Some(sub) = self.trie.get_mut(id).subs.remove(|sub| sub.key == key) else { continue };
            if sub.kind.is_tree() {
                self.trees -= 1;
                self.end_tree(id);
            } else {
                self.garbage.push(id);
            }
        }
        self.untouch(key);
        // What is left of earlier work is done in the slices of `next`.
        if was_settled {
            self.settle_slice(backend);
        }
    }
}
