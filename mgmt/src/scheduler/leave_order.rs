//! The order in which nodes leave the graph: the reverse of the edges.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::Node;

/// Which nodes that have left the graph wait for which, and which of them must be undone.
#[derive(Debug, Default)]
pub(super) struct LeaveOrder {
    /// For each node, the nodes that must be gone before it leaves. A node of the graph may be among the keys.
    waits_for: BTreeMap<Node, BTreeSet<Node>>,
    /// The reverse.
    holds: BTreeMap<Node, BTreeSet<Node>>,
    /// Nodes that have left the graph, and are undone before their slots are free.
    undone: BTreeSet<Node>,
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
        self.undone.remove(&i);
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

    /// The node has left the graph, and will be undone.
    pub(super) fn will_undo(&mut self, i: Node) {
        self.undone.insert(i);
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
        (2 * pairs + self.waits_for.len() + self.holds.len() + self.undone.len()) * 4 * size_of::<Node>()
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
