//! Directories whose entries need not be reported: they are only on the way to others. A program that writes
//! in such a directory (`/tmp`, say) wakes nothing.
//!
//! A directory needs its entries for itself (a subscription, a link that leads to it, a tree), and for each child
//! that is *loose*: not there, or a file or a link, of which only the directory reports that it goes or that another
//! takes its place. A directory reports that of itself. But not always: the system reports late that a directory was
//! removed while a process has it open. A directory that has an entry can't be removed, so it is *fixed* as long as
//! one of its entries is known to be there; that the last one has gone is reported, by the entry or by the directory.
//! Then what is above is made wide again, and after that the directory is looked at.

use super::backend::{Backend, WatchId};
use super::core::{Core, to_path};
use super::stat::{self, Stat};
use super::trie::{FILLED, FIXED, FOREIGN, Kind, NodeId, PRESENT, QUEUED, REVIEWED, WIDE};

impl Core {
    /// Its kind, its watch, or who needs it may be different.
    pub(super) fn will_review(&mut self, id: NodeId) {
        let node = self.trie.get_mut(id);
        if !node.is(REVIEWED) {
            node.set(REVIEWED, true);
            self.review.push(id);
        }
    }

    /// Watched, but for its entries.
    fn is_narrow(&self, id: NodeId) -> bool {
        let node = self.trie.get(id);
        node.kind == Kind::Dir && node.watch != 0 && !node.is(WIDE)
    }

    /// A node is looked at after its parent reports entries. True if the parent does not: it comes first, and then
    /// the node.
    pub(super) fn widen_parent(&mut self, id: NodeId) -> bool {
        let Some(parent) = self.trie.parent(id).filter(|&parent| self.is_narrow(parent)) else { return false };
        // It may be in the queue already, but too late. To look at it twice does no harm.
        self.trie.get_mut(parent).set(QUEUED, true);
        self.work.extend([id, parent]);
        true
    }

    /// What of the inside of an armed directory, and of the place where it is, decides whether it is fixed.
    pub(super) fn look_inside(&mut self, id: NodeId, path: &[u8], seen: &Stat) {
        let Some(parent) = self.trie.parent(id) else { return };
        // Then its parent needs its entries anyway.
        if self.trie.get(parent).kind != Kind::Dir || self.is_in_tree(parent) {
            return;
        }
        // Of a file system of its own, or a part of one, all entries can go at once without a word.
        let above = stat::stat(&self.trie.path(parent), false);
        let is_foreign = !above.is_ok_and(|above| above.signature.is_beside(seen.signature));
        let is_asked = self.needs_entries_itself(id) && self.trie.get(id).present == 0;
        let is_filled = is_asked && std::fs::read_dir(to_path(path)).is_ok_and(|mut all| all.next().is_some());
        let node = self.trie.get_mut(id);
        node.set(FOREIGN, is_foreign);
        node.set(FILLED, is_filled);
    }

    /// An entry is not there any more. If that may have been the last one, the directory may be gone by now.
    pub(super) fn entry_gone(&mut self, id: NodeId, child: Option<NodeId>) {
        let is_unreported = self.trie.parent(id).is_some_and(|parent| self.is_narrow(parent));
        let node = self.trie.get_mut(id);
        if child.is_some() || node.present == 0 {
            node.gone = node.gone.saturating_add(1);
            if is_unreported && node.gone >= node.present {
                self.queue(id, false);
            }
        }
    }

    fn needs_entries_itself(&self, id: NodeId) -> bool {
        let node = self.trie.get(id);
        !node.subs.as_slice().is_empty() || self.led_from.contains_key(&id) || self.is_in_tree(id)
    }

    fn needs_entries(&self, id: NodeId) -> bool {
        let node = self.trie.get(id);
        node.kind != Kind::Dir || node.loose > 0 || self.needs_entries_itself(id)
    }

    /// Brings up to date what is fixed, and which directories report their entries. What must be looked at for that
    /// is queued.
    pub(super) fn review(&mut self, backend: &mut dyn Backend) {
        let mut wide = Vec::new();
        while let Some(id) = self.review.pop() {
            self.trie.get_mut(id).set(REVIEWED, false);
            if !self.trie.is_used(id) {
                continue;
            }
            self.count(id);
            let node = self.trie.get(id);
            if node.kind != Kind::Dir || node.watch == 0 {
                continue;
            }
            match (node.is(WIDE), self.needs_entries(id)) {
                (false, true) => self.queue(id, false),
                (true, false) if backend.narrows() => wide.push(id),
                _ => {}
            }
        }
        // What is still to be looked at may need them.
        if !self.work.is_empty() {
            wide.into_iter().for_each(|id| self.will_review(id));
            return;
        }
        wide.into_iter().for_each(|id| self.narrow(backend, id));
    }

    /// Brings the node's flags, and the counts of its parent, up to date.
    fn count(&mut self, id: NodeId) {
        let node = self.trie.get(id);
        let is_present = matches!(node.kind, Kind::File | Kind::Dir | Kind::Link);
        let is_held = node.present > 0 || node.is(FILLED);
        let is_fixed = node.kind == Kind::Dir && node.watch != 0 && !node.is(FOREIGN) && is_held;
        let (was_present, was_fixed) = (node.is(PRESENT), node.is(FIXED));
        if (is_present, is_fixed) == (was_present, was_fixed) {
            return;
        }
        let Some(parent) = self.trie.parent(id) else { return };
        let node = self.trie.get_mut(id);
        node.set(PRESENT, is_present);
        node.set(FIXED, is_fixed);
        let above = self.trie.get_mut(parent);
        above.present = above.present + u32::from(is_present) - u32::from(was_present);
        above.loose = above.loose + u32::from(was_fixed) - u32::from(is_fixed);
        if was_fixed && !is_fixed && self.is_narrow(parent) {
            // It may have gone since it was seen.
            self.queue(id, false);
        }
        self.will_review(parent);
    }

    /// The watch of the directory reports its entries no more, unless another of its names needs them.
    fn narrow(&mut self, backend: &mut dyn Backend, id: NodeId) {
        let watch = self.trie.get(id).watch;
        if self.is_needed(watch) || self.needs_entries(id) {
            return;
        }
        match backend.narrow(&self.trie.path(id)) {
            Ok(now) if now == watch => self.set_narrow(watch),
            Ok(other) if self.watches.contains_key(&other) => {
                // Another one that is watched has taken its place; what happened in that meanwhile was not reported.
                self.set_narrow(other);
                for at in 0..self.watches[&other].as_slice().len() {
                    let node = self.watches[&other].as_slice()[at];
                    self.mark_changed(node);
                    self.queue(node, true);
                }
                self.queue(id, true);
            }
            Ok(other) => {
                backend.disarm(other);
                self.queue(id, true);
            }
            Err(_) => self.queue(id, true),
        }
    }

    fn is_needed(&self, watch: WatchId) -> bool {
        let nodes = self.watches.get(&watch).into_iter().flat_map(|nodes| nodes.as_slice());
        nodes.copied().any(|node| self.needs_entries(node))
    }

    fn set_narrow(&mut self, watch: WatchId) {
        for &node in self.watches.get(&watch).into_iter().flat_map(|nodes| nodes.as_slice()) {
            self.trie.get_mut(node).set(WIDE, false);
        }
    }
}
