//! The trie of path components: names, their order, and what was last seen at each.

use std::hash::{BuildHasher, RandomState};
use std::ops::Deref;

use hashbrown::HashTable;

use super::api::Watched;
use super::backend::WatchId;
use super::list::List;

/// A name in the trie. The number of a removed one is used again.
pub(super) type NodeId = u32;

/// The directory `/`.
pub(super) const ROOT: NodeId = 0;

const NONE: NodeId = NodeId::MAX;

/// What was seen at a path when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not looked at yet.
    Unknown,
    Absent,
    /// Neither a directory nor a symbolic link.
    File,
    Dir,
    Link,
    /// The system refused to report what is there.
    Unreachable,
}

/// One subscription of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sub {
    pub(super) key: u64,
    pub(super) kind: Watched,
}

/// The entries of the directory must be watched for their content, not only for their existence.
pub(super) const CONTENT: u16 = 1;
/// Made because it is a directory of a watched tree.
pub(super) const MEMBER: u16 = 2;
/// Its sub-directories are in the trie, and have been listed since its watch was armed.
pub(super) const LISTED: u16 = 4;
/// The node waits to be looked at.
pub(super) const QUEUED: u16 = 8;
/// The node, and everything below it, waits to be looked at.
pub(super) const DEEP: u16 = 16;
/// The watch of the directory reports its entries, not only the directory itself.
pub(super) const WIDE: u16 = 32;
/// A directory that can't be removed or replaced without a report by its own watch.
pub(super) const FIXED: u16 = 64;
/// Something is at the path.
pub(super) const PRESENT: u16 = 128;
/// The directory had entries when it was looked at last, though none of them is in the trie.
pub(super) const FILLED: u16 = 256;
/// The directory is not on the same device as its parent.
pub(super) const FOREIGN: u16 = 512;
/// The node waits for `review`.
pub(super) const REVIEWED: u16 = 1024;
/// A directory that this process could enter when it was looked at last.
pub(super) const ENTERABLE: u16 = 2048;

/// A name. A short one, as most are, takes no memory of its own.
#[derive(Debug)]
pub(super) enum Name {
    Short(u8, [u8; Name::SHORT_MAX]),
    Long(Box<[u8]>),
}

impl Name {
    const SHORT_MAX: usize = 22;

    fn new(name: &[u8]) -> Name {
        let mut short = [0; Name::SHORT_MAX];
        match short.get_mut(..name.len()) {
            Some(start) => start.copy_from_slice(name),
            None => return Name::Long(name.into()),
        }
        Name::Short(name.len() as u8, short)
    }
}

impl Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Name::Short(length, name) => &name[..usize::from(*length)],
            Name::Long(name) => name,
        }
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Name,
    pub(super) subs: List<Sub>,
    pub(super) parent: NodeId,
    first: NodeId,
    next: NodeId,
    previous: NodeId,
    /// The watch of the system on the node; 0: none.
    pub(super) watch: WatchId,
    /// The last batch in which everything below was marked.
    pub(super) marked: u32,
    /// The number of children that are not `FIXED`.
    pub(super) loose: u32,
    /// The number of children that are `PRESENT`.
    pub(super) present: u32,
    /// The number of entries that have gone since the directory was looked at.
    pub(super) gone: u32,
    pub(super) kind: Kind,
    flags: u16,
}

impl Node {
    fn new(parent: NodeId, name: &[u8]) -> Self {
        Self {
            name: Name::new(name),
            subs: List::Empty,
            parent,
            first: NONE,
            next: NONE,
            previous: NONE,
            watch: 0,
            marked: 0,
            loose: 0,
            present: 0,
            gone: 0,
            kind: Kind::Unknown,
            flags: 0,
        }
    }

    pub(super) fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn set(&mut self, flag: u16, on: bool) {
        if on {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }
}

/// All names. The time to find an entry of a directory does not depend on the number of its entries.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    table: HashTable<NodeId>,
    hasher: RandomState,
    /// The number of names that are `..`: with any, a place in the trie may be spelled differently from the system's
    /// path.
    pub(super) dotdots: usize,
}

impl Trie {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::new(NONE, b"")],
            free: Vec::new(),
            table: HashTable::new(),
            hasher: RandomState::new(),
            dotdots: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len() + 1
    }

    pub(super) fn get(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    pub(super) fn parent(&self, id: NodeId) -> Option<NodeId> {
        (id != ROOT).then(|| self.get(id).parent)
    }

    /// The node itself, its parent, and so on to the root.
    pub(super) fn upwards(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(Some(id), |&id| self.parent(id))
    }

    pub(super) fn is_below(&self, id: NodeId, ancestor: NodeId) -> bool {
        ancestor == ROOT || self.upwards(id).any(|up| up == ancestor)
    }

    pub(super) fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let hash = self.hasher.hash_one((parent, name));
        self.table
            .find(hash, |&id| {
                let node = &self.nodes[id as usize];
                node.parent == parent && *node.name == *name
            })
            .copied()
    }

    pub(super) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let some = |id: NodeId| (id != NONE).then_some(id);
        std::iter::successors(some(self.get(id).first), move |&id| some(self.get(id).next))
    }

    pub(super) fn has_children(&self, id: NodeId) -> bool {
        self.get(id).first != NONE
    }

    /// The entry of that name, made if it is not there; and whether it was made.
    pub(super) fn child_or_insert(&mut self, parent: NodeId, name: &[u8]) -> (NodeId, bool) {
        if let Some(id) = self.child(parent, name) {
            return (id, false);
        }
        let mut node = Node::new(parent, name);
        node.next = self.get(parent).first;
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                if self.nodes.len() == self.nodes.capacity() {
                    // Room for twice as many would often stay empty.
                    self.nodes.reserve_exact(self.nodes.len() / 8 + 16);
                }
                self.nodes.push(node);
                NodeId::try_from(self.nodes.len() - 1).expect("fewer than 2³² names")
            }
        };
        let next = self.get(id).next;
        if next != NONE {
            self.get_mut(next).previous = id;
        }
        let above = self.get_mut(parent);
        above.first = id;
        above.loose += 1;
        let Self { nodes, table, hasher, .. } = self;
        let hash = |&id: &NodeId| {
            let node = &nodes[id as usize];
            hasher.hash_one((node.parent, &*node.name))
        };
        table.insert_unique(hash(&id), id, hash);
        self.dotdots += usize::from(name == b"..");
        (id, true)
    }

    /// Removes a node without children.
    pub(super) fn remove(&mut self, id: NodeId) {
        debug_assert!(id != ROOT && !self.has_children(id));
        let (parent, next, previous) = {
            let node = self.get(id);
            (node.parent, node.next, node.previous)
        };
        let hash = self.hasher.hash_one((parent, &*self.get(id).name));
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == id) {
            entry.remove();
        }
        if previous == NONE {
            self.get_mut(parent).first = next;
        } else {
            self.get_mut(previous).next = next;
        }
        if next != NONE {
            self.get_mut(next).previous = previous;
        }
        self.dotdots -= usize::from(*self.get(id).name == *b"..");
        let (fixed, present) = (self.get(id).is(FIXED), self.get(id).is(PRESENT));
        let above = self.get_mut(parent);
        above.loose -= u32::from(!fixed);
        above.present -= u32::from(present);
        self.nodes[id as usize] = Node::new(NONE, b"");
        self.free.push(id);
    }

    /// Whether the number is that of a name in the trie.
    pub(super) fn is_used(&self, id: NodeId) -> bool {
        id == ROOT || self.get(id).parent != NONE
    }

    /// The absolute path of a node.
    pub(super) fn path(&self, id: NodeId) -> Vec<u8> {
        if id == ROOT {
            return b"/".to_vec();
        }
        let mut length = 0;
        for up in self.upwards(id) {
            length += self.get(up).name.len() + 1;
        }
        // Filled from its end, since the way leads upwards.
        let mut path = vec![b'/'; length - 1];
        let mut end = path.len();
        for up in self.upwards(id) {
            let name = &self.get(up).name;
            if up == ROOT {
                break;
            }
            path[end - name.len()..end].copy_from_slice(name);
            end -= name.len() + 1;
        }
        path
    }

    /// The deepest node on the way to `path`, and how many components are left below it.
    pub(super) fn deepest(&self, path: &[u8]) -> (NodeId, usize) {
        let mut id = ROOT;
        let mut rest = components(path);
        while let Some(name) = rest.next() {
            match self.child(id, name) {
                Some(child) => id = child,
                None => return (id, 1 + rest.count()),
            }
        }
        (id, 0)
    }

    /// The node and every node below it, each after its parent.
    pub(super) fn subtree(&self, id: NodeId) -> Vec<NodeId> {
        let mut all = vec![id];
        let mut at = 0;
        while at < all.len() {
            all.extend(self.children(all[at]));
            at += 1;
        }
        all
    }
}

/// The names on the way, without empty ones and `.`.
pub(super) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".")
}
