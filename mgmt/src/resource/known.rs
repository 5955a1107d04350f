//! Which fields of a resource have their values, and which are still to come.

use std::fmt;

use crate::resource::problem::{FieldNames, FieldProblem};
use crate::resource::spec::KindSpec;

/// Which fields of a resource have their values. Before a graph runs, a field that receives its value from another resource holds a placeholder
/// (the type's default; of an optional field, `None`), which says nothing; when the resource runs, all fields are known.
///
/// ```
/// # use mgmt::prelude::*;
/// # use mgmt::resource::{FieldProblem, Known};
/// # #[derive(Resource, Clone, Debug, PartialEq)]
/// # #[resource(kind = "disk", unwatched)]
/// # struct Disk { #[resource(name)] name: String, size: u64, #[resource(default)] reserve: u64 }
/// impl Converge for Disk {
/// #   type Drift = Change;
/// #   async fn check(&self, _: &CheckCx) -> Result<Option<Change>> { Ok(None) }
/// #   async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> { Ok(()) }
///     fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
///         mgmt::resource::every([
///             known.require("size", self.size > 0, "is 0", "give at least 1 byte"),
///             known.require(
///                 ["reserve", "size"],
///                 self.reserve <= self.size,
///                 format_args!("is {}, more than the whole", self.reserve),
///                 "give less than `size`",
///             ),
///         ])
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    spec: &'static KindSpec,
    /// The numbers of the fields that are still to come.
    coming: &'a [u8],
}

impl<'a> Known<'a> {
    /// All fields but those with these numbers.
    pub fn all_but(spec: &'static KindSpec, coming: &'a [u8]) -> Known<'a> {
        Known { spec, coming }
    }

    /// All fields.
    pub fn all(spec: &'static KindSpec) -> Known<'static> {
        Known { spec, coming: &[] }
    }

    /// Whether the field has its value: what it holds is what the resource will run with.
    pub fn is_known(&self, field: &str) -> bool {
        self.coming.is_empty() || self.spec.field(field).is_none_or(|number| !self.coming.contains(&number))
    }

    /// Whether all of these fields have their values.
    pub fn are_known(&self, fields: impl FieldNames) -> bool {
        fields.names().iter().all(|field| self.is_known(field))
    }

    /// A problem, unless the condition holds or a field that it looks at is still to come. See [`FieldProblem::new`] for the fields.
    pub fn require(
        &self,
        fields: impl FieldNames,
        holds: bool,
        problem: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Option<FieldProblem> {
        (!holds && fields.names().iter().all(|field| self.is_known(field)))
            .then(|| FieldProblem::new(fields, problem, remedy))
    }

    /// Whether a problem was found in fields that have their values.
    pub fn bears_out(&self, problem: &FieldProblem) -> bool {
        problem.judged.iter().all(|field| self.is_known(field))
    }
}
