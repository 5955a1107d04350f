//! Graphs for tests: given ones, random ones, and plain answers to compare with.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::dag::{Dag, NodeId};

pub(super) fn dag(nodes: u32, edges: &[(u32, u32)]) -> Dag<u32, ()> {
    let mut dag = Dag::new();
    for node in 0..nodes {
        dag.add_node(node);
    }
    for (from, to) in edges {
        dag.add_edge(NodeId(*from), NodeId(*to), ());
    }
    dag
}

pub(super) fn ids(nodes: &[u32]) -> Vec<NodeId> {
    nodes.iter().copied().map(NodeId).collect()
}

pub(super) fn edges(dag: &Dag<u32, ()>) -> Vec<(u32, u32)> {
    dag.edges().map(|(from, to, ())| (from.0, to.0)).collect()
}

/// The number of nodes, and edges between them.
pub(super) fn any_edges() -> impl Strategy<Value = (u32, Vec<(u32, u32)>)> {
    (1..14_u32).prop_flat_map(|n| (Just(n), prop::collection::vec((0..n, 0..n), 0..40)))
}

/// A number of nodes and edges without a cycle, in no particular order.
pub(super) fn acyclic_edges() -> impl Strategy<Value = (u32, Vec<(u32, u32)>)> {
    (any_edges(), any::<u64>()).prop_map(|((n, edges), salt)| {
        let rank = |node: u32| (u64::from(node) + 1).wrapping_mul(salt | 1).rotate_left(32) ^ salt;
        (n, edges.into_iter().filter(|(from, to)| (rank(*from), from) < (rank(*to), to)).collect())
    })
}

/// Edges from lower numbers to higher ones.
pub(super) fn forward() -> impl Strategy<Value = (usize, Vec<(u32, u32)>)> {
    (2usize..12).prop_flat_map(|n| {
        let edge =
            (0..n as u32, 0..n as u32).prop_filter_map("a loop", |(a, b)| (a != b).then(|| (a.min(b), a.max(b))));
        (Just(n), prop::collection::vec(edge, 0..30))
    })
}

/// All pairs that a path joins, by repeated squaring of a plain matrix.
pub(super) fn reachable(n: usize, edges: &[(u32, u32)]) -> Vec<Vec<bool>> {
    let mut reach = vec![vec![false; n]; n];
    for (from, to) in edges {
        reach[*from as usize][*to as usize] = true;
    }
    for via in 0..n {
        for from in 0..n {
            for to in 0..n {
                reach[from][to] |= reach[from][via] && reach[via][to];
            }
        }
    }
    reach
}

/// The nodes that a node leads to.
pub(super) fn below(start: u32, edges: &[(u32, u32)]) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut stack = vec![start];
    while let Some(node) = stack.pop() {
        for (_, to) in edges.iter().filter(|(from, _)| *from == node) {
            if found.insert(*to) {
                stack.push(*to);
            }
        }
    }
    found
}
