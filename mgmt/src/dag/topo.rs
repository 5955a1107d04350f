//! The order of plain index arrays: for graphs so large that a store of their own would cost too much.

use super::csr::Csr;
use super::cycles::{self, Cycles};

/// The nodes `0..n` with every parent before its children; linear.
///
/// The order is stable: nodes are sorted by number, except that the ancestors of a node always come before it; so
/// numbers that are in order already stay in order. Parents that must be pulled forward come in the order of their
/// edges.
///
/// # Errors
/// The cycles, if there are any: see [`Cycles`].
///
/// # Panics
/// If an edge names a node that is not below `n`, or there are more than `u32::MAX - 1` nodes.
pub fn order(n: usize, edges: &[(u32, u32)]) -> Result<Vec<u32>, Cycles<u32>> {
    order_of(n, edges.iter().copied())
}

/// The nodes by the length of the longest path that leads to them: first those without parents. Linear. Sorted by
/// number within a layer.
///
/// # Errors
/// The cycles, if there are any.
///
/// # Panics
/// As [`order`].
pub fn layers(n: usize, edges: &[(u32, u32)]) -> Result<Vec<Vec<u32>>, Cycles<u32>> {
    layers_of(n, edges.iter().copied())
}

/// The cycles: see [`Cycles`]. Empty if there is none.
///
/// # Panics
/// As [`order`].
pub fn cycles(n: usize, edges: &[(u32, u32)]) -> Vec<Vec<u32>> {
    match order(n, edges) {
        Ok(_) => vec![],
        Err(found) => found.paths,
    }
}

/// The sets of several nodes that can all reach each other, each sorted: every cycle lies within one of them. Empty if
/// there is no cycle; linear. Edges from a node to itself do not count.
///
/// # Panics
/// As [`order`].
pub fn knots(n: usize, edges: &[(u32, u32)]) -> Vec<Vec<u32>> {
    if edges.iter().all(|(from, to)| from < to && (*to as usize) < n) {
        return vec![];
    }
    let parents = Csr::new(n, edges.iter().map(|(from, to)| (*to, *from)));
    if after_parents(&parents).is_some() {
        return vec![];
    }
    let mut knots = cycles::knots(&Csr::new(n, edges.iter().copied()));
    knots.retain(|knot| knot.len() > 1);
    knots
}

pub(super) fn order_of(n: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Result<Vec<u32>, Cycles<u32>> {
    let last = u32::try_from(n).ok().filter(|n| *n < u32::MAX).expect("a graph has fewer than u32::MAX nodes");
    let mut forward = true;
    for (from, to) in edges.clone() {
        assert!(from < last && to < last, "edge {from} -> {to} in a graph of {n} nodes");
        forward &= from < to;
    }
    if forward {
        return Ok((0..last).collect());
    }
    let parents = Csr::new(n, edges.clone().map(|(from, to)| (to, from)));
    after_parents(&parents).ok_or_else(|| Cycles { paths: cycles::find(&Csr::new(n, edges)) })
}

/// Walks over the parents of each node in turn, depth first; `None` if there is a cycle.
fn after_parents(parents: &Csr) -> Option<Vec<u32>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        Open,
        Done,
    }
    let n = parents.len();
    let mut seen = vec![Seen::No; n as usize];
    let mut order = Vec::with_capacity(n as usize);
    // A node, and the position of its next parent.
    let mut stack: Vec<(u32, u32)> = vec![];
    for start in 0..n {
        if seen[start as usize] == Seen::No {
            seen[start as usize] = Seen::Open;
            stack.push((start, parents.start(start)));
        }
        while let Some((node, next)) = stack.last_mut() {
            if *next == parents.end(*node) {
                seen[*node as usize] = Seen::Done;
                order.push(*node);
                stack.pop();
                continue;
            }
            let parent = parents.target(*next);
            *next += 1;
            match seen[parent as usize] {
                Seen::Done => {}
                Seen::Open => return None,
                Seen::No => {
                    seen[parent as usize] = Seen::Open;
                    stack.push((parent, parents.start(parent)));
                }
            }
        }
    }
    Some(order)
}

pub(super) fn layers_of(
    n: usize,
    edges: impl Iterator<Item = (u32, u32)> + Clone,
) -> Result<Vec<Vec<u32>>, Cycles<u32>> {
    let order = order_of(n, edges.clone())?;
    let children = Csr::new(n, edges);
    let mut depth = vec![0_u32; n];
    for node in order {
        for &child in children.of(node) {
            depth[child as usize] = depth[child as usize].max(depth[node as usize] + 1);
        }
    }
    let count = depth.iter().max().map_or(0, |deepest| *deepest as usize + 1);
    let mut layers = vec![vec![]; count];
    for (node, layer) in (0..).zip(depth) {
        layers[layer as usize].push(node);
    }
    Ok(layers)
}
