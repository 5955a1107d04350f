//! An operation that has begun: polled in the loop, otherwise in a task of its own or on a thread that may block.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::Span;

use crate::id::Time;
use crate::resource::{BoxFuture, Operation, Result, Work};
use crate::runtime::lane::Stayed;
use crate::runtime::operate::{Answer, Done, Ended, Outcome, Start};
use crate::runtime::span::poll_in;
use crate::sys::fs::gathering;
use crate::sys::task::{caught, caught_async, watching};
use crate::sys::threads::in_background;

/// The operation, and what belongs to its answer.
pub(super) struct Errand<T> {
    pub(super) start: Start,
    pub(super) began: Time,
    pub(super) span: Span,
    /// `None` after it was given up.
    pub(super) future: Option<BoxFuture<Result<T>>>,
    pub(super) outcome: fn(Ended<T>) -> Outcome,
    /// The longest time that a poll kept its thread.
    pub(super) kept: Option<Duration>,
}

impl<T> Errand<T> {
    /// Polls the operation here and now; `None` if it waits for something.
    pub(super) fn poll_once(&mut self, may_block: bool) -> Option<Ended<T>> {
        match self.poll(&mut Context::from_waker(Waker::noop()), may_block) {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, may_block: bool) -> Poll<Ended<T>> {
        let Some(running) = &mut self.future else { return Poll::Pending };
        let started = Instant::now();
        let (polled, blocked) = watching(may_block, || caught(|| poll_in(&self.span, running.as_mut(), cx)));
        self.kept = self.kept.max(Some(started.elapsed().saturating_sub(blocked)));
        match polled {
            Ok(polled) => polled.map(Ended::Returned),
            Err(panic) => {
                give_up(&self.start.operation, &mut self.future);
                Poll::Ready(Ended::Panicked(panic))
            }
        }
    }

    /// The operation now only waits for the disk, and this has not been reported.
    fn yielded(&self) -> Option<Answer> {
        let Start { op, operation, .. } = &self.start;
        operation.yields.swap(false, Ordering::Relaxed).then_some(Answer::Yielded(*op))
    }

    fn cancel(&mut self) -> Ended<T> {
        give_up(&self.start.operation, &mut self.future);
        Ended::Cancelled
    }

    fn done(self, ended: Ended<T>) -> Done {
        let Start { op, causes, operation, .. } = self.start;
        let (began, outcome, kept) = (self.began, (self.outcome)(ended), self.kept);
        Done { op, causes, operation, began, outcome, kept }
    }
}

/// An operation that has left the loop.
pub(super) struct Away<T> {
    pub(super) errand: Errand<T>,
    pub(super) cancelled: oneshot::Receiver<()>,
    pub(super) answers: mpsc::UnboundedSender<Answer>,
    /// How long the work that it has begun may take to end after it was cancelled.
    pub(super) grace: Duration,
    /// The kind of the resource keeps its threads for long.
    pub(super) is_slow: bool,
}

impl<T: Send + 'static> Away<T> {
    /// Polls the operation once, on a thread that may block: most end with that, or with a second time when what they
    /// have written is durable. A task continues the others.
    pub(super) fn stay(mut self) -> Stayed {
        let (ended, gathered) = gathering(|| self.poll_unless_cancelled());
        match (gathered, ended) {
            (Some(gathered), None) => {
                let yielded = self.errand.yielded();
                let then = move || {
                    let ended = self.poll_unless_cancelled();
                    Stayed::Ended(self.leave(ended))
                };
                Stayed::Written { yielded, gathered, then: Box::new(then) }
            }
            (gathered, ended) => {
                if let Some(gathered) = gathered {
                    gathered.sync();
                }
                Stayed::Ended(self.leave(ended))
            }
        }
    }

    fn poll_unless_cancelled(&mut self) -> Option<Ended<T>> {
        let ended = match self.cancelled.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => self.errand.poll_once(true),
            _ => Some(self.errand.cancel()),
        };
        ended.map(|ended| self.unless_cancelled(ended))
    }

    /// Leaves the thread: with the answer if the operation has ended, otherwise with a task that continues it.
    fn leave(self, ended: Option<Ended<T>>) -> Option<Answer> {
        match ended {
            Some(ended) if self.errand.start.operation.is_idle() => Some(ended_with(self.errand, ended)),
            ended => {
                let yielded = self.errand.yielded();
                self.spawn(ended);
                yielded
            }
        }
    }

    /// Continues in a task of its own: polls the operation until it has ended, unless it has, and waits for the work
    /// that it has begun.
    pub(super) fn spawn(self, ended: Option<Ended<T>>) {
        if self.is_slow {
            let runtime = Handle::current();
            in_background(move || runtime.block_on(self.run(ended)));
        } else {
            tokio::spawn(self.run(ended));
        }
    }

    async fn run(mut self, ended: Option<Ended<T>>) {
        let ended = match ended {
            Some(ended) => ended,
            None => self.until_ended().await,
        };
        let (op, operation) = (self.errand.start.op, Arc::clone(&self.errand.start.operation));
        // Only fails when the loop has ended, with the whole engine; the same below.
        if tokio::time::timeout(self.grace, operation.idle()).await.is_err() {
            let _ = self.answers.send(Answer::Overdue(op));
            // Its result does not count any more, so its work is in vain.
            run_hooks(&operation);
            operation.stop();
            operation.idle().await;
        }
        let _ = self.answers.send(ended_with(self.errand, ended));
    }

    async fn until_ended(&mut self) -> Ended<T> {
        poll_fn(|cx| {
            // First: once its token has stopped, the result of the future has no meaning for the resource.
            if Pin::new(&mut self.cancelled).poll(cx).is_ready() {
                return Poll::Ready(self.errand.cancel());
            }
            let polled = self.errand.poll(cx, false).map(|ended| self.unless_cancelled(ended));
            if polled.is_pending()
                && let Some(yielded) = self.errand.yielded()
            {
                let _ = self.answers.send(yielded);
            }
            polled
        })
        .await
    }

    /// The operation may have been cancelled while its code blocked.
    fn unless_cancelled(&mut self, ended: Ended<T>) -> Ended<T> {
        if self.cancelled.try_recv().is_ok() { Ended::Cancelled } else { ended }
    }
}

fn ended_with<T>(errand: Errand<T>, ended: Ended<T>) -> Answer {
    Answer::Ended(Box::new(errand.done(ended)))
}

/// Drops the future of an operation, and runs the hooks that it has registered for this case.
pub(super) fn give_up<F>(operation: &Arc<Operation>, future: &mut Option<F>) {
    // Before the future is dropped: its guards would disarm them.
    run_hooks(operation);
    operation.stop();
    // Even if the drop panics, the operation is over.
    let _ = caught(|| *future = None);
}

/// Runs the hooks that an operation has registered for its cancellation.
pub(super) fn run_hooks(operation: &Arc<Operation>) {
    let hooks = operation.take_hooks();
    if !hooks.is_empty() {
        let work = Work::new(operation, "telling others that it is cancelled");
        tokio::spawn(async move {
            for hook in hooks {
                if let Err(panic) = caught_async(hook).await {
                    tracing::error!(target: "mgmt", "what an operation does when it is cancelled {panic}");
                }
            }
            drop(work);
        });
    }
}
