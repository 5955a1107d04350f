//! What the end of an operation means: its outcome for the scheduler, changes and errors for users.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::id::{Node, Time};
use crate::resource::{AnyDrift, AnyResource, Change, KindSpec, Operation, Sent};
use crate::runtime::core::Core;
use crate::runtime::event::EventKind;
use crate::runtime::measure::{apply_word, check_word};
use crate::runtime::operate::{Answer, CANCELLED, Done, Ended, Outcome, outdated_pauses};
use crate::runtime::slot::{Activity, Found, Held};
use crate::runtime::values::SentPorts;
use crate::scheduler::{ApplyOutcome, CheckOutcome, Input, Op, StopStage};

/// The drift of a noop resource that cannot be checked, or whose state cannot be judged, without a value that is not
/// known any more.
pub(crate) fn lost_value() -> Change {
    Change::new("received", "not kept", "made again")
}

impl Core {
    /// Holds back an answer that is outdated, longer each time. After too many in a row the answer counts, and the
    /// resource waits.
    fn hold(&mut self, done: Done) -> Option<Done> {
        let node = done.op.node;
        if !done.outcome.is_outdated() {
            // A check in sync or a repair: the system no longer changes under the resource.
            if !matches!(done.outcome, Outcome::Check(Ended::Returned(Ok(Some(_)))))
                && let Some(slot) = self.slots.get_mut(node)
            {
                slot.ease(|trouble| trouble.outdated = 0);
                self.slots.tidy(node);
            }
            return Some(done);
        }
        let trouble = self.slots.make(node).trouble_mut();
        let Some(delay) = outdated_pauses().nth(trouble.outdated as usize) else {
            trouble.outdated = 0;
            return Some(done);
        };
        trouble.outdated += 1;
        let Done { op, causes, operation, began, outcome, .. } = done;
        let outcome = outcome.cancelled();
        // Events that arrive meanwhile are merged into the check that follows.
        self.slots.set_activity(node, Activity::Pausing(Box::new(Held { op, began, causes })));
        let done = Done { op, causes, operation, began, outcome, kept: None };
        self.answer_later(delay, Answer::Ended(Box::new(done)));
        None
    }

    pub(super) fn end(&mut self, done: Done) {
        let cancelled = matches!(
            done.outcome,
            Outcome::Check(Ended::Cancelled)
                | Outcome::Apply(Ended::Cancelled)
                | Outcome::Refresh(Ended::Cancelled)
                | Outcome::Leave(_)
        );
        let Some(done) = (if cancelled { Some(done) } else { self.hold(done) }) else { return };
        let Done { op, operation, began, outcome, .. } = done;
        let (node, resource) = (op.node, operation.resource());
        match outcome {
            Outcome::Check(ended) if self.report_stay(op, &operation, began) => {
                self.measure(&**resource, "check", check_word(&CheckOutcome::GoesOn), began);
                self.end_repair(op, &operation, began, ended);
            }
            Outcome::Check(ended) => {
                let outcome = self.end_check(op, resource, began, ended);
                self.measure(&**resource, "check", check_word(&outcome), began);
                let sent = self.sent(node, resource.spec(), operation.take_sent());
                self.give_back(operation);
                self.checked(op, outcome, sent);
            }
            Outcome::Apply(ended) => self.end_repair(op, &operation, began, ended),
            Outcome::Refresh(ended) => {
                let found = || Found { changes: Vec::new(), drift: None, began, resource: Arc::clone(resource) };
                self.slots.make(node).found.get_or_insert_with(|| Box::new(found()));
                let outcome = self.end_apply(node, began, ended, |changed| changed);
                self.measure(&**resource, "refresh", apply_word(outcome), began);
                let sent = self.sent(node, resource.spec(), operation.take_sent());
                self.end_program(node, &operation, outcome);
                self.applied(op, outcome, sent);
            }
            Outcome::Leave(ended) => {
                let mut departed = None;
                let outcome = self.end_apply(node, began, ended, |departure| {
                    departed = Some(departure);
                    true
                });
                self.measure(&**resource, "leave", apply_word(outcome), began);
                if let Some(departure) = departed {
                    self.report_departure(resource.id(), departure);
                }
                self.handle(Input::Left { op, well: outcome == ApplyOutcome::Changed });
            }
        }
    }

    fn end_repair<T>(&mut self, op: Op, operation: &Operation, began: Time, ended: Ended<T>) {
        let unchanged = operation.unchanged.load(Ordering::Relaxed);
        let outcome = match self.end_apply(op.node, began, ended, |_| !unchanged) {
            ApplyOutcome::Changed if operation.by_event.load(Ordering::Relaxed) => ApplyOutcome::ChangedByEvent,
            outcome => outcome,
        };
        let resource = operation.resource();
        self.measure(&**resource, "apply", apply_word(outcome), began);
        let sent = self.sent(op.node, resource.spec(), operation.take_sent());
        self.end_program(op.node, operation, outcome);
        self.applied(op, outcome, sent);
    }

    /// Stops the engine if the operation has succeeded and requests that. To be called before the scheduler gets the
    /// outcome, which would let the resources after this one begin.
    fn end_program(&mut self, node: Node, operation: &Operation, outcome: ApplyOutcome) {
        let is_good = !matches!(outcome, ApplyOutcome::Failed | ApplyOutcome::Waits(_) | ApplyOutcome::Cancelled);
        let Some(code) = operation.exit_code().filter(|_| is_good && self.exit_code.borrow().is_none()) else { return };
        self.exit_code.send_replace(Some(code));
        self.emit(EventKind::Exit { id: self.running.id(node), code });
        self.handle(Input::Stop(StopStage::Drain));
    }

    fn sent(&mut self, node: Node, spec: &KindSpec, sent: Vec<Sent>) -> SentPorts {
        if sent.is_empty() {
            return SentPorts::default();
        }
        let (running, is_received) = (&self.running, self.scheduler.is_sender(node));
        let outputs = spec.outputs;
        self.slots.sent(node, || running.id(node), outputs, sent, (&self.store, is_received))
    }

    /// These outputs are received from now on: remembers what they have sent.
    pub(super) fn remember_sent(&self, outputs: Vec<(Node, u8)>) {
        for (node, port) in outputs {
            let spec = self.running.vertex(node).map(|vertex| vertex.resource.spec());
            let output = spec.and_then(|spec| spec.outputs.get(usize::from(port)));
            if let (Some(output), Some(digest)) = (output, self.slots.sent_digest((node, port))) {
                self.store.set_sent(&self.running.id(node), output.name, digest, true);
            }
        }
    }

    pub(super) fn checked(&mut self, op: Op, outcome: CheckOutcome, sent: SentPorts) {
        if outcome == CheckOutcome::InSync {
            self.slots.use_received(op.node);
        }
        let SentPorts { new: sent, again } = sent;
        self.handle(Input::Checked { op, outcome, sent, again });
        self.look_at_unattended();
    }

    pub(super) fn applied(&mut self, op: Op, outcome: ApplyOutcome, sent: SentPorts) {
        if !matches!(outcome, ApplyOutcome::Failed | ApplyOutcome::Waits(_) | ApplyOutcome::Cancelled) {
            self.slots.use_received(op.node);
        }
        let SentPorts { new: sent, again } = sent;
        self.handle(Input::Applied { op, outcome, sent, again });
        self.look_at_unattended();
    }

    pub(super) fn end_check(
        &mut self,
        op: Op,
        resource: &Arc<dyn AnyResource>,
        began: Time,
        ended: Ended<Option<AnyDrift>>,
    ) -> CheckOutcome {
        let node = op.node;
        match ended {
            Ended::Returned(Ok(None)) => {
                self.slots.end_look(op);
                if let Some(slot) = self.slots.get_mut(node) {
                    slot.found = None;
                    slot.ease(|trouble| trouble.error = None);
                    self.slots.tidy(node);
                }
                self.waits_no_longer(node);
                CheckOutcome::InSync
            }
            Ended::Returned(Ok(Some(_)))
                if !self.running.is_noop(node)
                    && let Some(why) = self.barred(&**resource) =>
            {
                self.slots.end_look(op);
                self.slots.set_error(node, why);
                CheckOutcome::Failed
            }
            Ended::Returned(Ok(Some(drift))) => {
                let resource = Arc::clone(resource);
                let found = Found { changes: drift.changes.clone(), drift: Some(drift), began, resource };
                self.slots.make(node).found = Some(Box::new(found));
                CheckOutcome::Drifted
            }
            Ended::Returned(Err(error)) if error.is_needs_value() => {
                let senders = self.slots.forget(node);
                self.slots.set_error(node, error.to_string());
                if senders.is_empty() {
                    return CheckOutcome::Failed;
                }
                self.missing(node, resource, began, senders)
            }
            Ended::Returned(Err(error)) => {
                self.fails_with(node, &error).map_or(CheckOutcome::Failed, CheckOutcome::Waits)
            }
            Ended::Panicked(text) => {
                self.slots.set_error(node, text);
                CheckOutcome::Failed
            }
            Ended::Cancelled => {
                self.note_timeout(node, began);
                CheckOutcome::Cancelled
            }
        }
    }

    /// The resource needs values that only these senders can make again. A noop resource asks no sender: all other
    /// receivers would get new values, for the sake of a resource that is not repaired.
    pub(super) fn missing(
        &mut self,
        node: Node,
        resource: &Arc<dyn AnyResource>,
        began: Time,
        senders: Vec<Node>,
    ) -> CheckOutcome {
        if !self.running.is_noop(node) {
            self.waits_no_longer(node);
            return CheckOutcome::Missing(senders);
        }
        let resource = Arc::clone(resource);
        let slot = self.slots.make(node);
        slot.ease(|trouble| trouble.error = None);
        slot.found = Some(Box::new(Found { changes: vec![lost_value()], drift: None, began, resource }));
        CheckOutcome::Drifted
    }

    fn end_apply<T>(
        &mut self,
        node: Node,
        began: Time,
        ended: Ended<T>,
        changed: impl FnOnce(T) -> bool,
    ) -> ApplyOutcome {
        let error = match ended {
            Ended::Returned(Ok(value)) => {
                self.slots.clear_error(node);
                self.waits_no_longer(node);
                return if changed(value) { ApplyOutcome::Changed } else { ApplyOutcome::Unchanged };
            }
            Ended::Returned(Err(error)) => {
                return self.fails_with(node, &error).map_or(ApplyOutcome::Failed, ApplyOutcome::Waits);
            }
            Ended::Panicked(text) => text,
            Ended::Cancelled => {
                self.note_timeout(node, began);
                return ApplyOutcome::Cancelled;
            }
        };
        self.slots.set_error(node, error);
        ApplyOutcome::Failed
    }

    /// The operation was cancelled: by its own timeout, or for a reason that is not its fault.
    pub(super) fn note_timeout(&mut self, node: Node, began: Time) {
        if self.is_timed_out(node, began) {
            self.slots.set_error(node, CANCELLED);
        }
    }

    /// The timeout of an operation that began at `began` is over.
    pub(super) fn is_timed_out(&self, node: Node, began: Time) -> bool {
        let meta = self.running.vertex(node).and_then(|vertex| vertex.meta.as_ref());
        let timeout = meta.and_then(|meta| meta.timeout);
        // The scheduler counts from its command, a little before the operation began.
        let early = Duration::from_millis(20);
        timeout.is_some_and(|timeout| self.clock.now() >= began.after(timeout.saturating_sub(early)))
    }
}
