//! The edges of the graph in force: dense arrays, a node's children next to each other.

use std::ops::Range;

use super::{EdgeSpec, PortSet};

/// A change of the parent is a refresh of the child.
pub(super) const NOTIFY: u8 = 1 << 0;
/// Carries values.
pub(super) const SENDS: u8 = 1 << 1;
/// The child is owed a refresh.
pub(super) const EDGE_OWED: u8 = 1 << 2;
/// The operation of the child under way absorbs a refresh that was owed when it began.
pub(super) const EDGE_TAKEN: u8 = 1 << 3;
/// The parent is being applied (or is about to be): the journal has the intent.
pub(super) const EDGE_INTENT: u8 = 1 << 4;
/// An apply of the parent failed or was cancelled: it may have changed something. The journal still has the intent.
pub(super) const EDGE_MAYBE: u8 = 1 << 5;
/// Only while swapping: the journal says that this edge is owed.
pub(super) const EDGE_CLAIMED: u8 = 1 << 6;

/// What the journal knows of an edge: must be carried over a swap, or struck out.
pub(super) const IN_JOURNAL: u8 = EDGE_OWED | EDGE_TAKEN | EDGE_INTENT | EDGE_MAYBE;

/// All edges, numbered in order of their parent and, below one parent, in the order of the graph.
#[derive(Debug, Default)]
pub(super) struct Edges {
    out_start: Vec<u32>,
    from: Vec<u32>,
    to: Vec<u32>,
    flags: Vec<u8>,
    in_start: Vec<u32>,
    in_edge: Vec<u32>,
    /// Few edges carry values: (edge, ports), in order of the edge.
    sends: Vec<(u32, PortSet)>,
}

impl Edges {
    /// Sorts the edges by counting: one pass over the nodes and three over the edges.
    pub(super) fn build(slots: usize, specs: &[EdgeSpec]) -> Edges {
        let mut out_start = vec![0u32; slots + 1];
        let mut in_start = vec![0u32; slots + 1];
        for spec in specs {
            out_start[spec.from.index() + 1] += 1;
            in_start[spec.to.index() + 1] += 1;
        }
        for i in 0..slots {
            out_start[i + 1] += out_start[i];
            in_start[i + 1] += in_start[i];
        }
        let mut edges = Edges {
            from: vec![0; specs.len()],
            to: vec![0; specs.len()],
            flags: vec![0; specs.len()],
            in_edge: vec![0; specs.len()],
            sends: Vec::new(),
            out_start: Vec::new(),
            in_start: Vec::new(),
        };
        // Each start is moved forward while its node's edges are placed, and is the start of the next node's then.
        for spec in specs {
            let at = &mut out_start[spec.from.index()];
            let e = *at as usize;
            *at += 1;
            edges.from[e] = spec.from.0;
            edges.to[e] = spec.to.0;
            let mut flags = 0;
            flags |= if spec.notify { NOTIFY } else { 0 };
            flags |= if spec.notify && spec.owed { EDGE_CLAIMED } else { 0 };
            if spec.sends.0 != 0 {
                flags |= SENDS;
                edges.sends.push((e as u32, spec.sends));
            }
            edges.flags[e] = flags;
        }
        for e in 0..specs.len() {
            let at = &mut in_start[edges.to[e] as usize];
            edges.in_edge[*at as usize] = e as u32;
            *at += 1;
        }
        edges.out_start = shifted_back(out_start);
        edges.in_start = shifted_back(in_start);
        edges.sends.sort_unstable_by_key(|(e, _)| *e);
        edges
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.to.len()
    }

    /// The numbers of the edges to the children of a node.
    pub(super) fn out(&self, node: u32) -> Range<usize> {
        let i = node as usize;
        if i + 1 >= self.out_start.len() {
            return 0..0;
        }
        self.out_start[i] as usize..self.out_start[i + 1] as usize
    }

    /// Positions of the edges from the parents of a node; `incoming` turns each into an edge.
    pub(super) fn positions_in(&self, node: u32) -> Range<usize> {
        let i = node as usize;
        if i + 1 >= self.in_start.len() {
            return 0..0;
        }
        self.in_start[i] as usize..self.in_start[i + 1] as usize
    }

    /// The edge at a position of `positions_in`.
    pub(super) fn incoming(&self, position: usize) -> usize {
        self.in_edge[position] as usize
    }

    /// The edges from the parents of a node.
    pub(super) fn parents(&self, node: u32) -> impl Iterator<Item = usize> + '_ {
        self.in_edge[self.positions_in(node)].iter().map(|e| *e as usize)
    }

    /// The parent.
    pub(super) fn from(&self, edge: usize) -> u32 {
        self.from[edge]
    }

    /// The child.
    pub(super) fn to(&self, edge: usize) -> u32 {
        self.to[edge]
    }

    /// At least one of these flags is up.
    pub(super) fn any(&self, edge: usize, mask: u8) -> bool {
        self.flags[edge] & mask != 0
    }

    /// The flags of several edges next to each other.
    pub(super) fn flags(&self, edges: Range<usize>) -> &[u8] {
        &self.flags[edges]
    }

    /// Raises flags.
    pub(super) fn set(&mut self, edge: usize, mask: u8) {
        self.flags[edge] |= mask;
    }

    /// Lowers flags.
    pub(super) fn clear(&mut self, edge: usize, mask: u8) {
        self.flags[edge] &= !mask;
    }

    /// What the edge carries.
    pub(super) fn sends(&self, edge: usize) -> PortSet {
        if !self.any(edge, SENDS) {
            return PortSet(0);
        }
        match self.sends.binary_search_by_key(&(edge as u32), |(e, _)| *e) {
            Ok(at) => self.sends[at].1,
            Err(_) => PortSet(0),
        }
    }

    /// The edge between two nodes, if there is one.
    pub(super) fn find(&self, from: u32, to: u32) -> Option<usize> {
        // The shorter list is looked through: one of them may be a hub.
        if self.out(from).len() <= self.positions_in(to).len() {
            self.out(from).find(|e| self.to[*e] == to)
        } else {
            self.parents(to).find(|e| self.from[*e] == from)
        }
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        4 * (self.out_start.capacity()
            + self.from.capacity()
            + self.to.capacity()
            + self.in_start.capacity()
            + self.in_edge.capacity())
            + self.flags.capacity()
            + 8 * self.sends.capacity()
    }
}

/// Undoes the moving forward: each entry holds the start of the next node.
fn shifted_back(mut starts: Vec<u32>) -> Vec<u32> {
    let last = starts.len() - 1;
    starts.copy_within(0..last, 1);
    starts[0] = 0;
    starts
}
