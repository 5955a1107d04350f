//! The difference of two graphs.

use std::collections::HashMap;
use std::hash::Hash;

use super::store::{Dag, NodeId};

/// The difference of two graphs: nodes, and edges as pairs of nodes. Nodes are compared by key, edges by their ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// The nodes that differ, and those that do not.
    pub nodes: Parts<NodeId>,
    /// The edges that differ, and those that do not: from, to.
    pub edges: Parts<(NodeId, NodeId)>,
}

/// Items that are only in one graph, or in both. Added items have the ids and the order of the new graph; removed ones
/// those of the old graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<T> {
    /// Only in the new graph.
    pub added: Vec<T>,
    /// Only in the old graph.
    pub removed: Vec<T>,
    /// In both (old, new), and equal.
    pub kept: Vec<(T, T)>,
    /// In both (old, new), with different values.
    pub changed: Vec<(T, T)>,
}

impl<T> Default for Parts<T> {
    fn default() -> Parts<T> {
        Parts { added: vec![], removed: vec![], kept: vec![], changed: vec![] }
    }
}

impl<T> Parts<T> {
    /// Nothing is different.
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn both(&mut self, old: T, new: T, is_equal: bool) {
        if is_equal { self.kept.push((old, new)) } else { self.changed.push((old, new)) }
    }
}

impl Diff {
    /// Nothing is different.
    pub fn is_same(&self) -> bool {
        self.nodes.is_same() && self.edges.is_same()
    }
}

/// The error if two nodes of one graph have the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two nodes of the {} graph have the same key", if *in_new { "new" } else { "old" })]
pub struct DuplicateKey {
    /// The graph with the two nodes is the new one.
    pub in_new: bool,
    /// The first node with that key.
    pub first: NodeId,
    /// The second node with that key.
    pub second: NodeId,
}

/// The changes that turn the old graph into the new one; linear. Nodes with an equal `key` are the same node;
/// `same_node` and `same_edge` compare the values (old, new) of what is in both.
///
/// # Errors
/// If a key is not unique within one graph.
pub fn diff<N, E, K: Hash + Eq + ?Sized>(
    old: &Dag<N, E>,
    new: &Dag<N, E>,
    key: impl Fn(&N) -> &K,
    mut same_node: impl FnMut(&N, &N) -> bool,
    mut same_edge: impl FnMut(&E, &E) -> bool,
) -> Result<Diff, DuplicateKey> {
    let mut old_ids = HashMap::with_capacity(old.node_count());
    for (second, node) in old.nodes() {
        if let Some(first) = old_ids.insert(key(node), second) {
            return Err(DuplicateKey { in_new: false, first, second });
        }
    }
    let mut diff = Diff::default();
    let mut new_of: Vec<Option<NodeId>> = vec![None; old.node_bound()];
    let mut old_of: Vec<Option<NodeId>> = vec![None; new.node_bound()];
    let mut added_ids = HashMap::new();
    for (id, node) in new.nodes() {
        let in_old = old_ids.get(key(node)).and_then(|old_id| Some((*old_id, old.node(*old_id)?)));
        let namesake = match in_old {
            None => {
                diff.nodes.added.push(id);
                added_ids.insert(key(node), id)
            }
            Some((old_id, old_node)) => {
                old_of[id.index()] = Some(old_id);
                diff.nodes.both(old_id, id, same_node(old_node, node));
                new_of[old_id.index()].replace(id)
            }
        };
        if let Some(first) = namesake {
            return Err(DuplicateKey { in_new: true, first, second: id });
        }
    }
    diff.nodes.removed.extend(old.nodes().map(|(id, _)| id).filter(|id| new_of[id.index()].is_none()));
    let ends = |ids: &[Option<NodeId>], from: NodeId, to: NodeId| ids[from.index()].zip(ids[to.index()]);
    for (from, to, edge) in new.edges() {
        let in_old = ends(&old_of, from, to).and_then(|(a, b)| Some(((a, b), old.edge(a, b)?)));
        match in_old {
            None => diff.edges.added.push((from, to)),
            Some((pair, old_edge)) => diff.edges.both(pair, (from, to), same_edge(old_edge, edge)),
        }
    }
    for (from, to, _) in old.edges() {
        if !ends(&new_of, from, to).is_some_and(|(a, b)| new.has_edge(a, b)) {
            diff.edges.removed.push((from, to));
        }
    }
    Ok(diff)
}
