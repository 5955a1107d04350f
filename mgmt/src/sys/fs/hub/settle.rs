//! The work that events and subscriptions leave behind, in small steps: looks, listings, comparisons, removals. Between
//! two slices of it other tasks get their turn.

use std::time::Instant;

use super::api::Event;
use super::backend::Backend;
use super::core::Core;
use super::trie::{Kind, MEMBER, NodeId, ROOT};

impl Core {
    /// Works until nothing is left.
    pub(super) fn settle(&mut self, backend: &mut dyn Backend) {
        self.notice_loss();
        while self.step(backend) {}
    }

    /// Like [`Core::settle`], for a short time.
    pub(super) fn settle_slice(&mut self, backend: &mut dyn Backend) {
        self.notice_loss();
        let end = Instant::now() + self.slice;
        while self.step(backend) {
            if Instant::now() >= end {
                return;
            }
        }
    }

    /// Looks for a short time at the nodes that were queued after these. Returns whether all of them were looked at.
    pub(super) fn settle_above(&mut self, backend: &mut dyn Backend, queued: usize) -> bool {
        let end = Instant::now() + self.slice;
        while self.work.len() > queued {
            if let Some(id) = self.work.pop() {
                self.look(backend, id);
            }
            if Instant::now() >= end {
                break;
            }
        }
        self.work.len() <= queued
    }

    /// Whether nothing is left to do.
    pub(super) fn is_settled(&self) -> bool {
        let has_polled = self.comparing.is_none() && self.uncompared.is_empty();
        let has_listed = self.listing.is_none() && self.unlisted.is_empty();
        has_polled && has_listed && self.work.is_empty() && self.garbage.is_empty() && self.is_reviewed()
    }

    fn is_reviewed(&self) -> bool {
        self.review.is_empty() && self.wide.is_empty() && (!self.is_moved || self.looped.is_empty())
    }

    /// Whether nothing is left to do, and nothing to report.
    pub(super) fn is_all_told(&self) -> bool {
        self.is_settled() && self.is_taken() && !self.is_lost
    }

    fn notice_loss(&mut self) {
        if std::mem::take(&mut self.is_lost) {
            let keys: Vec<u64> = self.keys.keys().copied().collect();
            self.say(Event::Rescan);
            keys.into_iter().for_each(|key| self.touch(key));
            self.queue(ROOT, true);
        }
    }

    /// One step of the work. Returns `false` if nothing is left.
    fn step(&mut self, backend: &mut dyn Backend) -> bool {
        // A directory that is being listed holds a descriptor.
        if self.list_some() {
            return true;
        }
        if let Some(id) = self.work.pop() {
            self.look(backend, id);
        } else if let Some(id) = self.unlisted.pop() {
            self.begin_list(id);
        } else if self.compare_some() {
        } else if std::mem::take(&mut self.is_moved) && !self.looped.is_empty() {
            for at in 0..self.looped.len() {
                self.queue(self.looped[at], false);
            }
        } else if let Some(id) = self.garbage.pop() {
            self.collect_garbage(backend, id);
        } else if !self.review.is_empty() {
            self.review_some(backend.narrows());
        } else if let Some(id) = self.wide.pop() {
            self.narrow(backend, id);
        } else {
            return false;
        }
        true
    }

    fn collect_garbage(&mut self, backend: &mut dyn Backend, id: NodeId) {
        if !self.trie.is_used(id) {
            return;
        }
        if self.is_removable(id) {
            self.detach(backend, id);
            self.unlink(id);
            self.polled.remove(&id);
            self.seen.remove(&id);
            self.members -= usize::from(self.trie.get(id).is(MEMBER));
            self.garbage.extend(self.trie.parent(id));
            self.trie.remove(id);
        } else {
            self.will_review(id);
        }
        if id == ROOT && !self.trie.has_children(ROOT) && self.trie.get(ROOT).subs.as_slice().is_empty() {
            self.detach(backend, ROOT);
            self.polled.remove(&ROOT);
            self.trie.get_mut(ROOT).kind = Kind::Unknown;
        }
    }

    /// Whether the node can be removed. A directory of a tree stays, even if it was inserted for another reason.
    fn is_removable(&mut self, id: NodeId) -> bool {
        let node = self.trie.get(id);
        if !node.subs.as_slice().is_empty() || self.trie.has_children(id) || self.led_from.contains_key(&id) {
            return false;
        }
        if id == ROOT {
            return false;
        }
        if !matches!(node.kind, Kind::Dir | Kind::Unreachable) || !self.is_in_tree(id) {
            return true;
        }
        if !node.is(MEMBER) {
            self.trie.get_mut(id).set(MEMBER, true);
            self.members += 1;
        }
        false
    }
}
