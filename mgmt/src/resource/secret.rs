//! `Secret<T>`: a value that prints, logs, diffs and serialises as a placeholder.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

/// The text that is shown in place of a secret.
pub const SECRET_PLACEHOLDER: &str = "(secret)";

/// A value that is never shown: `Debug` and `Serialize` print a placeholder, and its memory is wiped when it is
/// dropped.
///
/// Send it only to fields that keep secrets; rustc refuses others. [`map`](Secret::map) and [`zip`](Secret::zip) make
/// other secrets from it on the way. There are two ways to get the value: [`expose`](Secret::expose), in the code of a
/// kind, which has a context as proof, and [`declassify`](Secret::declassify), anywhere: a name that a reviewer can
/// search for.
///
/// ```
/// # use mgmt::prelude::*;
/// let (user, password) = (Secret::new("admin".to_owned()), Secret::new("1234".to_owned()));
/// let login = user.zip(&password).map(|(user, password)| format!("{user}:{password}"));
/// assert_eq!(format!("{login:?}"), "(secret)");
/// assert_eq!(login.declassify(), "admin:1234");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Secret(value)
    }

    /// The value itself, for the code of a kind, whose methods have a context (`cx`). The closures of a graph have
    /// none.
    pub fn expose(&self, _cx: &impl Clearance) -> &T {
        &self.0
    }

    /// The value itself, without further protection: it may be printed, and sent to a field that is shown. A reviewer
    /// should look at each call.
    pub fn declassify(&self) -> &T {
        &self.0
    }

    /// Whether the value satisfies `test`: for `validate`, which has no context.
    pub fn satisfies(&self, test: impl FnOnce(&T) -> bool) -> bool {
        test(&self.0)
    }

    /// Another secret made from this one.
    #[must_use]
    pub fn map<U: Zeroize>(&self, make: impl FnOnce(&T) -> U) -> Secret<U> {
        Secret(make(&self.0))
    }

    /// Like [`map`](Secret::map), with a function that can fail. The error is a constant text, so it can't contain
    /// parts of the value.
    ///
    /// # Errors
    /// The error of `make`.
    pub fn try_map<U: Zeroize>(
        &self,
        make: impl FnOnce(&T) -> Result<U, &'static str>,
    ) -> Result<Secret<U>, &'static str> {
        make(&self.0).map(Secret)
    }

    /// One secret made from two.
    #[must_use]
    pub fn zip<U: Zeroize + Clone>(&self, other: &Secret<U>) -> Secret<(T, U)>
    where
        T: Clone,
    {
        Secret((self.0.clone(), other.0.clone()))
    }
}

/// A context of an operation, which only the code of a kind has. It opens secrets: see [`Secret::expose`].
#[diagnostic::on_unimplemented(
    message = "a secret is exposed only to the code of a kind, which has a `cx` to show for it",
    label = "this is no context of an operation",
    note = "in a closure, `secret.map(|value| …)` makes another secret of it",
    note = "where the value must leave its protection, call `declassify()`, which a reviewer can find"
)]
pub trait Clearance: sealed::Sealed {}

mod sealed {
    use crate::resource::context::{ApplyCx, CheckCx, WatchCx};
    use crate::resource::prepare::PrepareCx;

    pub trait Sealed {}
    impl Sealed for CheckCx {}
    impl Sealed for ApplyCx {}
    impl Sealed for WatchCx {}
    impl Sealed for PrepareCx {}
}

#[diagnostic::do_not_recommend]
impl<T: sealed::Sealed> Clearance for T {}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SECRET_PLACEHOLDER)
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Secret(value)
    }
}

impl<T: Zeroize + Serialize> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match is_in_clear() {
            true => self.0.serialize(serializer),
            false => serializer.serialize_str(SECRET_PLACEHOLDER),
        }
    }
}

thread_local! {
    /// Whether secrets are serialised as they are on this thread, and whether one was.
    static IN_CLEAR: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Serialises secrets as they are, on this thread, as long as `make` runs: for a graph that goes to another machine
/// through a channel that no other user can read. The result must go nowhere else. Returns whether there was a secret.
#[cfg(feature = "ssh")]
pub(crate) fn in_clear<T>(make: impl FnOnce() -> T) -> (T, bool) {
    struct Former(Option<bool>);
    impl Drop for Former {
        fn drop(&mut self) {
            IN_CLEAR.set(self.0);
        }
    }
    let _former = Former(IN_CLEAR.replace(Some(false)));
    let made = make();
    (made, IN_CLEAR.get() == Some(true))
}

/// Whether a secret that is being serialised must be as it is. The caller has a secret.
pub(crate) fn is_in_clear() -> bool {
    let is = IN_CLEAR.get().is_some();
    if is {
        IN_CLEAR.set(Some(true));
    }
    is
}

impl<'de, T: Zeroize + Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Secret)
    }
}

impl<T: Zeroize + JsonSchema> JsonSchema for Secret<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Secret_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        schema.insert("writeOnly".into(), true.into());
        schema
    }

    fn inline_schema() -> bool {
        true
    }
}
