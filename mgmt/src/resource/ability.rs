//! The optional abilities of a kind: small traits besides `Converge`. The derive finds out which of them a kind
//! implements.
//!
//! To add an ability, add its trait, a field of [`Abilities`] with the type of its function, a constant of [`Lacks`],
//! an `impl` of [`Ability`] with the function, and a line in `__abilities!`.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::resource::any::{AnyResource, BoxFuture};
use crate::resource::capture::{Capture, CaptureFn, function};
use crate::resource::context::ApplyCx;
use crate::resource::converge::Converge;
use crate::resource::error::Result;
use crate::resource::group::{GroupFns, Grouped};
use crate::resource::many::{ConvergeMany, Many};
use crate::resource::merge::{Merge, MergeFn};
use crate::resource::prepare::PrepareCx;
use crate::resource::reverse::{Reversal, Reverse};
use crate::resource::uid::Findings;

/// A kind whose resources can be refreshed: a change of a resource that notifies one of them (`notify`, `subscribe`)
/// makes it act even if it has not drifted.
///
/// A kind without it has nothing to refresh: an edge that notifies one of its resources only orders the two, and
/// `check` and `plan` warn about it.
///
/// ```
/// # use mgmt::prelude::*;
/// /// Reloads a program.
/// #[derive(Resource, Clone, Debug, PartialEq)]
/// #[resource(kind = "reload", unwatched)]
/// struct Reload {
///     #[resource(name)]
///     pidfile: String,
/// }
///
/// impl Converge for Reload {
///     type Drift = Change;
///     async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
///         Ok(None)
///     }
///     async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
///         Ok(())
///     }
/// }
///
/// impl Refresh for Reload {
///     async fn refresh(&self, _: &ApplyCx) -> Result<bool> {
///         // … send it a signal.
///         Ok(true)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be refreshed",
    label = "this kind has no `impl Refresh`",
    note = "write `impl Refresh for {Self}`, besides `impl Converge`, if a change of another resource should make it act"
)]
pub trait Refresh: Converge {
    /// Called if a resource that notifies this one has changed, and the check found nothing to repair. (If the check
    /// found drift, only `apply` is called, and the refresh is absorbed.) Returns whether the refresh changed
    /// something, which then notifies in turn. Dropped at any await when it is cancelled; as after an error, the
    /// refresh is then still owed, and is called again.
    fn refresh(&self, cx: &ApplyCx) -> impl Future<Output = Result<bool>> + Send;
}

/// A kind whose resources do something when they have left the graph of a running engine: close what they opened, undo
/// what must not outlive them.
///
/// It is not called for a resource that never ran or is in noop, nor when the engine stops: everything then stays as
/// the graph declares it. It is called once, after the last operation of the resource, and a resource that replaces it
/// (with the same kind and name, or an owner of the same things) waits for it. An error is reported, and the call is
/// not repeated.
///
/// One exception: `leave` is not called if it would run concurrently with an operation that was given up but still
/// runs, of this resource or of one that owns the same things. The event `left` then reports the reason.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does nothing when it leaves the graph",
    label = "this kind has no `impl Leave`",
    note = "write `impl Leave for {Self}`, besides `impl Converge`, if something must be undone when a resource leaves the graph"
)]
pub trait Leave: Converge {
    /// Called when the resource has left the graph. Bounded by its `timeout`; dropped at any await when it is
    /// cancelled.
    fn leave(&self, cx: &ApplyCx) -> impl Future<Output = Result<()>> + Send;
}

/// The type-erased form of [`Leave::leave`].
pub type LeaveFn = fn(Arc<dyn AnyResource>, ApplyCx) -> BoxFuture<Result<()>>;

/// A kind that must examine the system to find out what its resources provide and need: for example, which files a
/// package contains. A [`Pass`](crate::graph::Pass) gets these findings together with what follows from the fields.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not look at the system before the passes",
    label = "this kind has no `impl Prepare`",
    note = "write `impl Prepare for {Self}`, besides `impl Converge`, if what it provides and needs depends on the system"
)]
pub trait Prepare: Converge {
    /// Examines the system before the passes run over a graph with this resource. Changes nothing. Not called if
    /// passes may not add edges. Dropped at any await when it takes longer than the engine's
    /// [`prepare_timeout`](crate::runtime::Builder::prepare_timeout). If it fails or is dropped, a warning names the
    /// resource, and the passes run without its findings.
    fn prepare(&self, cx: &PrepareCx) -> impl Future<Output = Result<Findings>> + Send;
}

/// The type-erased form of [`Prepare::prepare`].
pub type PrepareFn = fn(Arc<dyn AnyResource>, PrepareCx) -> BoxFuture<Result<Findings>>;

/// The type-erased form of [`Refresh::refresh`].
pub type RefreshFn = fn(Arc<dyn AnyResource>, ApplyCx) -> BoxFuture<Result<bool>>;

/// The optional abilities of a kind. Made by `#[derive(Resource)]`.
#[derive(Clone, Copy, Default)]
pub struct Abilities {
    /// The function of [`Refresh`], if the kind has it.
    pub refresh: Option<RefreshFn>,
    /// The function of [`Leave`], if the kind has it.
    pub leave: Option<LeaveFn>,
    /// The function of [`Prepare`], if the kind has it.
    pub prepare: Option<PrepareFn>,
    /// The functions of [`Reverse`], if the kind has it.
    pub reverse: Option<Reversal>,
    /// The functions of [`ConvergeMany`], if the kind has it.
    pub many: Option<Many>,
    /// The functions of [`Grouped`], if the kind has it.
    pub group: Option<GroupFns>,
    /// The function of [`Merge`], if the kind has it.
    pub merge: Option<MergeFn>,
    /// The function of [`Capture`], if the kind has it.
    pub capture: Option<CaptureFn>,
}

impl fmt::Debug for Abilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abilities")
            .field("refresh", &self.refresh.is_some())
            .field("leave", &self.leave.is_some())
            .field("prepare", &self.prepare.is_some())
            .field("reverse", &self.reverse.is_some())
            .field("many", &self.many.is_some())
            .field("group", &self.group.is_some())
            .field("merge", &self.merge.is_some())
            .field("capture", &self.capture.is_some())
            .finish()
    }
}

/// Finds out which abilities `R` has without requiring any: `Ability::<R>::REFRESH` is the constant of the `impl` below
/// whose bound holds, otherwise that of [`Lacks`], since rustc prefers a type's own constants to those of its traits.
#[derive(Debug)]
pub struct Ability<R>(PhantomData<R>);

/// The constants for abilities that a kind lacks.
pub trait Lacks {
    /// `None`: the kind lacks [`Refresh`].
    const REFRESH: Option<RefreshFn> = None;
    /// `None`: the kind lacks [`Leave`].
    const LEAVE: Option<LeaveFn> = None;
    /// `None`: the kind lacks [`Prepare`].
    const PREPARE: Option<PrepareFn> = None;
    /// `None`: the kind lacks [`Reverse`].
    const REVERSE: Option<Reversal> = None;
    /// `None`: the kind lacks [`ConvergeMany`].
    const MANY: Option<Many> = None;
    /// `None`: the kind lacks [`Grouped`].
    const GROUP: Option<GroupFns> = None;
    /// `None`: the kind lacks [`Merge`].
    const MERGE: Option<MergeFn> = None;
    /// `None`: the kind lacks [`Capture`].
    const CAPTURE: Option<CaptureFn> = None;
}

impl<R> Lacks for Ability<R> {}

impl<R: Refresh> Ability<R> {
    /// The kind's function of [`Refresh`].
    pub const REFRESH: Option<RefreshFn> =
        Some(|resource, cx| Box::pin(async move { typed::<R>(&*resource).refresh(&cx).await }));
}

impl<R: Leave> Ability<R> {
    /// The kind's function of [`Leave`].
    pub const LEAVE: Option<LeaveFn> =
        Some(|resource, cx| Box::pin(async move { typed::<R>(&*resource).leave(&cx).await }));
}

impl<R: Prepare> Ability<R> {
    /// The kind's function of [`Prepare`].
    pub const PREPARE: Option<PrepareFn> =
        Some(|resource, cx| Box::pin(async move { typed::<R>(&*resource).prepare(&cx).await }));
}

impl<R: Reverse> Ability<R> {
    /// The kind's functions of [`Reverse`].
    pub const REVERSE: Option<Reversal> = Some(Reversal::of::<R>());
}

impl<R: ConvergeMany> Ability<R> {
    /// The kind's functions of [`ConvergeMany`].
    pub const MANY: Option<Many> = Some(Many::of::<R>());
}

impl<R: Grouped> Ability<R> {
    /// The kind's functions of [`Grouped`].
    pub const GROUP: Option<GroupFns> = Some(GroupFns::of::<R>());
}

impl<R: Merge> Ability<R> {
    /// The kind's function of [`Merge`].
    pub const MERGE: Option<MergeFn> = Some(MergeFn::of::<R>());
}

impl<R: Capture> Ability<R> {
    /// The kind's function of [`Capture`].
    pub const CAPTURE: Option<CaptureFn> = Some(function::<R>());
}

/// The resource as the type of its kind. The functions of a kind are found in its own `KindSpec`, so they are called
/// with resources of that kind.
pub(crate) fn typed<R: Converge>(resource: &dyn AnyResource) -> &R {
    resource.derived().downcast_ref().expect("the engine calls a kind's functions with a resource of that kind")
}

/// The [`Abilities`] of a kind.
#[doc(hidden)]
#[macro_export]
macro_rules! __abilities {
    ($kind:ty) => {{
        // A glob import, since rustc would warn of an unused `Lacks` for a kind that has all abilities.
        use $crate::resource::private::ability::*;
        $crate::resource::Abilities {
            refresh: Ability::<$kind>::REFRESH,
            leave: Ability::<$kind>::LEAVE,
            prepare: Ability::<$kind>::PREPARE,
            reverse: Ability::<$kind>::REVERSE,
            many: Ability::<$kind>::MANY,
            group: Ability::<$kind>::GROUP,
            merge: Ability::<$kind>::MERGE,
            capture: Ability::<$kind>::CAPTURE,
        }
    }};
}
