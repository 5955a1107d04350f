//! One stay: a check that repairs what it finds, on the same thread, because the scheduler has permitted that
//! in advance.

use std::future::poll_fn;
use std::sync::Arc;

use crate::id::Time;
use crate::resource::{AnyDrift, ApplyCx, BoxFuture, CheckCx, Operation, Result};
use crate::runtime::core::Core;
use crate::runtime::slot::{Action, Activity, Found, RunningOp};
use crate::runtime::span::{apart, poll_in};
use crate::runtime::staged::{Act, staged};
use crate::runtime::values::SentPorts;
use crate::scheduler::{CheckOutcome, Op};

/// A check that continues with a repair if it may by then; returns what it has found and not repaired.
pub(super) fn stay(
    operation: &Arc<Operation>,
    is_quiet: impl Fn() -> bool + Send + 'static,
) -> BoxFuture<Result<Option<AnyDrift>>> {
    let (resource, operation) = (Arc::clone(operation.resource()), Arc::clone(operation));
    Box::pin(async move {
        let check = Arc::clone(&resource).check(CheckCx::new(Arc::clone(&operation)));
        let checked = staged(Act::Check, &operation, check).await?;
        let Some(drift) = checked else { return Ok(None) };
        if !is_quiet() || !operation.go_on(&drift.changes) {
            return Ok(Some(drift));
        }
        let span = apart("apply", &*resource);
        let apply = resource.apply(ApplyCx::new(Arc::clone(&operation)), drift);
        let mut applied = staged(Act::Apply, &operation, apply);
        poll_fn(|cx| poll_in(&span, applied.as_mut(), cx)).await.map(|()| None)
    })
}

impl RunningOp {
    /// What the operation does now.
    pub(super) fn doing(&self) -> Action {
        if self.operation.gone_on().is_some() { Action::Apply } else { self.action }
    }
}

impl Core {
    /// Withdraws the permission to continue with a repair, unless it has begun; with `cancel`, the check is cancelled
    /// too.
    pub(super) fn withdraw(&mut self, op: Op, cancel: bool) {
        if !self.is_current(op) {
            return;
        }
        let has_begun = match self.slots.get(op.node).map(|slot| &slot.activity) {
            Some(Activity::Running(running)) => !running.operation.withdraw(),
            _ => false,
        };
        if cancel && !has_begun {
            self.cancel(op);
        }
    }

    /// If the operation has continued with a repair: reports what its check found.
    pub(super) fn report_stay(&mut self, op: Op, operation: &Operation, began: Time) -> bool {
        let Some(changes) = operation.gone_on() else { return false };
        let found = Found { changes: changes.to_vec(), drift: None, began, resource: Arc::clone(operation.resource()) };
        let slot = self.slots.make(op.node);
        slot.found = Some(Box::new(found));
        self.checked(op, CheckOutcome::GoesOn, SentPorts::default());
        true
    }
}
