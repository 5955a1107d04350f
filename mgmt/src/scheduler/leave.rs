//! Leaving: what a node does when it has left the graph, after its last operation and before its slot is free.

use std::time::Duration;

use super::mutants::Mutant;
use super::node::*;
use super::places::Holder;
use super::scheduler::Scheduler;
use super::timers::Timer;
use super::{Command, Event, Op, Remains};
use crate::id::Node;

impl Scheduler {
    /// A node that is not in the graph has nothing under way any more: asks it to leave, or frees its slot.
    pub(super) fn depart(&mut self, i: Node) {
        let stopping = self.stop.is_some() && !self.mutant(Mutant::LeaveAtStop);
        if !self.nodes[i].any(LEAVES) || stopping || self.mutant(Mutant::LeaveForgotten) {
            return self.forget(i);
        }
        self.nodes[i].go(Phase::ToLeave);
        if self.leave_order.is_free(i) || self.mutant(Mutant::LeaveOutOfOrder) {
            self.leaving.push_back(i);
        }
        self.count_moving(i);
        if self.mutant(Mutant::HandoverBeforeLeave) {
            self.hand_over(i);
        }
    }

    /// Starts the leave of nodes that wait for it, as long as there is room.
    pub(super) fn pump_leaving(&mut self, room: usize) {
        while self.places.len() < room
            && let Some(i) = self.leaving.pop_front()
        {
            // The node may have come back meanwhile, left again and been refused: this is its earlier place in the
            // queue.
            let is_free = self.leave_order.is_free(i) && !self.leave_order.is_pausing(i);
            let is_free = is_free || self.mutant(Mutant::LeaveOutOfOrder);
            if self.nodes[i].phase() == Phase::ToLeave && !self.leaving_held.contains(&i) && is_free {
                self.begin_leave(i);
            }
        }
    }

    fn begin_leave(&mut self, i: Node) {
        self.last_op += 1;
        let number = self.last_op;
        let node = &mut self.nodes[i];
        let has_run = node.any(RAN);
        node.go(Phase::Leaving);
        node.clear(LEAVES | CANCELLED | TIMED_OUT | RAN);
        node.op = number;
        self.occupy(Holder::Run(i));
        if let Some(timeout) = self.rare_if_any(i).and_then(|rare| rare.leave_timeout) {
            self.arm(i, Timer::Timeout, self.now.after(timeout));
        }
        let op = Op { node: i, number };
        if !has_run {
            self.leave_order.only_undoes(i);
        }
        self.commands.push_back(if has_run { Command::Leave(op) } else { Command::Undo(op) });
    }

    /// The node has left. If it came back meanwhile, it starts.
    pub(super) fn left(&mut self, op: Op, well: bool) {
        if !self.is_under_way(op, |phase| phase == Phase::Leaving) {
            return;
        }
        let i = op.node;
        let retry_in = if well { None } else { self.undo_again_in(i) };
        self.tell(Event::Left { node: i, well, retry_in });
        self.leave_order.has_only_undone(i);
        match retry_in {
            Some(pause) => self.pause_leaving(i, pause),
            None => self.end_run(i),
        }
    }

    /// The pause before a failed undo is tried again. `None`: it is not, because no try is left, or because another
    /// node waits to take this one's place.
    fn undo_again_in(&mut self, i: Node) -> Option<Duration> {
        let has_successors = self.rare(i).is_some_and(|rare| !rare.successors.is_empty());
        if self.nodes[i].any(PRESENT) || self.stop.is_some() || has_successors || self.mutant(Mutant::UndoOnce) {
            return None;
        }
        let (tries, failures) = self.leave_order.next_try(i)?;
        let pause = self.pause_of(tries.delay, tries.backoff, failures);
        Some(if self.mutant(Mutant::UndoAgainAtOnce) { Duration::ZERO } else { pause })
    }

    /// Only the undo is tried again, not what the kind does when it leaves.
    fn pause_leaving(&mut self, i: Node, pause: Duration) {
        self.close_run(i);
        self.nodes[i].set(LEAVES);
        self.nodes[i].go(Phase::ToLeave);
        if pause.is_zero() {
            self.leaving.push_back(i);
        } else {
            self.leave_order.pause(i);
            self.arm(i, Timer::Retry, self.now.after(pause));
        }
        self.count_moving(i);
    }

    /// The pause before the next undo, if there is one, is over.
    pub(super) fn end_pause_of_leave(&mut self, i: Node) {
        if self.leave_order.end_pause(i) {
            self.disarm(i, Timer::Retry);
            self.tidy_rare(i);
            if self.leave_order.is_free(i) {
                self.leaving.push_back(i);
            }
            self.count_moving(i);
        }
    }

    /// The leave could not begin. Unless the node came back meanwhile or the engine ends, it waits for `recovered`.
    pub(super) fn leave_refused(&mut self, op: Op) {
        if !self.is_under_way(op, |phase| phase == Phase::Leaving) {
            return;
        }
        let i = op.node;
        let has_run = !self.leave_order.has_only_undone(i);
        let waits = !self.nodes[i].any(PRESENT) && self.stop.is_none();
        if !waits || self.mutant(Mutant::RefusedLeaveForgotten) {
            self.nodes[i].put(RAN, has_run);
            return self.end_run(i);
        }
        self.close_run(i);
        let node = &mut self.nodes[i];
        node.set(LEAVES);
        node.put(RAN, has_run);
        node.go(Phase::ToLeave);
        self.leaving_held.push(i);
        self.count_moving(i);
    }

    /// Nothing keeps the node from leaving any more.
    pub(super) fn ask_again_to_leave(&mut self, i: Node) {
        if let Some(at) = self.leaving_held.iter().position(|held| *held == i) {
            self.leaving_held.swap_remove(at);
            self.leaving.push_back(i);
            self.count_moving(i);
        }
    }

    /// The nodes that a swap drops leave in the reverse order of the edges between them: a node leaves when all that
    /// depended on it are gone. So do their parents if a later graph drops them meanwhile.
    pub(super) fn order_leaving(&mut self) {
        if !self.configs.iter().any(|config| config.leaves || config.undoes) {
            return;
        }
        let (nodes, edges, order) = (&self.nodes, &self.edges, &mut self.leave_order);
        for i in nodes.numbers().filter(|i| nodes[*i].any(PRESENT) && !nodes[*i].any(SEEN)) {
            edges.parents(i).for_each(|e| order.add(i, edges.from(e)));
        }
    }

    /// Begins to undo what earlier runs have recorded about nodes that are in no graph any more.
    pub(super) fn undo_remains(&mut self, remains: Vec<Remains>, order: &[(Node, Node)]) {
        if self.stop.is_some() {
            return remains.iter().for_each(|remains| self.commands.push_back(Command::Removed(remains.node)));
        }
        let slots = remains.iter().map(|remains| remains.node.index() + 1).max().unwrap_or(0);
        self.nodes.grow(slots.max(self.nodes.len()));
        order.iter().for_each(|(first, then)| self.leave_order.add(*first, *then));
        for Remains { node: i, tries, timeout } in remains {
            self.nodes[i].set(LEAVES);
            if timeout.is_some() {
                self.rare_mut(i).leave_timeout = timeout;
            }
            self.leave_order.will_undo(i, tries);
            self.depart(i);
        }
    }

    /// The node is gone, or in the graph again: the nodes that waited for that may leave.
    pub(super) fn no_longer_leaves(&mut self, i: Node) {
        for free in self.leave_order.drop(i) {
            let waits = self.leaving_held.contains(&free) || self.leave_order.is_pausing(free);
            if self.nodes[free].phase() == Phase::ToLeave && !waits {
                self.leaving.push_back(free);
                self.count_moving(free);
            }
        }
    }

    /// The engine ends: leaves that have not begun are dropped.
    pub(super) fn drop_leaving(&mut self) {
        if self.mutant(Mutant::LeaveAtStop) {
            return;
        }
        self.leaving.extend(self.leaving_held.drain(..));
        self.leave_order.pausing().into_iter().for_each(|i| self.end_pause_of_leave(i));
        while let Some(i) = self.leaving.pop_front() {
            if self.nodes[i].phase() == Phase::ToLeave {
                self.forget(i);
            }
        }
    }
}
