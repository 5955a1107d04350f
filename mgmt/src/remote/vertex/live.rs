//! The run of a resource of the kind `remote`: kept as long as the resource is in the graph.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::graph::ContentRef;
use crate::remote::error::RemoteError;
use crate::remote::host::Host;
use crate::remote::job::{Job, Parcel};
use crate::remote::run::{Ended, Run, StopStep};
use crate::remote::vertex::kind::Remote;
use crate::remote::vertex::seen::{Seen, follow};
use crate::runtime::Status;

/// How long each step of a stop may take before the next one.
const STEP_MAX: Duration = Duration::from_secs(10);

/// The run there ends as after ^C, and nothing waits for that.
impl Drop for Live {
    fn drop(&mut self) {
        self.run.stop(StopStep::Drain);
    }
}

/// What distinguishes a graph and its files from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// `None`: the program makes the graph there.
    pub(super) graph: Option<ContentRef>,
    pub(super) files: Option<ContentRef>,
}

/// The run, and the watch that it wakes.
#[derive(Debug, Default)]
pub(super) struct State {
    live: Mutex<Option<Arc<Live>>>,
    /// Shared with the watch, which must not keep the run alive.
    pub(super) wake: Arc<Notify>,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live(&self) -> Option<Arc<Live>> {
        self.lock().clone()
    }

    pub(super) fn take(&self) -> Option<Arc<Live>> {
        self.lock().take()
    }

    /// Starts the run. The resource has no other one.
    pub(super) async fn start(
        &self,
        host: &Host,
        job: &Job,
        settings: Remote,
        shape: Shape,
    ) -> Result<Arc<Live>, RemoteError> {
        let run = host.run(job).await?;
        let seen = Arc::new(Seen::default());
        tokio::spawn(follow(host.name().to_owned(), Arc::clone(&run.queue), Arc::clone(&seen), Arc::clone(&self.wake)));
        let (shape, is_failed) = (Mutex::new(shape), AtomicBool::new(false));
        let live = Arc::new(Live { settings, shape, run, seen, is_failed });
        *self.lock() = Some(Arc::clone(&live));
        Ok(live)
    }
}

/// A run on another host.
#[derive(Debug)]
pub(super) struct Live {
    /// What the resource had declared, apart from the graph.
    settings: Remote,
    shape: Mutex<Shape>,
    pub(super) run: Run,
    pub(super) seen: Arc<Seen>,
    /// It could not converge, which the resource has reported: its next try begins it again.
    is_failed: AtomicBool,
}

impl Live {
    /// Whether it runs as these settings declare.
    pub(super) fn has(&self, settings: &Remote) -> bool {
        self.settings == *settings
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.is_failed.load(Ordering::Relaxed)
    }

    pub(super) fn set_failed(&self, is_failed: bool) {
        self.is_failed.store(is_failed, Ordering::Relaxed);
    }

    /// How it has ended; `None`: it runs.
    pub(super) fn ended(&self) -> Option<Result<Ended, RemoteError>> {
        self.run.ended.borrow().clone()
    }

    /// Puts another graph in force there.
    pub(super) async fn swap(&self, parcel: &Parcel, shape: Shape) -> Result<(), RemoteError> {
        self.started().await?;
        self.run.swap(parcel).await?;
        *self.shape.lock().unwrap_or_else(PoisonError::into_inner) = shape;
        Ok(())
    }

    /// Returns when the engine there runs.
    async fn started(&self) -> Result<(), RemoteError> {
        let mut news = self.seen.news();
        while !self.seen.is_started() {
            tokio::select! {
                _ = news.changed() => {}
                ended = self.run.ended() => return Err(ended.err().unwrap_or(RemoteError::Ended)),
            }
        }
        Ok(())
    }

    /// The state there now.
    pub(super) async fn status(&self) -> Result<Status, RemoteError> {
        self.started().await?;
        match self.run.status().await {
            Ok(status) => Ok(status),
            // The end of the run has the reason.
            Err(_) => Err(self.run.ended().await.err().unwrap_or(RemoteError::Ended)),
        }
    }

    /// The state as soon as the graph there has converged, or can't converge.
    pub(super) async fn settled(&self) -> Result<Status, RemoteError> {
        let mut news = self.seen.news();
        loop {
            news.mark_unchanged();
            let status = self.status().await?;
            if status.converged || status.hopeless {
                return Ok(status);
            }
            // The end of the run is news, too.
            let _ = news.changed().await;
        }
    }

    /// Stops the run, as ^C does: each further step follows if the one before takes long.
    pub(super) async fn stop(&self) {
        for step in [StopStep::Drain, StopStep::Cancel, StopStep::Abandon] {
            self.run.stop(step);
            if timeout(STEP_MAX, self.run.ended()).await.is_ok() {
                return;
            }
        }
    }
}
