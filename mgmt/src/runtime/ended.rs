//! What the end of an operation means: for the scheduler in a word, for people in changes and errors.

use std::sync::Arc;

use crate::id::{Node, Time};
use crate::resource::{AnyDrift, AnyResource, Change, Operation};
use crate::runtime::core::{Core, Found};
use crate::runtime::operate::{CANCELLED, Ended};
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
                self.found.remove(&node.0);
                self.errors.remove(&node.0);
                CheckOutcome::InSync
            }
            Ended::Returned(Ok(Some(drift))) => {
                let resource = Arc::clone(&operation.resource);
                self.found
                    .insert(node.0, Found { changes: drift.changes.clone(), drift: Some(drift), began, resource });
                CheckOutcome::Drifted
            }
            Ended::Returned(Err(error)) if error.is_needs_value() => {
                let senders = self.values.forget(node);
                self.errors.insert(node.0, error.to_string());
                if senders.is_empty() {
                    return CheckOutcome::Failed;
                }
                self.missing(node, &operation.resource, began, senders)
            }
            Ended::Returned(Err(error)) => {
                self.errors.insert(node.0, error.to_string());
                CheckOutcome::Failed
            }
            Ended::Panicked(text) => {
                self.errors.insert(node.0, text);
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
        if !self.running.vertex(node).is_some_and(|vertex| vertex.meta.as_ref().is_some_and(|meta| meta.noop)) {
            return CheckOutcome::Missing(senders);
        }
        self.errors.remove(&node.0);
        let resource = Arc::clone(resource);
        self.found.insert(node.0, Found { changes: vec![lost_value()], drift: None, began, resource });
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
                self.errors.remove(&node.0);
                return if changed(value) { ApplyOutcome::Changed } else { ApplyOutcome::Unchanged };
            }
            Ended::Returned(Err(error)) => error.to_string(),
            Ended::Panicked(text) => text,
            Ended::Cancelled => {
                self.note_timeout(node, began);
                return ApplyOutcome::Cancelled;
            }
        };
        self.errors.insert(node.0, error);
        ApplyOutcome::Failed
    }

    /// It was cancelled: by its own timeout, or for a reason that is not its fault.
    pub(super) fn note_timeout(&mut self, node: Node, began: Time) {
        let meta = self.running.vertex(node).and_then(|vertex| vertex.meta.as_ref());
        let timeout = meta.and_then(|meta| meta.timeout);
        if timeout.is_some_and(|timeout| self.clock.now() >= began.after(timeout)) {
            self.errors.insert(node.0, CANCELLED.to_owned());
        }
    }
}
