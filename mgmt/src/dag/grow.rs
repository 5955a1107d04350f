//! A graph without cycles that grows edge by edge: an edge that would close a cycle is refused, with the way back.

use std::collections::{HashMap, VecDeque};

use super::csr::Csr;
use super::cycles::Cycles;
use super::topo;

/// A graph of plain index arrays with an order that is maintained while edges are added (the algorithm of Pearce and
/// Kelly). An edge that agrees with the order costs a constant; any other costs a search among the nodes between its
/// two ends.
#[derive(Debug)]
pub struct Growing {
    /// The place of each node in the order.
    places: Vec<u32>,
    children: Csr,
    parents: Csr,
    added_children: HashMap<u32, Vec<u32>>,
    added_parents: HashMap<u32, Vec<u32>>,
}

impl Growing {
    /// A graph of the nodes `0..n`.
    ///
    /// # Errors
    /// The cycles of these edges, if there are any.
    ///
    /// # Panics
    /// As [`topo::order`].
    pub fn new(n: usize, edges: &[(u32, u32)]) -> Result<Growing, Cycles<u32>> {
        let mut places = vec![0; n];
        for (place, node) in (0..).zip(topo::order(n, edges)?) {
            places[node as usize] = place;
        }
        Ok(Growing {
            places,
            children: Csr::new(n, edges.iter().copied()),
            parents: Csr::new(n, edges.iter().map(|(from, to)| (*to, *from))),
            added_children: HashMap::new(),
            added_parents: HashMap::new(),
        })
    }

    /// Adds an edge.
    ///
    /// # Errors
    /// The shortest way from `to` to `from`, both included, if there is one: the edge would close a cycle, and is not
    /// added.
    ///
    /// # Panics
    /// If an end is not a node.
    pub fn add(&mut self, from: u32, to: u32) -> Result<(), Vec<u32>> {
        if self.place(from) >= self.place(to) {
            self.reorder(from, to)?;
        }
        self.added_children.entry(from).or_default().push(to);
        self.added_parents.entry(to).or_default().push(from);
        Ok(())
    }

    fn place(&self, node: u32) -> u32 {
        self.places[node as usize]
    }

    /// Moves the ancestors of `from` before the descendants of `to`; only nodes between the places of the two move.
    fn reorder(&mut self, from: u32, to: u32) -> Result<(), Vec<u32>> {
        let (first, last) = (self.place(to), self.place(from));
        let below =
            reached(to, |node| neighbours(&self.children, &self.added_children, node), |at| self.place(at) <= last);
        if below.contains_key(&from) {
            return Err(way(&below, to, from));
        }
        let above =
            reached(from, |node| neighbours(&self.parents, &self.added_parents, node), |at| self.place(at) >= first);
        let in_order = |nodes: HashMap<u32, u32>| {
            let mut nodes: Vec<u32> = nodes.into_keys().collect();
            nodes.sort_unstable_by_key(|node| self.place(*node));
            nodes
        };
        let moved: Vec<u32> = [in_order(above), in_order(below)].concat();
        let mut places: Vec<u32> = moved.iter().map(|node| self.place(*node)).collect();
        places.sort_unstable();
        for (node, place) in moved.into_iter().zip(places) {
            self.places[node as usize] = place;
        }
        Ok(())
    }
}

fn neighbours<'a>(known: &'a Csr, added: &'a HashMap<u32, Vec<u32>>, node: u32) -> impl Iterator<Item = u32> + use<'a> {
    known.of(node).iter().chain(added.get(&node).into_iter().flatten()).copied()
}

/// Breadth-first search: each node that is reached, with the node before it.
fn reached<I: Iterator<Item = u32>>(
    start: u32,
    next: impl Fn(u32) -> I,
    is_within: impl Fn(u32) -> bool,
) -> HashMap<u32, u32> {
    let mut reached = HashMap::from([(start, start)]);
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for other in next(node) {
            if is_within(other) && !reached.contains_key(&other) {
                reached.insert(other, node);
                queue.push_back(other);
            }
        }
    }
    reached
}

fn way(reached: &HashMap<u32, u32>, start: u32, end: u32) -> Vec<u32> {
    let mut way = vec![end];
    let mut node = end;
    while node != start {
        node = reached[&node];
        way.push(node);
    }
    way.reverse();
    way
}
