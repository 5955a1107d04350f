//! Settled and converged: derived, never reported.
//!
//! *Settled* is what the order asks of a parent: nothing to do and nothing under way, or in the pause that its share
//! imposes (`share.rs`). *Calm* is what convergence asks of a node: it is settled, or it is only looked at (`look.rs`),
//! or it waits for what cannot come because the sender is noop (*excused*; then its descendants are excused too). A
//! node may have a timeout of its own, which begins when it becomes calm; the graph converges no earlier than the last
//! of these timeouts ends.
//!
//! *Hopeless* is the other end that a graph can come to: no node that is not calm does anything or will by itself
//! (*moving*), so that only the outside or a swap can change that. At the root are nodes that have failed for good,
//! wait for a cause (`wait.rs`), or lack a value which their settled sender did not send.

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::{Command, Event};
use crate::id::{Node, Time};

/// How far the graph is from converged.
#[derive(Debug, Default)]
pub(super) struct Convergence {
    /// Nodes in the graph.
    pub(super) present: usize,
    /// …that are not settled.
    pub(super) unsettled: usize,
    /// …that are not calm.
    pub(super) restless: usize,
    /// …that are excused.
    pub(super) excused: usize,
    /// …that have failed for good.
    pub(super) failed: usize,
    /// …that are below one that fails.
    pub(super) blocked: usize,
    /// …that are not calm and move, and nodes that have left but not ended.
    pub(super) moving: usize,
    /// Edges whose values were not sent, and nodes that have asked for values: without any, no node is excused.
    pub(super) missing: usize,
    /// Since when all have been calm, outside of pauses.
    since: Option<Time>,
    /// A node has a timeout of its own.
    is_patient: bool,
    /// When the last of these timeouts ends, as far as their nodes are calm.
    calm_until: Time,
    /// `Event::Converged` was emitted, and `Event::Unconverged` not yet.
    pub(super) converged: bool,
    /// Since when not all are calm and none moves, outside of pauses.
    stuck_since: Option<Time>,
    /// `Event::Hopeless` was emitted, and `Event::Hopeful` not yet.
    pub(super) hopeless: bool,
    /// The timeout since then is over: the number of the last operation by then. Looks asked for by then are let end.
    over: Option<u64>,
}

impl Scheduler {
    /// What `SETTLED` means, from scratch.
    pub(super) fn is_settled(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        node.phase() == Phase::Idle
            && node.all(PRESENT | WATCH_READY)
            && !node.any(FAILING | ASKING)
            && node.unsent == 0
            && (!node.wants_run() || self.is_in_pause(i) && !self.mutant(Mutant::SpacedUnsettled))
    }

    /// What `EXCUSED` means, from scratch (except for the flags of the parents): the node waits for a value that cannot
    /// come, or for excused parents.
    pub(super) fn is_excused(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        if node.phase() != Phase::Idle
            || !node.all(PRESENT | WATCH_READY)
            || node.any(FAILING | LIMITED | SPACED)
            || node.bad_parents > 0
        {
            return false;
        }
        let asked = self.rare(i).map_or(&[][..], |rare| &rare.asked[..]);
        let mut in_vain = node.unsent > 0 || node.any(ASKING);
        for e in self.edges.parents(i) {
            let from = self.edges.from(e);
            let parent = &self.nodes[from];
            let lacking = self.edges.sends(e).0 & !parent.sent.0 != 0 || asked.contains(&from);
            if !parent.any(CALM) || lacking && !parent.any(NOOP | EXCUSED) {
                return false;
            }
            in_vain |= parent.any(EXCUSED);
        }
        in_vain
    }

    /// What `MOVING` means, from scratch, but for `CALM`. A node that waits for others does not move by itself: what
    /// it waits for does, or has failed.
    pub(super) fn is_moving(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        match node.phase() {
            Phase::Absent => false,
            // The node waits for work that may never end, or for others to leave.
            Phase::ToLeave => !self.leaving_held.contains(&i) && self.leave_order.is_free(i),
            _ if node.all(PRESENT | CALM) => false,
            _ if node.any(PRESENT) && self.is_held_up(i) => false,
            Phase::Idle => {
                let waits_for_time = node.any(DELAYED | LIMITED | SPACED | WAITS) || !node.any(WATCH_READY);
                // A group always starts, if need be without what holds it up.
                let waits_for_group = || self.group_of(i).is_some() && self.may_start_alone(i);
                (waits_for_time || waits_for_group()) && !node.any(FAILED) && node.bad_parents == 0
            }
            // The node has been blocked since it was queued.
            Phase::Queued | Phase::Parked if node.bad_parents > 0 => false,
            _ => true,
        }
    }

    /// Updates `MOVING`.
    pub(super) fn count_moving(&mut self, i: Node) {
        let moving = self.is_moving(i);
        let node = &mut self.nodes[i];
        match (node.any(MOVING), moving) {
            (false, true) => self.convergence.moving += 1,
            (true, false) => self.convergence.moving -= 1,
            _ => return,
        }
        node.put(MOVING, moving);
    }

    /// Updates `SETTLED`, `CALM`, `EXCUSED` and `MOVING`, and all counts that depend on them.
    pub(super) fn settle(&mut self, i: Node) {
        let settled = self.is_settled(i);
        let turned = settled != self.nodes[i].any(SETTLED);
        if turned {
            self.nodes[i].put(SETTLED, settled);
            if settled {
                self.convergence.unsettled -= 1;
                for e in self.edges.out(i) {
                    let to = self.edges.to(e);
                    let child = &mut self.nodes[to];
                    child.unsettled_parents -= 1;
                    if child.unsettled_parents == 0 {
                        self.review_hold(to);
                        self.wake(to);
                    }
                }
            } else {
                self.convergence.unsettled += 1;
                for e in self.edges.out(i) {
                    let to = self.edges.to(e);
                    self.nodes[to].unsettled_parents += 1;
                    self.review_hold(to);
                }
            }
        }
        let differs = self.calm(i) || turned;
        if differs && (self.convergence.missing > 0 || self.convergence.excused > 0) {
            self.calm_below(i);
        }
    }

    /// Updates `CALM`, `EXCUSED` and `MOVING` of one node. Returns whether one of the first two changed.
    fn calm(&mut self, i: Node) -> bool {
        let settled = self.nodes[i].any(SETTLED);
        let excused = !settled && self.convergence.missing > 0 && self.is_excused(i);
        let at_rest = settled && !self.nodes[i].any(SPACED);
        let looked_at = !at_rest && self.is_looked_at(i);
        let calm = at_rest || excused || looked_at;
        let node = &mut self.nodes[i];
        let (was_calm, was_excused) = (node.any(CALM), node.any(EXCUSED));
        node.put(CALM, calm);
        node.put(EXCUSED, excused);
        match (was_calm, calm) {
            (false, true) => {
                self.convergence.restless -= 1;
                if self.convergence.is_patient {
                    self.begin_own_timeout(i, self.now);
                }
            }
            (true, false) => {
                self.convergence.restless += 1;
                if self.convergence.is_patient {
                    self.end_own_timeout(i);
                }
            }
            _ => {}
        }
        match (was_excused, excused) {
            (false, true) => self.convergence.excused += 1,
            (true, false) => self.convergence.excused -= 1,
            _ => {}
        }
        self.count_moving(i);
        self.put_look(i, looked_at || self.is_tried(i));
        self.review_hold(i);
        (was_calm, was_excused) != (calm, excused)
    }

    /// A node has a timeout of its own for convergence.
    pub(super) fn is_patient(&self) -> bool {
        self.convergence.is_patient
    }

    /// The node is calm since then: its own timeout begins, if it has one.
    fn begin_own_timeout(&mut self, i: Node, since: Time) {
        if let Some(timeout) = self.settings(i).converged_timeout {
            self.rare_mut(i).calm_since = Some(since);
            let until = if self.mutant(Mutant::OwnTimeoutsIgnored) { since } else { since.after(timeout) };
            self.convergence.calm_until = self.convergence.calm_until.max(until);
        }
    }

    /// The node is not calm any more. Returns since when it was, if it has a timeout of its own.
    fn end_own_timeout(&mut self, i: Node) -> Option<Time> {
        let since = self.rare_if_any(i)?.calm_since.take()?;
        self.tidy_rare(i);
        Some(since)
    }

    /// A pause is over: the time before does not count.
    pub(super) fn restart_own_timeouts(&mut self) {
        if self.convergence.is_patient && !self.mutant(Mutant::PauseCountsAsQuiet) {
            for i in self.nodes.numbers() {
                if self.nodes[i].all(PRESENT | CALM) {
                    self.begin_own_timeout(i, self.now);
                }
            }
        }
    }

    /// Begins the timeouts of the nodes of a new graph; a node that stays calm keeps the time for which it has been.
    fn recount_own_timeouts(&mut self) {
        let was_patient = std::mem::take(&mut self.convergence.is_patient);
        self.convergence.is_patient = self.configs.iter().any(|config| config.converged_timeout.is_some());
        self.convergence.calm_until = Time(0);
        if !was_patient && !self.convergence.is_patient {
            return;
        }
        // With other timeouts, what was over may not be.
        self.convergence.over = None;
        for i in self.nodes.numbers() {
            let since = self.end_own_timeout(i);
            if self.nodes[i].all(PRESENT | CALM) {
                self.begin_own_timeout(i, since.unwrap_or(self.now));
            }
        }
    }

    /// Whether a node is excused depends on its parents: updates the nodes below, as far down as anything changes.
    fn calm_below(&mut self, i: Node) {
        let mut stack = vec![i];
        while let Some(i) = stack.pop() {
            for e in self.edges.out(i) {
                let to = self.edges.to(e);
                if !self.nodes[to].any(SETTLED) && self.calm(to) {
                    stack.push(to);
                }
            }
        }
    }

    /// Recomputes the counts of nodes from scratch, all flags included. For a swap. Returns whether `reblock` may have
    /// something to do: a node is blocked, or fails.
    pub(super) fn recount(&mut self) -> bool {
        let mut is_blocking = false;
        let kept = std::mem::take(&mut self.convergence);
        let Convergence { since, is_patient, converged, stuck_since, hopeless, over, .. } = kept;
        let mut count =
            Convergence { since, is_patient, converged, stuck_since, hopeless, over, ..Convergence::default() };
        for i in self.nodes.numbers() {
            let settled = self.is_settled(i);
            let ends = !self.nodes[i].any(PRESENT) && self.is_moving(i);
            let node = &mut self.nodes[i];
            node.clear(SETTLED | CALM | EXCUSED | MOVING);
            node.unsettled_parents = 0;
            is_blocking |= node.bad_parents > 0 || node.any(FAILING);
            if !node.any(PRESENT) {
                node.put(MOVING, ends);
                count.moving += usize::from(ends);
                continue;
            }
            count.present += 1;
            count.missing += node.unsent as usize + usize::from(node.any(ASKING));
            count.failed += usize::from(node.any(FAILED));
            count.unsettled += usize::from(!settled);
            let calm = settled && !node.any(SPACED);
            count.restless += usize::from(!calm);
            node.put(SETTLED, settled);
            node.put(CALM, calm);
            if calm {
                self.looks_open.close(i);
            }
        }
        self.convergence = count;
        self.recount_own_timeouts();
        for e in self.edges.all() {
            if !self.nodes[self.edges.from(e)].any(SETTLED) {
                self.nodes[self.edges.to(e)].unsettled_parents += 1;
            }
        }
        is_blocking
    }

    /// Emits an event when the graph converges, and when it ceases to.
    pub(super) fn converge(&mut self) {
        if self.generation.is_none() {
            return;
        }
        let mut restless = self.convergence.restless;
        if self.mutant(Mutant::FailedConverges) {
            restless =
                self.nodes.iter().filter(|n| n.any(PRESENT) && !n.any(CALM | FAILED) && n.bad_parents == 0).count();
        }
        let undoes = self.leave_order.undoes() && !self.mutant(Mutant::UndoIsNoActivity);
        let count = &mut self.convergence;
        if restless > 0 || undoes {
            count.since = None;
            if std::mem::take(&mut count.converged) {
                self.commands.push_back(Command::Event(Event::Unconverged));
            }
            return self.lose_hope();
        }
        self.hope();
        let count = &mut self.convergence;
        if self.paused || self.stop.is_some() {
            // Time in a pause does not count: something outside may still be changing.
            count.since = None;
            return;
        }
        if count.since.is_none() {
            (count.since, count.over) = (Some(self.now), None);
        }
        if !count.converged && self.is_over(self.converged_due()) || self.mutant(Mutant::ConvergeEarly) {
            let count = &mut self.convergence;
            if !std::mem::replace(&mut count.converged, true) {
                self.commands.push_back(Command::Event(Event::Converged));
                self.end_late_soon();
            }
        }
    }

    /// The timeout is over, and so are the looks that something had asked for by its end: what waited to be seen then
    /// has been seen.
    fn is_over(&mut self, due: Option<Time>) -> bool {
        if due.is_some_and(|due| due <= self.now) {
            self.convergence.over = Some(self.last_op);
            // What is asked for from here on has another number.
            self.last_op += 1;
        }
        self.convergence.over.is_some_and(|over| !self.waits_for_look(over))
    }

    /// Not all are calm: reports when none of the others moves any more, and when one does again.
    fn lose_hope(&mut self) {
        let early = self.mutant(Mutant::HopelessEarly);
        let only_failed = self.mutant(Mutant::WaitsForNothing);
        let count = &mut self.convergence;
        if count.failed == 0 && only_failed || count.moving > 0 && !early {
            return self.hope();
        }
        if self.paused || self.stop.is_some() {
            count.stuck_since = None;
            return;
        }
        if count.stuck_since.is_none() {
            (count.stuck_since, count.over) = (Some(self.now), None);
        }
        let is_over = !count.hopeless && self.is_over(self.hopeless_due());
        if is_over && !self.holds_up_others() && !self.mutant(Mutant::NeverHopeless) {
            self.convergence.hopeless = true;
            self.commands.push_back(Command::Event(Event::Hopeless));
            self.end_late_soon();
        }
    }

    /// The graph may converge.
    fn hope(&mut self) {
        self.convergence.stuck_since = None;
        if self.convergence.hopeless && !self.mutant(Mutant::StaysHopeless) {
            self.convergence.hopeless = false;
            self.commands.push_back(Command::Event(Event::Hopeful));
        }
    }

    /// When the graph must be declared hopeless, if nothing happens before: the end of a look is an input.
    pub(super) fn hopeless_due(&self) -> Option<Time> {
        let count = &self.convergence;
        let since = count.stuck_since.filter(|_| !count.hopeless && count.over.is_none())?;
        Some(since.after(self.config.converged_timeout))
    }

    /// When convergence may be declared, if nothing happens before: the end of a look is an input.
    pub(super) fn converged_due(&self) -> Option<Time> {
        let count = &self.convergence;
        let since = count.since.filter(|_| !count.converged && count.over.is_none())?;
        // An empty graph has nothing to wait for.
        Some(if count.present == 0 { since } else { since.after(self.config.converged_timeout).max(count.calm_until) })
    }
}
