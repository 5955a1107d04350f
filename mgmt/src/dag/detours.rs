//! Which of some edges of a large graph have a longer way round, at a cost in proportion to the graph.

use super::csr::Csr;
use super::topo;

/// For each node and edge, the search may visit this many.
const VISITS: usize = 32;

/// For each of the edges `asked`, which are among the `edges` of a graph of the nodes `0..n` without a cycle: whether a
/// longer way leads from its beginning to its end. If the search takes too long, some that have one are not found:
/// which ones depends only on `key`, by which nodes are visited, and on no order.
///
/// # Panics
/// As [`topo::order`].
pub fn spare_edges<K: Ord>(n: usize, edges: &[(u32, u32)], asked: &[(u32, u32)], key: impl Fn(u32) -> K) -> Vec<bool> {
    // An edge has a way round only if its beginning has another child, and its end another parent.
    let (mut children, mut parents) = (vec![0u32; n], vec![0u32; n]);
    for (from, to) in edges {
        children[*from as usize] += 1;
        parents[*to as usize] += 1;
    }
    let is_open = |(from, to): &(u32, u32)| children[*from as usize] > 1 && parents[*to as usize] > 1;
    let mut open: Vec<(u32, u32)> = asked.iter().copied().filter(is_open).collect();
    if open.is_empty() {
        return vec![false; asked.len()];
    }
    open.sort_unstable();
    open.dedup();
    let mut starts: Vec<u32> = open.iter().map(|(from, _)| *from).collect();
    starts.dedup();
    starts.sort_by_cached_key(|start| key(*start));
    let mut search = Search::new(n, edges);
    let mut spare: Vec<(u32, u32)> = vec![];
    for start in starts {
        let first = open.partition_point(|(from, _)| *from < start);
        let ends: Vec<u32> = open[first..].iter().take_while(|(from, _)| *from == start).map(|(_, to)| *to).collect();
        if !search.around(start, &ends) {
            break;
        }
        spare.extend(ends.iter().filter(|end| search.seen[**end as usize] == start).map(|end| (start, *end)));
    }
    spare.sort_unstable();
    asked.iter().map(|edge| spare.binary_search(edge).is_ok()).collect()
}

struct Search {
    children: Csr,
    /// The length of the longest way to each node. It does not depend on the order of nodes and edges.
    depths: Vec<u32>,
    /// The node from which each node was last seen, by a way of two edges or more.
    seen: Vec<u32>,
    visits: usize,
    visits_max: usize,
    stack: Vec<u32>,
}

impl Search {
    fn new(n: usize, edges: &[(u32, u32)]) -> Search {
        let mut edges = edges.to_vec();
        edges.sort_unstable();
        edges.dedup();
        let children = Csr::new(n, edges.iter().copied());
        let mut depths = vec![0; n];
        for node in topo::order(n, &edges).unwrap_or_default() {
            for child in children.of(node) {
                depths[*child as usize] = depths[*child as usize].max(depths[node as usize] + 1);
            }
        }
        let visits_max = VISITS * (n + edges.len());
        Search { children, depths, seen: vec![u32::MAX; n], visits: 0, visits_max, stack: vec![] }
    }

    /// Marks the nodes that a way of two edges or more leads to, down to the deepest of `ends`. Returns false if that
    /// takes too long.
    fn around(&mut self, start: u32, ends: &[u32]) -> bool {
        let depth = |node: u32| self.depths[node as usize];
        let deepest = ends.iter().map(|end| depth(*end)).max().unwrap_or(0);
        self.stack.clear();
        // The children themselves count only if another child leads to them.
        self.stack.extend(self.children.of(start).iter().filter(|child| depth(**child) < deepest));
        while let Some(node) = self.stack.pop() {
            for next in self.children.of(node) {
                self.visits += 1;
                if self.visits > self.visits_max {
                    return false;
                }
                let depth = self.depths[*next as usize];
                if depth <= deepest && self.seen[*next as usize] != start {
                    self.seen[*next as usize] = start;
                    if depth < deepest {
                        self.stack.push(*next);
                    }
                }
            }
        }
        true
    }
}
