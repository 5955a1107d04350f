//! The edges of the graph in force: dense arrays, a node's children next to each other.

use std::ops::Range;

use super::flags::EdgeFlags;
use super::{EdgeSpec, PortSet};
use crate::id::Node;

/// The number of an edge in the graph in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge(u32);

impl Edge {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// Edges next to each other. Borrows nothing, so that edges and nodes may be changed meanwhile.
fn numbers(range: Range<u32>) -> impl ExactSizeIterator<Item = Edge> + Clone + use<> {
    range.map(Edge)
}

/// A change of the parent is a refresh of the child.
pub(super) const NOTIFY: EdgeFlags = EdgeFlags::bit(0);
/// Carries values.
pub(super) const SENDS: EdgeFlags = EdgeFlags::bit(1);
/// The child is owed a refresh.
pub(super) const EDGE_OWED: EdgeFlags = EdgeFlags::bit(2);
/// The operation of the child under way absorbs a refresh that was owed when it began.
pub(super) const EDGE_TAKEN: EdgeFlags = EdgeFlags::bit(3);
/// The parent is being applied (or is about to be): the journal has the intent.
pub(super) const EDGE_INTENT: EdgeFlags = EdgeFlags::bit(4);
/// An apply of the parent failed or was cancelled: it may have changed something. The journal still has the intent.
pub(super) const EDGE_MAYBE: EdgeFlags = EdgeFlags::bit(5);
/// Only while swapping: the journal holds that this edge is owed.
pub(super) const EDGE_CLAIMED: EdgeFlags = EdgeFlags::bit(6);

/// What the journal holds about an edge: must be carried over a swap, or struck out.
pub(super) const IN_JOURNAL: EdgeFlags = EDGE_OWED.and(EDGE_TAKEN).and(EDGE_INTENT).and(EDGE_MAYBE);

/// All edges, numbered in order of their parent and, below one parent, in the order of the graph.
#[derive(Debug, Default)]
pub(super) struct Edges {
    out_start: Vec<u32>,
    from: Vec<Node>,
    to: Vec<Node>,
    /// The flags of all edges; empty as long as no edge has one.
    flags: Vec<EdgeFlags>,
    in_start: Vec<u32>,
    in_edge: Vec<Edge>,
    /// Few edges carry values: (edge, ports), in order of the edge.
    sends: Vec<(Edge, PortSet)>,
}

impl Edges {
    /// Sorts the edges by counting: one pass over the nodes and three over the edges.
    pub(super) fn build(slots: usize, specs: Vec<EdgeSpec>) -> Edges {
        let mut out_start = vec![0u32; slots + 1];
        let mut in_start = vec![0u32; slots + 1];
        for spec in &specs {
            out_start[spec.from.index() + 1] += 1;
            in_start[spec.to.index() + 1] += 1;
        }
        for i in 0..slots {
            out_start[i + 1] += out_start[i];
            in_start[i + 1] += in_start[i];
        }
        let mut edges = Edges {
            from: vec![Node(0); specs.len()],
            to: vec![Node(0); specs.len()],
            flags: Vec::new(),
            in_edge: Vec::new(),
            sends: Vec::new(),
            out_start: Vec::new(),
            in_start: Vec::new(),
        };
        // Each start moves forward while the edges of its node are placed; in the end it is the start of the next node.
        for spec in &specs {
            let at = &mut out_start[spec.from.index()];
            let edge = Edge(*at);
            *at += 1;
            edges.from[edge.index()] = spec.from;
            edges.to[edge.index()] = spec.to;
            let mut flags = EdgeFlags::NONE;
            if spec.notify {
                flags = if spec.owed { NOTIFY | EDGE_CLAIMED } else { NOTIFY };
            }
            if spec.sends.0 != 0 {
                flags = flags | SENDS;
                edges.sends.push((edge, spec.sends));
            }
            edges.set(edge, flags);
        }
        // Memory is at its largest here.
        drop(specs);
        edges.in_edge = vec![Edge(0); edges.to.len()];
        for edge in edges.all() {
            let at = &mut in_start[edges.to(edge).index()];
            edges.in_edge[*at as usize] = edge;
            *at += 1;
        }
        edges.out_start = shifted_back(out_start);
        edges.in_start = shifted_back(in_start);
        edges.sends.sort_unstable_by_key(|(edge, _)| *edge);
        edges
    }

    /// All edges.
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = Edge> + Clone + use<> {
        numbers(0..self.to.len() as u32)
    }

    /// The edges to the children of a node.
    pub(super) fn out(&self, node: Node) -> impl ExactSizeIterator<Item = Edge> + Clone + use<> {
        numbers(range(&self.out_start, node))
    }

    /// Positions of the edges from the parents of a node; `incoming` turns each into an edge. Borrows nothing.
    pub(super) fn positions_in(&self, node: Node) -> Range<u32> {
        range(&self.in_start, node)
    }

    /// The edge at a position of `positions_in`.
    pub(super) fn incoming(&self, position: u32) -> Edge {
        self.in_edge[position as usize]
    }

    /// The edges from the parents of a node.
    pub(super) fn parents(&self, node: Node) -> impl Iterator<Item = Edge> + '_ {
        let Range { start, end } = self.positions_in(node);
        self.in_edge[start as usize..end as usize].iter().copied()
    }

    /// The parent of the edge.
    pub(super) fn from(&self, edge: Edge) -> Node {
        self.from[edge.index()]
    }

    /// The child of the edge.
    pub(super) fn to(&self, edge: Edge) -> Node {
        self.to[edge.index()]
    }

    /// At least one of these flags is up.
    pub(super) fn any(&self, edge: Edge, mask: EdgeFlags) -> bool {
        self.flags.get(edge.index()).is_some_and(|flags| flags.any(mask))
    }

    /// The edge has a flag: it is more than an order.
    pub(super) fn is_marked(&self, edge: Edge) -> bool {
        self.flags.get(edge.index()).is_some_and(|flags| !flags.is_empty())
    }

    /// At least one of the edges to the children of a node has one of these flags.
    pub(super) fn any_out(&self, node: Node, mask: EdgeFlags) -> bool {
        let Range { start, end } = range(&self.out_start, node);
        let flags = self.flags.get(start as usize..end as usize);
        flags.is_some_and(|flags| flags.iter().any(|flags| flags.any(mask)))
    }

    /// Whether an edge of the graph has any flag.
    pub(super) fn has_marks(&self) -> bool {
        !self.flags.is_empty()
    }

    /// Raises flags.
    pub(super) fn set(&mut self, edge: Edge, mask: EdgeFlags) {
        if self.flags.is_empty() && !mask.is_empty() {
            self.flags = vec![EdgeFlags::NONE; self.to.len()];
        }
        if let Some(flags) = self.flags.get_mut(edge.index()) {
            *flags = flags.and(mask);
        }
    }

    /// Lowers flags.
    pub(super) fn clear(&mut self, edge: Edge, mask: EdgeFlags) {
        if let Some(flags) = self.flags.get_mut(edge.index()) {
            *flags = flags.without(mask);
        }
    }

    /// The ports that the edge carries.
    pub(super) fn sends(&self, edge: Edge) -> PortSet {
        if !self.any(edge, SENDS) {
            return PortSet(0);
        }
        match self.sends.binary_search_by_key(&edge, |(e, _)| *e) {
            Ok(at) => self.sends[at].1,
            Err(_) => PortSet(0),
        }
    }

    /// The edge between two nodes, if there is one.
    pub(super) fn find(&self, from: Node, to: Node) -> Option<Edge> {
        // The shorter list is searched: one of the two nodes may be a hub.
        if self.out(from).len() <= self.positions_in(to).len() {
            self.out(from).find(|e| self.to(*e) == to)
        } else {
            self.parents(to).find(|e| self.from(*e) == from)
        }
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        4 * (self.out_start.capacity()
            + self.from.capacity()
            + self.to.capacity()
            + self.in_start.capacity()
            + self.in_edge.capacity())
            + size_of::<EdgeFlags>() * self.flags.capacity()
            + 8 * self.sends.capacity()
    }
}

/// The range of a node, from its start to the start of the next node. A slot without edges may lie beyond the last
/// start.
fn range(starts: &[u32], node: Node) -> Range<u32> {
    let i = node.index();
    if i + 1 >= starts.len() { 0..0 } else { starts[i]..starts[i + 1] }
}

/// Undoes the moving forward of `build`: each entry holds the start of the next node.
fn shifted_back(mut starts: Vec<u32>) -> Vec<u32> {
    let last = starts.len() - 1;
    starts.copy_within(0..last, 1);
    starts[0] = 0;
    starts
}
