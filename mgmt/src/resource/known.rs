//! The fields of a resource whose values are known, as opposed to those that will be received.

use std::fmt;

use crate::resource::problem::{FieldNames, FieldProblem};
use crate::resource::spec::{KindSpec, hint};

/// The fields of a resource whose values are known. Before a graph runs, a field that receives its value from another
/// resource holds a meaningless placeholder (the type's default; for an optional field, `None`). When the resource
/// runs, all fields are known.
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
    /// The fields that will be received, by number or by name.
    coming: &'a [u8],
    named: &'a [&'a str],
    /// The fields that will receive a secret, by number.
    secret: &'a [u8],
}

impl<'a> Known<'a> {
    /// All fields except these.
    ///
    /// # Panics
    /// The kind has no field with one of these names.
    #[track_caller]
    pub fn all_but(spec: &'static KindSpec, coming: &'a [&'a str]) -> Known<'a> {
        for field in coming {
            number(spec, field);
        }
        Known { spec, coming: &[], named: coming, secret: &[] }
    }

    /// All fields except those with these numbers.
    pub(crate) fn all_but_numbers(spec: &'static KindSpec, coming: &'a [u8]) -> Known<'a> {
        Known { spec, coming, named: &[], secret: &[] }
    }

    /// The same, where the fields with these numbers receive secrets.
    pub(crate) fn with_secrets(self, secret: &'a [u8]) -> Known<'a> {
        Known { secret, ..self }
    }

    /// All fields.
    pub fn all(spec: &'static KindSpec) -> Known<'static> {
        Known { spec, coming: &[], named: &[], secret: &[] }
    }

    /// Whether the field has the value with which the resource will run. (The name always has.)
    ///
    /// # Panics
    /// The kind has no such field. A release build, where this is called very often, checks that only for a resource
    /// that receives something.
    #[track_caller]
    pub fn is_known(&self, field: &str) -> bool {
        if !cfg!(debug_assertions) && self.coming.is_empty() && self.named.is_empty() {
            return true;
        }
        let number = number(self.spec, field);
        number.is_none_or(|number| !self.coming.contains(&number)) && !self.named.contains(&field)
    }

    /// Whether the field will receive a secret from another resource. (Whether a value that is known is a secret can be
    /// seen from the value.)
    ///
    /// # Panics
    /// The kind has no such field.
    #[track_caller]
    pub fn receives_secret(&self, field: &str) -> bool {
        number(self.spec, field).is_some_and(|number| self.secret.contains(&number))
    }

    /// Whether all of these fields have their values.
    ///
    /// # Panics
    /// As [`is_known`](Known::is_known).
    #[track_caller]
    pub fn are_known(&self, fields: impl FieldNames) -> bool {
        // All fields are checked, so that a misspelt name is found even after a field that will be received.
        fields.names().iter().filter(|field| !self.is_known(field)).count() == 0
    }

    /// A problem, unless the condition holds or one of the fields will be received. See [`FieldProblem::new`] for
    /// `fields`.
    ///
    /// # Panics
    /// As [`is_known`](Known::is_known).
    #[track_caller]
    pub fn require(
        &self,
        fields: impl FieldNames,
        holds: bool,
        problem: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Option<FieldProblem> {
        let is_known = (cfg!(debug_assertions) || !holds) && self.are_known(&fields);
        (!holds && is_known).then(|| FieldProblem::new(fields, problem, remedy))
    }

    /// Whether all fields whose values led to the problem are known.
    ///
    /// # Panics
    /// As [`is_known`](Known::is_known).
    pub fn bears_out(&self, problem: &FieldProblem) -> bool {
        problem.judged.iter().all(|field| self.is_known(field))
    }
}

/// The number of a field; `None` for the name field.
#[track_caller]
fn number(spec: &KindSpec, field: &str) -> Option<u8> {
    let number = spec.field(field);
    if number.is_none() && field != spec.name_field {
        let hint = hint(field, spec.fields.iter().map(|field| field.name), "its fields are");
        panic!("{} has no field `{field}`: {hint}", spec.kind);
    }
    number
}

#[cfg(test)]
mod tests {
    use mgmt_macros::Resource;

    use super::*;
    use crate::resource::{AnyResource, ApplyCx, Change, CheckCx, Converge, Result};

    #[derive(Resource, Clone, Debug, PartialEq)]
    #[resource(kind = "test:rope", unwatched)]
    struct Rope {
        #[resource(name)]
        name: String,
        length: u64,
        /// How its author spelled `length`.
        spelled: String,
    }

    impl Converge for Rope {
        type Drift = Change;
        fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
            known.require(&*self.spelled, self.length > 0, "is 0", "give 1").into_iter().collect()
        }
        async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
            Ok(None)
        }
        async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
            Ok(())
        }
    }

    fn spec() -> &'static KindSpec {
        <Rope as crate::resource::Resource>::spec()
    }

    fn problems(length: u64, spelled: &str, known: &Known<'_>) -> Vec<String> {
        let rope = Rope { name: "r".to_owned(), length, spelled: spelled.to_owned() };
        AnyResource::validate(&rope, known).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_misspelt_field_is_a_defect_of_the_kind_and_not_a_known_field() {
        let (all, without) = (Known::all(spec()), Known::all_but(spec(), &["length"]));
        let defect = ["panicked: test:rope has no field `lenght`: did you mean `length`?"];
        for length in [0, 1] {
            assert_eq!(problems(length, "lenght", &all), defect, "{length}");
            assert_eq!(problems(length, "lenght", &without), defect, "{length}");
        }
        assert_eq!(problems(0, "length", &all), ["`length` is 0: give 1"]);
        assert_eq!(problems(0, "name", &all), ["`name` is 0: give 1"]);
        assert!(problems(0, "length", &without).is_empty());
        assert!(without.is_known("name") && without.is_known("spelled") && !without.are_known(["name", "length"]));
        assert!(!Known::all_but_numbers(spec(), &[0]).is_known("length"));
    }

    #[test]
    #[should_panic(expected = "test:rope has no field `lenght`: did you mean `length`?")]
    fn a_misspelt_field_can_not_be_still_to_come() {
        drop(problems(0, "length", &Known::all_but(spec(), &["lenght"])));
    }
}
