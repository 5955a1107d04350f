//! Operations: begun in the loop, and ended there if they are ready at once; else in a task of their own.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::Span;

use crate::id::{Node, Time};
use crate::resource::{AnyDrift, AnyResource, ApplyCx, BoxFuture, CheckCx, Operation, Result, Sent};
use crate::runtime::core::Core;
use crate::runtime::measure::{apply_word, check_word};
use crate::runtime::slot::{Action, Activity, Found, RunningOp, Waiting};
use crate::runtime::span::{poll_in, span};
use crate::runtime::values::Resolved;
use crate::scheduler::{ApplyOutcome, Causes, CheckOutcome, Input, Op, PortSet};
use crate::sys::task::caught;

/// A kind whose operations keep their thread longer than this, several times or at once much longer, runs on threads that may block from then on.
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
}

impl Outcome {
    fn is_outdated(&self) -> bool {
        match self {
            Outcome::Check(Ended::Returned(Err(error)))
            | Outcome::Apply(Ended::Returned(Err(error)))
            | Outcome::Refresh(Ended::Returned(Err(error))) => error.is_outdated(),
            _ => false,
        }
    }
}

/// An operation has ended.
#[derive(Debug)]
pub(crate) struct Done {
    op: Op,
    causes: Causes,
    operation: Arc<Operation>,
    began: Time,
    outcome: Outcome,
    /// The longest that it kept its thread.
    kept: Duration,
}

impl Core {
    pub(crate) fn check(&mut self, op: Op, causes: Causes) {
        let Some(vertex) = self.running.vertex(op.node) else {
            return self.checked(op, CheckOutcome::Cancelled, PortSet(0));
        };
        let base = Arc::clone(&vertex.resource);
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
            self.slots.make(op.node).activity = Activity::WaitingForWatch(Box::new(waiting));
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
        let operation = Arc::new(self.operation(op.node, Arc::clone(&resource)));
        let future = resource.check(CheckCx::new(Arc::clone(&operation)));
        self.run(op, causes, Action::Check, operation, future, Outcome::Check);
    }

    pub(crate) fn apply(&mut self, op: Op, causes: Causes, refresh: bool) {
        let found = self.slots.get_mut(op.node).and_then(|slot| slot.found.as_mut());
        let found = found.and_then(|found| Some((found.drift.take()?, Arc::clone(&found.resource))));
        let Some((drift, resource)) = found else {
            // The scheduler applies only what a check just found.
            self.slots.set_error(op.node, "nothing found to apply: this is a defect of the engine");
            return self.applied(op, ApplyOutcome::Failed, PortSet(0));
        };
        let mut operation = self.operation(op.node, Arc::clone(&resource));
        operation.refresh = refresh;
        let operation = Arc::new(operation);
        let future = resource.apply(ApplyCx::new(Arc::clone(&operation)), drift);
        self.run(op, causes, Action::Apply, operation, future, Outcome::Apply);
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
        let mut operation = self.operation(op.node, Arc::clone(&resource));
        operation.refresh = true;
        let operation = Arc::new(operation);
        let future = resource.refresh(ApplyCx::new(Arc::clone(&operation)));
        self.run(op, causes, Action::Refresh, operation, future, Outcome::Refresh);
    }

    /// Polls an operation once right here; a task is spawned only for what is not ready then.
    fn run<T: Send + 'static>(
        &mut self,
        op: Op,
        causes: Causes,
        action: Action,
        operation: Arc<Operation>,
        mut future: BoxFuture<Result<T>>,
        outcome: fn(Ended<T>) -> Outcome,
    ) {
        let began = self.clock.now();
        let span = span(action.word(), &*operation.resource);
        let slow = self.is_slow(&operation);
        if !slow {
            let started = Instant::now();
            let mut cx = Context::from_waker(Waker::noop());
            let polled = caught(|| poll_in(&span, future.as_mut(), &mut cx));
            let kept = started.elapsed();
            let ended = match polled {
                Ok(Poll::Pending) => {
                    self.note_slow(&operation, kept);
                    None
                }
                Ok(Poll::Ready(result)) => Some(Ended::Returned(result)),
                Err(panic) => Some(Ended::Panicked(panic)),
            };
            if let Some(ended) = ended {
                self.note_slow(&operation, kept);
                return self.end(Done { op, causes, operation, began, outcome: outcome(ended), kept });
            }
        }
        let (cancel, cancelled) = oneshot::channel();
        let running = RunningOp { op, began, causes, action, cancel: Some(cancel) };
        self.slots.make(op.node).activity = Activity::Running(Box::new(running));
        let done = self.done.clone();
        let task = async move {
            let (mut future, mut kept) = (Some(future), Duration::ZERO);
            let ended = tokio::select! {
                biased;
                ended = poll_fn(|cx| poll_caught(&span, &mut future, &mut kept, cx)) => ended,
                _ = cancelled => {
                    // However it takes it: it is over.
                    let _ = caught(|| drop(future.take()));
                    settle(&operation).await;
                    Ended::Cancelled
                }
            };
            // The loop is gone only when the whole engine is.
            let _ = done.send(Done { op, causes, operation, began, outcome: outcome(ended), kept });
        };
        if slow {
            let runtime = Handle::current();
            tokio::task::spawn_blocking(move || runtime.block_on(task));
        } else {
            tokio::spawn(task);
        }
    }

    fn is_slow(&self, operation: &Operation) -> bool {
        self.slow.get(operation.resource.spec().kind).is_some_and(|times| *times >= SLOW_TIMES)
    }

    fn note_slow(&mut self, operation: &Operation, kept: Duration) {
        if kept > SLOW {
            let times = self.slow.entry(operation.resource.spec().kind).or_insert(0);
            *times += if kept > VERY_SLOW { SLOW_TIMES } else { 1 };
        }
    }

    pub(crate) fn cancel(&mut self, op: Op) {
        if !self.is_current(op) {
            return;
        }
        if let Some(waiting) = self.take_waiting(op.node) {
            self.note_timeout(op.node, waiting.began);
            return self.checked(op, CheckOutcome::Cancelled, PortSet(0));
        }
        let Some(slot) = self.slots.get_mut(op.node) else { return };
        if let Activity::Running(running) = &mut slot.activity
            && let Some(cancel) = running.cancel.take()
        {
            // If the task is gone, the operation has just ended, and its answer is on the way.
            let _ = cancel.send(());
        }
    }

    /// An operation in a task has ended.
    pub(crate) fn done(&mut self, done: Done) {
        if self.is_current(done.op) {
            self.slots.take_activity(done.op.node);
        }
        self.note_slow(&done.operation, done.kept);
        self.end(done);
    }

    /// Holds back an answer that is outdated, longer each time; after too many of them it is a failure.
    fn hold(&mut self, done: Done) -> Option<Done> {
        let node = done.op.node;
        if !done.outcome.is_outdated() {
            // A check in sync or a repair: nothing changes the system under it any more.
            if !matches!(done.outcome, Outcome::Check(Ended::Returned(Ok(Some(_)))))
                && let Some(slot) = self.slots.get_mut(node)
            {
                slot.outdated = 0;
                self.slots.tidy(node);
            }
            return Some(done);
        }
        let slot = self.slots.make(node);
        let Some(delay) = outdated_pauses().nth(slot.outdated as usize) else {
            slot.outdated = 0;
            return Some(done);
        };
        slot.outdated += 1;
        let Done { op, causes, operation, began, outcome, .. } = done;
        let outcome = match outcome {
            Outcome::Check(_) => Outcome::Check(Ended::Cancelled),
            Outcome::Apply(_) => Outcome::Apply(Ended::Cancelled),
            Outcome::Refresh(_) => Outcome::Refresh(Ended::Cancelled),
        };
        // Whatever happens meanwhile is merged into the check that follows.
        slot.activity = Activity::Pausing { op, began, causes };
        let sender = self.done.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // The loop is gone only when the whole engine is.
            let _ = sender.send(Done { op, causes, operation, began, outcome, kept: Duration::ZERO });
        });
        None
    }

    fn end(&mut self, done: Done) {
        let cancelled = matches!(
            done.outcome,
            Outcome::Check(Ended::Cancelled) | Outcome::Apply(Ended::Cancelled) | Outcome::Refresh(Ended::Cancelled)
        );
        let Some(done) = (if cancelled { Some(done) } else { self.hold(done) }) else { return };
        let Done { op, operation, began, outcome, .. } = done;
        let node = op.node;
        let sent = operation.take_sent();
        match outcome {
            Outcome::Check(ended) => {
                let outcome = self.end_check(node, &operation, began, ended);
                self.measure(&operation, "check", check_word(&outcome), began);
                let sent = self.sent(node, &operation, sent);
                self.checked(op, outcome, sent);
            }
            Outcome::Apply(ended) => {
                let unchanged = operation.unchanged.load(Ordering::Relaxed);
                let outcome = match self.end_apply(node, began, ended, |()| !unchanged) {
                    ApplyOutcome::Changed if operation.by_event.load(Ordering::Relaxed) => ApplyOutcome::ChangedByEvent,
                    outcome => outcome,
                };
                self.measure(&operation, "apply", apply_word(outcome), began);
                let sent = self.sent(node, &operation, sent);
                self.applied(op, outcome, sent);
            }
            Outcome::Refresh(ended) => {
                self.slots.make(node).found.get_or_insert_with(|| {
                    let resource = Arc::clone(&operation.resource);
                    Box::new(Found { changes: Vec::new(), drift: None, began, resource })
                });
                let outcome = self.end_apply(node, began, ended, |changed| changed);
                self.measure(&operation, "refresh", apply_word(outcome), began);
                let sent = self.sent(node, &operation, sent);
                self.applied(op, outcome, sent);
            }
        }
    }

    fn sent(&mut self, node: Node, operation: &Operation, sent: Vec<Sent>) -> PortSet {
        if sent.is_empty() {
            return PortSet(0);
        }
        let running = &self.running;
        self.slots.sent(node, || running.id(node), operation.resource.spec().outputs, sent, &self.store)
    }

    fn checked(&mut self, op: Op, outcome: CheckOutcome, sent: PortSet) {
        self.handle(Input::Checked { op, outcome, sent });
    }

    fn applied(&mut self, op: Op, outcome: ApplyOutcome, sent: PortSet) {
        self.handle(Input::Applied { op, outcome, sent });
    }
}

fn poll_caught<T>(
    span: &Span,
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
            let _ = caught(|| *future = None);
            Poll::Ready(Ended::Panicked(panic))
        }
    }
}

/// Waits until the blocking work of a cancelled operation has ended: only then may another one of the same resource begin.
async fn settle(operation: &Arc<Operation>) {
    while Arc::strong_count(operation) > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
