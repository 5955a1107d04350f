//! Operations on several resources of one kind in one call.

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use crate::resource::ability::typed;
use crate::resource::any::{AnyDrift, AnyResource, BoxFuture};
use crate::resource::context::{ApplyCx, CheckCx};
use crate::resource::converge::Converge;
use crate::resource::error::{Error, Result};
use crate::resource::operation::{Operation, Work};
use crate::resource::provided::lock;
use crate::resource::stopping::Stopping;
use crate::sys::task::caught_async;

/// A kind that handles several of its resources in one call: one transaction for many packages, one query for many
/// rows. Resources of the kind that are ready at the same time are passed together, at most 64 in a call; a resource
/// that is ready alone is passed alone, as are all resources in a plan and in tests. Both methods have a default, which
/// calls `check` or `apply` of each item, all concurrently: a kind may implement only one of them.
///
/// Resources whose checks begin together use one place of [`running_max`](crate::runtime::Builder::running_max)
/// together, from then until the last of them has been checked and, if necessary, applied.
///
/// Each item has what it would have alone: its context, its timeout, its semaphores, its retries, its answer. An item
/// can be answered at any time, and the resources that follow it then continue. An item without an answer at the end of
/// the call, or after a panic, has failed. If one item is cancelled, its token stops ([`CheckCx::stopping`]) and its
/// answer is dropped; the resource is not touched again before the item is answered or dropped. If all items are
/// cancelled, the call is dropped. The call must not block its thread.
///
/// ```
/// # use mgmt::prelude::*;
/// # use mgmt::resource::{ApplyItem, CheckItem, ConvergeMany};
/// # #[derive(Resource, Clone, Debug, PartialEq)]
/// # #[resource(kind = "row", unwatched)]
/// # struct Row { #[resource(name)] key: String, value: u64 }
/// # impl Row {
/// #     async fn select(_: Vec<&str>) -> Result<Vec<Option<u64>>> { Ok(Vec::new()) }
/// #     async fn upsert(_: Vec<(&str, u64)>) -> Result<()> { Ok(()) }
/// # }
/// # impl Converge for Row {
/// #     type Drift = Change;
/// #     async fn check(&self, _: &CheckCx) -> Result<Option<Change>> { Ok(None) }
/// #     async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> { Ok(()) }
/// # }
/// impl ConvergeMany for Row {
///     async fn check_many(items: Vec<CheckItem<Row>>) {
///         let keys = items.iter().map(|item| item.resource().key.as_str()).collect();
///         match Row::select(keys).await {
///             Ok(found) => {
///                 for (item, found) in items.into_iter().zip(found) {
///                     let wanted = item.resource().value;
///                     let drift = (found != Some(wanted)).then(|| Change::new("value", format!("{found:?}"), wanted));
///                     item.answer(Ok(drift));
///                 }
///             }
///             Err(error) => items.into_iter().for_each(|item| item.answer(Err(error.clone()))),
///         }
///     }
///
///     async fn apply_many(items: Vec<ApplyItem<Row>>) {
///         let rows = items.iter().map(|item| (item.resource().key.as_str(), item.resource().value)).collect();
///         let done = Row::upsert(rows).await;
///         items.into_iter().for_each(|item| item.answer(done.clone()));
///     }
/// }
/// ```
pub trait ConvergeMany: Converge {
    /// See [`Converge::check`], for each of the items.
    fn check_many(items: Vec<CheckItem<Self>>) -> impl Future<Output = ()> + Send {
        all(items.into_iter().map(|item| async move {
            let found = unless_stopped(item.cx().stopping(), item.resource().check(item.cx())).await;
            if let Some(found) = found {
                item.answer(found);
            }
        }))
    }

    /// See [`Converge::apply`], for each of the items.
    fn apply_many(items: Vec<ApplyItem<Self>>) -> impl Future<Output = ()> + Send {
        all(items.into_iter().map(|item| async move {
            let ApplyItem { drift, resource, cx, reply, work } = item;
            let done = unless_stopped(cx.stopping(), typed::<Self>(&*resource).apply(&cx, drift)).await;
            drop(work);
            if let Some(done) = done {
                reply.give(done);
            }
        }))
    }
}

/// Runs all futures in this task.
async fn all<F: Future<Output = ()> + Send>(parts: impl Iterator<Item = F>) {
    let mut parts: Vec<_> = parts.map(Box::pin).collect();
    poll_fn(|cx| {
        // A future that has ended must not be polled again.
        parts.retain_mut(|part| part.as_mut().poll(cx).is_pending());
        if parts.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// The result of one item; a panic fails only this item. `None`: the item was cancelled, and its future is dropped.
async fn unless_stopped<T>(stopping: Stopping, part: impl Future<Output = Result<T>>) -> Option<Result<T>> {
    let (mut stopped, mut part) = (pin!(stopping.stopped()), pin!(caught_async(part)));
    poll_fn(|cx| {
        if stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        part.as_mut().poll(cx).map(|done| Some(done.unwrap_or_else(|panic| Err(Error::new(panic)))))
    })
    .await
}

/// The type-erased form of [`ConvergeMany`].
#[derive(Clone, Copy)]
pub struct Many {
    /// Whether its calls are apart from those of other resources of the kind.
    pub(crate) apart: bool,
    pub(crate) check: fn(Vec<AnyCheck>) -> BoxFuture<()>,
    pub(crate) apply: fn(Vec<AnyApply>) -> BoxFuture<()>,
}

impl Many {
    /// The calls of a kind.
    #[doc(hidden)]
    pub const fn of<R: ConvergeMany>() -> Many {
        Many {
            apart: false,
            check: |items| Box::pin(async { R::check_many(items.into_iter().map(CheckItem::new).collect()).await }),
            apply: |items| Box::pin(async { R::apply_many(items.into_iter().map(ApplyItem::new).collect()).await }),
        }
    }
}

impl fmt::Debug for Many {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Many")
    }
}

type Send1<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// The receiver of one item's answer; it can be used once.
pub(crate) struct Reply<T>(Arc<Mutex<Option<Send1<T>>>>);

impl<T> Clone for Reply<T> {
    fn clone(&self) -> Self {
        Reply(Arc::clone(&self.0))
    }
}

impl<T> Reply<T> {
    pub(crate) fn new(send: impl FnOnce(Result<T>) + Send + 'static) -> Reply<T> {
        Reply(Arc::new(Mutex::new(Some(Box::new(send)))))
    }

    /// Gives the answer, unless the item has one already.
    pub(crate) fn give(&self, answer: Result<T>) {
        let send = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(send) = send {
            send(answer);
        }
    }

    pub(crate) fn is_given(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// The check of one resource in a call.
pub(crate) struct AnyCheck {
    pub(crate) resource: Arc<dyn AnyResource>,
    pub(crate) cx: CheckCx,
    pub(crate) reply: Reply<Option<AnyDrift>>,
    /// The operation ends no earlier than this is dropped.
    pub(crate) work: Work,
}

/// The apply of one resource in a call.
pub(crate) struct AnyApply {
    pub(crate) resource: Arc<dyn AnyResource>,
    pub(crate) cx: ApplyCx,
    pub(crate) drift: AnyDrift,
    pub(crate) reply: Reply<()>,
    pub(crate) work: Work,
}

/// A resource to check together with others of its kind. See [`ConvergeMany`].
pub struct CheckItem<R>(AnyCheck, PhantomData<R>);

impl<R: Converge> CheckItem<R> {
    fn new(item: AnyCheck) -> CheckItem<R> {
        CheckItem(item, PhantomData)
    }

    /// The resource.
    pub fn resource(&self) -> &R {
        typed(&*self.0.resource)
    }

    /// The context of the check.
    pub fn cx(&self) -> &CheckCx {
        &self.0.cx
    }

    /// Ends the check: with `None`, the drift, or the error.
    pub fn answer(self, found: Result<Option<R::Drift>>) {
        let AnyCheck { reply, work, .. } = self.0;
        drop(work);
        reply.give(found.map(|drift| drift.map(AnyDrift::new)));
    }
}

impl<R: Converge + fmt::Debug> fmt::Debug for CheckItem<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CheckItem").field(self.resource()).finish()
    }
}

/// A resource to repair together with others of its kind. See [`ConvergeMany`].
pub struct ApplyItem<R: Converge> {
    /// The drift that the check just before found.
    pub drift: R::Drift,
    resource: Arc<dyn AnyResource>,
    cx: ApplyCx,
    reply: Reply<()>,
    work: Work,
}

impl<R: Converge> ApplyItem<R> {
    fn new(item: AnyApply) -> ApplyItem<R> {
        let AnyApply { resource, cx, drift, reply, work } = item;
        ApplyItem { drift: drift.of::<R>(), resource, cx, reply, work }
    }

    /// The resource.
    pub fn resource(&self) -> &R {
        typed(&*self.resource)
    }

    /// The context of the apply.
    pub fn cx(&self) -> &ApplyCx {
        &self.cx
    }

    /// Ends the apply.
    pub fn answer(self, done: Result<()>) {
        drop(self.work);
        self.reply.give(done);
    }
}

impl<R: Converge + fmt::Debug> fmt::Debug for ApplyItem<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApplyItem").field(self.resource()).finish()
    }
}

/// An item of a call, for the engine.
pub(crate) trait Item: Send + 'static {
    /// The type of the item's answer.
    type Answer: Send + 'static;
    /// The receiver of the item's answer.
    fn reply(&self) -> Reply<Self::Answer>;
}

impl Item for AnyCheck {
    type Answer = Option<AnyDrift>;
    fn reply(&self) -> Reply<Option<AnyDrift>> {
        self.reply.clone()
    }
}

impl Item for AnyApply {
    type Answer = ();
    fn reply(&self) -> Reply<()> {
        self.reply.clone()
    }
}

impl<T> Reply<T> {
    /// Fails an item that has no answer at the end of the call.
    pub(crate) fn fail(&self, why: &str) {
        self.give(Err(Error::new(why)));
    }
}

impl dyn AnyResource {
    /// The check as in a run, of this resource alone: with [`ConvergeMany`] if the kind implements it.
    pub(crate) fn check_alone(self: Arc<Self>, operation: &Arc<Operation>) -> BoxFuture<Result<Option<AnyDrift>>> {
        let cx = CheckCx::new(Arc::clone(operation));
        let Some(many) = self.spec().abilities.many else { return self.check(cx) };
        let (kind, work) = (self.spec().kind, part(operation));
        alone(kind, "check", many.check, |reply| AnyCheck { resource: self, cx, reply, work })
    }

    /// The apply as in a run, of this resource alone.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn apply_alone(self: Arc<Self>, operation: &Arc<Operation>, drift: AnyDrift) -> BoxFuture<Result<()>> {
        let cx = ApplyCx::new(Arc::clone(operation));
        let Some(many) = self.spec().abilities.many else { return self.apply(cx, drift) };
        let (kind, work) = (self.spec().kind, part(operation));
        alone(kind, "apply", many.apply, |reply| AnyApply { resource: self, cx, drift, reply, work })
    }
}

/// The guard for an operation's part in a call: the operation ends no earlier than this is dropped.
pub(crate) fn part(operation: &Arc<Operation>) -> Work {
    Work::new(operation, "part of a call for several resources")
}

/// The error of an item that has no answer at the end of its call.
pub(crate) fn unanswered(kind: &str, event: &str) -> String {
    format!("`{event}_many` of the kind `{kind}` ended without an answer for it")
}

/// A call with one item; the future ends with the call.
fn alone<I: Item>(
    kind: &'static str,
    event: &'static str,
    run: fn(Vec<I>) -> BoxFuture<()>,
    item: impl FnOnce(Reply<I::Answer>) -> I,
) -> BoxFuture<Result<I::Answer>> {
    let answer = Arc::new(Mutex::new(None));
    let given = Arc::clone(&answer);
    let item = item(Reply::new(move |answer| *lock(&given) = Some(answer)));
    let reply = item.reply();
    let call = run(vec![item]);
    Box::pin(async move {
        call.await;
        reply.fail(&unanswered(kind, event));
        let answer = lock(&answer).take();
        answer.unwrap_or_else(|| Err(Error::new(unanswered(kind, event))))
    })
}
