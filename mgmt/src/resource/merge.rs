//! Two declarations of one resource that can become one.

use std::fmt;
use std::sync::Arc;

use crate::resource::ability::typed;
use crate::resource::any::AnyResource;
use crate::resource::converge::Converge;

/// A kind of which a resource may be declared more than once in a graph, if the declarations agree: parts of a program
/// that know nothing of one another can then declare the same package. Kind and name are the identity of a resource,
/// so for all other kinds a second declaration is an error.
///
/// The resource has the place of the first declaration, and the edges and sends of all of them. Their metaparameters
/// must be equal.
///
/// ```
/// # use mgmt::prelude::*;
/// # use mgmt::resource::Merge;
/// # #[derive(Resource, Clone, Debug, PartialEq)]
/// # #[resource(kind = "quota", unwatched)]
/// # struct Quota { #[resource(name)] name: String, #[resource(default)] at_least: u64 }
/// # impl Converge for Quota {
/// #     type Drift = Change;
/// #     async fn check(&self, _: &CheckCx) -> Result<Option<Change>> { Ok(None) }
/// #     async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> { Ok(()) }
/// # }
/// impl Merge for Quota {
///     fn merge(&self, other: &Self) -> Result<Self, String> {
///         Ok(Quota { at_least: self.at_least.max(other.at_least), ..self.clone() })
///     }
/// }
///
/// let mut g = Graph::new("quotas");
/// g.add(Quota::new("home").at_least(10u64));
/// g.add(Quota::new("home").at_least(20u64));
/// let prepared = mgmt::graph::prepare(g.finish().unwrap(), &mgmt::graph::Settings::default()).unwrap();
/// assert_eq!(prepared.config().vertices.len(), 1);
/// ```
#[diagnostic::on_unimplemented(
    message = "a `{Self}` can be declared only once",
    label = "this kind has no `impl Merge`",
    note = "write `impl Merge for {Self}`, besides `impl Converge`, if several declarations of one resource can agree"
)]
pub trait Merge: Converge {
    /// The resource that does what both declare. `other` has the same name.
    ///
    /// # Errors
    /// How they contradict each other, in words that follow *is declared twice:*.
    fn merge(&self, other: &Self) -> Result<Self, String>;
}

/// The resource that two declarations make together, or how they contradict each other.
pub(crate) type Merged = Result<Arc<dyn AnyResource>, String>;

/// The type-erased form of [`Merge`].
#[derive(Clone, Copy)]
pub struct MergeFn(pub(crate) fn(&dyn AnyResource, &dyn AnyResource) -> Merged);

impl MergeFn {
    /// The function of a kind.
    #[doc(hidden)]
    pub const fn of<R: Merge>() -> MergeFn {
        MergeFn(|first, second| {
            let merged = typed::<R>(first).merge(typed::<R>(second))?;
            Ok(Arc::new(merged))
        })
    }
}

impl fmt::Debug for MergeFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MergeFn")
    }
}
