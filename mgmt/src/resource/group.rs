//! Which resources of a kind may be grouped.

use std::borrow::Cow;
use std::fmt;

use crate::resource::ability::typed;
use crate::resource::any::AnyResource;
use crate::resource::converge::Converge;
use crate::resource::known::Known;

/// A kind whose resources form groups: those with equal keys, of which none must run before another, directly or
/// through other resources and groups. A group is data besides the graph: each member stays a resource of its own.
///
/// Groups are found by a [`Grouping`](crate::graph::Grouping), and are in
/// [`Prepared::groups`](crate::graph::Prepared::groups). If the kind has
/// [`ConvergeMany`](crate::resource::ConvergeMany) too, a group runs as one operation with many answers:
///
/// - Its check begins when everything that its members come after is settled: those members that need a check get it in
///   one `check_many`. A member below a resource that has failed is left out, and so is one that waits for something
///   that nothing will bring.
/// - When all of them are answered, those that have drifted are repaired in one `apply_many`. A member whose check
///   never ends holds up the others, unless it has a `timeout`.
/// - It takes one place among the operations that run at once, and the semaphores of all its members.
/// - Each member keeps its own events, plan, refreshes, failures and tries: one that fails is tried again alone.
///
/// Without `ConvergeMany`, groups only show in pictures.
///
/// ```
/// # use std::borrow::Cow;
/// # use mgmt::prelude::*;
/// # use mgmt::resource::{ConvergeMany, Grouped, Known};
/// # #[derive(Resource, Clone, Debug, PartialEq)]
/// # #[resource(kind = "deb", unwatched)]
/// # struct Deb { #[resource(name)] name: String, #[resource(default)] version: Option<String> }
/// # impl Converge for Deb {
/// #     type Drift = Change;
/// #     async fn check(&self, _: &CheckCx) -> Result<Option<Change>> { Ok(None) }
/// #     async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> { Ok(()) }
/// # }
/// # impl ConvergeMany for Deb {}
/// impl Grouped for Deb {
///     fn group_key(&self, known: &Known<'_>) -> Option<Cow<'static, str>> {
///         // A package of a certain version is installed alone.
///         (known.is_known("version") && self.version.is_none()).then_some(Cow::Borrowed("newest"))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the resources of `{Self}` are not grouped",
    label = "this kind has no `impl Grouped`",
    note = "write `impl Grouped for {Self}`, besides `impl Converge`, if several of them belong together"
)]
pub trait Grouped: Converge {
    /// Resources of the kind with equal keys may be in one group; `None`: this resource stays alone. The key is shown
    /// to people. `known` are the fields whose values will not be received: a key must not depend on others.
    fn group_key(&self, known: &Known<'_>) -> Option<Cow<'static, str>>;

    /// Called for each member of a group but the first, with the first: an error refuses the graph, and names both. For
    /// resources that can't be handled together although their keys are equal. Default: no error.
    ///
    /// # Errors
    /// Why not, in words that follow the names of the two.
    fn joins(&self, first: &Self) -> Result<(), String> {
        let _ = first;
        Ok(())
    }
}

/// The type-erased form of [`Grouped`].
#[derive(Clone, Copy)]
pub struct GroupFns {
    pub(crate) key: fn(&dyn AnyResource, &Known<'_>) -> Option<Cow<'static, str>>,
    pub(crate) joins: fn(&dyn AnyResource, &dyn AnyResource) -> Result<(), String>,
}

impl GroupFns {
    /// The functions of a kind.
    #[doc(hidden)]
    pub const fn of<R: Grouped>() -> GroupFns {
        GroupFns {
            key: |resource, known| typed::<R>(resource).group_key(known),
            joins: |resource, first| typed::<R>(resource).joins(typed::<R>(first)),
        }
    }
}

impl fmt::Debug for GroupFns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupFns")
    }
}
