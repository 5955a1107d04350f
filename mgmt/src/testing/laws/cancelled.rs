//! The law that a check repairs whatever a cancelled apply leaves, at any await.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::resource::{AnyDrift, BoxFuture, Result as ResourceResult};
use crate::testing::laws::stage::{Seen, Stage, told};
use crate::testing::laws::subject::{Break, Subject};

pub(super) async fn hold(subject: &Subject) -> Seen<bool> {
    let mut is_tried = false;
    for way in std::iter::once(None).chain(subject.breaks.iter().map(Some)) {
        let Some((stage, drift)) = drifted(subject, way).await? else { continue };
        is_tried = true;
        let (mut apply, _operation) = stage.trial.begin_apply(drift);
        let all = whole(&mut apply, subject.patience).await?.map_err(|error| format!("apply failed: {error}"))?;
        for awaits in spread(all, subject.cancels) {
            let Some((stage, drift)) = drifted(subject, way).await? else { break };
            if !cancel(&stage, drift, awaits).await? {
                break;
            }
        }
    }
    Ok(is_tried)
}

/// A host on which there is something to repair.
async fn drifted<'a>(subject: &'a Subject, way: Option<&Break>) -> Seen<Option<(Stage<'a>, AnyDrift)>> {
    let stage = Stage::new(subject).await?;
    if let Some(way) = way {
        stage.settle().await?;
        stage.break_it(way).await;
    }
    let drift = stage.check().await?;
    Ok(drift.map(|drift| (stage, drift)))
}

/// Cancels an apply at that await, and checks that its remains are repaired. Returns whether the apply was still
/// running there.
async fn cancel(stage: &Stage<'_>, drift: AnyDrift, awaits: usize) -> Seen<bool> {
    let found = told(&drift);
    let (mut apply, operation) = stage.trial.begin_apply(drift);
    if let Some(result) = polled(&mut apply, awaits, stage.subject.patience).await? {
        return result.map(|()| false).map_err(|error| format!("apply failed: {error}"));
    }
    let when = format!("after apply of “{found}” was cancelled at await {awaits}");
    if tokio::time::timeout(stage.subject.patience, operation.cancel(apply)).await.is_err() {
        return Err(format!("{when}, its work had not ended after {:?}", stage.subject.patience));
    }
    stage.settle().await.map_err(|error| format!("{when}, {error}"))?;
    stage.must_be_in_sync(&format!("{when} and applied again")).await?;
    Ok(true)
}

/// At which awaits to cancel what has been pending `all` times: at `most` of them, the first and the last among them.
pub(super) fn spread(all: usize, most: usize) -> impl Iterator<Item = usize> {
    let many = (all + 1).min(most);
    (0..many).map(move |place| place * all / many.saturating_sub(1).max(1))
}

/// Runs it to its end: how many times it was pending.
pub(super) async fn whole(
    apply: &mut BoxFuture<ResourceResult<()>>,
    patience: Duration,
) -> Seen<ResourceResult<usize>> {
    let mut pending = 0;
    let run = poll_fn(|cx| {
        let polled = apply.as_mut().poll(cx);
        pending += usize::from(polled.is_pending());
        polled
    });
    let ended = tokio::time::timeout(patience, run).await;
    let ended = ended.map_err(|_| format!("apply had not ended after {patience:?}"))?;
    Ok(ended.map(|()| pending))
}

/// The result of the apply, unless it was pending `awaits` times before.
pub(super) async fn polled(
    apply: &mut BoxFuture<ResourceResult<()>>,
    awaits: usize,
    patience: Duration,
) -> Seen<Option<ResourceResult<()>>> {
    let mut left = awaits;
    let run = poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        match apply.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => {
                left -= 1;
                if left == 0 { Poll::Ready(None) } else { Poll::Pending }
            }
        }
    });
    tokio::time::timeout(patience, run).await.map_err(|_| format!("apply had not ended after {patience:?}"))
}
