//! The state of a hub: what is watched, by which watch, for which keys, and what must be reported.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::api::{Error, Event, Extent, Reason, Stats, Watched};
use super::backend::{Backend, WatchId};
use super::list::List;
use super::poll::{Comparing, Polled};
use super::stat::Signature;
use super::tree::Listing;
use super::trie::{DEEP, Kind, NodeId, QUEUED, Trie};

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
    /// Nodes for which it may have changed whether their entries must be reported, and those whose entries need not be
    /// (`narrow.rs`).
    pub(super) review: Vec<NodeId>,
    pub(super) wide: Vec<NodeId>,
    /// Directories of trees to be listed, and the one that is being listed.
    pub(super) unlisted: Vec<NodeId>,
    pub(super) listing: Option<Listing>,
    /// Polled nodes to be compared in this round, and the one that is being compared.
    pub(super) uncompared: Vec<NodeId>,
    pub(super) comparing: Option<Comparing>,
    /// Keys to which it has not been reported yet that the hub listens.
    pub(super) unready: BTreeSet<u64>,
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
            wide: Vec::new(),
            unlisted: Vec::new(),
            listing: None,
            uncompared: Vec::new(),
            comparing: None,
            unready: BTreeSet::new(),
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
            self.said.extend(std::mem::take(&mut self.unready).into_iter().map(Event::Ready));
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

    /// Whether all changes have been reported.
    pub(super) fn is_taken(&self) -> bool {
        self.dirty.is_empty() && self.early.is_empty() && self.unready.is_empty()
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
        self.unready.remove(&key);
        self.said.retain(|event| !matches!(event, Event::Failed(other, _) | Event::Ready(other) if *other == key));
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

    pub(super) fn stats(&self) -> Stats {
        Stats { keys: self.keys.len(), nodes: self.trie.len(), watches: self.watches.len(), polled: self.polled.len() }
    }
}

/// A path of the trie as a `PathBuf`.
pub(super) fn to_path(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}
