//! Failed nodes block their descendants: each node counts its parents that have failed or are blocked.
//!
//! A node counts as failed from its first failure until its next success, so that a string of tries is one block, not
//! many. Each change goes down as far as it makes a difference and no further.

use super::Event;
use super::node::*;
use super::scheduler::Scheduler;
use crate::id::Node;

impl Scheduler {
    /// Raises some of the `FAILING` flags.
    pub(super) fn set_failing(&mut self, i: Node, flags: Flags) {
        let node = &mut self.nodes[i];
        let was_bad = node.is_bad();
        if flags.any(FAILED) && !node.any(FAILED) {
            self.convergence.failed += 1;
        }
        node.set(flags);
        if !was_bad {
            self.block_below(i);
        }
    }

    /// Lowers some of the `FAILING` flags.
    pub(super) fn clear_failing(&mut self, i: Node, flags: Flags) {
        let node = &mut self.nodes[i];
        if !node.any(flags) {
            return;
        }
        if flags.any(FAILED) && node.any(FAILED) {
            self.convergence.failed -= 1;
        }
        node.clear(flags);
        if !node.is_bad() {
            self.unblock_below(i);
        }
    }

    /// The node has just become bad: blocks the nodes below it.
    fn block_below(&mut self, i: Node) {
        let mut stack = vec![i];
        while let Some(i) = stack.pop() {
            for e in self.edges.out(i) {
                let to = self.edges.to(e);
                let child = &mut self.nodes[to];
                child.bad_parents += 1;
                if child.bad_parents == 1 {
                    self.convergence.blocked += 1;
                    if !child.any(FAILING) {
                        stack.push(to);
                    }
                    self.tell(Event::Blocked { node: to, by: i });
                    self.settle(to);
                }
            }
        }
    }

    /// The node has just ceased to be bad: unblocks the nodes below it.
    fn unblock_below(&mut self, i: Node) {
        let mut stack = vec![i];
        while let Some(i) = stack.pop() {
            for e in self.edges.out(i) {
                let to = self.edges.to(e);
                let child = &mut self.nodes[to];
                child.bad_parents -= 1;
                if child.bad_parents == 0 {
                    self.convergence.blocked -= 1;
                    if !child.any(FAILING) {
                        stack.push(to);
                    }
                    self.tell(Event::Unblocked(to));
                    self.update(to);
                }
            }
        }
    }

    /// Counts from scratch, for the whole graph, and reports the nodes that became blocked or are blocked no longer.
    /// For a swap.
    pub(super) fn reblock(&mut self) {
        self.convergence.blocked = 0;
        let mut before: Vec<Node> = Vec::new();
        let mut failing: Vec<Node> = Vec::new();
        for i in self.nodes.numbers() {
            let node = &mut self.nodes[i];
            if std::mem::take(&mut node.bad_parents) > 0 {
                before.push(i);
            }
            if node.any(PRESENT) && node.any(FAILING) {
                failing.push(i);
            }
        }
        if before.is_empty() && failing.is_empty() {
            return;
        }
        let mut news: Vec<(Node, Node)> = Vec::new();
        while let Some(i) = failing.pop() {
            for e in self.edges.out(i) {
                let to = self.edges.to(e);
                let child = &mut self.nodes[to];
                child.bad_parents += 1;
                if child.bad_parents == 1 {
                    self.convergence.blocked += 1;
                    if !child.any(FAILING) {
                        failing.push(to);
                    }
                    news.push((to, i));
                }
            }
        }
        for &i in &before {
            let node = &self.nodes[i];
            if node.any(PRESENT) && node.bad_parents == 0 {
                self.tell(Event::Unblocked(i));
            }
        }
        for (to, by) in news {
            if before.binary_search(&to).is_err() {
                self.tell(Event::Blocked { node: to, by });
            }
        }
    }
}
