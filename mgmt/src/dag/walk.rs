//! Queries on a graph.

use petgraph::Direction;

use super::cycles::Cycles;
use super::store::{Dag, NodeId};
use super::topo;

impl<N, E> Dag<N, E> {
    /// All nodes, every parent before its children; linear. Stable: nodes are in insertion order, except that the
    /// ancestors of a node always come before it.
    ///
    /// # Errors
    /// The cycles, if there are any.
    pub fn topological_order(&self) -> Result<Vec<NodeId>, Cycles<NodeId>> {
        let order = topo::order_of(self.node_bound(), self.pairs()).map_err(|found| found.map(NodeId))?;
        Ok(order.into_iter().map(NodeId).filter(|node| self.contains(*node)).collect())
    }

    /// All nodes by the length of the longest path that leads to them: first those without parents. Linear.
    ///
    /// # Errors
    /// The cycles, if there are any.
    pub fn layers(&self) -> Result<Vec<Vec<NodeId>>, Cycles<NodeId>> {
        let layers = topo::layers_of(self.node_bound(), self.pairs()).map_err(|found| found.map(NodeId))?;
        let there = |layer: Vec<u32>| layer.into_iter().map(NodeId).filter(|node| self.contains(*node)).collect();
        Ok(layers.into_iter().map(there).filter(|layer: &Vec<_>| !layer.is_empty()).collect())
    }

    /// The graph has a cycle; linear.
    pub fn has_cycle(&self) -> bool {
        self.topological_order().is_err()
    }

    /// The cycles: see [`Cycles`]. Empty if there is none.
    pub fn cycles(&self) -> Vec<Vec<NodeId>> {
        self.topological_order().err().map_or_else(Vec::new, |found| found.paths)
    }

    /// All nodes that can be reached from this one along at least one edge, in order. The node itself is one of them
    /// only if it is on a cycle.
    pub fn descendants(&self, node: NodeId) -> Vec<NodeId> {
        self.reach(node, Direction::Outgoing)
    }

    /// All nodes from which this one can be reached along at least one edge, in order. The node itself is one of them
    /// only if it is on a cycle.
    pub fn ancestors(&self, node: NodeId) -> Vec<NodeId> {
        self.reach(node, Direction::Incoming)
    }

    /// A path of at least one edge leads from `from` to `to`.
    pub fn has_path(&self, from: NodeId, to: NodeId) -> bool {
        self.shortest_path(from, to).is_some()
    }

    /// A shortest path of at least one edge, with both of its ends; `None` if there is no path. Of several, the one
    /// whose edges were inserted first.
    pub fn shortest_path(&self, from: NodeId, to: NodeId) -> Option<Vec<NodeId>> {
        if !self.contains(from) || !self.contains(to) {
            return None;
        }
        let mut came_from: Vec<Option<NodeId>> = vec![None; self.node_bound()];
        let mut ring = vec![from];
        while !ring.is_empty() && came_from[to.index()].is_none() {
            let mut next_ring = vec![];
            for node in ring {
                for (child, _) in self.children(node) {
                    if came_from[child.index()].is_none() {
                        came_from[child.index()] = Some(node);
                        next_ring.push(child);
                    }
                }
            }
            ring = next_ring;
        }
        let mut path = vec![to];
        let mut at = came_from[to.index()]?;
        while at != from {
            path.push(at);
            at = came_from[at.index()]?;
        }
        path.push(from);
        path.reverse();
        Some(path)
    }

    /// The parts of the graph that no edge joins, in the order of their first nodes; the nodes of a part are in order.
    /// Practically linear.
    pub fn components(&self) -> Vec<Vec<NodeId>> {
        // For each node an earlier node of the same part, or the node itself.
        let mut earlier: Vec<usize> = (0..self.node_bound()).collect();
        let first = |earlier: &mut [usize], mut node: usize| {
            while earlier[node] != node {
                earlier[node] = earlier[earlier[node]];
                node = earlier[node];
            }
            node
        };
        for (from, to, _) in self.edges() {
            let (a, b) = (first(&mut earlier, from.index()), first(&mut earlier, to.index()));
            earlier[a.max(b)] = a.min(b);
        }
        let mut parts: Vec<Vec<NodeId>> = vec![];
        let mut part_of = vec![0; self.node_bound()];
        for (node, _) in self.nodes() {
            let first = first(&mut earlier, node.index());
            if first == node.index() {
                part_of[first] = parts.len();
                parts.push(vec![]);
            }
            parts[part_of[first]].push(node);
        }
        parts
    }

    fn reach(&self, start: NodeId, direction: Direction) -> Vec<NodeId> {
        let mut is_seen = vec![false; self.node_bound()];
        let mut seen = vec![];
        let mut stack = vec![start];
        while let Some(node) = stack.pop() {
            for (next, _) in self.neighbours(node, direction) {
                if !std::mem::replace(&mut is_seen[next.index()], true) {
                    seen.push(next);
                    stack.push(next);
                }
            }
        }
        seen.sort_unstable();
        seen
    }
}
