//! The groups of the graph in force whose operations are one call for all members.

use std::collections::HashMap;

use crate::graph::Prepared;
use crate::id::Node;

/// The group of each resource that is in one, by the number of the group.
#[derive(Debug, Default)]
pub(crate) struct Grouped(HashMap<Node, u32>);

impl Grouped {
    /// Takes the groups of a new graph, whose resources have these nodes; returns them as nodes.
    pub(crate) fn replace(&mut self, prepared: &Prepared, nodes: &[Node]) -> Vec<Vec<Node>> {
        let named = |group: &[u32]| group.iter().map(|at| nodes[*at as usize]).collect();
        let all: Vec<Vec<Node>> = prepared.operated_groups().map(named).collect();
        let numbered = (0..).zip(&all);
        self.0 = numbered.flat_map(|(number, group)| group.iter().map(move |node| (*node, number))).collect();
        all
    }

    /// The number of the group that the node is in.
    pub(crate) fn of(&self, node: Node) -> Option<u32> {
        if self.0.is_empty() { None } else { self.0.get(&node).copied() }
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.0.capacity() * size_of::<(Node, u32)>()
    }
}
