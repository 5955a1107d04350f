//! The answers to operations: what follows a check, an apply, a refresh.

use super::mutants::Mutant;
use super::node::*;
use super::scheduler::Scheduler;
use super::timers::Timer;
use super::wait::NO_JOURNAL;
use super::{ApplyOutcome, Cause, Causes, CheckOutcome, Command, Event, Lack, Op, PortSet};
use crate::id::{Node, Ticket};

impl Scheduler {
    pub(super) fn is_under_way(&self, op: Op, phase: fn(Phase) -> bool) -> bool {
        self.nodes.get(op.node).is_some_and(|n| n.op == op.number && phase(n.phase()))
    }

    pub(super) fn checked(&mut self, op: Op, outcome: CheckOutcome, sent: PortSet, again: PortSet) {
        if !self.is_under_way(op, |phase| phase == Phase::Checking) {
            return;
        }
        let i = op.node;
        if outcome == CheckOutcome::GoesOn && self.nodes[i].any(STAYS) {
            let (causes, is_present) = (self.nodes[i].causes(), self.nodes[i].any(PRESENT));
            self.goes_on(i);
            return if is_present {
                self.tell(Event::Drifted { node: i, causes, noop: false })
            };
        }
        self.disarm(i, Timer::Timeout);
        self.clock_out(i);
        self.sent(i, sent);
        self.sent_again(i, again);
        self.nodes[i].clear(STAYS | WITHDRAWN | CANCELLED_WHOLE);
        let node = &self.nodes[i];
        if !node.any(PRESENT) {
            return self.end_run(i);
        }
        if node.any(STALE) && !self.mutant(Mutant::ApplyOldDrift) {
            // The drift was found by an older config: it has no meaning for the new one.
            return self.run_again(i);
        }
        let (causes, cancelled) = (node.causes(), node.any(CANCELLED) && !node.any(TIMED_OUT));
        match outcome {
            CheckOutcome::Cancelled if node.any(TIMED_OUT) => self.fail_run(i),
            CheckOutcome::Cancelled if self.mutant(Mutant::CancelledIsTry) => self.fail_run(i),
            CheckOutcome::Cancelled => self.run_again(i),
            CheckOutcome::Failed if cancelled => self.run_again(i),
            CheckOutcome::Waits(_) if cancelled => self.run_again(i),
            CheckOutcome::Failed => self.fail_run(i),
            CheckOutcome::Waits(_) if node.any(TIMED_OUT) => self.fail_run(i),
            CheckOutcome::Waits(lack) => self.wait_run(i, lack),
            CheckOutcome::Missing(senders) => self.ask(i, senders),
            CheckOutcome::Occupied(owners) => self.wait_for_owners(i, &owners),
            CheckOutcome::InSync => {
                let owed = self.nodes[i].all(NOOP | OWED);
                self.tell(Event::InSync { node: op.node, causes, owed });
                self.in_sync(i);
            }
            CheckOutcome::Drifted | CheckOutcome::GoesOn => {
                let noop = self.nodes[i].any(NOOP);
                self.tell(Event::Drifted { node: op.node, causes, noop });
                if noop {
                    self.nodes[i].set(DRIFTED);
                    self.charge(i, false);
                    self.end_look(i);
                    self.succeed(i);
                    self.end_run(i);
                } else if cancelled {
                    // The watch of the node had failed by then: what the check saw may be out of date.
                    self.run_again(i);
                } else {
                    // The node had all the values that it needed.
                    if let Some(rare) = self.rare_if_any(i) {
                        rare.answered.clear();
                    }
                    self.begin_repair(i, false);
                }
            }
        }
    }

    fn in_sync(&mut self, i: Node) {
        let node = &self.nodes[i];
        let remake = node.any(REMAKE) && !self.mutant(Mutant::ForgetRemake);
        let refresh = node.any(OWED) || remake;
        if refresh && (!node.any(NOOP) || self.mutant(Mutant::RefreshNoop)) {
            return self.begin_repair(i, true);
        }
        self.nodes[i].clear(REMAKE);
        if self.mutant(Mutant::CheckedParentDirties) {
            self.dirty_children(i);
        }
        self.charge(i, false);
        self.end_look(i);
        self.succeed(i);
        self.end_run(i);
    }

    /// The drift that was found may be repaired: nothing that the check rests on has changed meanwhile.
    pub(super) fn may_go_on(&self, i: Node) -> bool {
        let node = &self.nodes[i];
        let held = self.paused && !self.mutant(Mutant::IgnorePause);
        // The repairs of a parent that flaps are no news.
        let mut differs = STALE | PARENT_NEWS | DIRTY_INPUT.without(DIRTY_PARENT);
        if !self.mutant(Mutant::RepairUnheard) {
            // The check began before the watch listened, and will be repeated: what it found would be repaired twice.
            differs = differs | DIRTY_LISTENING;
        }
        self.is_open(i) && !held && self.stop.is_none() && !node.any(differs)
    }

    /// After the check: an apply, or a refresh. With notify edges, the intents are written to the journal first.
    pub(super) fn begin_repair(&mut self, i: Node, refresh: bool) {
        if !self.mutant(Mutant::RepairUnwatched) {
            self.end_late();
        }
        let old = self.mutant(Mutant::ApplyOldDrift) && self.nodes[i].any(STALE);
        if !self.may_go_on(i) && !old {
            return self.run_again(i);
        }
        if refresh {
            self.arrive(i);
        }
        if !self.nodes[i].any(NOTIFIES) {
            return self.gather(i, refresh);
        }
        let ticket = self.write_intents(i);
        let node = &mut self.nodes[i];
        node.op = ticket.0;
        node.go(if refresh { Phase::CommitRefresh } else { Phase::CommitApply });
        self.commits.push_back((ticket, i));
        self.settle(i);
        if self.mutant(Mutant::ApplyBeforeCommit) {
            self.start_repair(i, refresh);
        }
    }

    /// A repair must not begin on top of an earlier drift of a parent: what the kernel has queued by now is read first,
    /// once for all repairs that begin together.
    pub(super) fn look_first(&mut self, i: Node, refresh: bool) {
        if self.edges.positions_in(i).is_empty() || self.mutant(Mutant::RepairBlindly) {
            return self.start_repair(i, refresh);
        }
        self.look(i, refresh);
    }

    pub(super) fn look(&mut self, i: Node, refresh: bool) {
        let look = self.open_look.unwrap_or_else(|| {
            self.last_look += 1;
            self.commands.push_back(Command::Look(self.last_look));
            self.last_look
        });
        self.open_look = Some(look);
        let node = &mut self.nodes[i];
        node.op = look;
        node.go(if refresh { Phase::LookRefresh } else { Phase::LookApply });
        self.looks.push_back((look, i));
        self.settle(i);
    }

    /// All that the kernel had queued when this look began has been handed over.
    pub(super) fn looked(&mut self, look: u64) {
        let mut due = Vec::new();
        while let Some((number, i)) = self.looks.front().copied()
            && number <= look
        {
            self.looks.pop_front();
            if self.nodes[i].phase().looks() && self.nodes[i].op == number {
                due.push(i);
            }
        }
        let again = self.calls_to_repeat(&due);
        for i in due {
            if self.is_in_call(i, &again) && self.nodes[i].phase() == Phase::LookApply {
                self.drop_repair(i);
            } else if self.nodes[i].phase().looks() {
                self.repair_or_drop(i, self.nodes[i].phase() == Phase::LookRefresh, Scheduler::start_repair);
            }
        }
    }

    /// Acts upon what the check found, if it still counts.
    pub(super) fn repair_or_drop(&mut self, i: Node, refresh: bool, next: fn(&mut Scheduler, Node, bool)) {
        let pointless = refresh && !self.nodes[i].any(OWED | REMAKE);
        if pointless || !self.may_go_on(i) {
            self.drop_repair(i);
        } else {
            next(self, i, refresh);
        }
    }

    /// What the check found does not count any more.
    pub(super) fn drop_repair(&mut self, i: Node) {
        self.drop_intents(i);
        self.run_again(i);
    }

    pub(super) fn start_repair(&mut self, i: Node, refresh: bool) {
        self.last_op += 1;
        let op = Op { node: i, number: self.last_op };
        let absorbed = self.take_refreshes(i);
        let node = &mut self.nodes[i];
        let remake = node.any(REMAKE);
        // The operation also does what has come to be owed or asked for since the check.
        let more = [(absorbed, Cause::Refresh), (remake, Cause::Remake)];
        let more = more.into_iter().filter(|(taken, _)| *taken).map(|(_, cause)| cause);
        let causes = node.causes() | more.collect();
        node.set_causes(causes);
        node.put(REMAKE_TAKEN, remake);
        node.clear(REMAKE | CANCELLED | TIMED_OUT);
        node.op = op.number;
        node.go(if refresh { Phase::Refreshing } else { Phase::Applying });
        let announced = self.nodes[i].any(NOTIFIES);
        self.clock_in(i);
        self.arm_timeout(i);
        self.settle(i);
        // A sender that has drifted and was asked for its values gets `refresh` too: otherwise it may keep the old
        // values.
        self.commands.push_back(match refresh {
            true => Command::Refresh { op, causes },
            false => Command::Apply { op, causes, refresh: absorbed || remake, announced },
        });
    }

    /// The journal has written everything up to this ticket.
    pub(super) fn committed(&mut self, ticket: Ticket) {
        while let Some((number, i)) = self.commits.front().copied()
            && number <= ticket
        {
            self.commits.pop_front();
            let node = &self.nodes[i];
            if !node.phase().commits() || node.op != number.0 {
                continue;
            }
            self.repair_or_drop(i, node.phase() == Phase::CommitRefresh, Scheduler::gather);
        }
    }

    /// The journal could not be written: nothing was begun.
    pub(super) fn commit_failed(&mut self, ticket: Ticket) {
        let Ok(at) = self.commits.binary_search_by_key(&ticket, |(number, _)| *number) else { return };
        let Some((_, i)) = self.commits.remove(at) else { return };
        let node = &self.nodes[i];
        if node.phase().commits() && node.op == ticket.0 {
            // A write that failed may still be on disk.
            self.drop_intents(i);
            self.wait_run(i, NO_JOURNAL);
        }
    }

    pub(super) fn applied(&mut self, op: Op, outcome: ApplyOutcome, sent: PortSet, again: PortSet) {
        if !self.is_under_way(op, Phase::writes) {
            return;
        }
        let i = op.node;
        self.disarm(i, Timer::Timeout);
        self.clock_out(i);
        self.sent(i, sent);
        self.sent_again(i, again);
        let node = &self.nodes[i];
        if !node.any(PRESENT) {
            return self.end_run(i);
        }
        let (refresh, causes) = (node.phase() == Phase::Refreshing, node.causes());
        let absorbed = node.any(TAKEN);
        let (stale, timed_out, cancelled) = (node.any(STALE), node.any(TIMED_OUT), node.any(CANCELLED));
        let changed = matches!(outcome, ApplyOutcome::Changed | ApplyOutcome::ChangedByEvent);
        let done = changed || outcome == ApplyOutcome::Unchanged;
        match outcome {
            ApplyOutcome::Changed | ApplyOutcome::ChangedByEvent => self.owe(i),
            ApplyOutcome::Unchanged => self.drop_intents(i),
            ApplyOutcome::Failed | ApplyOutcome::Waits(_) | ApplyOutcome::Cancelled => self.keep_intents(i),
        }
        // What an older config did with a refresh does not count: the new config gets the refresh again.
        self.end_refreshes(i, done && !stale);
        if !done {
            let as_try = timed_out || outcome == ApplyOutcome::Failed && !cancelled;
            let as_try = as_try || outcome == ApplyOutcome::Cancelled && self.mutant(Mutant::CancelledIsTry);
            return match outcome {
                _ if stale => self.run_again(i),
                _ if as_try => self.fail_run(i),
                ApplyOutcome::Waits(lack) if !cancelled => self.wait_run(i, lack),
                _ => self.run_again(i),
            };
        }
        self.tell(match refresh {
            true => Event::Refreshed { node: op.node, causes, changed },
            false => Event::Applied { node: op.node, causes, changed, refreshed: absorbed },
        });
        // Repairs that an event asked for do not mean that something else undoes them, however often they come.
        if outcome != ApplyOutcome::ChangedByEvent {
            self.charge(i, outcome == ApplyOutcome::Changed);
        }
        if stale {
            return self.run_again(i);
        }
        self.end_look(i);
        self.succeed(i);
        self.end_run(i);
    }

    /// The run ended well.
    fn succeed(&mut self, i: Node) {
        if !self.mutant(Mutant::NoRefill)
            && let Some(rare) = self.rare_if_any(i)
        {
            rare.failures = 0;
            rare.answered.clear();
        }
        self.resolve_maybe(i);
        self.wait_no_longer(i, OP_FAILING);
        self.clear_failing(i, OP_FAILING);
        if self.nodes[i].any(REMAKE_TAKEN) {
            self.nodes[i].clear(REMAKE_TAKEN);
            self.fail_askers(i);
        }
    }

    /// The run failed: a try is used up.
    fn fail_run(&mut self, i: Node) {
        self.give_remake_back(i);
        self.fail(i, OP_FAILING);
        self.end_run(i);
    }

    /// The run failed for a cause that the node waits for.
    fn wait_run(&mut self, i: Node, lack: Lack) {
        self.give_remake_back(i);
        self.wait(i, OP_FAILING, lack);
        self.end_run(i);
    }

    /// The run gave no result, through no fault of the node: it starts again.
    pub(super) fn run_again(&mut self, i: Node) {
        self.give_remake_back(i);
        self.note_repeat(i);
        self.nodes[i].set(DIRTY_AGAIN);
        self.end_run(i);
    }

    fn give_remake_back(&mut self, i: Node) {
        let node = &mut self.nodes[i];
        if node.any(REMAKE_TAKEN) {
            node.clear(REMAKE_TAKEN);
            node.set(REMAKE);
        }
    }

    /// Ends the run, whatever its result; a node that has left the graph departs.
    pub(super) fn end_run(&mut self, i: Node) {
        self.close_run(i);
        if !self.nodes[i].any(PRESENT) {
            return self.depart(i);
        }
        // A run from before the swap, if any, has ended: this node is no longer in the way of its successors.
        self.hand_over(i);
        self.update(i);
        self.wake_mates(i);
    }

    /// The part of `end_run` that affects no other node.
    pub(super) fn close_run(&mut self, i: Node) {
        let node = &mut self.nodes[i];
        debug_assert!(node.phase().holds_slot(), "no run to end");
        node.go(Phase::Idle);
        node.op = 0;
        node.clear(RUN | TAKEN);
        node.set_causes(Causes::NONE);
        self.end_in_group(i);
        self.give_place_back(i);
        self.disarm(i, Timer::Timeout);
        self.close_account(i);
        self.release(i);
        self.arm_poll(i);
        self.tidy_rare(i);
    }

    /// Restarts the interval of the poll, at the end of each run.
    pub(super) fn arm_poll(&mut self, i: Node) {
        if !self.nodes[i].any(PRESENT) || self.nodes[i].any(FAILED) {
            return;
        }
        if let Some(every) = self.settings(i).poll {
            self.arm(i, Timer::Poll, self.now.after(every));
        }
    }
}
