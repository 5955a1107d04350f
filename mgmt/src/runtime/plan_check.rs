//! One check of a plan: real, as it would run before an apply, and what it foresees of that apply.

use std::sync::Arc;
use std::time::Duration;

use crate::resource::{AnyDrift, AnyResource, BoxFuture, Change, CheckCx, Error, Operation, Result};
use crate::runtime::errand::give_up;
use crate::runtime::operate::{CANCELLED, outdated_pauses};
use crate::sys::task::caught_async;

/// What a check found: the changes that a repair would make, and why it can't be made now.
pub(super) type Found = Result<Option<(Vec<Change>, Option<Error>)>>;

/// One check, as it would run before an apply.
pub(super) async fn plan_check(
    resource: &Arc<dyn AnyResource>,
    operation: &Arc<Operation>,
    timeout: Option<Duration>,
    grace: Duration,
) -> Found {
    let mut pauses = outdated_pauses();
    loop {
        let mut under_way = UnderWay::new(resource, operation);
        let ended = match timeout {
            Some(timeout) => {
                tokio::time::timeout(timeout, under_way.ended()).await.unwrap_or_else(|_| Err(CANCELLED.to_owned()))
            }
            None => under_way.ended().await,
        };
        drop(under_way);
        let found = ended.unwrap_or_else(|why| Err(Error::new(why)));
        // Work that has not ended even now outlives the plan.
        let _ = tokio::time::timeout(grace, operation.idle()).await;
        let again = pauses.next().filter(|_| found.as_ref().is_err_and(Error::is_outdated));
        let Some(pause) = again else {
            let Some(drift) = found? else { return Ok(None) };
            let changes = drift.changes.clone();
            return Ok(Some((changes, foresee(resource, operation, drift, timeout).await.err())));
        };
        tokio::time::sleep(pause).await;
        // The next try sends its values again.
        operation.take_sent();
    }
}

/// The reason why the drift could not be repaired now.
async fn foresee(
    resource: &Arc<dyn AnyResource>,
    operation: &Arc<Operation>,
    drift: AnyDrift,
    timeout: Option<Duration>,
) -> Result<()> {
    if operation.noop {
        return Ok(());
    }
    let foreseen = caught_async(Arc::clone(resource).foresee(CheckCx::new(Arc::clone(operation)), drift));
    // A reason that is not found in time is none: the check itself has succeeded.
    match timeout {
        Some(timeout) => tokio::time::timeout(timeout, foreseen).await.unwrap_or(Ok(Ok(()))),
        None => foreseen.await,
    }
    .unwrap_or_else(|panic| Err(Error::new(panic)))
}

/// A check that is cancelled if this is dropped before it has returned, also with the whole plan.
struct UnderWay<'a> {
    operation: &'a Arc<Operation>,
    check: Option<BoxFuture<Result<Option<AnyDrift>>>>,
}

impl<'a> UnderWay<'a> {
    fn new(resource: &Arc<dyn AnyResource>, operation: &'a Arc<Operation>) -> UnderWay<'a> {
        UnderWay { operation, check: Some(Arc::clone(resource).check_alone(operation)) }
    }

    /// The result of the check, or its panic.
    async fn ended(&mut self) -> Result<Result<Option<AnyDrift>>, String> {
        let Some(check) = &mut self.check else { return Err(CANCELLED.to_owned()) };
        let found = caught_async(check.as_mut()).await?;
        self.check = None;
        Ok(found)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.check.is_some() {
            give_up(self.operation, &mut self.check);
        }
    }
}
