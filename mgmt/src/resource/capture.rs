//! Kinds whose resources can be declared from what a host has.

use std::future::Future;
use std::sync::Arc;

use crate::resource::ability::typed;
use crate::resource::any::{AnyResource, BoxFuture};
use crate::resource::context::CheckCx;
use crate::resource::converge::Converge;
use crate::resource::error::Result;
use crate::resource::held::held;

/// A kind whose resources can be declared as the host has them now: by the command `capture`, and by
/// [`Builder::capture`](crate::runtime::Builder::capture).
///
/// ```
/// # use mgmt::prelude::*;
/// # use mgmt::resource::{Capture, Captured};
/// /// The message of the day.
/// #[derive(Resource, Clone, Debug, PartialEq)]
/// #[resource(kind = "motd", unwatched)]
/// struct Motd {
///     #[resource(name)]
///     path: String,
///     text: Option<String>,
/// }
///
/// impl Converge for Motd {
///     type Drift = Change;
///     async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
///         // … compare.
///         Ok(None)
///     }
///     async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
///         Ok(())
///     }
/// }
///
/// impl Capture for Motd {
///     async fn capture(&self, cx: &CheckCx) -> Result<Vec<Captured<Motd>>> {
///         let path = self.path.clone();
///         let bytes = cx.look(move |fs, _| fs.read_file(path, 1 << 20)).await?;
///         let text = String::from_utf8_lossy(&bytes).into_owned();
///         Ok(vec![Captured::new(Motd { text: Some(text), ..self.clone() })])
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be declared from what a host has",
    label = "this kind has no `impl Capture`",
    note = "write `impl Capture for {Self}`, besides `impl Converge`, if the present state of a host can be declared"
)]
pub trait Capture: Converge {
    /// The resource as the host has it. `self` has nothing but its name; all other fields have their defaults. A check
    /// of what is returned must find nothing to repair. Several resources are returned where one name stands for all
    /// that it contains, such as a directory. What is absent is returned as that, if the kind can declare it. Changes
    /// nothing.
    ///
    /// A secret is left out, with a [note](Captured::note) about it: what is captured is printed.
    fn capture(&self, cx: &CheckCx) -> impl Future<Output = Result<Vec<Captured<Self>>>> + Send;
}

/// A resource as a host has it.
#[derive(Clone, Debug)]
#[must_use = "a captured resource is returned"]
pub struct Captured<R> {
    resource: R,
    notes: Vec<String>,
}

impl<R> Captured<R> {
    /// This resource, with nothing left out.
    pub fn new(resource: R) -> Captured<R> {
        Captured { resource, notes: Vec::new() }
    }

    /// Adds a note for the reader of the graph: what is left out, and what to do about it.
    pub fn note(mut self, note: impl Into<String>) -> Captured<R> {
        self.notes.push(note.into());
        self
    }
}

/// A resource as a host has it, with its type erased.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AnyCaptured {
    /// The resource.
    pub resource: Arc<dyn AnyResource>,
    /// Notes for the reader of the graph: what is left out, and what to do about it.
    pub notes: Vec<String>,
}

/// The type-erased form of [`Capture::capture`].
pub type CaptureFn = fn(Arc<dyn AnyResource>, CheckCx) -> BoxFuture<Result<Vec<AnyCaptured>>>;

/// The type-erased function of a kind.
pub(crate) const fn function<R: Capture>() -> CaptureFn {
    |resource, cx| {
        Box::pin(async move {
            let found = typed::<R>(&*resource).capture(&cx).await?;
            Ok(found.into_iter().map(|one| AnyCaptured { resource: held(one.resource), notes: one.notes }).collect())
        })
    }
}
