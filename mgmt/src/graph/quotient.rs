//! The graph of groups: what remains of a graph when each group is one node.

use std::collections::HashMap;

use crate::graph::config::GraphConfig;
use crate::graph::grouping::order_of;
use crate::resource::Sema;

/// The graph of groups. Each resource that is in no group is a node of its own.
///
/// Every edge between two resources is an edge between their nodes, and there are no others: an edge is never taken
/// apart, and never becomes part of another way (so no refresh takes a way that it was not declared for). Edges between
/// the same two nodes are one.
#[derive(Clone, Debug, Default)]
pub struct Quotient {
    nodes: Vec<Vec<u32>>,
    node_of: Vec<u32>,
    edges: Vec<QuotientEdge>,
    inside: Vec<(u32, u32)>,
}

/// An edge between two nodes of a [`Quotient`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotientEdge {
    /// The index of the node that comes first.
    pub from: u32,
    /// The index of the node that waits.
    pub to: u32,
    /// The pairs of resources whose edges these are, each once: what holds for one of them (it notifies, it is owed)
    /// holds for the edge.
    pub pairs: Vec<(u32, u32)>,
}

impl Quotient {
    /// The graph of these groups, which have no member in common.
    pub fn new(config: &GraphConfig, groups: &[Vec<u32>]) -> Quotient {
        Quotient::of_pairs(config.vertices.len(), &order_of(config), groups)
    }

    pub(super) fn of_pairs(count: usize, order: &[(u32, u32)], groups: &[Vec<u32>]) -> Quotient {
        let mut group_of: HashMap<u32, usize> = HashMap::new();
        for (number, group) in groups.iter().enumerate() {
            group_of.extend(group.iter().map(|at| (*at, number)));
        }
        let (mut nodes, mut node_of) = (Vec::new(), vec![u32::MAX; count]);
        for at in 0..count as u32 {
            if node_of[at as usize] == u32::MAX {
                let members = group_of.get(&at).map_or_else(|| vec![at], |number| groups[*number].clone());
                members.iter().for_each(|member| node_of[*member as usize] = nodes.len() as u32);
                nodes.push(members);
            }
        }
        let (mut edges, mut inside) = (Vec::<QuotientEdge>::new(), Vec::new());
        let mut places: HashMap<(u32, u32), usize> = HashMap::new();
        let mut seen = std::collections::HashSet::new();
        for pair in order.iter().filter(|pair| seen.insert(**pair)) {
            let (from, to) = (node_of[pair.0 as usize], node_of[pair.1 as usize]);
            if from == to {
                inside.push(*pair);
                continue;
            }
            let place = *places.entry((from, to)).or_insert(edges.len());
            if place == edges.len() {
                edges.push(QuotientEdge { from, to, pairs: Vec::new() });
            }
            edges[place].pairs.push(*pair);
        }
        Quotient { nodes, node_of, edges, inside }
    }

    /// The members of each node, as indices of resources: those of a group, or one resource.
    pub fn nodes(&self) -> &[Vec<u32>] {
        &self.nodes
    }

    /// The index of the node that this resource is in.
    pub fn node_of(&self, at: u32) -> u32 {
        self.node_of[at as usize]
    }

    /// The edges between nodes, each pair of nodes at most once.
    pub fn edges(&self) -> &[QuotientEdge] {
        &self.edges
    }

    /// The pairs of resources that are in one node although one comes before the other: none, if the groups are right.
    pub(super) fn inside(&self) -> &[(u32, u32)] {
        &self.inside
    }

    /// The semaphores of a node: those of all its members, each once, in the order of their
    /// names.
    pub fn semas(&self, config: &GraphConfig, node: u32) -> Vec<Sema> {
        let members = self.nodes[node as usize].iter().filter_map(|at| config.vertices[*at as usize].meta.as_ref());
        let mut semas: Vec<Sema> = members.flat_map(|meta| meta.sema.iter().cloned()).collect();
        semas.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        semas.dedup_by(|one, other| one.name() == other.name());
        semas
    }
}
