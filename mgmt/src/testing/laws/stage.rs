//! A host with the subject on it, for all laws.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::resource::{AnyDrift, Result as ResourceResult};
use crate::sys::task::blocking;
use crate::testing::fake::Fake;
use crate::testing::laws::snapshot::Snapshot;
use crate::testing::laws::subject::{Break, HOST, Subject};
use crate::testing::trial::Trial;

/// A result whose error is a breach in words, or a reason why a law can't be tried.
pub(super) type Seen<T> = Result<T, String>;

/// A new host with the subject on it.
pub(super) struct Stage<'a> {
    pub(super) subject: &'a Subject,
    pub(super) fake: Fake,
    pub(super) trial: Trial,
}

impl<'a> Stage<'a> {
    /// A host that is prepared; no operation has run yet.
    pub(super) async fn new(subject: &'a Subject) -> Seen<Stage<'a>> {
        let fake = Fake::new().map_err(|error| format!("no host to try it on: {error}"))?;
        let member = subject.world.as_ref().map(|world| world.member(HOST));
        let fake = fake.provisions(subject.provisions.clone()).member(member);
        if let Some(prepare) = subject.prepare.clone() {
            let dir = fake.dir().to_owned();
            blocking(move || prepare(&dir)).await;
        }
        let trial = fake.put_resource((subject.resource)(fake.dir()));
        Ok(Stage { subject, fake, trial })
    }

    /// A host on which the subject has been checked and applied.
    pub(super) async fn settled(subject: &'a Subject) -> Seen<Stage<'a>> {
        let stage = Stage::new(subject).await?;
        stage.settle().await?;
        Ok(stage)
    }

    pub(super) async fn check(&self) -> Seen<Option<AnyDrift>> {
        // A check that fails because the system is changing is repeated, as the engine does.
        let check = async {
            loop {
                match self.trial.check().await {
                    Err(error) if error.is_outdated() => sleep(Duration::from_millis(10)).await,
                    other => return other.map(|found| found.drift),
                }
            }
        };
        self.in_time("check", check).await
    }

    /// Checks the resource, and repairs the drift, if there is any. Returns whether there was.
    pub(super) async fn settle(&self) -> Seen<bool> {
        match self.check().await? {
            None => Ok(false),
            Some(drift) => self.in_time("apply", self.trial.apply(drift)).await.map(|_| true),
        }
    }

    /// Fails if a check finds drift.
    pub(super) async fn must_be_in_sync(&self, when: &str) -> Seen<()> {
        match self.check().await? {
            None => Ok(()),
            Some(drift) => Err(format!("{when}, check found {}", told(&drift))),
        }
    }

    pub(super) async fn in_time<T>(&self, what: &str, operation: impl Future<Output = ResourceResult<T>>) -> Seen<T> {
        match timeout(self.subject.patience, operation).await {
            Ok(result) => result.map_err(|error| format!("{what} failed: {error}")),
            Err(_) => Err(format!("{what} had not ended after {:?}", self.subject.patience)),
        }
    }

    pub(super) async fn break_it(&self, way: &Break) {
        let (make, dir) = (Arc::clone(&way.make), self.fake.dir().to_owned());
        blocking(move || make(&dir)).await;
    }

    /// The present state: everything in the directory, the resource's own files below the prefix, and what the subject
    /// observes.
    pub(super) async fn state(&self) -> Seen<Snapshot> {
        let (root, dir) = (self.fake.root().to_owned(), self.fake.dir().to_owned());
        let observe = self.subject.observe.clone();
        let take = move || Snapshot::take(&root, observe.map(|observe| observe(&dir)));
        blocking(take).await.map_err(|error| format!("can't look at the state: {error}"))
    }
}

/// The drift in words.
pub(super) fn told(drift: &AnyDrift) -> String {
    let changes: Vec<_> = drift.changes.iter().map(ToString::to_string).collect();
    if changes.is_empty() { "drift that names no change".to_owned() } else { changes.join(", ") }
}
