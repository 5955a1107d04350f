//! The law that an undo leads back to what was there before, as often as it is made, and wherever it is cancelled.

use std::sync::Arc;

use crate::resource::BoxFuture;
use crate::resource::{Result as ResourceResult, Undone};
use crate::testing::laws::cancelled::{polled, spread, whole};
use crate::testing::laws::snapshot::Snapshot;
use crate::testing::laws::stage::{Seen, Stage};
use crate::testing::laws::subject::Subject;

pub(super) async fn hold(subject: &Subject) -> Seen<bool> {
    let Some(tried) = changed(subject).await? else { return Ok(false) };
    tried.undo("an undo").await?;
    tried.undo("a second undo").await?;
    let Some(counted) = changed(subject).await? else { return Ok(true) };
    for awaits in spread(counted.awaits().await?, subject.cancels) {
        let Some(tried) = changed(subject).await? else { break };
        let was_running = tried.cancel(awaits).await?;
        tried.undo(&format!("an undo after one that was cancelled at await {awaits}")).await?;
        if !was_running {
            break;
        }
    }
    Ok(true)
}

/// A host on which the resource has changed something, and recorded what was there before.
struct Tried<'a> {
    stage: Stage<'a>,
    before: Snapshot,
}

async fn changed(subject: &Subject) -> Seen<Option<Tried<'_>>> {
    let mut stage = Stage::new(subject).await?;
    stage.trial = stage.trial.reversed();
    let before = stage.state_of_its_own().await?;
    stage.settle().await?;
    let has_record = stage.trial.has_record();
    Ok(has_record.then_some(Tried { stage, before }))
}

impl Tried<'_> {
    async fn undo(&self, what: &str) -> Seen<()> {
        let undone = self.stage.in_time("undo", self.stage.trial.undo()).await?;
        if let Some(Undone { kept, .. }) = undone.filter(|undone| !undone.kept.is_empty()) {
            return Err(format!("{what} left something: {}", kept.join(", ")));
        }
        let after = self.stage.state_of_its_own().await?;
        self.before.difference(&after, false).map_or(Ok(()), |seen| Err(format!("after {what}, {seen}")))
    }

    /// How many times an undo is pending.
    async fn awaits(&self) -> Seen<usize> {
        let (undo, _operation) = self.stage.trial.begin_undo();
        let mut undo: BoxFuture<ResourceResult<()>> = Box::pin(async move { undo.await.map(drop) });
        let ended = whole(&mut undo, self.stage.subject.patience).await?;
        ended.map_err(|error| format!("undo failed: {error}"))
    }

    /// Cancels an undo at that await. Returns whether it was still running there.
    async fn cancel(&self, awaits: usize) -> Seen<bool> {
        let (undo, operation) = self.stage.trial.begin_undo();
        let mut undo: BoxFuture<ResourceResult<()>> = Box::pin(async move { undo.await.map(drop) });
        let patience = self.stage.subject.patience;
        if let Some(result) = polled(&mut undo, awaits, patience).await? {
            return result.map(|()| false).map_err(|error| format!("undo failed: {error}"));
        }
        let ended = tokio::time::timeout(patience, operation.cancel(undo)).await;
        ended.map(|()| true).map_err(|_| format!("its work had not ended after {patience:?}"))
    }
}

impl Stage<'_> {
    /// The present state of what the resource keeps, without what the engine remembers about it.
    async fn state_of_its_own(&self) -> Seen<Snapshot> {
        let dir = self.fake.dir().to_owned();
        let observe = self.subject.observe.clone();
        let at = Arc::new(dir);
        let take = move || Snapshot::take(&at, observe.map(|observe| observe(&at)));
        crate::sys::task::blocking(take).await.map_err(|error| format!("can't look at the state: {error}"))
    }
}
