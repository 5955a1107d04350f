//! The state of a hub: what is watched, by which watch, for which keys, and what must be reported.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::api::{Error, Event, Extent, Reason, Stats, Watched};
use super::backend::{Backend, WatchId};
use super::list::List;
use super::poll::Polled;
use super::stat::Signature;
use super::trie::{DEEP, Kind, MEMBER, NodeId, QUEUED, ROOT, Trie};

/// A kind of reason for polling is reported again after this time.
const SAY_AGAIN: Duration = Duration::from_secs(3600);

/// The longest time that nodes are looked at in one poll of the hub.
const SLICE: Duration = Duration::from_millis(1);

/// Nodes are looked at, and their watches armed, from the top downwards. Nodes to look at are put on `work`, nodes that
/// may not be needed any more on `garbage`. Nothing here waits.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) trie: Trie,
    /// The nodes of each watch: one directory can have several names.
    pub(super) watches: HashMap<WatchId, List<NodeId>>,
    pub(super) keys: HashMap<u64, List<NodeId>>,
    /// The number of subscriptions of whole trees.
    pub(super) trees: usize,
    /// The number of nodes that are in the trie as directories of a tree.
    pub(super) members: usize,
    pub(super) members_max: usize,
    /// From a symbolic link to the place it leads to, and back. Never in a circle.
    pub(super) leads_to: HashMap<NodeId, NodeId>,
    pub(super) led_from: HashMap<NodeId, Vec<NodeId>>,
    /// Links that lead to themselves: looked at again after any node has become something else.
    pub(super) looped: Vec<NodeId>,
    /// Polled nodes, and what was seen of the entries of polled directories.
    pub(super) polled: HashMap<NodeId, Polled>,
    pub(super) seen: HashMap<NodeId, Option<Signature>>,
    pub(super) ticks: u64,
    /// Whether a watch was freed, so that another may be available.
    pub(super) is_freed: bool,
    pub(super) work: Vec<NodeId>,
    pub(super) garbage: Vec<NodeId>,
    /// Nodes for which it may have changed whether their entries must be reported (`narrow.rs`).
    pub(super) review: Vec<NodeId>,
    /// Whether a node has become something else.
    pub(super) is_moved: bool,
    /// Whether changes were lost.
    pub(super) is_lost: bool,
    pub(super) batch: u32,
    dirty: Vec<u64>,
    /// How much of each dirty key has changed.
    extents: HashMap<u64, Extent>,
    /// What was handed out before all nodes were looked at: it is handed out once more when they are.
    early: HashMap<u64, Extent>,
    /// The longest time that nodes are looked at before other tasks get their turn.
    pub(super) slice: Duration,
    /// The number of looks at nodes.
    #[cfg(test)]
    pub(super) looks: usize,
    said: Vec<Event>,
    last_said: HashMap<std::mem::Discriminant<Reason>, Instant>,
}

impl Core {
    pub(super) fn new(members_max: usize) -> Self {
        Self {
            trie: Trie::new(),
            watches: HashMap::new(),
            keys: HashMap::new(),
            trees: 0,
            members: 0,
            members_max,
            leads_to: HashMap::new(),
            led_from: HashMap::new(),
            looped: Vec::new(),
            polled: HashMap::new(),
            seen: HashMap::new(),
            ticks: 0,
            is_freed: false,
            work: Vec::new(),
            garbage: Vec::new(),
            review: Vec::new(),
            is_moved: false,
            is_lost: false,
            batch: 0,
            dirty: Vec::new(),
            extents: HashMap::new(),
            early: HashMap::new(),
            slice: SLICE,
            #[cfg(test)]
            looks: 0,
            said: Vec::new(),
            last_said: HashMap::new(),
        }
    }

    /// The events to report, if any. A change below a directory that is not looked at yet is not noticed: so what is
    /// handed out before all nodes have been looked at is handed out once more after that.
    pub(super) fn take(&mut self) -> Option<Vec<Event>> {
        if self.is_settled() {
            for (key, extent) in std::mem::take(&mut self.early) {
                self.extent(key).merge(extent);
            }
        } else {
            for (key, extent) in &self.extents {
                self.early.entry(*key).or_insert_with(Extent::none).merge(extent.clone());
            }
        }
        if self.said.is_empty() && self.dirty.is_empty() {
            return None;
        }
        let mut events = std::mem::take(&mut self.said);
        let extents = &mut self.extents;
        events.extend(self.dirty.drain(..).map(|key| Event::Changed(key, extents.remove(&key).unwrap_or(Extent::All))));
        Some(events)
    }

    /// Begins a batch. The marks of earlier batches are void: a new subscription may stand below a marked node.
    pub(super) fn begin(&mut self) {
        self.batch = self.batch.wrapping_add(1);
    }

    /// Notes that anything that the key has subscribed to may have changed.
    pub(super) fn touch(&mut self, key: u64) {
        *self.extent(key) = Extent::All;
    }

    /// How much of the key's subscriptions has changed so far. If this is its first change, the extent is empty and the
    /// key becomes dirty.
    pub(super) fn extent(&mut self, key: u64) -> &mut Extent {
        let dirty = &mut self.dirty;
        self.extents.entry(key).or_insert_with(|| {
            dirty.push(key);
            Extent::none()
        })
    }

    /// Drops what is to report about a key that is gone.
    pub(super) fn untouch(&mut self, key: u64) {
        if self.extents.remove(&key).is_some() {
            self.dirty.retain(|&other| other != key);
        }
        self.early.remove(&key);
        self.said.retain(|event| !matches!(event, Event::Failed(other, _) if *other == key));
    }

    /// Reports a failure of a key. In a batch, it replaces an earlier `Unreachable` of the same key.
    pub(super) fn fail(&mut self, key: u64, error: Error) {
        self.said.retain(|event| !matches!(event, Event::Failed(other, Error::Unreachable { .. }) if *other == key));
        self.said.push(Event::Failed(key, error));
    }

    pub(super) fn say(&mut self, event: Event) {
        self.said.push(event);
    }

    pub(super) fn degraded(&mut self, reason: Reason) {
        let now = Instant::now();
        let last = self.last_said.insert(std::mem::discriminant(&reason), now);
        match last {
            Some(last) if now.duration_since(last) < SAY_AGAIN => {
                self.last_said.insert(std::mem::discriminant(&reason), last);
            }
            _ => self.said.push(Event::Degraded(reason)),
        }
    }

    pub(super) fn queue(&mut self, id: NodeId, deep: bool) {
        let node = self.trie.get_mut(id);
        if deep {
            node.set(DEEP, true);
        }
        if !node.is(QUEUED) {
            node.set(QUEUED, true);
            self.work.push(id);
        }
    }

    /// Looks at nodes until none is left, then removes those that are not needed.
    pub(super) fn settle(&mut self, backend: &mut dyn Backend) {
        self.settle_until(backend, None);
    }

    /// Like [`Core::settle`], for a short time.
    pub(super) fn settle_slice(&mut self, backend: &mut dyn Backend) {
        let end = Instant::now() + self.slice;
        self.settle_until(backend, Some(end));
    }

    /// Whether no node is left to look at.
    pub(super) fn is_settled(&self) -> bool {
        self.work.is_empty()
    }

    /// Whether no node is left to look at, and nothing to report.
    pub(super) fn is_all_told(&self) -> bool {
        self.is_settled() && self.dirty.is_empty() && self.early.is_empty() && !self.is_lost
    }

    fn settle_until(&mut self, backend: &mut dyn Backend, end: Option<Instant>) {
        if std::mem::take(&mut self.is_lost) {
            let keys: Vec<u64> = self.keys.keys().copied().collect();
            self.say(Event::Rescan);
            keys.into_iter().for_each(|key| self.touch(key));
            self.queue(ROOT, true);
        }
        loop {
            while let Some(id) = self.work.pop() {
                self.look(backend, id);
                if end.is_some_and(|end| !self.work.is_empty() && Instant::now() >= end) {
                    return;
                }
            }
            if std::mem::take(&mut self.is_moved) && !self.looped.is_empty() {
                for at in 0..self.looped.len() {
                    self.queue(self.looped[at], false);
                }
                continue;
            }
            self.collect_garbage(backend);
            self.review(backend);
            if self.work.is_empty() && self.garbage.is_empty() {
                break;
            }
        }
    }

    /// Whether entries of the node can be looked at and are watched.
    pub(super) fn is_open(&self, id: NodeId) -> bool {
        let node = self.trie.get(id);
        matches!(node.kind, Kind::Dir | Kind::Link) && (node.watch != 0 || self.polled.contains_key(&id))
    }

    /// Whether the entries of the node, if it is a directory, belong to a watched tree.
    pub(super) fn is_in_tree(&self, id: NodeId) -> bool {
        self.is_within(id, 1)
    }

    /// Whether something this number of levels below the node belongs to a watched tree.
    pub(super) fn is_within(&self, id: NodeId, below: usize) -> bool {
        if self.trees == 0 {
            return false;
        }
        for (above, up) in self.trie.upwards(id).enumerate() {
            if above + below > usize::from(Watched::LEVELS_MAX) {
                return false;
            }
            if self.levels_of(up).is_some_and(|levels| above + below <= levels) {
                return true;
            }
            if self.trie.get(up).kind == Kind::Link {
                return false;
            }
        }
        false
    }

    /// The number of levels of the deepest tree with this node as its root, if there is one.
    pub(super) fn levels_of(&self, id: NodeId) -> Option<usize> {
        self.trie.get(id).subs.as_slice().iter().filter_map(|sub| sub.kind.levels()).max()
    }

    /// Whether the nodes above this one are not in the same tree, or not by this way.
    pub(super) fn is_edge(&self, id: NodeId) -> bool {
        self.trie.get(id).kind == Kind::Link || self.levels_of(id).is_some()
    }

    /// Gives the watch to the node; returns `false` if the node had it already.
    pub(super) fn attach(&mut self, backend: &mut dyn Backend, id: NodeId, watch: WatchId) -> bool {
        if self.trie.get(id).watch == watch {
            return false;
        }
        self.detach(backend, id);
        self.trie.get_mut(id).watch = watch;
        self.watches.entry(watch).or_default().push(id);
        true
    }

    pub(super) fn detach(&mut self, backend: &mut dyn Backend, id: NodeId) {
        let watch = std::mem::take(&mut self.trie.get_mut(id).watch);
        if watch == 0 {
            return;
        }
        if let Some(nodes) = self.watches.get_mut(&watch) {
            nodes.remove(|&node| node == id);
            if nodes.as_slice().is_empty() {
                self.watches.remove(&watch);
                backend.disarm(watch);
                self.is_freed = true;
            }
        }
    }

    fn collect_garbage(&mut self, backend: &mut dyn Backend) {
        while let Some(id) = self.garbage.pop() {
            if !self.trie.is_used(id) {
                continue;
            }
            if !self.is_removable(id) {
                self.will_review(id);
                continue;
            }
            self.detach(backend, id);
            self.unlink(id);
            self.polled.remove(&id);
            self.seen.remove(&id);
            self.members -= usize::from(self.trie.get(id).is(MEMBER));
            self.garbage.extend(self.trie.parent(id));
            self.trie.remove(id);
        }
        if !self.trie.has_children(ROOT) && self.trie.get(ROOT).subs.as_slice().is_empty() {
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

    pub(super) fn stats(&self) -> Stats {
        Stats { keys: self.keys.len(), nodes: self.trie.len(), watches: self.watches.len(), polled: self.polled.len() }
    }
}

/// A path of the trie as a `PathBuf`.
pub(super) fn to_path(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}
