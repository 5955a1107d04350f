//! Where in a graph a resource stands: found by kind and name.

use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::graph::config::Vertex;
use crate::id::ResourceId;

/// Finds resources of a graph by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Index {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    owned: Arc<Vec<PathBuf>>,
}

fn hash(hasher: &DefaultHashBuilder, kind: &str, name: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(kind.as_bytes());
    hasher.write_u8(b'[');
    hasher.write(name.as_bytes());
    hasher.finish()
}

impl Index {
    /// An empty index with room for `count` resources.
    pub(super) fn with_room(count: usize) -> Index {
        Index { table: HashTable::with_capacity(count), ..Index::default() }
    }

    /// Takes in the resource at place `n`, or returns the place of the resource that has its identity.
    pub(super) fn insert(&mut self, vertices: &[Vertex], n: u32) -> Option<u32> {
        let hash_of = |at: u32| {
            let resource = &vertices[at as usize].resource;
            hash(&self.hasher, resource.spec().kind, resource.name())
        };
        let (resource, hash) = (&vertices[n as usize].resource, hash_of(n));
        let first = self.table.find(hash, |at| is(vertices, *at, resource.spec().kind, resource.name())).copied();
        if first.is_none() {
            self.table.insert_unique(hash, n, |at| hash_of(*at));
        }
        first
    }

    /// The place of that resource among the vertices that the index was made of.
    pub(crate) fn find(&self, vertices: &[Vertex], kind: &str, name: &str) -> Option<u32> {
        self.table.find(hash(&self.hasher, kind, name), |at| is(vertices, *at, kind, name)).copied()
    }

    /// The same by identity.
    pub(crate) fn find_id(&self, vertices: &[Vertex], id: &ResourceId) -> Option<u32> {
        self.find(vertices, id.kind.as_str(), &id.name)
    }

    /// The paths that resources of a [valid](crate::graph::validate) graph own, in order.
    pub(crate) fn owned(&self) -> &Arc<Vec<PathBuf>> {
        &self.owned
    }

    /// Sets the paths that the graph's resources own; sorted.
    pub(super) fn set_owned(&mut self, owned: Vec<PathBuf>) {
        self.owned = Arc::new(owned);
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.table.allocation_size()
            + self.owned.iter().map(|path| size_of::<PathBuf>() + path.capacity()).sum::<usize>()
    }
}

/// Whether that resource is at that place.
pub(crate) fn is(vertices: &[Vertex], at: u32, kind: &str, name: &str) -> bool {
    vertices
        .get(at as usize)
        .is_some_and(|vertex| vertex.resource.spec().kind == kind && vertex.resource.name() == name)
}
