//! The index of a graph: finds resources by kind and name, and owners of paths and keys.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;

use crate::graph::config::Vertex;
use crate::graph::table::Table;
use crate::id::ResourceId;
use crate::resource::{Key, PathList, Uid};

/// Finds resources of a graph by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Index {
    table: Table,
    hasher: DefaultHashBuilder,
    /// The paths that resources own, sorted.
    owned: Arc<PathList>,
    /// The index of the owner of each of these paths.
    path_owners: Vec<u32>,
    /// The other UIDs that resources own, with the index of the owner.
    key_owners: HashMap<Key, u32>,
    /// The indices of the resources that may provide or need something.
    related: Vec<u32>,
    /// The files of which resources keep a part, each once, sorted.
    parts: Arc<[PathBuf]>,
    /// The groups of some kind are operations.
    has_grouped: bool,
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
    /// The hash by which the index finds the resource.
    pub(super) fn hash_of(&self, vertex: &Vertex) -> u64 {
        hash_vertex(&self.hasher, vertex)
    }

    /// Fills the index with all resources, which have these hashes. Returns each that has the same identity as an
    /// earlier one, after the first such.
    pub(super) fn fill(&mut self, vertices: &[Vertex], hashes: &[u64]) -> Vec<(u32, u32)> {
        let (table, twice) = Table::new(hashes, |first, second| {
            let resource = &vertices[second as usize].resource;
            is(vertices, first, resource.spec().kind, resource.name())
        });
        self.table = table;
        twice
    }

    /// The index of that resource among the vertices from which this index was made; `None` if there is none.
    pub(crate) fn find(&self, vertices: &[Vertex], kind: &str, name: &str) -> Option<u32> {
        self.table.find(hash(&self.hasher, kind, name), |at| is(vertices, at, kind, name))
    }

    /// Like [`find`](Index::find), by identity.
    pub(crate) fn find_id(&self, vertices: &[Vertex], id: &ResourceId) -> Option<u32> {
        self.find(vertices, id.kind.as_str(), &id.name)
    }

    /// The paths that resources of a [valid](crate::graph::validate) graph own, sorted.
    pub(crate) fn owned(&self) -> &Arc<PathList> {
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
        self.path_owners = paths.iter().map(|(_, at)| *at).collect();
        self.owned = Arc::new(paths.into_iter().map(|(path, _)| path).collect());
    }

    /// Sets the indices of the resources that may provide or need something, sorted.
    pub(super) fn set_related(&mut self, related: Vec<u32>) {
        self.related = related;
        self.related.shrink_to_fit();
    }

    /// The indices of the resources that may provide or need something, sorted.
    pub(super) fn related(&self) -> &[u32] {
        &self.related
    }

    /// The index of the resource that owns the path at this index of the sorted list.
    pub(super) fn path_owner(&self, at: usize) -> u32 {
        self.path_owners[at]
    }

    /// The index of the resource that owns the key.
    pub(super) fn key_owner(&self, key: &Key) -> Option<u32> {
        self.key_owners.get(key).copied()
    }

    /// Notes that the groups of a kind of the graph are operations.
    pub(super) fn set_grouped(&mut self, has_grouped: bool) {
        self.has_grouped = has_grouped;
    }

    /// Whether the groups of some kind of the graph are operations, so that the engine must know them.
    pub(super) fn has_grouped(&self) -> bool {
        self.has_grouped
    }

    /// Whether no resource owns, provides or needs anything.
    pub(super) fn is_unrelated(&self) -> bool {
        self.related.is_empty() && self.owned.is_empty() && self.key_owners.is_empty()
    }

    /// The files of which resources of the graph keep a part, each once, sorted.
    pub(crate) fn parts(&self) -> &Arc<[PathBuf]> {
        &self.parts
    }

    /// Sets the files of which resources keep a part.
    pub(super) fn set_parts(&mut self, mut parts: Vec<PathBuf>) {
        parts.sort_unstable();
        parts.dedup();
        self.parts = parts.into();
    }

    /// The index of the resource that owns this; `None` if none does, or if that depends on a field that will be
    /// received.
    pub(crate) fn owner(&self, uid: &Uid) -> Option<u32> {
        match uid {
            Uid::Path(path) => self.owned.find(path).map(|at| self.path_owners[at]),
            Uid::Key(key) => self.key_owner(key),
        }
    }

    /// The indices of the resources that own a path below this one.
    pub(super) fn owners_below(&self, dir: &Path) -> impl Iterator<Item = u32> {
        let first = self.owned.partition_point(|path| path <= dir);
        let below = self.owned.from(first).zip(&self.path_owners[first..]);
        below.take_while(move |(path, _)| path.starts_with(dir)).map(|(_, at)| *at)
    }

    /// The memory of the index in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.table.memory()
            + self.owned.memory()
            + self.path_owners.capacity() * size_of::<u32>()
            + self.key_owners.capacity() * size_of::<(Key, u32)>()
            + self.related.capacity() * size_of::<u32>()
    }
}

/// Whether that resource is at that index.
pub(crate) fn is(vertices: &[Vertex], at: u32, kind: &str, name: &str) -> bool {
    vertices
        .get(at as usize)
        .is_some_and(|vertex| vertex.resource.spec().kind == kind && vertex.resource.name() == name)
}
