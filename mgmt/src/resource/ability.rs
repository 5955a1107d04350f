//! The optional abilities of a kind: small traits besides `Converge`. The derive finds out which of them a kind has, so
//! the engine knows without asking.
//!
//! A further ability is: its trait, a field of [`Abilities`] with the type of its function, a constant of [`Lacks`], an
//! `impl` of [`Ability`] with the function, and a line in `__abilities!`.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::resource::any::{AnyResource, BoxFuture};
use crate::resource::context::ApplyCx;
use crate::resource::converge::Converge;
use crate::resource::error::Result;
use crate::resource::many::{ConvergeMany, Many};
use crate::resource::prepare::PrepareCx;
use crate::resource::uid::Findings;

/// A kind whose resources can be refreshed: what notifies one of them (`notify`, `subscribe`) makes it act although
/// nothing about it has drifted.
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
    /// Something that notifies this resource has changed, and the check found nothing to repair. (If it found
    /// something, `apply` alone is called, and the refresh is absorbed.) Returns whether it did something, which then
    /// notifies in turn. Dropped at any await when it is cancelled: the refresh is still owed then, as after an error,
    /// and asked for again.
    fn refresh(&self, cx: &ApplyCx) -> impl Future<Output = Result<bool>> + Send;
}

/// A kind whose resources do something when they have left the graph of a running engine: close what they opened, undo
/// what must not outlive them.
///
/// It is not called for a resource that never ran, in noop, nor when the engine stops: what the graph keeps stays kept
/// then. It is called once, after the last operation of the resource, and what takes its place (by kind and name, or by
/// owning the same) waits for it. If it fails, that is reported, and not tried again.
///
/// One exception: if the last operation of the resource was given up and still runs, or one of a resource that owns the
/// same, `leave` would run beside it. It is not called then, and the event `left` reports why.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does nothing when it leaves the graph",
    label = "this kind has no `impl Leave`",
    note = "write `impl Leave for {Self}`, besides `impl Converge`, if something must be undone when a resource leaves the graph"
)]
pub trait Leave: Converge {
    /// The resource has left the graph. Bounded by its `timeout`; dropped at any await when it is cancelled.
    fn leave(&self, cx: &ApplyCx) -> impl Future<Output = Result<()>> + Send;
}

/// What [`Leave::leave`] becomes once the type is erased.
pub type LeaveFn = fn(Arc<dyn AnyResource>, ApplyCx) -> BoxFuture<Result<()>>;

/// A kind that must look at the system to know what its resources provide and need: which files a package ships, say. A
/// [`Pass`](crate::graph::Pass) then finds that with what the fields tell.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not look at the system before the passes",
    label = "this kind has no `impl Prepare`",
    note = "write `impl Prepare for {Self}`, besides `impl Converge`, if only the system tells what it provides and needs"
)]
pub trait Prepare: Converge {
    /// Looks, before the passes run over a graph that this resource is in. Changes nothing. Not called where no pass
    /// runs. Dropped at any await when it takes longer than the engine's
    /// [`prepare_timeout`](crate::runtime::Builder::prepare_timeout). If it fails or is dropped, a warning names the
    /// resource, and the passes run with what its fields tell.
    fn prepare(&self, cx: &PrepareCx) -> impl Future<Output = Result<Findings>> + Send;
}

/// What [`Prepare::prepare`] becomes once the type is erased.
pub type PrepareFn = fn(Arc<dyn AnyResource>, PrepareCx) -> BoxFuture<Result<Findings>>;

/// What [`Refresh::refresh`] becomes once the type is erased.
pub type RefreshFn = fn(Arc<dyn AnyResource>, ApplyCx) -> BoxFuture<Result<bool>>;

/// Which of the optional abilities a kind has. Made by `#[derive(Resource)]`.
#[derive(Clone, Copy, Default)]
pub struct Abilities {
    /// The function of [`Refresh`], if the kind has it.
    pub refresh: Option<RefreshFn>,
    /// The function of [`Leave`], if the kind has it.
    pub leave: Option<LeaveFn>,
    /// The function of [`Prepare`], if the kind has it.
    pub prepare: Option<PrepareFn>,
    /// The functions of [`ConvergeMany`], if the kind has it.
    pub many: Option<Many>,
}

impl fmt::Debug for Abilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abilities")
            .field("refresh", &self.refresh.is_some())
            .field("leave", &self.leave.is_some())
            .field("prepare", &self.prepare.is_some())
            .field("many", &self.many.is_some())
            .finish()
    }
}

/// Asks which abilities `R` has without demanding any: `Ability::<R>::REFRESH` is the constant of the `impl` below
/// whose bound holds, else the one of [`Lacks`], since rustc prefers a type's own constants to those of its traits.
#[derive(Debug)]
pub struct Ability<R>(PhantomData<R>);

/// What a kind without an ability has in its place.
pub trait Lacks {
    /// `None`: the kind lacks [`Refresh`].
    const REFRESH: Option<RefreshFn> = None;
    /// `None`: the kind lacks [`Leave`].
    const LEAVE: Option<LeaveFn> = None;
    /// `None`: the kind lacks [`Prepare`].
    const PREPARE: Option<PrepareFn> = None;
    /// `None`: the kind lacks [`ConvergeMany`].
    const MANY: Option<Many> = None;
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

impl<R: ConvergeMany> Ability<R> {
    /// The kind's functions of [`ConvergeMany`].
    pub const MANY: Option<Many> = Some(Many::of::<R>());
}

/// The functions of a kind are called with a resource of that kind: they are reached through its own `KindSpec`.
pub(crate) fn typed<R: Converge>(resource: &dyn AnyResource) -> &R {
    resource.as_any().downcast_ref().expect("the engine calls a kind's functions with a resource of that kind")
}

/// The [`Abilities`] of a kind.
#[doc(hidden)]
#[macro_export]
macro_rules! __abilities {
    ($kind:ty) => {{
        // Together: of a kind that has all abilities `Lacks` alone would be unused.
        use $crate::resource::private::ability::*;
        $crate::resource::Abilities {
            refresh: Ability::<$kind>::REFRESH,
            leave: Ability::<$kind>::LEAVE,
            prepare: Ability::<$kind>::PREPARE,
            many: Ability::<$kind>::MANY,
        }
    }};
}
