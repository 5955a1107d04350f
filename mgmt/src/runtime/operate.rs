//! Operations: begun in the loop, and ended there if they are ready at once; otherwise in a task of their own or on a
//! thread that may block.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::graph::Vertex;
use crate::id::{Node, Time};
use crate::resource::{AnyDrift, AnyResource, ApplyCx, BoxFuture, Inline, KindSpec, Operation, Result, Watch};
use crate::runtime::core::Core;
use crate::runtime::errand::{Away, Errand, give_up};
use crate::runtime::owned::Claim;
use crate::runtime::slot::{Action, Activity, RunningOp, Waiting};
use crate::runtime::span::{poll_in, span};
use crate::runtime::staged::{Act, staged};
use crate::runtime::stay::stay;
use crate::runtime::undo::Departure;
use crate::runtime::values::{Resolved, SentPorts};
use crate::scheduler::{ApplyOutcome, Cause, Causes, CheckOutcome, GoOn, Input, Op};
use crate::sys::task::{caught, watching};

/// The error of an operation that ran into the metaparameter `timeout`.
pub(crate) const CANCELLED: &str = "cancelled: it took longer than its `timeout`";

/// Code that keeps the loop for this long is reported.
const HELD_LONG: Duration = Duration::from_millis(100);

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

/// The result of an operation.
#[derive(Debug)]
pub(crate) enum Outcome {
    Check(Ended<Option<AnyDrift>>),
    Apply(Ended<()>),
    Refresh(Ended<bool>),
    Leave(Ended<Departure>),
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

    /// The outcome as cancelled, whatever the result.
    pub(super) fn cancelled(&self) -> Outcome {
        match self {
            Outcome::Check(_) => Outcome::Check(Ended::Cancelled),
            Outcome::Apply(_) => Outcome::Apply(Ended::Cancelled),
            Outcome::Refresh(_) => Outcome::Refresh(Ended::Cancelled),
            Outcome::Leave(_) => Outcome::Leave(Ended::Cancelled),
        }
    }

    /// The outcome of an operation that was cancelled: an error that it returned is taken to come from that.
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
    pub(super) began: Time,
    pub(super) outcome: Outcome,
    /// The longest time that the operation kept a thread that polled it, without work that it gave to a thread that may
    /// block.
    pub(super) kept: Option<Duration>,
}

/// What the task of an operation reports.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The operation has ended, with all work that it had begun.
    Ended(Box<Done>),
    /// The operation has written its changes and only waits for the disk.
    Yielded(Op),
    /// The timeout of a check is over that the scheduler had cancelled before it began.
    TimeIsUp(Op),
    /// The timeout of the operation is over, and it has still not ended.
    Late(Op),
    /// The grace time of the operation is over: its future is dropped, or should be, but work that it had begun has not
    /// ended.
    Overdue(Op),
    /// The answer to what a resource watches.
    Watch { node: Node, number: u64, resource: Arc<dyn AnyResource>, watch: Watch },
}

impl Core {
    pub(crate) fn check(&mut self, op: Op, causes: Causes, go_on: GoOn) {
        let Some(vertex) = self.running.vertex(op.node) else {
            return self.checked(op, CheckOutcome::Cancelled, SentPorts::default());
        };
        let base = Arc::clone(&vertex.resource);
        if vertex.is_hidden() {
            let outcome = self.end_check(op, &base, self.clock.now(), Ended::Returned(Ok(None)));
            return self.checked(op, outcome, SentPorts::default());
        }
        if let Some(reason) = self.refusal_by_itself(op) {
            return self.refuse(op, causes, base, reason);
        }
        let Some(resource) = (if self.slots.receives(op.node) { self.received(op, &base) } else { Some(base) }) else {
            return;
        };
        if self.slots.is_watch_starting(op.node) {
            let waiting = Waiting { op, began: self.clock.now(), causes, resource };
            self.slots.set_activity(op.node, Activity::WaitingForWatch(Box::new(waiting)));
            return;
        }
        self.check_now(op, causes, go_on, resource);
    }

    /// The resource of a check with what it receives; `None`: it cannot be checked with that, and this has been
    /// answered.
    fn received(&mut self, op: Op, base: &Arc<dyn AnyResource>) -> Option<Arc<dyn AnyResource>> {
        // Closures make the values, and the watch may begin again: both may take long.
        self.recent = None;
        let former = self.slots.current(op.node, base);
        let outcome = match self.slots.resolve(op.node, base, &self.store) {
            Resolved::Ready { resource, changed } => match self.claim(op.node, &resource) {
                Claim::Granted => {
                    if changed && self.running.vertex(op.node).is_some_and(Vertex::is_watched) {
                        self.rewatch_as(op.node, &resource);
                    }
                    return Some(resource);
                }
                Claim::Occupied(owners) => {
                    self.slots.restore(op.node, former);
                    CheckOutcome::Occupied(owners)
                }
                Claim::Refused(reason) => {
                    self.slots.restore(op.node, former);
                    self.slots.set_error(op.node, reason);
                    CheckOutcome::Failed
                }
            },
            Resolved::Missing(senders) => self.missing(op.node, base, self.clock.now(), senders),
            Resolved::Mismatch(problem) => {
                self.slots.set_error(op.node, problem);
                CheckOutcome::Failed
            }
        };
        self.checked(op, outcome, SentPorts::default());
        None
    }

    /// Takes the check that waits for its watch, if there is one.
    pub(crate) fn take_waiting(&mut self, node: Node) -> Option<Box<Waiting>> {
        let waits = |activity: &Activity| matches!(activity, Activity::WaitingForWatch(_));
        self.slots.get(node).filter(|slot| waits(&slot.activity))?;
        match self.slots.take_activity(node) {
            Activity::WaitingForWatch(waiting) => Some(waiting),
            _ => None,
        }
    }

    /// Begins the check: the watch listens.
    pub(crate) fn check_now(&mut self, op: Op, causes: Causes, go_on: GoOn, resource: Arc<dyn AnyResource>) {
        if let Some(reason) = self.refusal(op, &resource) {
            return self.refuse(op, causes, resource, reason);
        }
        let refresh = causes.contains(Cause::Refresh) || causes.contains(Cause::Remake);
        let paths = self.slots.begin_look(op, causes, self.services.owned.version());
        // In the loop, nothing waits between a check and its repair.
        let goes_on = self.goes_away(resource.spec()) && self.barred(&*resource).is_none();
        let go_on = if goes_on { go_on } else { GoOn::No };
        let operation = self.operation(op.node, resource, |operation| {
            (operation.refresh, operation.paths) = (refresh, paths);
            operation.permit(go_on != GoOn::No);
        });
        let future = match go_on {
            GoOn::No => self.checking(&operation),
            GoOn::Yes => stay(&operation, || true),
            GoOn::IfQuiet => stay(&operation, self.watches.quiet()),
        };
        self.run(Start { op, causes, action: Action::Check, operation }, future, Outcome::Check);
    }

    pub(crate) fn apply(&mut self, op: Op, causes: Causes, refresh: bool, announced: bool) {
        let found = self.slots.get_mut(op.node).and_then(|slot| slot.found.as_mut());
        let found = found.and_then(|found| Some((found.drift.take()?, Arc::clone(&found.resource))));
        let Some((drift, resource)) = found else {
            // The scheduler only applies what a check just found.
            self.slots.set_error(op.node, "nothing found to apply: this is a defect of the engine");
            return self.applied(op, ApplyOutcome::Failed, SentPorts::default());
        };
        let operation = self.operation(op.node, resource, |operation| {
            (operation.refresh, operation.announced) = (refresh, announced);
        });
        let future = self.applying(&operation, drift);
        self.run(Start { op, causes, action: Action::Apply, operation }, future, Outcome::Apply);
    }

    pub(crate) fn refresh(&mut self, op: Op, causes: Causes) {
        let Some(vertex) = self.running.vertex(op.node) else {
            return self.applied(op, ApplyOutcome::Cancelled, SentPorts::default());
        };
        let base = Arc::clone(&vertex.resource);
        let Resolved::Ready { resource, .. } = self.slots.resolve(op.node, &base, &self.store) else {
            self.slots.set_error(op.node, "a received value is not there any more");
            return self.applied(op, ApplyOutcome::Failed, SentPorts::default());
        };
        if let Some(why) = self.barred(&*resource) {
            self.slots.set_error(op.node, why);
            return self.applied(op, ApplyOutcome::Failed, SentPorts::default());
        }
        let operation = self.operation(op.node, resource, |operation| operation.refresh = true);
        let refresh = Arc::clone(operation.resource()).refresh(ApplyCx::new(Arc::clone(&operation)));
        let future = staged(Act::Refresh, &operation, refresh);
        self.run(Start { op, causes, action: Action::Refresh, operation }, future, Outcome::Refresh);
    }

    /// The resource has left the graph. A resource that never ran leaves nothing behind.
    pub(crate) fn leave(&mut self, op: Op) {
        self.depart(op, true);
    }

    /// The resource has left the graph: what its kind does then, if it has run, and what its record requires.
    pub(super) fn depart(&mut self, op: Op, has_run: bool) {
        let Some(vertex) = self.running.vertex(op.node).filter(|_| !self.running.is_blind(op.node)) else {
            return self.handle(Input::Left { op, well: true });
        };
        let resource = Arc::clone(&vertex.resource);
        if let Some(reason) = self.refusal(op, &resource) {
            let id = self.running.id(op.node);
            self.warn(format!("{id} has left the graph, but does what it does then only after other work: {reason}"));
            return self.handle(Input::LeaveRefused(op));
        }
        let operation = self.operation(op.node, Arc::clone(&resource), |_| ());
        let cx = ApplyCx::new(Arc::clone(&operation));
        let leave = has_run.then(|| Arc::clone(&resource).leave(cx.clone()));
        let departure = self.departure(op.node, &resource, cx);
        let future: BoxFuture<Result<Departure>> = Box::pin(async move {
            if let Some(leave) = leave {
                leave.await?;
            }
            departure.await
        });
        self.run(Start { op, causes: Causes::NONE, action: Action::Leave, operation }, future, Outcome::Leave);
    }

    /// Operations of this kind are polled on a thread that may block.
    fn goes_away(&self, spec: &KindSpec) -> bool {
        spec.inline != Inline::Everything || self.slowness.is_slow(spec.kind)
    }

    /// Polls an operation once, here if its kind is inline, otherwise on a thread that may block. A task is spawned
    /// only for an operation that has not ended by then.
    fn run<T: Send + 'static>(
        &mut self,
        start: Start,
        mut future: BoxFuture<Result<T>>,
        outcome: fn(Ended<T>) -> Outcome,
    ) {
        let (began, spec) = (self.now(), start.operation.spec());
        let span = span(start.action.word(), &**start.operation.resource());
        if self.goes_away(spec) {
            let is_slow = self.slowness.is_slow(spec.kind);
            let errand = Errand { start, began, span, future: Some(future), outcome, kept: None };
            let op = errand.start.op;
            let in_line = !is_slow && self.waits_in_line(&errand.start);
            let away = self.send_away(errand, is_slow);
            let job = Box::new(move || away.stay());
            if !in_line {
                return self.lane.push(job);
            }
            self.lane.push_in_line(job);
            if self.lane.is_brisk() {
                // It needs no place as long as it waits: so threads find the next operation at once, the loop is woken
                // for many, and what many have written becomes durable together.
                self.handle(Input::Yielded(op));
            }
            return;
        }
        let cx = &mut Context::from_waker(Waker::noop());
        let (polled, blocked) = watching(false, || caught(|| poll_in(&span, future.as_mut(), cx)));
        let now = self.clock.now();
        self.recent = Some(now);
        let kept = now.since(began).saturating_sub(blocked);
        self.slowness.note(spec.kind, kept);
        self.name_if_it_held_the_loop(&**start.operation.resource(), start.action.word(), kept);
        let mut future = Some(future);
        let ended = match polled {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(result)) => Some(Ended::Returned(result)),
            Err(panic) => {
                give_up(&start.operation, &mut future);
                Some(Ended::Panicked(panic))
            }
        };
        match ended {
            Some(ended) if start.operation.is_idle() => {
                drop(future);
                let Start { op, causes, operation, .. } = start;
                self.end(Done { op, causes, operation, began, outcome: outcome(ended), kept: Some(kept) });
            }
            ended => {
                let errand = Errand { start, began, span, future, outcome, kept: Some(kept) };
                self.send_away(errand, false).spawn(ended);
            }
        }
    }

    /// The operation waits for a thread in line, where the number of those that run is bounded. Not if an event has
    /// caused it, or if it has a timeout: then it must not wait behind others.
    fn waits_in_line(&self, start: &Start) -> bool {
        let vertex = self.running.vertex(start.op.node);
        let has_timeout = vertex.and_then(|vertex| vertex.meta.as_ref()?.timeout).is_some();
        self.lane.has_line()
            && start.causes.contains(Cause::Start)
            && start.operation.resource().works_on_files()
            && !has_timeout
    }

    /// Sends the operation out of the loop.
    fn send_away<T>(&mut self, errand: Errand<T>, is_slow: bool) -> Away<T> {
        let Start { op, causes, action, .. } = errand.start;
        let operation = Arc::clone(&errand.start.operation);
        let (cancel, cancelled) = oneshot::channel();
        let running = RunningOp { op, began: errand.began, causes, action, operation, cancel: Some(cancel) };
        self.slots.set_activity(op.node, Activity::Running(Box::new(running)));
        Away { errand, cancelled, answers: self.answers.clone(), grace: self.grace, is_slow }
    }

    /// Reports a resource whose code has kept the loop for this long, if that is long.
    pub(super) fn name_if_it_held_the_loop(&self, resource: &dyn AnyResource, what: &str, kept: Duration) {
        if kept >= HELD_LONG {
            self.warn(format!(
                "{}: its {what} has kept the whole engine waiting for {kept:.1?}: code that blocks belongs into a kind \
                 without `inline`, or into `cx.look` and `cx.change`",
                resource.id()
            ));
        }
    }
}

/// An operation that begins.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) op: Op,
    pub(super) causes: Causes,
    pub(super) action: Action,
    pub(super) operation: Arc<Operation>,
}
