//! Handovers: a node that takes the place of another starts when the other has ended.

use super::Handover;
use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use crate::id::Node;

impl Scheduler {
    /// The node has something under way that a successor must wait for.
    pub fn is_in_the_way(&self, from: Node) -> bool {
        let Some(node) = self.nodes.get(from) else { return false };
        match node.phase() {
            Phase::Absent => false,
            _ if !node.any(PRESENT) => true,
            phase => phase.has_op() && node.any(STALE),
        }
    }

    /// Holds the successors of the pairs of a swap. (`update` is the caller's.)
    pub(super) fn hold_successors(&mut self, handovers: &[Handover]) {
        if self.mutant(Mutant::NoHandover) {
            return;
        }
        for &Handover { from, to } in handovers {
            let known = self.nodes.get(to).is_some_and(|node| node.any(PRESENT));
            if from != to && known && self.is_in_the_way(from) {
                self.hold(from, to);
            }
        }
    }

    /// The check of a node found that other nodes have not ended with what it owns by its received values.
    pub(super) fn wait_for_owners(&mut self, to: Node, owners: &[Node]) {
        if self.mutant(Mutant::OccupiedGoesOn) {
            return self.begin_repair(to, false);
        }
        let has_op = |from: Node| self.nodes.get(from).is_some_and(|node| node.phase().has_op());
        let waits = |from: &Node| *from != to && (self.is_in_the_way(*from) || has_op(*from));
        for from in owners.iter().copied().filter(waits).collect::<Vec<_>>() {
            if !self.mutant(Mutant::NoHandover) {
                self.hold(from, to);
            }
        }
        self.run_again(to);
    }

    fn hold(&mut self, from: Node, to: Node) {
        let predecessors = &mut self.rare_mut(to).predecessors;
        if !predecessors.contains(&from) {
            predecessors.push(from);
            self.rare_mut(from).successors.push(to);
            self.nodes[to].set(HELD);
            // It is not kept waiting by the pauses of an undo that fails.
            self.end_pause_of_leave(from);
        }
    }

    /// The node is no longer in the way of its successors.
    pub(super) fn hand_over(&mut self, from: Node) {
        let Some(rare) = self.rare_if_any(from) else { return };
        for to in std::mem::take(&mut rare.successors) {
            let Some(rare) = self.rare_if_any(to) else { continue };
            let before = rare.predecessors.len();
            rare.predecessors.retain(|predecessor| *predecessor != from);
            if before > 0 && rare.predecessors.is_empty() {
                self.nodes[to].clear(HELD);
                self.tidy_rare(to);
                if self.nodes[to].any(PRESENT) {
                    self.update(to);
                }
            }
        }
        self.tidy_rare(from);
    }

    /// The node, which has left the graph itself, waits for no predecessor any more.
    pub(super) fn stop_waiting_for_predecessors(&mut self, to: Node) {
        if !self.nodes[to].any(HELD) {
            return;
        }
        self.nodes[to].clear(HELD);
        let Some(rare) = self.rare_if_any(to) else { return };
        for from in std::mem::take(&mut rare.predecessors) {
            if let Some(rare) = self.rare_if_any(from) {
                rare.successors.retain(|successor| *successor != to);
                self.tidy_rare(from);
            }
        }
    }
}
