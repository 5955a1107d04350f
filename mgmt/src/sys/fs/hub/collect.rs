//! From an event to the keys that are reported and the nodes that are looked at.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::api::{Extent, Watched};
use super::backend::{Raw, WatchId, What};
use super::core::{Core, to_path};
use super::stat;
use super::trie::{ENTERABLE, Kind, NodeId, ROOT};

impl Core {
    /// Notes one event. The cost does not depend on the number of watched paths, unless the name is that of a directory
    /// on the way to others.
    pub(super) fn collect(&mut self, raw: Raw<'_>) {
        let (watch, name, what) = match raw {
            Raw::Overflow => {
                self.is_lost = true;
                return;
            }
            Raw::At { watch, name, what } => (watch, name, what),
        };
        let mut at = 0;
        // Nothing is looked at here, so the list does not change meanwhile.
        while let Some(&id) = self.watches.get(&watch).and_then(|nodes| nodes.as_slice().get(at)) {
            match name {
                Some(name) => self.entry_changed(id, name, what),
                None => self.self_changed(id, what),
            }
            at += 1;
        }
        if what.dead {
            self.dead(watch);
        }
    }

    fn entry_changed(&mut self, id: NodeId, name: &[u8], what: What) {
        let child = self.trie.child(id, name);
        self.mark_upwards(id, Some(name));
        if what.entry {
            self.mark_listed(id);
        }
        if what.gone {
            self.entry_gone(id, child);
        }
        match child {
            Some(child) if what.entry || what.attributes => {
                self.mark_subtree(child);
                let deep = what.entry || self.is_other_below(child);
                self.queue(child, deep);
            }
            Some(child) => self.mark_own(child),
            None if what.entry && what.directory && self.is_in_tree(id) => {
                self.add_member(id, name);
            }
            None => {}
        }
    }

    fn self_changed(&mut self, id: NodeId, what: What) {
        if what.content {
            self.mark_own(id);
        }
        if what.attributes || what.moved {
            self.mark_changed(id);
            let deep = what.moved || self.is_other_below(id);
            self.queue(id, deep);
        }
    }

    /// Whether the changed attributes of the node make a difference for the nodes below: whether these can be looked
    /// at.
    fn is_other_below(&self, id: NodeId) -> bool {
        let node = self.trie.get(id);
        match node.kind {
            Kind::Dir => stat::can_enter(&self.trie.path(id)) != node.is(ENTERABLE),
            _ => true,
        }
    }

    /// Handles the end of a watch that the system has removed: the watched object is gone or unmounted.
    pub(super) fn dead(&mut self, watch: WatchId) {
        let Some(nodes) = self.watches.remove(&watch) else { return };
        self.is_freed = true;
        for &id in nodes.as_slice() {
            self.trie.get_mut(id).watch = 0;
            self.mark_changed(id);
            self.queue(id, true);
            self.will_review(id);
        }
    }

    /// Notes that a mount was added, removed or changed at these places. An empty list means that something was
    /// unmounted and mounted again.
    pub(super) fn remounted(&mut self, places: &[Vec<u8>]) {
        // With a `..`, the trie may spell one of the places differently.
        if self.trie.dotdots > 0 || places.is_empty() {
            self.queue(ROOT, true);
        }
        for place in places {
            let (id, left) = self.trie.deepest(place);
            if left == 0 {
                self.mark_changed(id);
                self.queue(id, true);
            } else if left == 1 {
                self.mark_upwards(id, None);
            }
        }
    }

    /// Marks the keys at and below the node, and those of the trees it is in: another object is there now.
    pub(super) fn mark_changed(&mut self, id: NodeId) {
        self.mark_subtree(id);
        self.mark_upwards(id, None);
    }

    /// Marks the keys that watch the names in the directory itself, or through a link to it. For trees, see
    /// `mark_upwards`.
    fn mark_listed(&mut self, id: NodeId) {
        for at in 0..self.trie.get(id).subs.as_slice().len() {
            let sub = self.trie.get(id).subs.as_slice()[at];
            if sub.kind == Watched::Path {
                self.touch(sub.key);
            }
        }
        self.mark_links(id);
    }

    /// Marks the keys that watch the node itself, or through a link to it.
    pub(super) fn mark_own(&mut self, id: NodeId) {
        for at in 0..self.trie.get(id).subs.as_slice().len() {
            let key = self.trie.get(id).subs.as_slice()[at].key;
            self.touch(key);
        }
        self.mark_links(id);
    }

    /// Marks the keys that watch a link to the node.
    fn mark_links(&mut self, id: NodeId) {
        let links = self.led_from.get(&id).map_or(0, Vec::len);
        for at in 0..links {
            self.mark_own(self.led_from[&id][at]);
        }
    }

    /// Marks the keys that watch the node or anything below, or through links to them. Once in a batch.
    pub(super) fn mark_subtree(&mut self, id: NodeId) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let batch = self.batch;
            let node = self.trie.get_mut(id);
            if std::mem::replace(&mut node.marked, batch) == batch {
                continue;
            }
            for at in 0..self.trie.get(id).subs.as_slice().len() {
                let key = self.trie.get(id).subs.as_slice()[at].key;
                self.touch(key);
            }
            open.extend(self.trie.children(id));
            open.extend(self.led_from.get(&id).into_iter().flatten());
        }
    }

    /// Marks the keys that watch a tree with the node in it. Its entry `name` has changed or, without a name, the node
    /// itself; maybe also what is below.
    pub(super) fn mark_upwards(&mut self, id: NodeId, name: Option<&[u8]>) {
        if self.trees == 0 {
            return;
        }
        let (start, mut entry) = (id, None);
        let (mut next, mut level, mut is_winding) = (Some(id), usize::from(name.is_some()), false);
        while let Some(id) = next.filter(|_| level <= usize::from(Watched::LEVELS_MAX)) {
            for at in 0..self.trie.get(id).subs.as_slice().len() {
                let sub = self.trie.get(id).subs.as_slice()[at];
                let is_in = sub.kind.levels().is_some_and(|levels| level <= levels);
                if is_in && is_winding {
                    self.touch(sub.key);
                } else if is_in && *self.extent(sub.key) != Extent::All {
                    let entry = entry.get_or_insert_with(|| self.entry(start, name)).clone();
                    self.extent(sub.key).add(entry);
                }
            }
            let node = self.trie.get(id);
            // A path through `..` is not spelled as a part of the tree: report the whole tree.
            is_winding |= *node.name == *b"..";
            next = if node.kind == Kind::Link { None } else { self.trie.parent(id) };
            level += 1;
        }
    }

    fn entry(&self, id: NodeId, name: Option<&[u8]>) -> PathBuf {
        let path = to_path(&self.trie.path(id));
        name.map_or_else(|| path.clone(), |name| path.join(OsStr::from_bytes(name)))
    }
}
