//! The shortest way between two nodes of a large graph.

use super::csr::Csr;

/// The shortest way from one node to another along these edges between the nodes `0..n`, both ends included; `None` if
/// there is none. Of several ways of the same length, the one whose nodes come first by `key`, so that the result does
/// not depend on the order of nodes and edges. Linear.
///
/// # Panics
/// If an end is not a node.
pub fn shortest_way<K: Ord>(
    n: usize,
    edges: &[(u32, u32)],
    (from, to): (u32, u32),
    key: impl Fn(u32) -> K,
) -> Option<Vec<u32>> {
    const NONE: u32 = u32::MAX;
    let parents = Csr::new(n, edges.iter().map(|(from, to)| (*to, *from)));
    // The length of the way from each node to the end.
    let mut lengths = vec![NONE; n];
    lengths[to as usize] = 0;
    let mut reached = vec![to];
    let mut next = 0;
    while let Some(node) = reached.get(next).copied().filter(|_| lengths[from as usize] == NONE) {
        next += 1;
        for parent in parents.of(node) {
            if lengths[*parent as usize] == NONE {
                lengths[*parent as usize] = lengths[node as usize] + 1;
                reached.push(*parent);
            }
        }
    }
    if lengths[from as usize] == NONE {
        return None;
    }
    let children = Csr::new(n, edges.iter().copied());
    let mut way = vec![from];
    let mut node = from;
    while node != to {
        let closer = children.of(node).iter().copied().filter(|child| {
            let length = lengths[*child as usize];
            length != NONE && length + 1 == lengths[node as usize]
        });
        node = closer.min_by_key(|child| key(*child))?;
        way.push(node);
    }
    Some(way)
}
