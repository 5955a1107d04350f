//! Operations: begun in the loop, and ended there if they are ready at once; else in a task of their own.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::Span;

use crate::id::{Node, Time};
use crate::resource::{AnyDrift, AnyResource, ApplyCx, BoxFuture, Operation, Result, Work};
use crate::runtime::core::Core;
use crate::runtime::slot::{Action, Activity, RunningOp, Waiting};
use crate::runtime::span::{poll_in, span};
use crate::runtime::values::Resolved;
use crate::scheduler::{ApplyOutcome, Causes, CheckOutcome, Input, Op, PortSet};
use crate::sys::task::{caught, caught_async};

/// A kind whose operations keep their thread longer than this, several times or at once much longer, runs on threads
/// that may block from then on.
const SLOW: Duration = Duration::from_millis(1);
const VERY_SLOW: Duration = Duration::from_millis(10);
const SLOW_TIMES: u32 = 3;

/// The error of an operation that its metaparameter has cut short.
pub(crate) const CANCELLED: &str = "cancelled: it took longer than its `timeout`";

/// An operation may be outdated at most this often in a row; after that it has failed.
const OUTDATED_MAX: u32 = 9;

/// The back-off pauses between such retries: 2, 4, … 512 ms.
pub(crate) fn outdated_pauses() -> impl Iterator<Item = Duration> {
    (1..=OUTDATED_MAX).map(|times| Duration::from_millis(1 << times))
}

/// How a future ended.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    Returned(Result<T>),
    Panicked(String),
    Cancelled,
}

/// What an operation came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    Check(Ended<Option<AnyDrift>>),
    Apply(Ended<()>),
    Refresh(Ended<bool>),
    Leave(Ended<()>),
}

impl Outcome {
    pub(super) fn is_outdated(&self) -> bool {
        match self {
            Outcome::Check(Ended::Returned(Err(error)))
            | Outcome::Apply(Ended::Returned(Err(error)))
            | Outcome::Refresh(Ended::Returned(Err(error))) => error.is_outdated(),
            _ => false,
        }
    }

    /// It counts as cancelled, whatever it came to.
    pub(super) fn cancelled(&self) -> Outcome {
        match self {
            Outcome::Check(_) => Outcome::Check(Ended::Cancelled),
            Outcome::Apply(_) => Outcome::Apply(Ended::Cancelled),
            Outcome::Refresh(_) => Outcome::Refresh(Ended::Cancelled),
            Outcome::Leave(_) => Outcome::Leave(Ended::Cancelled),
        }
    }

    /// The same of an operation that was cancelled: an error that it returned then comes of that.
    pub(super) fn of_cancelled(self) -> Outcome {
        match &self {
            Outcome::Check(Ended::Returned(Err(_)))
            | Outcome::Apply(Ended::Returned(Err(_)))
            | Outcome::Refresh(Ended::Returned(Err(_)))
            | Outcome::Leave(Ended::Returned(Err(_))) => self.cancelled(),
            _ => self,
        }
    }
}

/// An operation has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(super) op: Op,
    pub(super) causes: Causes,
    pub(super) operation: Arc<Operation>,
    /// The resource, with what it received.
    pub(super) resource: Arc<dyn AnyResource>,
    pub(super) began: Time,
    pub(super) outcome: Outcome,
    /// The longest that it kept its thread.
    pub(super) kept: Duration,
}

/// What the task of an operation reports.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It has ended, with all that it had begun.
    Ended(Box<Done>),
    /// Its future is gone, or should be, since the grace time; but what it had begun has not ended.
    Overdue(Op),
}

impl Core {
    pub(crate) fn check(&mut self, op: Op, causes: Causes) {
        let Some(vertex) = self.running.vertex(op.node) else {
            return self.checked(op, CheckOutcome::Cancelled, PortSet(0));
        };
        let base = Arc::clone(&vertex.resource);
        if let Some(reason) = self.refusal_by_itself(op) {
            return self.refuse(op, causes, base, reason);
        }
        let resource = match self.slots.resolve(op.node, &base, &self.store) {
            Resolved::Ready { resource, changed } => {
                if changed {
                    self.own_received(op.node, &resource);
                }
                if changed && resource.spec().watched {
                    self.rewatch_as(op.node, &resource);
                }
                resource
            }
            Resolved::Missing(senders) => {
                let outcome = self.missing(op.node, &base, self.clock.now(), senders);
                return self.checked(op, outcome, PortSet(0));
            }
            Resolved::Mismatch(problem) => {
                self.slots.set_error(op.node, problem);
                return self.checked(op, CheckOutcome::Failed, PortSet(0));
            }
        };
        if self.slots.is_watch_starting(op.node) {
            let waiting = Waiting { op, began: self.clock.now(), causes, resource };
            self.slots.set_activity(op.node, Activity::WaitingForWatch(Box::new(waiting)));
            return;
        }
        self.check_now(op, causes, resource);
    }

    /// The check that waits for its watch, if there is one: it waits no longer.
    pub(crate) fn take_waiting(&mut self, node: Node) -> Option<Box<Waiting>> {
        let waits = |activity: &Activity| matches!(activity, Activity::WaitingForWatch(_));
        self.slots.get(node).filter(|slot| waits(&slot.activity))?;
        match self.slots.take_activity(node) {
            Activity::WaitingForWatch(waiting) => Some(waiting),
            _ => None,
        }
    }

    /// Its watch listens.
    pub(crate) fn check_now(&mut self, op: Op, causes: Causes, resource: Arc<dyn AnyResource>) {
        if let Some(reason) = self.refusal(op, &resource) {
            return self.refuse(op, causes, resource, reason);
        }
        let operation = Arc::new(self.operation(op.node, &resource));
        let future = self.checking(&resource, &operation);
        self.run(Start { op, causes, action: Action::Check, operation, resource }, future, Outcome::Check);
    }

    pub(crate) fn apply(&mut self, op: Op, causes: Causes, refresh: bool) {
        let found = self.slots.get_mut(op.node).and_then(|slot| slot.found.as_mut());
        let found = found.and_then(|found| Some((found.drift.take()?, Arc::clone(&found.resource))));
        let Some((drift, resource)) = found else {
            // The scheduler applies only what a check just found.
            self.slots.set_error(op.node, "nothing found to apply: this is a defect of the engine");
            return self.applied(op, ApplyOutcome::Failed, PortSet(0));
        };
        let mut operation = self.operation(op.node, &resource);
        operation.refresh = refresh;
        let operation = Arc::new(operation);
        let future = self.applying(&resource, &operation, drift);
        self.run(Start { op, causes, action: Action::Apply, operation, resource }, future, Outcome::Apply);
    }

    pub(crate) fn refresh(&mut self, op: Op, causes: Causes) {
        let Some(vertex) = self.running.vertex(op.node) else {
            return self.applied(op, ApplyOutcome::Cancelled, PortSet(0));
        };
        let base = Arc::clone(&vertex.resource);
        let Resolved::Ready { resource, .. } = self.slots.resolve(op.node, &base, &self.store) else {
            self.slots.set_error(op.node, "a received value is not there any more");
            return self.applied(op, ApplyOutcome::Failed, PortSet(0));
        };
        let mut operation = self.operation(op.node, &resource);
        operation.refresh = true;
        let operation = Arc::new(operation);
        let future = Arc::clone(&resource).refresh(ApplyCx::new(Arc::clone(&operation)));
        self.run(Start { op, causes, action: Action::Refresh, operation, resource }, future, Outcome::Refresh);
    }

    /// It has left the graph. A resource that never ran leaves nothing behind.
    pub(crate) fn leave(&mut self, op: Op) {
        let Some(vertex) = self.running.vertex(op.node).filter(|_| !self.running.is_blind(op.node)) else {
            return self.handle(Input::Left { op, well: true });
        };
        let resource = Arc::clone(&vertex.resource);
        if let Some(reason) = self.refusal(op, &resource) {
            self.slots.set_error(op.node, reason);
            return self.handle(Input::Left { op, well: false });
        }
        let operation = Arc::new(self.operation(op.node, &resource));
        let future = Arc::clone(&resource).leave(ApplyCx::new(Arc::clone(&operation)));
        self.run(
            Start { op, causes: Causes::NONE, action: Action::Leave, operation, resource },
            future,
            Outcome::Leave,
        );
    }

    /// Polls an operation once right here; a task is spawned only for what has not ended then.
    fn run<T: Send + 'static>(
        &mut self,
        start: Start,
        mut future: BoxFuture<Result<T>>,
        outcome: fn(Ended<T>) -> Outcome,
    ) {
        let began = self.clock.now();
        let Start { op, causes, action, operation, resource } = start;
        let span = span(action.word(), &*resource);
        let slow = self.is_slow(&*resource);
        let (mut ended, mut kept) = (None, Duration::ZERO);
        if !slow {
            let started = Instant::now();
            let mut cx = Context::from_waker(Waker::noop());
            let polled = caught(|| poll_in(&span, future.as_mut(), &mut cx));
            kept = started.elapsed();
            self.note_slow(&*resource, kept);
            ended = match polled {
                Ok(Poll::Pending) => None,
                Ok(Poll::Ready(result)) => Some(Ended::Returned(result)),
                Err(panic) => Some(Ended::Panicked(panic)),
            };
        }
        let mut future = Some(future);
        if let Some(Ended::Panicked(_)) = &ended {
            give_up(&operation, &mut future);
        }
        if let Some(ended) = ended.take_if(|_| operation.is_idle()) {
            let outcome = outcome(ended);
            return self.end(Done { op, causes, operation, resource, began, outcome, kept });
        }
        let (cancel, mut cancelled) = oneshot::channel();
        let (of, with) = (Arc::clone(&operation), Arc::clone(&resource));
        let running = RunningOp { op, began, causes, action, operation: of, resource: with, cancel: Some(cancel) };
        self.slots.set_activity(op.node, Activity::Running(Box::new(running)));
        let (answers, grace) = (self.answers.clone(), self.grace);
        let task = async move {
            let ended = match ended {
                Some(ended) => ended,
                None => tokio::select! {
                    biased;
                    // First: once its token has stopped, what the future returns means nothing for the resource.
                    _ = &mut cancelled => {
                        give_up(&operation, &mut future);
                        Ended::Cancelled
                    }
                    ended = poll_fn(|cx| poll_caught(&span, &operation, &mut future, &mut kept, cx)) => {
                        // The same, if it was cancelled while its code blocked.
                        if cancelled.try_recv().is_ok() { Ended::Cancelled } else { ended }
                    }
                },
            };
            // Only fails when the loop is gone, with the whole engine; the same below.
            if tokio::time::timeout(grace, operation.idle()).await.is_err() {
                let _ = answers.send(Answer::Overdue(op));
                // What it has returned counts no more, so its work is in vain.
                run_hooks(&operation);
                operation.stop();
                operation.idle().await;
            }
            let outcome = outcome(ended);
            let done = Done { op, causes, operation, resource, began, outcome, kept };
            let _ = answers.send(Answer::Ended(Box::new(done)));
        };
        if slow {
            let runtime = Handle::current();
            tokio::task::spawn_blocking(move || runtime.block_on(task));
        } else {
            tokio::spawn(task);
        }
    }

    fn is_slow(&self, resource: &dyn AnyResource) -> bool {
        self.slow.get(resource.spec().kind).is_some_and(|times| *times >= SLOW_TIMES)
    }

    pub(super) fn note_slow(&mut self, resource: &dyn AnyResource, kept: Duration) {
        if kept > SLOW {
            let times = self.slow.entry(resource.spec().kind).or_insert(0);
            *times += if kept > VERY_SLOW { SLOW_TIMES } else { 1 };
        }
    }
}

/// An operation that begins.
struct Start {
    op: Op,
    causes: Causes,
    action: Action,
    operation: Arc<Operation>,
    /// The resource, with what it received.
    resource: Arc<dyn AnyResource>,
}

fn poll_caught<T>(
    span: &Span,
    operation: &Arc<Operation>,
    future: &mut Option<BoxFuture<Result<T>>>,
    kept: &mut Duration,
    cx: &mut Context<'_>,
) -> Poll<Ended<T>> {
    let Some(running) = future else { return Poll::Pending };
    let started = Instant::now();
    let polled = caught(|| poll_in(span, running.as_mut(), cx));
    *kept = (*kept).max(started.elapsed());
    match polled {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(result)) => Poll::Ready(Ended::Returned(result)),
        Err(panic) => {
            give_up(operation, future);
            Poll::Ready(Ended::Panicked(panic))
        }
    }
}

/// Drops the future of an operation, and does what the operation wanted done in this case.
pub(super) fn give_up<F>(operation: &Arc<Operation>, future: &mut Option<F>) {
    // Before the future is dropped: its guards would disarm them.
    run_hooks(operation);
    operation.stop();
    // However it takes it: it is over.
    let _ = caught(|| *future = None);
}

/// Does what an operation wanted done when it is cancelled.
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
