//! The order in which nodes leave the graph: the reverse of the edges.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Backoff, NodeConfig};
use crate::id::Node;

/// How a failed undo of a node is tried again: as its operations were when it was in the graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tries {
    /// How many more tries follow the first failure; `None`: no limit.
    pub retry: Option<u32>,
    /// The pause before each.
    pub delay: Duration,
    /// How it grows.
    pub backoff: Backoff,
}

impl Tries {
    pub(super) fn of(config: &NodeConfig) -> Tries {
        Tries { retry: config.retry, delay: config.delay, backoff: config.backoff }
    }
}

/// Which nodes that have left the graph wait for which, and which of them must be undone.
#[derive(Debug, Default)]
pub(super) struct LeaveOrder {
    /// For each node, the nodes that must be gone before it leaves. A node of the graph may be among the keys.
    waits_for: BTreeMap<Node, BTreeSet<Node>>,
    /// The reverse.
    holds: BTreeMap<Node, BTreeSet<Node>>,
    /// Nodes that have left the graph, and are undone before their slots are free; and how often that has failed.
    undone: BTreeMap<Node, (Tries, u32)>,
    /// Nodes whose undo has failed, and is tried again after a pause.
    pausing: BTreeSet<Node>,
    /// Nodes that are being undone and have not run: they do nothing else when they leave.
    only_undone: BTreeSet<Node>,
}

impl LeaveOrder {
    /// The one must be gone before the other leaves.
    pub(super) fn add(&mut self, first: Node, then: Node) {
        self.waits_for.entry(then).or_default().insert(first);
        self.holds.entry(first).or_default().insert(then);
    }

    /// Nothing must be gone before this node leaves.
    pub(super) fn is_free(&self, i: Node) -> bool {
        !self.waits_for.contains_key(&i)
    }

    /// The node is gone, or back in the graph: the nodes that wait for it wait for what it has waited for itself.
    /// Returns those that are free now.
    pub(super) fn drop(&mut self, i: Node) -> Vec<Node> {
        if self.is_empty() {
            return Vec::new();
        }
        self.undone.remove(&i);
        self.pausing.remove(&i);
        let firsts = self.waits_for.remove(&i).unwrap_or_default();
        let thens = self.holds.remove(&i).unwrap_or_default();
        for first in &firsts {
            let held = self.holds.entry(*first).or_default();
            held.remove(&i);
            held.extend(&thens);
            if held.is_empty() {
                self.holds.remove(first);
            }
        }
        let mut free = Vec::new();
        for then in thens {
            let waits_for = self.waits_for.entry(then).or_default();
            waits_for.remove(&i);
            waits_for.extend(&firsts);
            if waits_for.is_empty() {
                self.waits_for.remove(&then);
                free.push(then);
            }
        }
        free
    }

    /// Nothing leaves, or has to; so it is for most graphs, nodes of which there may be very many.
    fn is_empty(&self) -> bool {
        let is_held = !self.waits_for.is_empty() || !self.holds.is_empty();
        !is_held && self.undone.is_empty() && self.pausing.is_empty()
    }

    /// The node has left the graph, and will be undone.
    pub(super) fn will_undo(&mut self, i: Node, tries: Tries) {
        self.undone.insert(i, (tries, 0));
    }

    /// The undo of the node has failed. Returns how often by now, unless no try is left.
    pub(super) fn next_try(&mut self, i: Node) -> Option<(Tries, u32)> {
        let (tries, failures) = self.undone.get_mut(&i)?;
        let is_left = tries.retry.is_none_or(|retry| *failures < retry);
        *failures = failures.saturating_add(1);
        is_left.then_some((*tries, *failures))
    }

    /// The node pauses before the next try.
    pub(super) fn pause(&mut self, i: Node) {
        self.pausing.insert(i);
    }

    pub(super) fn is_pausing(&self, i: Node) -> bool {
        self.pausing.contains(&i)
    }

    pub(super) fn pausing(&self) -> Vec<Node> {
        self.pausing.iter().copied().collect()
    }

    /// The pause is over. Returns whether there was one.
    pub(super) fn end_pause(&mut self, i: Node) -> bool {
        self.pausing.remove(&i)
    }

    /// Something is undone, or will be as soon as there is room.
    pub(super) fn undoes(&self) -> bool {
        !self.undone.is_empty()
    }

    /// The node is being undone, and does nothing else.
    pub(super) fn only_undoes(&mut self, i: Node) {
        self.only_undone.insert(i);
    }

    /// The leave of the node has ended, or could not begin. Returns whether the node was only undone.
    pub(super) fn has_only_undone(&mut self, i: Node) -> bool {
        self.only_undone.remove(&i)
    }

    /// Bytes held, estimated.
    pub(super) fn memory(&self) -> usize {
        let pairs: usize = self.waits_for.values().map(BTreeSet::len).sum();
        (2 * pairs + self.waits_for.len() + self.holds.len() + self.undone.len() + self.pausing.len())
            * 4
            * size_of::<Node>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_one_that_does_not_leave_waits_for_what_that_waited_for() {
        let mut order = LeaveOrder::default();
        let [file, between, dir] = [1, 2, 3].map(Node);
        order.add(file, between);
        order.add(between, dir);
        assert_eq!(order.drop(between), []);
        assert!(order.is_free(file) && !order.is_free(dir));
        assert_eq!(order.drop(file), [dir]);
        assert!(order.is_free(dir) && order.memory() == 0);
    }
}
