//! Operations that are cancelled, and those whose work does not end: after the grace time the engine continues without
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::id::{Node, Time};
use crate::resource::{AnyResource, Error, Known};
use crate::runtime::core::Core;
use crate::runtime::errand::run_hooks;
use crate::runtime::operate::{Answer, Done, Ended, Outcome};
use crate::runtime::slot::{Action, Activity, Held, Stuck};
use crate::runtime::values::SentPorts;
use crate::scheduler::{ApplyOutcome, Causes, CheckOutcome, GoOn, Input, Op};

/// The time after which a check is refused while an earlier operation of its resource has not ended. Keeps endless
/// tries from becoming a busy loop.
const REFUSED_AFTER: Duration = Duration::from_millis(100);

/// How long a check whose timeout is over may take to end before that is reported: most end at once, with all work that
/// they have begun.
const LATE_AFTER: Duration = Duration::from_millis(10);

impl Core {
    pub(crate) fn cancel(&mut self, op: Op) {
        if !self.is_current(op) {
            return;
        }
        if let Some(waiting) = self.take_waiting(op.node) {
            self.note_timeout(op.node, waiting.began);
            return self.checked(op, CheckOutcome::Cancelled, SentPorts::default());
        }
        let Some(slot) = self.slots.get_mut(op.node) else { return };
        if let Activity::Parked(held) = &slot.activity {
            let began = held.began;
            // The check has not begun. Its timeout does not end it: the work that it waits for may end in a moment.
            if !self.is_timed_out(op.node, began) {
                self.slots.take_activity(op.node);
                self.checked(op, CheckOutcome::Cancelled, SentPorts::default());
            }
            return;
        }
        if let Activity::Running(running) = &mut slot.activity
            && let Some(cancel) = running.cancel.take()
        {
            // Here, since the task may not get to it: its own code may block, or its future has returned and only its
            // work is under way.
            run_hooks(&running.operation);
            // Before the token stops, so that a result caused by that does not count as an answer. If the task has
            // ended, so has the operation, and its answer is on the way.
            let _ = cancel.send(());
            running.operation.stop();
            let (is_check, began) = (running.action == Action::Check, running.began);
            self.answer_later(self.grace, Answer::Overdue(op));
            if is_check && self.grace > LATE_AFTER && self.is_timed_out(op.node, began) {
                self.answer_later(LATE_AFTER, Answer::Late(op));
            }
        }
    }

    pub(super) fn answer_later(&self, delay: Duration, answer: Answer) {
        let answers = self.answers.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // The loop ends only with the whole engine.
            let _ = answers.send(answer);
        });
    }

    /// Handles the report of an operation's task.
    pub(crate) fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Ended(mut done) if self.is_current(done.op) => {
                let activity = self.slots.take_activity(done.op.node);
                if let Activity::Running(running) = activity {
                    if running.cancel.is_none() {
                        done.outcome = done.outcome.of_cancelled();
                    }
                    if let Some(kept) = done.kept {
                        self.slowness.note(done.operation.spec().kind, kept);
                    }
                }
                self.end(*done);
            }
            Answer::Ended(done) => self.free(done.op),
            Answer::TimeIsUp(op) => self.cancel(op),
            Answer::Late(op) => self.go_on_without(op, false),
            Answer::Overdue(op) => self.overdue(op),
            Answer::Yielded(op) => self.handle(Input::Yielded(op)),
            Answer::Watch { node, number, resource, watch } => self.watch_answered(node, number, &resource, watch),
        }
    }

    /// The grace time of an operation is over.
    fn overdue(&mut self, op: Op) {
        let stuck = self.slots.get_mut(op.node).and_then(|slot| slot.stuck.as_deref_mut());
        let Some(stuck) = stuck.filter(|stuck| stuck.op == op && !stuck.is_told) else {
            return self.go_on_without(op, true);
        };
        // The end of the timeout has been reported before.
        stuck.is_told = true;
        let whose = format!("it owns what {} did, whose", self.running.id(op.node));
        let (own, of_others) = (stuck.reason("its"), stuck.reason(&whose));
        let (action, doing) = (stuck.action, stuck.doing.clone());
        let refused: Vec<Op> = stuck.refused.values().copied().collect();
        self.warn_of_work(op.node, action, "was cancelled", &doing);
        for refused in refused {
            if !self.is_parked(refused) {
                continue;
            }
            self.slots.take_activity(refused.node);
            let reason = if refused.node == op.node { &own } else { &of_others };
            self.slots.set_error(refused.node, reason.clone());
            self.checked(refused, CheckOutcome::Failed, SentPorts::default());
        }
    }

    fn is_parked(&self, op: Op) -> bool {
        let parked = |activity: &Activity| matches!(activity, Activity::Parked(held) if held.op == op);
        self.slots.get(op.node).is_some_and(|slot| parked(&slot.activity))
    }

    /// The work that keeps the check from beginning is still within its grace time.
    fn waits_in_grace(&self, op: Op) -> bool {
        let stuck = self.slots.stuck.iter().filter_map(|node| self.slots.get(*node)?.stuck.as_deref());
        stuck.into_iter().any(|stuck| !stuck.is_told && stuck.refused.get(&op.node) == Some(&op))
    }

    fn warn_of_work(&self, node: Node, action: Action, ended: &str, doing: &str) {
        let (id, grace) = (self.running.id(node), self.grace);
        self.warn(format!(
            "{id}: its {} {ended}, but {grace:?} later it is still {doing}: the engine continues without it, and does not touch the resource \
             before that has ended",
            action.word()
        ));
    }

    /// The work that an operation has begun does not end. Unless its grace time is over (`tell`), checks of the
    /// resource wait meanwhile.
    fn go_on_without(&mut self, op: Op, tell: bool) {
        let runs = |activity: &Activity| matches!(activity, Activity::Running(running) if running.op == op);
        // The operation may have ended meanwhile; an answer that is held back comes by itself.
        if !self.slots.get(op.node).is_some_and(|slot| runs(&slot.activity)) {
            return;
        }
        let Activity::Running(running) = self.slots.take_activity(op.node) else { return };
        let action = running.doing();
        let mut doing = running.operation.doing().join(" and ");
        if doing.is_empty() {
            doing = "blocking the thread that it runs on".to_owned();
        }
        if tell {
            let ended = if running.cancel.is_none() { "was cancelled" } else { "has returned" };
            self.warn_of_work(op.node, action, ended, &doing);
        }
        let owns = running.operation.resource().uids(&Known::all(running.operation.spec()));
        let stuck = Stuck { op, action, doing, owns, refused: BTreeMap::new(), left: false, is_told: tell };
        self.slots.make(op.node).stuck = Some(Box::new(stuck));
        self.slots.stuck.push(op.node);
        self.note_timeout(op.node, running.began);
        self.report_stay(op, &running.operation, running.began);
        match action {
            Action::Check => self.checked(op, CheckOutcome::Cancelled, SentPorts::default()),
            Action::Apply | Action::Refresh => self.applied(op, ApplyOutcome::Cancelled, SentPorts::default()),
            Action::Leave => self.handle(Input::Left { op, well: false }),
        }
    }

    /// Why a node must not be checked, whatever its fields hold: an operation of its own was given up and has not
    /// ended.
    pub(super) fn refusal_by_itself(&mut self, op: Op) -> Option<String> {
        let stuck = self.slots.get_mut(op.node)?.stuck.as_deref_mut()?;
        stuck.refused.insert(op.node, op);
        Some(stuck.reason("its"))
    }

    /// Why a node must not be checked: an operation of its own, or of another resource that owns the same, was given up
    /// and has not ended. `resource` has what it receives.
    pub(super) fn refusal(&mut self, op: Op, resource: &Arc<dyn AnyResource>) -> Option<String> {
        if self.slots.stuck.is_empty() {
            return None;
        }
        if let Some(reason) = self.refusal_by_itself(op) {
            return Some(reason);
        }
        let owns = resource.uids(&Known::all(resource.spec()));
        for other in self.slots.stuck.clone() {
            let Some(stuck) = self.slots.get_mut(other).and_then(|slot| slot.stuck.as_deref_mut()) else { continue };
            if stuck.owns.iter().any(|uid| owns.contains(uid)) {
                stuck.refused.insert(op.node, op);
                return Some(stuck.reason(&format!("it owns what {} did, whose", self.running.id(other))));
            }
        }
        None
    }

    /// The check waits for the grace time of the work that keeps it from beginning, and then fails with this reason.
    pub(super) fn refuse(&mut self, op: Op, causes: Causes, resource: Arc<dyn AnyResource>, reason: String) {
        let began = self.clock.now();
        if self.waits_in_grace(op) {
            return self.slots.set_activity(op.node, Activity::Parked(Box::new(Held { op, began, causes })));
        }
        let operation = self.operation(op.node, resource, |_| ());
        self.slots.set_activity(op.node, Activity::Pausing(Box::new(Held { op, began, causes })));
        let outcome = Outcome::Check(Ended::Returned(Err(Error::new(reason))));
        let done = Done { op, causes, operation, began, outcome, kept: None };
        self.answer_later(REFUSED_AFTER, Answer::Ended(Box::new(done)));
    }

    /// The work that was given up has ended after all.
    fn free(&mut self, op: Op) {
        let node = op.node;
        let Some(slot) = self.slots.get_mut(node) else { return };
        let Some(stuck) = slot.stuck.take_if(|stuck| stuck.op == op) else { return };
        self.slots.stuck.retain(|other| *other != node);
        self.slots.tidy(node);
        let id = self.running.id(node);
        let mut again: BTreeSet<Node> = stuck.refused.keys().copied().collect();
        if !stuck.is_told {
            // Within its grace time: it was an ordinary try. Only nodes that could not leave are asked again.
            again.retain(|node| self.running.is_ghost(*node));
            // The resource may be back.
            if stuck.left && self.running.place(node).is_none() {
                self.removed(node);
            }
        } else if self.running.is_ghost(node) {
            self.warn(format!("{id}: its {}, which was given up, has ended", stuck.action.word()));
            if stuck.left {
                self.removed(node);
            }
        } else {
            self.warn(format!("{id}: its {}, which was given up, has ended: it is checked again", stuck.action.word()));
            again.insert(node);
        }
        for refused in stuck.refused.into_values().filter(|refused| self.is_current(*refused)).collect::<Vec<_>>() {
            match self.slots.take_activity(refused.node) {
                Activity::Parked(held) => self.begin_parked(refused, held.causes, held.began),
                // The failure is on the way, with a reason that is not true any more.
                _ => self.checked(refused, CheckOutcome::Cancelled, SentPorts::default()),
            }
        }
        for node in again {
            self.handle(Input::Recovered(node));
        }
    }

    /// The check waits no longer. If its timeout was over meanwhile, the scheduler has cancelled it and will not do so
    /// again: it gets another timeout here.
    fn begin_parked(&mut self, op: Op, causes: Causes, began: Time) {
        if self.running.is_ghost(op.node) || self.scheduler.is_stopping() {
            return self.checked(op, CheckOutcome::Cancelled, SentPorts::default());
        }
        let meta = self.running.vertex(op.node).and_then(|vertex| vertex.meta.as_ref());
        if let Some(timeout) = meta.and_then(|meta| meta.timeout)
            && self.is_timed_out(op.node, began)
        {
            self.answer_later(timeout, Answer::TimeIsUp(op));
        }
        self.check(op, causes, GoOn::No);
    }

    /// A node has left the graph, and nothing of it is under way for the scheduler.
    pub(super) fn removed(&mut self, node: Node) {
        if let Some(stuck) = self.slots.get_mut(node).and_then(|slot| slot.stuck.as_mut()) {
            // Its number is kept: if the resource comes back, it gets the same number, and waits.
            stuck.left = true;
            return;
        }
        self.settle_record(node);
        self.services.local.clear(node.0);
        self.slots.clear(node);
        self.running.release(node);
        self.forget_former_owners();
    }
}
