//! Facts about the type of a field or an output: whether it is a secret, and how its values are written.

use std::marker::PhantomData;

use crate::resource::seconds::Seconds;
use crate::resource::secret::Secret;

/// How the values of a type are written, where that does not follow from their JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// As in JSON.
    #[default]
    Plain,
    /// Permissions: a text of octal digits. In YAML, `0644` without quotes is also accepted.
    Octal,
    /// A length of time: a number of seconds.
    Seconds,
    /// One word of a list; in Rust, a variant of the type's enum.
    Choice,
    /// A user or a group: a name, or a number of 32 bits.
    Account,
    /// A truth value, or a number of 16 bits.
    Levels,
    /// A map of texts.
    Table,
    /// A value of any type.
    Any,
    /// Values of any type, each with its name. A field that receives in this form has several senders; a resource that
    /// receives a secret in it sends only secrets.
    Named,
}

/// Facts about a type, for the front ends. A type without them is plain and not a secret.
///
/// The derive finds the facts by the type itself (`FieldSpec::secret`, `FieldSpec::format`), never by its name.
pub trait TypeFacts {
    /// Whether the values must not be shown.
    const SECRET: bool = false;
    /// How the values are written.
    const FORMAT: Format = Format::Plain;
}

impl<T: zeroize::Zeroize> TypeFacts for Secret<T> {
    const SECRET: bool = true;
}

impl<T: TypeFacts> TypeFacts for Vec<T> {
    const SECRET: bool = T::SECRET;
}

impl TypeFacts for Seconds {
    const FORMAT: Format = Format::Seconds;
}

impl TypeFacts for crate::sys::fs::Mode {
    const FORMAT: Format = Format::Octal;
}

impl TypeFacts for std::collections::BTreeMap<String, String> {
    const FORMAT: Format = Format::Table;
}

/// Finds the facts of a type without requiring any: see [`Ability`](crate::resource::ability::Ability).
#[derive(Debug)]
pub struct Fact<T>(PhantomData<T>);

/// The facts of a type that does not implement [`TypeFacts`].
pub trait Unstated {
    /// Not a secret.
    const SECRET: bool = false;
    /// As in JSON.
    const FORMAT: Format = Format::Plain;
}

impl<T> Unstated for Fact<T> {}

impl<T: TypeFacts> Fact<T> {
    /// Whether the values must not be shown.
    pub const SECRET: bool = T::SECRET;
    /// How the values are written.
    pub const FORMAT: Format = T::FORMAT;
}

/// A fact about a type.
#[doc(hidden)]
#[macro_export]
macro_rules! __fact {
    ($fact:ident, $type:ty) => {{
        // A glob import, since rustc would warn of an unused `Unstated` for a type with facts.
        use $crate::resource::private::fact::*;
        Fact::<$type>::$fact
    }};
}
