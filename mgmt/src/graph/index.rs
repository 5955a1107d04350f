//! The index of a graph: finds resources by kind and name, and owners of paths and keys.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::graph::config::Vertex;
use crate::id::ResourceId;
use crate::resource::{Key, Uid};

/// Finds resources of a graph by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Index {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The paths that resources own, sorted.
    owned: Arc<Vec<PathBuf>>,
    /// The index of the owner of each of these paths.
    path_owners: Vec<u32>,
    /// The other UIDs that resources own, with the index of the owner.
    key_owners: HashMap<Key, u32>,
}

fn hash(hasher: &DefaultHashBuilder, kind: &str, name: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(kind.as_bytes());
    hasher.write_u8(b'[');
    hasher.write(name.as_bytes());
    hasher.finish()
}

fn hash_vertex(hasher: &DefaultHashBuilder, vertex: &Vertex) -> u64 {
    hash(hasher, vertex.resource.spec().kind, vertex.resource.name())
}

impl Index {
    /// An empty index with room for `count` resources.
    pub(super) fn with_room(count: usize) -> Index {
        Index { table: HashTable::with_capacity(count), ..Index::default() }
    }

    /// The hash by which the index finds the resource.
    pub(super) fn hash_of(&self, vertex: &Vertex) -> u64 {
        hash_vertex(&self.hasher, vertex)
    }

    /// Adds the resource at index `n`, whose hash this is, or returns the index of the resource that has the same
    /// identity.
    pub(super) fn insert(&mut self, vertices: &[Vertex], n: u32, hash: u64) -> Option<u32> {
        let same = |at: &u32| {
            let resource = &vertices[n as usize].resource;
            is(vertices, *at, resource.spec().kind, resource.name())
        };
        let first = self.table.find(hash, same).copied();
        if first.is_none() {
            let again = |at: &u32| hash_vertex(&self.hasher, &vertices[*at as usize]);
            self.table.insert_unique(hash, n, again);
        }
        first
    }

    /// The index of that resource among the vertices from which this index was made; `None` if there is none.
    pub(crate) fn find(&self, vertices: &[Vertex], kind: &str, name: &str) -> Option<u32> {
        self.table.find(hash(&self.hasher, kind, name), |at| is(vertices, *at, kind, name)).copied()
    }

    /// Like [`find`](Index::find), by identity.
    pub(crate) fn find_id(&self, vertices: &[Vertex], id: &ResourceId) -> Option<u32> {
        self.find(vertices, id.kind.as_str(), &id.name)
    }

    /// The paths that resources of a [valid](crate::graph::validate) graph own, sorted.
    pub(crate) fn owned(&self) -> &Arc<Vec<PathBuf>> {
        &self.owned
    }

    /// Sets the UIDs that the graph's resources own, each with the index of its owner.
    pub(super) fn set_owners(&mut self, owners: HashMap<Uid, u32>) {
        let mut paths = Vec::new();
        for (uid, at) in owners {
            match uid {
                Uid::Path(path) => paths.push((path, at)),
                Uid::Key(key) => drop(self.key_owners.insert(key, at)),
            }
        }
        paths.sort_unstable();
        let (owned, path_owners) = paths.into_iter().unzip();
        (self.owned, self.path_owners) = (Arc::new(owned), path_owners);
    }

    /// The index of the resource that owns this; `None` if none does, or if that depends on a field that will be
    /// received.
    pub(crate) fn owner(&self, uid: &Uid) -> Option<u32> {
        match uid {
            Uid::Path(path) => self.owned.binary_search(path).ok().map(|at| self.path_owners[at]),
            Uid::Key(key) => self.key_owners.get(key).copied(),
        }
    }

    /// The memory of the index in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.table.allocation_size()
            + self.owned.iter().map(|path| size_of::<PathBuf>() + path.capacity()).sum::<usize>()
            + self.path_owners.capacity() * size_of::<u32>()
            + self.key_owners.capacity() * size_of::<(Key, u32)>()
    }
}

/// Whether that resource is at that index.
pub(crate) fn is(vertices: &[Vertex], at: u32, kind: &str, name: &str) -> bool {
    vertices
        .get(at as usize)
        .is_some_and(|vertex| vertex.resource.spec().kind == kind && vertex.resource.name() == name)
}
