//! Directories whose entries need not be reported, because they are only on the way to other paths. A program that
//! writes in such a directory (`/tmp`, for example) does not wake the hub.
//!
//! A directory needs its entries for itself (a subscription, a link that leads to it, a tree), and for each child that
//! is *loose*: a child that does not exist, or a file or a link, whose removal or replacement only the directory
//! reports. A child that is a directory reports this itself, but not always in time: while a process has it open, the
//! system reports its removal late. A directory that has an entry can't be removed, so it is *fixed* as long as one of
//! its entries is known to exist. The removal of the last entry is reported, by the entry or by the directory. Then the
//! directory above is made wide again, and after that the directory is looked at.

use super::backend::{Backend, WatchId};
use super::core::{Core, to_path};
use super::stat::{self, Stat};
use super::trie::{FILLED, FIXED, FOREIGN, Kind, NodeId, PRESENT, QUEUED, REVIEWED, WIDE};

/// The number of nodes of one step.
const REVIEWED_AT_ONCE: usize = 256;

impl Core {
    /// Queues the node for `review`: its kind, its watch, or the need for it may have changed.
    pub(super) fn will_review(&mut self, id: NodeId) {
        let node = self.trie.get_mut(id);
        if !node.is(REVIEWED) {
            node.set(REVIEWED, true);
            self.review.push(id);
        }
    }

    /// Whether the directory is watched without its entries.
    fn is_narrow(&self, id: NodeId) -> bool {
        let node = self.trie.get(id);
        node.kind == Kind::Dir && node.watch != 0 && !node.is(WIDE)
    }

    /// A node is looked at only after its parent reports entries. Returns `true` if the parent does not: then the
    /// parent is looked at first, and the node after it.
    pub(super) fn widen_parent(&mut self, id: NodeId) -> bool {
        let Some(parent) = self.trie.parent(id).filter(|&parent| self.is_narrow(parent)) else { return false };
        // The parent may be in the queue already, but too late. A second look does no harm.
        self.trie.get_mut(parent).set(QUEUED, true);
        self.work.extend([id, parent]);
        true
    }

    /// Notes what decides whether an armed directory is fixed: whether it has entries, and on which device it is.
    pub(super) fn look_inside(&mut self, id: NodeId, path: &[u8], seen: &Stat) {
        let Some(parent) = self.trie.parent(id) else { return };
        // In this case the parent needs its entries anyway.
        if self.trie.get(parent).kind != Kind::Dir || self.is_in_tree(parent) {
            return;
        }
        // If it is a file system of its own, or a part of one, all entries can go at once without a report.
        let above = stat::stat(&self.trie.path(parent), false);
        let is_foreign = !above.is_ok_and(|above| above.signature.is_beside(seen.signature));
        let is_asked = self.needs_entries_itself(id) && self.trie.get(id).present == 0;
        let is_filled = is_asked && std::fs::read_dir(to_path(path)).is_ok_and(|mut all| all.next().is_some());
        let node = self.trie.get_mut(id);
        node.set(FOREIGN, is_foreign);
        node.set(FILLED, is_filled);
    }

    /// Notes that an entry is gone. If it may have been the last one, the directory itself may be gone by now.
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

    /// Updates of some nodes whether they are fixed, and which directories report their entries. Nodes that must be
    /// looked at for that are queued.
    pub(super) fn review_some(&mut self, narrows: bool) {
        for _ in 0..REVIEWED_AT_ONCE {
            let Some(id) = self.review.pop() else { return };
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
                // Not at once: nodes that are still to be looked at may need these entries.
                (true, false) if narrows => self.wide.push(id),
                _ => {}
            }
        }
    }

    /// Updates the flags of the node and the counts of its parent.
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
            // The directory may have gone since it was seen.
            self.queue(id, false);
        }
        self.will_review(parent);
    }

    /// Stops the watch of the directory from reporting entries, unless another of its names needs them.
    pub(super) fn narrow(&mut self, backend: &mut dyn Backend, id: NodeId) {
        if !self.trie.is_used(id) || !self.trie.get(id).is(WIDE) {
            return;
        }
        let watch = self.trie.get(id).watch;
        if watch == 0 || self.is_needed(watch) || self.needs_entries(id) {
            return;
        }
        match backend.narrow(&self.trie.path(id)) {
            Ok(now) if now == watch => self.set_narrow(watch),
            Ok(other) if self.watches.contains_key(&other) => {
                // Another watched directory has taken its place; events in that one were not reported meanwhile.
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
