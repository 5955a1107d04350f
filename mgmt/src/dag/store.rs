//! The graph store.

use std::fmt;

use hashbrown::HashTable;
use petgraph::graph::{EdgeIndex, Graph, NodeIndex};
use petgraph::visit::EdgeRef;
use petgraph::{Directed, Direction};

/// A node of a [`Dag`]: the number of nodes added before it. It stays the same when other nodes are removed, and is not
/// used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The number as an index, below [`Dag::node_bound`].
    pub fn index(self) -> usize {
        self.0 as usize
    }

    fn inside(self) -> NodeIndex<u32> {
        NodeIndex::from(self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl From<NodeIndex<u32>> for NodeId {
    fn from(inside: NodeIndex<u32>) -> NodeId {
        NodeId(inside.index() as u32)
    }
}

/// A directed graph with at most one edge for each ordered pair of nodes. All orders are those of insertion.
///
/// The graph may have cycles, also from a node to itself: a caller that needs a graph without cycles calls
/// [`Dag::topological_order`] or [`Dag::cycles`]. Adding and looking up cost the same however many neighbours a node
/// has; removing a node costs as much as its edges.
///
/// ```
/// use mgmt::dag::Dag;
///
/// let mut dag = Dag::new();
/// let (b, a) = (dag.add_node("b"), dag.add_node("a"));
/// dag.add_edge(a, b, ());
/// let order = dag.topological_order().unwrap();
/// assert_eq!(order, [a, b]);
/// ```
#[derive(Clone)]
pub struct Dag<N, E> {
    /// Removed nodes and edges leave holes, so that ids and order stay the same and removal is cheap.
    graph: Graph<Slot<N>, Option<E>, Directed, u32>,
    /// The edge that joins each pair.
    pairs: HashTable<u32>,
    nodes: usize,
}

#[derive(Clone)]
struct Slot<N> {
    weight: Option<N>,
    parents: usize,
    children: usize,
}

impl<N, E> Dag<N, E> {
    /// An empty graph.
    pub fn new() -> Dag<N, E> {
        Dag::with_capacity(0, 0)
    }

    /// An empty graph with room for that many nodes and edges.
    pub fn with_capacity(nodes: usize, edges: usize) -> Dag<N, E> {
        Dag { graph: Graph::with_capacity(nodes, edges), pairs: HashTable::with_capacity(edges), nodes: 0 }
    }

    /// The number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes
    }

    /// The number of edges.
    pub fn edge_count(&self) -> usize {
        self.pairs.len()
    }

    /// The graph has no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// The bound that all ids are below: the length of an array with a place for each node.
    pub fn node_bound(&self) -> usize {
        self.graph.node_count()
    }

    /// Adds a node, the last in order.
    ///
    /// # Panics
    /// After `u32::MAX - 1` nodes.
    pub fn add_node(&mut self, weight: N) -> NodeId {
        self.nodes += 1;
        self.graph.add_node(Slot { weight: Some(weight), parents: 0, children: 0 }).into()
    }

    /// Removes a node with its edges and returns its value; `None` if the node is not in the graph.
    pub fn remove_node(&mut self, node: NodeId) -> Option<N> {
        let weight = self.graph.node_weight_mut(node.inside())?.weight.take()?;
        self.nodes -= 1;
        let both = [Direction::Incoming, Direction::Outgoing];
        let edges: Vec<_> = both.into_iter().flat_map(|d| self.graph.edges_directed(node.inside(), d)).collect();
        let pairs: Vec<_> = edges.into_iter().map(|e| (e.source().into(), e.target().into())).collect();
        for (from, to) in pairs {
            self.cut(from, to);
        }
        self.compact();
        Some(weight)
    }

    /// Keeps only the nodes for which `keep` returns true, and the edges between them. Ids stay the same.
    pub fn retain(&mut self, mut keep: impl FnMut(NodeId, &N) -> bool) {
        let gone: Vec<_> = self.nodes().filter(|(id, node)| !keep(*id, node)).map(|(id, _)| id).collect();
        for id in gone {
            self.remove_node(id);
        }
    }

    /// The node is in the graph.
    pub fn contains(&self, node: NodeId) -> bool {
        self.node(node).is_some()
    }

    /// The value of the node; `None` if the node is not in the graph.
    pub fn node(&self, node: NodeId) -> Option<&N> {
        self.graph.node_weight(node.inside())?.weight.as_ref()
    }

    /// The value of the node, mutable; `None` if the node is not in the graph.
    pub fn node_mut(&mut self, node: NodeId) -> Option<&mut N> {
        self.graph.node_weight_mut(node.inside())?.weight.as_mut()
    }

    /// All nodes, in order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &N)> + Clone {
        let slots = self.graph.raw_nodes().iter().map(|node| &node.weight);
        self.graph.node_indices().zip(slots).filter_map(|(id, slot)| Some((id.into(), slot.weight.as_ref()?)))
    }

    /// Adds an edge. If the pair is joined already, the edge keeps its place in the order, `weight` becomes its value,
    /// and the former value is returned.
    ///
    /// # Panics
    /// If one of the nodes is not in the graph.
    pub fn add_edge(&mut self, from: NodeId, to: NodeId, weight: E) -> Option<E> {
        assert!(self.contains(from) && self.contains(to), "an edge {from:?} -> {to:?} needs both of its nodes");
        if let Some(held) = self.edge_mut(from, to) {
            return Some(std::mem::replace(held, weight));
        }
        let graph = &mut self.graph;
        graph[from.inside()].children += 1;
        graph[to.inside()].parents += 1;
        let edge = number(graph.add_edge(from.inside(), to.inside(), Some(weight)));
        self.pairs.insert_unique(hash(from, to), edge, |e| hash_of(graph, *e));
        None
    }

    /// Removes an edge and returns its value; `None` if there is no such edge.
    pub fn remove_edge(&mut self, from: NodeId, to: NodeId) -> Option<E> {
        let weight = self.cut(from, to);
        self.compact();
        weight
    }

    /// There is an edge from `from` to `to`.
    pub fn has_edge(&self, from: NodeId, to: NodeId) -> bool {
        self.find(from, to).is_some()
    }

    /// The value of the edge; `None` if there is no such edge.
    pub fn edge(&self, from: NodeId, to: NodeId) -> Option<&E> {
        self.graph.edge_weight(self.find(from, to)?)?.as_ref()
    }

    /// The value of the edge, mutable; `None` if there is no such edge.
    pub fn edge_mut(&mut self, from: NodeId, to: NodeId) -> Option<&mut E> {
        let edge = self.find(from, to)?;
        self.graph.edge_weight_mut(edge)?.as_mut()
    }

    /// All edges, in order: from, to, value.
    pub fn edges(&self) -> impl DoubleEndedIterator<Item = (NodeId, NodeId, &E)> + Clone {
        self.graph.raw_edges().iter().filter_map(|e| Some((e.source().into(), e.target().into(), e.weight.as_ref()?)))
    }

    /// The nodes that the edges from this node lead to, in order; empty if there is no such node.
    pub fn children(&self, node: NodeId) -> impl DoubleEndedIterator<Item = (NodeId, &E)> + ExactSizeIterator {
        self.neighbours(node, Direction::Outgoing)
    }

    /// The nodes that the edges to this node come from, in order; empty if there is no such node.
    pub fn parents(&self, node: NodeId) -> impl DoubleEndedIterator<Item = (NodeId, &E)> + ExactSizeIterator {
        self.neighbours(node, Direction::Incoming)
    }

    /// The number of edges that lead to this node.
    pub fn in_degree(&self, node: NodeId) -> usize {
        self.graph.node_weight(node.inside()).map_or(0, |slot| slot.parents)
    }

    /// The number of edges that lead from this node.
    pub fn out_degree(&self, node: NodeId) -> usize {
        self.graph.node_weight(node.inside()).map_or(0, |slot| slot.children)
    }

    /// Reverses every edge. Ids and order stay the same.
    pub fn reverse(&mut self) {
        self.graph.reverse();
        for slot in self.graph.node_weights_mut() {
            std::mem::swap(&mut slot.parents, &mut slot.children);
        }
        self.index();
    }

    pub(super) fn neighbours(&self, node: NodeId, direction: Direction) -> std::vec::IntoIter<(NodeId, &E)> {
        let other = |e: petgraph::graph::EdgeReference<'_, _, u32>| match direction {
            Direction::Outgoing => e.target(),
            Direction::Incoming => e.source(),
        };
        let edges = self.graph.edges_directed(node.inside(), direction);
        let mut out: Vec<_> = edges.filter_map(|e| Some((other(e).into(), e.weight().as_ref()?))).collect();
        // Petgraph lists the newest edge first.
        out.reverse();
        out.into_iter()
    }

    /// All pairs that are joined, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (u32, u32)> + Clone {
        self.edges().map(|(from, to, _)| (from.0, to.0))
    }

    fn find(&self, from: NodeId, to: NodeId) -> Option<EdgeIndex<u32>> {
        let wanted = Some((from.inside(), to.inside()));
        let is_it = |e: &u32| self.graph.edge_endpoints(EdgeIndex::from(*e)) == wanted;
        self.pairs.find(hash(from, to), is_it).map(|e| EdgeIndex::from(*e))
    }

    /// Leaves a hole where the edge was.
    fn cut(&mut self, from: NodeId, to: NodeId) -> Option<E> {
        let graph = &mut self.graph;
        let wanted = Some((from.inside(), to.inside()));
        let is_it = |e: &u32| graph.edge_endpoints(EdgeIndex::from(*e)) == wanted;
        let (edge, _) = self.pairs.find_entry(hash(from, to), is_it).ok()?.remove();
        graph[from.inside()].children -= 1;
        graph[to.inside()].parents -= 1;
        graph.edge_weight_mut(EdgeIndex::from(edge))?.take()
    }

    /// Closes the holes between edges once they are more than half of the list, so a removal costs a constant on
    /// average.
    fn compact(&mut self) {
        if self.graph.edge_count() < 2 * self.edge_count() + 32 {
            return;
        }
        let (nodes, edges) = std::mem::take(&mut self.graph).into_nodes_edges();
        self.graph = Graph::with_capacity(nodes.len(), edges.len());
        for node in nodes {
            self.graph.add_node(node.weight);
        }
        for edge in edges.into_iter().filter(|e| e.weight.is_some()) {
            self.graph.add_edge(edge.source(), edge.target(), edge.weight);
        }
        self.index();
    }

    fn index(&mut self) {
        let graph = &self.graph;
        self.pairs.clear();
        for edge in graph.edge_indices().filter(|e| graph[*e].is_some()).map(number) {
            self.pairs.insert_unique(hash_of(graph, edge), edge, |e| hash_of(graph, *e));
        }
    }
}

impl<N, E> Default for Dag<N, E> {
    fn default() -> Dag<N, E> {
        Dag::new()
    }
}

impl<N: fmt::Debug, E: fmt::Debug> fmt::Debug for Dag<N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.nodes().collect();
        let edges: Vec<_> = self.edges().collect();
        f.debug_struct("Dag").field("nodes", &nodes).field("edges", &edges).finish()
    }
}

fn number(edge: EdgeIndex<u32>) -> u32 {
    edge.index() as u32
}

fn hash_of<N, E>(graph: &Graph<Slot<N>, Option<E>, Directed, u32>, edge: u32) -> u64 {
    let (from, to) = graph.edge_endpoints(EdgeIndex::from(edge)).expect("an indexed edge is in the graph");
    hash(from.into(), to.into())
}

/// Spreads pairs of small numbers over all bits. No secret is needed: the numbers do not come from outside.
fn hash(from: NodeId, to: NodeId) -> u64 {
    let mut x = (u64::from(from.0) << 32 | u64::from(to.0)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 32;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ x >> 32
}
