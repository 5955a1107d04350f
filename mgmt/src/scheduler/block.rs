//! Failed nodes block their descendants: each node counts its parents that have failed or are blocked.
//!
//! A node counts as failed from its first failure until its next success, so that a string of tries is one block, not many. Each change goes down as
//! far as it makes a difference and no further.

use super::Event;
use super::node::*;
use super::scheduler::Scheduler;
use crate::id::Node;

impl Scheduler {
    /// Raises some of the `FAILING` flags.
    pub(super) fn set_failing(&mut self, i: u32, flags: u32) {
        let node = &mut self.nodes[i as usize];
        let was_bad = node.is_bad();
        if flags & FAILED != 0 && !node.any(FAILED) {
            self.convergence.failed += 1;
        }
        node.set(flags);
        if !was_bad {
            self.block_below(i);
        }
    }

    /// Lowers some of the `FAILING` flags.
    pub(super) fn clear_failing(&mut self, i: u32, flags: u32) {
        let node = &mut self.nodes[i as usize];
        if !node.any(flags) {
            return;
        }
        if flags & FAILED != 0 && node.any(FAILED) {
            self.convergence.failed -= 1;
        }
        node.clear(flags);
        if !node.is_bad() {
            self.unblock_below(i);
        }
    }

    /// This node has just become bad: blocks what is below.
    fn block_below(&mut self, i: u32) {
        let mut stack = vec![i];
        while let Some(i) = stack.pop() {
            for e in self.edges.out(i) {
                let to = self.edges.to(e);
                let child = &mut self.nodes[to as usize];
                child.bad_parents += 1;
                if child.bad_parents == 1 {
                    if !child.any(FAILING) {
                        stack.push(to);
                    }
                    self.tell(Event::Blocked { node: Node(to), by: Node(i) });
                    self.settle(to);
                }
            }
        }
    }

    /// This node has just ceased to be bad: unblocks what is below.
    fn unblock_below(&mut self, i: u32) {
        let mut stack = vec![i];
        while let Some(i) = stack.pop() {
            for e in self.edges.out(i) {
                let to = self.edges.to(e);
                let child = &mut self.nodes[to as usize];
                child.bad_parents -= 1;
                if child.bad_parents == 0 {
                    if !child.any(FAILING) {
                        stack.push(to);
                    }
                    self.tell(Event::Unblocked(Node(to)));
                    self.update(to);
                }
            }
        }
    }

    /// Counts from scratch, for the whole graph; says who became blocked and who is not any more. For a swap.
    pub(super) fn reblock(&mut self) {
        let mut before: Vec<u32> = Vec::new();
        let mut failing: Vec<u32> = Vec::new();
        for (i, node) in self.nodes.iter_mut().enumerate() {
            if std::mem::take(&mut node.bad_parents) > 0 {
                before.push(i as u32);
            }
            if node.any(PRESENT) && node.any(FAILING) {
                failing.push(i as u32);
            }
        }
        if before.is_empty() && failing.is_empty() {
            return;
        }
        let mut news: Vec<(u32, u32)> = Vec::new();
        while let Some(i) = failing.pop() {
            for e in self.edges.out(i) {
                let to = self.edges.to(e);
                let child = &mut self.nodes[to as usize];
                child.bad_parents += 1;
                if child.bad_parents == 1 {
                    if !child.any(FAILING) {
                        failing.push(to);
                    }
                    news.push((to, i));
                }
            }
        }
        for &i in &before {
            let node = &self.nodes[i as usize];
            if node.any(PRESENT) && node.bad_parents == 0 {
                self.tell(Event::Unblocked(Node(i)));
            }
        }
        for (to, by) in news {
            if before.binary_search(&to).is_err() {
                self.tell(Event::Blocked { node: Node(to), by: Node(by) });
            }
        }
    }
}
