//! Cycles as paths.

use super::csr::Csr;

/// The cycles of a graph that should have none: one for each node with an edge to itself, and one for each knot (a set
/// of several nodes that can all reach each other), because each knot must be undone and most cycles of a large knot
/// are detours. It is the shortest cycle of the knot; in a knot so large that a search for the shortest would take
/// long, a short one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the graph has {}", count(paths))]
pub struct Cycles<I> {
    /// Each cycle as a list of nodes: an edge leads from each node to the next, and from the last to the first. The
    /// first node is the earliest in insertion order; the cycles are in the order of their first nodes.
    pub paths: Vec<Vec<I>>,
}

impl<I> Cycles<I> {
    /// The same cycles with other names for the nodes.
    pub fn map<J>(self, mut name: impl FnMut(I) -> J) -> Cycles<J> {
        Cycles { paths: self.paths.into_iter().map(|path| path.into_iter().map(&mut name).collect()).collect() }
    }
}

fn count<I>(paths: &[Vec<I>]) -> String {
    match paths {
        [path] => format!("a cycle of {}", path.len()),
        _ => format!("{} cycles", paths.len()),
    }
}

/// The most edges that are followed in search of cycles shorter than the first ones found.
const STEPS_MAX: usize = 1_000_000;

const NONE: u32 = u32::MAX;

/// The edges from a node to itself, and one cycle for each knot of several nodes.
pub(super) fn find(children: &Csr) -> Vec<Vec<u32>> {
    let knots = knots(children);
    let mut knot_of = vec![NONE; children.len() as usize];
    for (number, knot) in (0..).zip(&knots) {
        for &node in knot {
            knot_of[node as usize] = number;
        }
    }
    let mut search = Search { children, knot_of, seen: vec![(0, NONE); children.len() as usize], round: 0, steps: 0 };
    let loops = knots.iter().flatten().filter(|node| children.of(**node).contains(node));
    let mut found: Vec<_> = loops.map(|node| vec![*node]).collect();
    found.extend(knots.iter().filter(|knot| knot.len() > 1).map(|knot| search.shortest(knot)));
    found.sort_unstable();
    found
}

/// The strongly connected components that contain a cycle, each sorted (Tarjan's algorithm with an explicit stack).
pub(super) fn knots(children: &Csr) -> Vec<Vec<u32>> {
    let n = children.len();
    let mut index = vec![NONE; n as usize];
    let mut low = vec![0_u32; n as usize];
    let mut is_open = vec![false; n as usize];
    let (mut open, mut stack, mut knots) = (vec![], vec![], vec![]);
    let mut next_index = 0;
    let mut visit = |node: u32, index: &mut [u32], low: &mut [u32], is_open: &mut [bool], open: &mut Vec<u32>| {
        index[node as usize] = next_index;
        low[node as usize] = next_index;
        next_index += 1;
        is_open[node as usize] = true;
        open.push(node);
        (node, children.start(node))
    };
    for start in 0..n {
        if index[start as usize] == NONE {
            stack.push(visit(start, &mut index, &mut low, &mut is_open, &mut open));
        }
        while let Some((node, next)) = stack.last_mut() {
            let node = *node;
            if *next < children.end(node) {
                let child = children.target(*next);
                *next += 1;
                if index[child as usize] == NONE {
                    stack.push(visit(child, &mut index, &mut low, &mut is_open, &mut open));
                } else if is_open[child as usize] {
                    low[node as usize] = low[node as usize].min(index[child as usize]);
                }
                continue;
            }
            stack.pop();
            if let Some((parent, _)) = stack.last() {
                low[*parent as usize] = low[*parent as usize].min(low[node as usize]);
            }
            if low[node as usize] == index[node as usize] {
                let from = open.iter().rposition(|o| *o == node).expect("a node is open until its knot is closed");
                let mut knot = open.split_off(from);
                knot.iter().for_each(|k| is_open[*k as usize] = false);
                if knot.len() > 1 || children.of(node).contains(&node) {
                    knot.sort_unstable();
                    knots.push(knot);
                }
            }
        }
    }
    knots
}

/// Breadth-first search inside one knot for the way back to the start.
struct Search<'a> {
    children: &'a Csr,
    knot_of: Vec<u32>,
    /// For each node, the round in which it was seen last, and the node before it.
    seen: Vec<(u32, u32)>,
    round: u32,
    steps: usize,
}

impl Search<'_> {
    /// The shortest cycle of a knot of several nodes.
    fn shortest(&mut self, knot: &[u32]) -> Vec<u32> {
        let mut best: Option<Vec<u32>> = None;
        for &start in knot {
            let shorter_than = best.as_ref().map_or(usize::MAX, Vec::len);
            // The first search of a knot always finds a cycle: every node of a knot is on one.
            if shorter_than == 2 || (best.is_some() && self.steps > STEPS_MAX) {
                break;
            }
            if let Some(path) = self.way_back(start, shorter_than) {
                best = Some(path);
            }
        }
        // The path starts with its lowest node: the search from a lower one would have come first.
        best.expect("every node of a knot is on a cycle")
    }

    /// The shortest cycle of several nodes through `start` if it has fewer than `shorter_than` nodes.
    fn way_back(&mut self, start: u32, shorter_than: usize) -> Option<Vec<u32>> {
        self.round += 1;
        let (mut queue, mut at, mut length) = (vec![start], 0, 1);
        while at < queue.len() && length < shorter_than {
            let ring_end = queue.len();
            while at < ring_end {
                let node = queue[at];
                at += 1;
                for &child in self.children.of(node) {
                    self.steps += 1;
                    if child == start && node != start {
                        return Some(self.path_to(node, start));
                    }
                    let same_knot = self.knot_of[child as usize] == self.knot_of[start as usize];
                    if same_knot && self.seen[child as usize].0 != self.round {
                        self.seen[child as usize] = (self.round, node);
                        queue.push(child);
                    }
                }
            }
            length += 1;
        }
        None
    }

    fn path_to(&self, mut node: u32, start: u32) -> Vec<u32> {
        let mut path = vec![node];
        while node != start {
            node = self.seen[node as usize].1;
            path.push(node);
        }
        path.reverse();
        path
    }
}
