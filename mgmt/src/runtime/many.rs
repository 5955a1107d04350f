//! Operations of one kind that are ready together, in one call; those of a group, in one of their own. Each has an
//! operation, a task and an answer of its own, as if it were alone; its future only waits for its part of the call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use crate::id::Node;
use crate::resource::{
    AnyApply, AnyCheck, AnyDrift, ApplyCx, BoxFuture, CheckCx, Error, Inline, Item, KindSpec, Operation, Reply, Result,
    part, unanswered,
};
use crate::runtime::core::Core;
use crate::runtime::staged::{Act, staged};
use crate::scheduler::CALL_MAX;
use crate::sys::task::{caught_async, watching};
use crate::sys::threads::in_background;

/// A call of a kind, before it begins.
struct Call<I> {
    spec: &'static KindSpec,
    run: fn(Vec<I>) -> BoxFuture<()>,
    items: Vec<I>,
    /// Held by the future of each item: when all are dropped, no operation waits for the call any more.
    waits: mpsc::Sender<()>,
    all_gone: mpsc::Receiver<()>,
}

/// Whose operations a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Whose {
    kind: &'static str,
    /// The call is apart from the other calls of the kind.
    apart: bool,
    /// The group, if the call is for one.
    group: Option<u32>,
    /// The only resource that the call is for: it is in no group, although its kind has groups.
    alone: Option<u32>,
}

impl Whose {
    fn of(spec: &'static KindSpec, apart: bool, group: Option<u32>, node: u32) -> Whose {
        let alone = spec.abilities.group.filter(|_| group.is_none()).map(|_| node);
        Whose { kind: spec.kind, apart, group, alone }
    }
}

/// The calls that begin at the end of this turn of the loop.
#[derive(Default)]
pub(crate) struct Calls {
    checks: BTreeMap<Whose, Call<AnyCheck>>,
    applies: BTreeMap<Whose, Call<AnyApply>>,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").field("checks", &self.checks.len()).field("applies", &self.applies.len()).finish()
    }
}

impl Core {
    /// The check of a resource, or its part of a call for several.
    pub(super) fn checking(&mut self, operation: &Arc<Operation>) -> BoxFuture<Result<Option<AnyDrift>>> {
        let resource = Arc::clone(operation.resource());
        let (spec, cx) = (resource.spec(), CheckCx::new(Arc::clone(operation)));
        let Some(many) = spec.abilities.many else { return staged(Act::Check, operation, resource.check(cx)) };
        let (work, group) = (part(operation), self.running.groups.of(Node(operation.node)));
        let whose = Whose::of(spec, many.apart, group, operation.node);
        let item = |reply| AnyCheck { resource, cx, reply, work };
        staged(Act::Check, operation, join(&mut self.calls.checks, spec, whose, many.check, "check", item))
    }

    /// The apply of a resource, or its part of a call for several.
    pub(super) fn applying(&mut self, operation: &Arc<Operation>, drift: AnyDrift) -> BoxFuture<Result<()>> {
        let resource = Arc::clone(operation.resource());
        let (spec, cx) = (resource.spec(), ApplyCx::new(Arc::clone(operation)));
        let Some(many) = spec.abilities.many else { return staged(Act::Apply, operation, resource.apply(cx, drift)) };
        let (work, group) = (part(operation), self.running.groups.of(Node(operation.node)));
        let whose = Whose::of(spec, many.apart, group, operation.node);
        let item = |reply| AnyApply { resource, cx, drift, reply, work };
        staged(Act::Apply, operation, join(&mut self.calls.applies, spec, whose, many.apply, "apply", item))
    }

    /// Begins the calls collected in this turn. If there are `more` commands, some of them may be for a group: its call
    /// begins when they have been carried out.
    pub(super) fn begin_calls(&mut self, more: bool) {
        begin_all(&mut self.calls.checks, more, "check");
        begin_all(&mut self.calls.applies, more, "apply");
    }
}

fn begin_all<I: Item>(calls: &mut BTreeMap<Whose, Call<I>>, more: bool, event: &'static str) {
    for (whose, call) in std::mem::take(calls) {
        if more && whose.group.is_some() {
            calls.insert(whose, call);
        } else {
            begin(call, event);
        }
    }
}

/// Puts an item into the next call of its kind, or of its group.
fn join<I: Item>(
    calls: &mut BTreeMap<Whose, Call<I>>,
    spec: &'static KindSpec,
    whose: Whose,
    run: fn(Vec<I>) -> BoxFuture<()>,
    event: &'static str,
    item: impl FnOnce(Reply<I::Answer>) -> I,
) -> BoxFuture<Result<I::Answer>> {
    let (sender, answer) = oneshot::channel();
    // If nothing waits for the answer, the operation was cancelled.
    let reply = Reply::new(move |answer| drop(sender.send(answer)));
    let call = calls.entry(whose).or_insert_with(|| {
        let (waits, all_gone) = mpsc::channel(1);
        Call { spec, run, items: Vec::new(), waits, all_gone }
    });
    call.items.push(item(reply));
    let waits = call.waits.clone();
    if whose.group.is_none()
        && call.items.len() >= CALL_MAX as usize
        && let Some(full) = calls.remove(&whose)
    {
        begin(full, event);
    }
    Box::pin(async move {
        let answer = answer.await;
        drop(waits);
        answer.unwrap_or_else(|_| Err(Error::new("the engine has ended")))
    })
}

fn begin<I: Item>(call: Call<I>, event: &'static str) {
    let Call { spec, run, items, waits, mut all_gone } = call;
    drop(waits);
    let replies: Vec<_> = items.iter().map(Item::reply).collect();
    let span = if spec.quiet {
        tracing::Span::none()
    } else {
        tracing::info_span!(target: "mgmt", "resources", kind = spec.kind, count = items.len(), event)
    };
    let task = async move {
        let mut called = std::pin::pin!(caught_async(run(items)));
        let ended = tokio::select! {
            biased;
            ended = &mut called => ended,
            // All are answered or cancelled. If all were answered, the call runs to its own end.
            _ = all_gone.recv() => match replies.iter().all(Reply::is_given) {
                true => called.await,
                false => return,
            },
        };
        let why = match ended {
            Ok(()) => unanswered(spec.kind, event),
            Err(panic) => panic,
        };
        replies.iter().for_each(|reply| reply.fail(&why));
    };
    let mut task: BoxFuture<()> = Box::pin(task.instrument(span));
    if spec.inline == Inline::Everything {
        tokio::spawn(task);
        return;
    }
    // Most calls have ended after one poll.
    in_background(move || {
        let polled = watching(true, || task.as_mut().poll(&mut Context::from_waker(Waker::noop()))).0;
        if polled.is_pending() {
            tokio::spawn(task);
        }
    });
}
