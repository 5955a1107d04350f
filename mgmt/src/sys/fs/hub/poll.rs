//! Polling: for directories that the system can't watch, and for what can't be looked at now.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::backend::WatchId;
use super::core::{Core, to_path};
use super::stat::{self, Signature, Stat};
use super::trie::{LISTED, NodeId};

/// Without any sign that it would help, watching is tried again every so many rounds.
const RETRY_TICKS: u64 = 32;

/// Why something is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// No watch was left.
    Limit,
    /// Nothing can be watched.
    Never,
    Denied,
    Other,
    /// The system would not say what is there.
    Broken,
}

/// What was seen of a polled thing, apart from its entries that have nodes.
#[derive(Debug)]
pub(super) struct Polled {
    pub(super) why: Why,
    own: Option<Signature>,
    /// Of all entries, for a directory of a tree.
    listing: u64,
}

impl Core {
    /// Polls from now on; what is seen first is what later rounds are compared with.
    pub(super) fn poll(&mut self, id: NodeId, path: &[u8], why: Why) {
        if let Some(polled) = self.polled.get_mut(&id) {
            polled.why = why;
            return;
        }
        let own = stat::stat(path, true).ok().map(|seen| seen.signature);
        let listing = if self.is_in_tree(id) { listing(path) } else { 0 };
        self.polled.insert(id, Polled { why, own, listing });
    }

    /// Keeps what was seen of an entry of a polled directory. True if something else was seen before.
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

    /// One round.
    pub(super) fn tick(&mut self) {
        self.ticks += 1;
        let retry = std::mem::take(&mut self.is_freed) || self.ticks.is_multiple_of(RETRY_TICKS);
        let all: Vec<(NodeId, Why)> = self.polled.iter().map(|(&id, polled)| (id, polled.why)).collect();
        for (id, why) in all {
            if why == Why::Broken || (retry && why != Why::Never) {
                self.queue(id, false);
            }
            if why != Why::Broken {
                self.compare(id);
            }
        }
    }

    fn compare(&mut self, id: NodeId) {
        let children: Vec<NodeId> = self.trie.children(id).collect();
        for child in children {
            self.compare_entry(id, child);
        }
        let path = self.trie.path(id);
        let own = stat::stat(&path, true).ok().map(|seen| seen.signature);
        let listing = if self.is_in_tree(id) { listing(&path) } else { 0 };
        let Some(polled) = self.polled.get_mut(&id) else { return };
        let before = std::mem::replace(&mut polled.own, own);
        let listed_before = std::mem::replace(&mut polled.listing, listing);
        if before != own {
            self.mark_own(id);
            self.mark_upwards(id, None);
        }
        if before.map(|own| own.as_entry(true)) != own.map(|own| own.as_entry(true)) {
            self.mark_subtree(id);
            self.queue(id, true);
        }
        if listed_before != listing {
            self.mark_upwards(id, None);
            self.trie.get_mut(id).set(LISTED, false);
            self.queue(id, false);
        }
    }

    /// The way of a new subscription goes over this entry. If its directory is polled, what the last round saw of it
    /// may be long past, and a change from what is there now back to that would be none.
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

    /// How many directories wait for a watch.
    pub(super) fn limited(&self) -> usize {
        self.polled.values().filter(|polled| matches!(polled.why, Why::Limit | Why::Never)).count()
    }

    /// The means of watching is gone, and all its watches.
    pub(super) fn lose_watches(&mut self) {
        let all: Vec<WatchId> = self.watches.keys().copied().collect();
        all.into_iter().for_each(|watch| self.dead(watch));
        self.is_lost = true;
    }

    /// A means of watching has been found: everything polled is tried again.
    pub(super) fn retry_all(&mut self) {
        let all: Vec<NodeId> = self.polled.keys().copied().collect();
        all.into_iter().for_each(|id| self.queue(id, false));
    }
}

fn as_entry(seen: &io::Result<Stat>) -> Option<Signature> {
    seen.as_ref().ok().map(|seen| seen.signature.as_entry(seen.is_dir))
}

/// One number for all that can be seen of the entries of a directory. Its sub-directories are polled by themselves.
fn listing(path: &[u8]) -> u64 {
    let Ok(entries) = fs::read_dir(to_path(path)) else { return 0 };
    let mut sum = 0_u64;
    for entry in entries.flatten() {
        let mut hasher = DefaultHasher::new();
        entry.file_name().hash(&mut hasher);
        as_entry(&stat::stat(entry.path().as_os_str().as_bytes(), false)).hash(&mut hasher);
        // The order of entries does not matter.
        sum = sum.wrapping_add(hasher.finish());
    }
    sum
}
