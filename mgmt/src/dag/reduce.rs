//! Transitive reduction: removes edges that a longer path makes redundant.

use super::csr::Csr;
use super::cycles::Cycles;
use super::store::{Dag, NodeId};
use super::topo;

impl<N, E> Dag<N, E> {
    /// Removes every edge for which `may_go` returns true and between whose nodes there is a longer path, and returns
    /// the removed edges in order. Which nodes can be reached from which stays the same.
    ///
    /// Linear if no node has children that are each other's descendants; otherwise each node also costs the nodes and
    /// edges between its children.
    ///
    /// # Errors
    /// The cycles, if there are any; then no edge is removed.
    pub fn transitive_reduction(
        &mut self,
        mut may_go: impl FnMut(NodeId, NodeId, &E) -> bool,
    ) -> Result<Vec<(NodeId, NodeId, E)>, Cycles<NodeId>> {
        let order = topo::order_of(self.node_bound(), self.pairs()).map_err(|found| found.map(NodeId))?;
        let spare = Spare::new(&order, self.pairs()).find();
        let may_go = |(is_spare, (from, to, weight)): (bool, (NodeId, NodeId, &E))| {
            (is_spare && may_go(from, to, weight)).then_some((from, to))
        };
        let gone: Vec<_> = spare.into_iter().zip(self.edges()).filter_map(may_go).collect();
        Ok(gone.into_iter().filter_map(|(from, to)| Some((from, to, self.remove_edge(from, to)?))).collect())
    }
}

/// The search for edges with a way round. Nodes are numbered by their rank in topological order, so ranks only rise
/// along a path.
struct Spare {
    edges: Vec<(u32, u32)>,
    /// Children in rising order.
    children: Csr,
    /// The node from which each node was last seen.
    seen: Vec<u32>,
    stack: Vec<u32>,
}

impl Spare {
    fn new(order: &[u32], edges: impl Iterator<Item = (u32, u32)>) -> Spare {
        let mut rank = vec![0; order.len()];
        for (at, node) in (0..).zip(order) {
            rank[*node as usize] = at;
        }
        let edges: Vec<(u32, u32)> = edges.map(|(from, to)| (rank[from as usize], rank[to as usize])).collect();
        // The nodes are visited in rising order and appended to the lists of their parents, so every list of children
        // rises.
        let parents = Csr::new(order.len(), edges.iter().map(|(from, to)| (*to, *from)));
        let rising = (0..parents.len()).flat_map(|child| parents.of(child).iter().map(move |parent| (*parent, child)));
        let children = Csr::new(order.len(), rising);
        Spare { edges, children, seen: vec![u32::MAX; order.len()], stack: vec![] }
    }

    /// For each edge, whether there is a way round.
    fn find(mut self) -> Vec<bool> {
        // `spare_children` has the order of the lists of children, each of which is sorted.
        let mut spare_children = vec![];
        for node in 0..self.children.len() {
            self.around(node, &mut spare_children);
        }
        let is_spare = |(from, to): &(u32, u32)| {
            let at = self.children.of(*from).binary_search(to).expect("every edge is in the lists");
            spare_children[self.children.start(*from) as usize + at]
        };
        self.edges.iter().map(is_spare).collect()
    }

    /// Finds for each child of a node whether another child leads to it: only a lower one can.
    fn around(&mut self, node: u32, spare: &mut Vec<bool>) {
        let children = self.children.of(node);
        let highest = children.last().copied().unwrap_or(0);
        for &child in children {
            let is_spare = self.seen[child as usize] == node;
            spare.push(is_spare);
            if is_spare || child == highest {
                continue;
            }
            self.seen[child as usize] = node;
            self.stack.push(child);
            while let Some(at) = self.stack.pop() {
                for &next in self.children.of(at).iter().take_while(|next| **next <= highest) {
                    if self.seen[next as usize] != node {
                        self.seen[next as usize] = node;
                        self.stack.push(next);
                    }
                }
            }
        }
    }
}
