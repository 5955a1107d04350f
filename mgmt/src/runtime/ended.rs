//! What the end of an operation means: for the scheduler in a word, for people in changes and errors.

use std::sync::Arc;

use crate::id::{Node, Time};
use crate::resource::{AnyDrift, AnyResource, Change, Operation};
use crate::runtime::core::Core;
use crate::runtime::operate::{CANCELLED, Ended};
use crate::runtime::slot::Found;
use crate::scheduler::{ApplyOutcome, CheckOutcome};

/// What is wrong with a resource in noop that can't be looked at, or be told to be in sync, without a value that nobody knows any more.
pub(crate) fn lost_value() -> Change {
    Change::new("received", "not known any more", "made anew")
}

impl Core {
    pub(super) fn end_check(
        &mut self,
        node: Node,
        operation: &Operation,
        began: Time,
        ended: Ended<Option<AnyDrift>>,
    ) -> CheckOutcome {
        match ended {
            Ended::Returned(Ok(None)) => {
                if let Some(slot) = self.slots.get_mut(node) {
                    (slot.found, slot.error) = (None, None);
                    self.slots.tidy(node);
                }
                CheckOutcome::InSync
            }
            Ended::Returned(Ok(Some(drift))) => {
                let resource = Arc::clone(&operation.resource);
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
                self.missing(node, &operation.resource, began, senders)
            }
            Ended::Returned(Err(error)) => {
                self.slots.set_error(node, error.to_string());
                CheckOutcome::Failed
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

    /// It needs values that only these senders can make, anew. In noop nobody is asked: all others who receive them would get new ones, for the sake of
    /// one that is not repaired.
    pub(super) fn missing(
        &mut self,
        node: Node,
        resource: &Arc<dyn AnyResource>,
        began: Time,
        senders: Vec<Node>,
    ) -> CheckOutcome {
        if !self.running.is_noop(node) {
            return CheckOutcome::Missing(senders);
        }
        let resource = Arc::clone(resource);
        let slot = self.slots.make(node);
        slot.error = None;
        slot.found = Some(Box::new(Found { changes: vec![lost_value()], drift: None, began, resource }));
        CheckOutcome::Drifted
    }

    pub(super) fn end_apply<T>(
        &mut self,
        node: Node,
        began: Time,
        ended: Ended<T>,
        changed: impl FnOnce(T) -> bool,
    ) -> ApplyOutcome {
        let error = match ended {
            Ended::Returned(Ok(value)) => {
                self.slots.clear_error(node);
                return if changed(value) { ApplyOutcome::Changed } else { ApplyOutcome::Unchanged };
            }
            Ended::Returned(Err(error)) => error.to_string(),
            Ended::Panicked(text) => text,
            Ended::Cancelled => {
                self.note_timeout(node, began);
                return ApplyOutcome::Cancelled;
            }
        };
        self.slots.set_error(node, error);
        ApplyOutcome::Failed
    }

    /// It was cancelled: by its own timeout, or for a reason that is not its fault.
    pub(super) fn note_timeout(&mut self, node: Node, began: Time) {
        let meta = self.running.vertex(node).and_then(|vertex| vertex.meta.as_ref());
        let timeout = meta.and_then(|meta| meta.timeout);
        if timeout.is_some_and(|timeout| self.clock.now() >= began.after(timeout)) {
            self.slots.set_error(node, CANCELLED);
        }
    }
}
