//! Which nodes may run: those whose parents are all settled, with no failed ancestor, a ready watch, and all values
//! received. And the queue of these nodes.

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::timers::Timer;
use super::{Cause, Command, Op};
use crate::id::Node;

impl Scheduler {
    /// Updates what follows from the node's own flags and counts, here and in its children. To be called after each
    /// change of them.
    pub(super) fn update(&mut self, i: Node) {
        self.settle(i);
        self.wake(i);
    }

    /// Puts the node into the ready queue if it may run.
    pub(super) fn wake(&mut self, i: Node) {
        if self.nodes[i].phase() != Phase::Idle || !self.may_start_alone(i) {
            return;
        }
        if self.is_beyond_its_share(i) {
            return self.space(i);
        }
        if !self.group_permits(i) {
            return self.hurry(i);
        }
        self.enqueue(i);
        self.note_queued(i);
    }

    /// The node has become `Queued`.
    pub(super) fn note_queued(&mut self, i: Node) {
        if !self.nodes[i].any(CALM | MOVING) {
            self.count_moving(i);
            self.put_look(i, self.is_look_open(i));
        }
    }

    /// Marks the node dirty, for a reason (one of the `DIRTY_…` flags).
    pub(super) fn dirty(&mut self, i: Node, reason: Flags) {
        let node = &mut self.nodes[i];
        if !node.any(PRESENT) {
            return;
        }
        if node.phase() != Phase::Idle && node.any(DIRTY) && node.any(reason) {
            return;
        }
        node.set(reason);
        self.lift_limit(i);
        self.update(i);
    }

    /// Limit and share apply to runs that the watch causes: a node with another cause no longer waits for them.
    pub(super) fn lift_limit(&mut self, i: Node) {
        if self.nodes[i].any(LIMITED | SPACED) && (self.nodes[i].dirt() != DIRTY_WATCH || self.nodes[i].is_called()) {
            self.end_limit(i);
        }
    }

    /// The node waits neither for the rate limit nor for its share. (`update` is the caller's.)
    pub(super) fn end_limit(&mut self, i: Node) {
        self.unspace(i);
        let node = &mut self.nodes[i];
        if node.any(LIMITED) {
            node.clear(LIMITED);
            self.disarm(i, Timer::Limit);
        }
    }

    /// Order, watch and values permit an operation. (Pause, places and limits are not considered.)
    pub(super) fn is_open(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        node.any(PRESENT)
            && !node.any(FAILED | HELD)
            && (node.any(WATCH_READY) || self.mutant(Mutant::IgnoreWatch))
            && (node.unsettled_parents == 0 || self.mutant(Mutant::IgnoreOrder))
            && (node.bad_parents == 0 || self.mutant(Mutant::IgnoreBlocked))
            && (node.unsent == 0 || self.mutant(Mutant::IgnoreValues))
    }

    pub(super) fn may_start(&self, i: Node) -> bool {
        self.may_start_alone(i) && self.group_permits(i)
    }

    /// The node may start, as far as its group does not matter.
    pub(super) fn may_start_alone(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        // A refresh that is owed does not end the cause that the node waits for.
        let wants = if node.any(WAITS) { node.any(DIRTY) } else { node.wants_run() };
        wants && !node.any(DELAYED | LIMITED | SPACED | ASKING) && self.is_open(i)
    }

    /// Starts the nodes that may start, as long as there is room.
    pub(super) fn pump(&mut self) {
        if self.stop.is_some() && self.mutant(Mutant::LeaveAtStop) {
            self.pump_leaving(usize::MAX);
        }
        if self.stop.is_some() && !self.leaving.is_empty() {
            self.drop_leaving();
        }
        if self.paused || (self.stop.is_some() && !self.mutant(Mutant::WorkAfterStop)) {
            return;
        }
        self.pump_leaving(self.room());
        while let Some(i) = self.take_next() {
            if self.nodes[i].phase() != Phase::Queued {
                continue;
            }
            if !self.may_start(i) || self.is_limited(i) {
                self.unqueue(i);
            } else if self.acquire(i) {
                self.start(i);
                self.start_mates(i);
            } else {
                self.nodes[i].go(Phase::Parked);
            }
        }
    }

    /// Takes the node out of the queue: it may not run any more, or not yet.
    pub(super) fn unqueue(&mut self, i: Node) {
        self.nodes[i].go(Phase::Idle);
        self.release(i);
        self.settle(i);
        self.lead_no_longer(i);
    }

    /// Begins a run, always with a check.
    pub(super) fn start(&mut self, i: Node) {
        self.last_op += 1;
        let number = self.last_op;
        let node = &mut self.nodes[i];
        node.go(Phase::Checking);
        node.op = number;
        let mut causes = node.reasons();
        node.set_causes(causes);
        node.clear(DIRTY | PARENT_NEWS | DRIFTED);
        node.set(RAN);
        if self.nodes[i].any(WAITS) {
            self.disarm(i, Timer::Retry);
        }
        // The node was not settled and is not now; it can be calm only if it is only looked at.
        let was_calm = self.nodes[i].any(CALM);
        self.begin_look(i);
        self.begin_in_group(i);
        self.take_place(i);
        self.clock_in(i);
        self.arm_timeout(i);
        if self.mutant(Mutant::CauseForgotten) {
            causes = causes.iter().filter(|cause| *cause != Cause::Parent).collect();
        }
        if self.mutant(Mutant::CauseInvented) {
            causes = causes | Cause::Watch.into();
        }
        let go_on = self.permit(i);
        self.commands.push_back(Command::Check { op: Op { node: i, number }, causes, go_on });
        if was_calm {
            self.settle(i);
        }
    }

    /// Starts the timer of the node's timeout for an operation.
    pub(super) fn arm_timeout(&mut self, i: Node) {
        if let Some(timeout) = self.settings(i).timeout {
            self.arm(i, Timer::Timeout, self.now.after(timeout));
        }
    }
}
