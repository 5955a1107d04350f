//! Polling: for directories that the system can't watch, and for paths that can't be looked at now.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::backend::WatchId;
use super::core::{Core, to_path};
use super::stat::{self, Signature, Stat};
use super::trie::{Kind, LISTED, NodeId};

/// After this number of rounds, watching is tried again, even without any sign that it would succeed.
const RETRY_TICKS: u64 = 32;

/// The number of entries that are compared in one step.
const COMPARED_AT_ONCE: usize = 64;

/// Why a node is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// No watch was left.
    Limit,
    /// The hub has no facility to watch with.
    Never,
    Denied,
    Other,
    /// The system refused to report what is there.
    Broken,
}

/// What was seen of a polled node, apart from those of its entries that have nodes.
#[derive(Debug)]
pub(super) struct Polled {
    pub(super) why: Why,
    own: Option<Signature>,
    /// A hash of all entries, for a directory of a tree; `None` until they have been seen, which is a part of the work
    /// of the subscription.
    listing: Option<u64>,
}

/// A polled node that is being compared with what was seen of it.
#[derive(Debug)]
pub(super) struct Comparing {
    id: NodeId,
    path: Vec<u8>,
    /// Its entries that have nodes, and are still to be compared.
    children: Vec<NodeId>,
    /// Its entries, for a directory of a tree, and the hash of those that have been seen.
    entries: Option<fs::ReadDir>,
    sum: u64,
}

impl Core {
    /// Polls the node from now on. Later rounds compare with what is seen now.
    pub(super) fn poll(&mut self, id: NodeId, path: &[u8], why: Why) {
        if let Some(polled) = self.polled.get_mut(&id) {
            polled.why = why;
            return;
        }
        let own = stat::stat(path, true).ok().map(|seen| seen.signature);
        let listing = if self.is_in_tree(id) { None } else { Some(0) };
        if listing.is_none() {
            self.uncompared.push(id);
        }
        self.polled.insert(id, Polled { why, own, listing });
    }

    /// Keeps what was seen of an entry of a polled directory. Returns `true` if something else was seen before.
    pub(super) fn remember(&mut self, id: NodeId, seen: &io::Result<Stat>) -> bool {
        if self.polled.is_empty() {
            return false;
        }
        let Some(parent) = self.trie.parent(id) else { return false };
        if !self.polled.contains_key(&parent) {
            self.seen.remove(&id);
            return false;
        }
        let now = as_entry(seen);
        self.seen.insert(id, now).is_some_and(|before| before != now)
    }

    /// Begins a round of polling, unless the last one has not ended.
    pub(super) fn tick(&mut self) {
        self.ticks += 1;
        let retry = std::mem::take(&mut self.is_freed) || self.ticks.is_multiple_of(RETRY_TICKS);
        let is_busy = !self.uncompared.is_empty() || self.comparing.is_some();
        let all: Vec<(NodeId, Why)> = self.polled.iter().map(|(&id, polled)| (id, polled.why)).collect();
        for (id, why) in all {
            if why == Why::Broken || (retry && why != Why::Never) {
                self.queue(id, false);
            }
            if why != Why::Broken && !is_busy {
                self.uncompared.push(id);
            }
        }
    }

    /// Does a part of the round. Returns `false` if nothing is left to compare.
    pub(super) fn compare_some(&mut self) -> bool {
        let Some(mut comparing) = self.comparing.take() else {
            let Some(id) = self.uncompared.pop() else { return false };
            if let Some(polled) = self.polled.get(&id) {
                // Its entries that have nodes were seen when these were looked at.
                let is_first = polled.listing.is_none();
                let children = if is_first { Vec::new() } else { self.trie.children(id).collect() };
                let path = self.trie.path(id);
                let entries = self.is_in_tree(id).then(|| fs::read_dir(to_path(&path)).ok()).flatten();
                self.comparing = Some(Comparing { id, path, children, entries, sum: 0 });
            }
            return true;
        };
        if !self.polled.contains_key(&comparing.id) {
            return true;
        }
        for _ in 0..COMPARED_AT_ONCE {
            if let Some(child) = comparing.children.pop() {
                if self.trie.is_used(child) && self.trie.parent(child) == Some(comparing.id) {
                    self.compare_entry(comparing.id, child);
                }
            } else if let Some(entry) = comparing.entries.as_mut().and_then(Iterator::next) {
                // The order of entries does not matter.
                comparing.sum = comparing.sum.wrapping_add(entry.map_or(0, |entry| hash(&entry)));
            } else {
                self.compare_whole(comparing);
                return true;
            }
        }
        self.comparing = Some(comparing);
        true
    }

    /// Compares the node itself and the hash of its entries.
    fn compare_whole(&mut self, comparing: Comparing) {
        let Comparing { id, path, sum, .. } = comparing;
        let own = stat::stat(&path, true).ok().map(|seen| seen.signature);
        let Some(polled) = self.polled.get_mut(&id) else { return };
        let before = std::mem::replace(&mut polled.own, own);
        let listed_before = polled.listing.replace(sum);
        if before != own {
            self.mark_own(id);
            self.mark_upwards(id, None);
            self.mark_absent(id);
        }
        if before.map(|own| own.as_entry(true)) != own.map(|own| own.as_entry(true)) {
            self.mark_subtree(id);
            self.queue(id, true);
        }
        if listed_before.is_some_and(|before| before != sum) {
            self.mark_upwards(id, None);
            self.trie.get_mut(id).set(LISTED, false);
            self.queue(id, false);
        }
    }

    /// Marks what is missing in a directory that has changed. Since the last round it may have been made, seen by a
    /// subscriber, and removed again, which only the time of the directory shows.
    fn mark_absent(&mut self, id: NodeId) {
        let children = self.trie.children(id);
        let absent: Vec<NodeId> = children.filter(|&child| self.trie.get(child).kind == Kind::Absent).collect();
        absent.into_iter().for_each(|child| self.mark_subtree(child));
    }

    /// Compares an entry on the way of a new subscription, if its directory is polled. What the last round saw of it
    /// may be outdated, and if the entry returned to that state, the next round would find no change.
    pub(super) fn compare_known(&mut self, id: NodeId, child: NodeId) {
        if self.polled.contains_key(&id) {
            self.compare_entry(id, child);
        }
    }

    /// Compares an entry of a polled directory with what was seen of it.
    fn compare_entry(&mut self, id: NodeId, child: NodeId) {
        let now = as_entry(&stat::stat(&self.trie.path(child), false));
        if self.seen.get(&child) != Some(&now) {
            self.mark_subtree(child);
            self.mark_own(id);
            self.mark_upwards(child, None);
            self.queue(child, true);
        }
    }

    /// The number of directories that wait for a watch.
    pub(super) fn limited(&self) -> usize {
        self.polled.values().filter(|polled| matches!(polled.why, Why::Limit | Why::Never)).count()
    }

    /// Handles the loss of the backend, and with it of all watches.
    pub(super) fn lose_watches(&mut self) {
        let all: Vec<WatchId> = self.watches.keys().copied().collect();
        all.into_iter().for_each(|watch| self.dead(watch));
        self.is_lost = true;
    }

    /// Queues everything polled, to be watched by a backend that was found.
    pub(super) fn retry_all(&mut self) {
        let all: Vec<NodeId> = self.polled.keys().copied().collect();
        all.into_iter().for_each(|id| self.queue(id, false));
    }
}

fn as_entry(seen: &io::Result<Stat>) -> Option<Signature> {
    seen.as_ref().ok().map(|seen| seen.signature.as_entry(seen.is_dir))
}

/// A hash of everything that can be seen of an entry of a directory. Sub-directories are polled by themselves.
fn hash(entry: &fs::DirEntry) -> u64 {
    let mut hasher = DefaultHasher::new();
    entry.file_name().hash(&mut hasher);
    as_entry(&stat::stat(entry.path().as_os_str().as_bytes(), false)).hash(&mut hasher);
    hasher.finish()
}
