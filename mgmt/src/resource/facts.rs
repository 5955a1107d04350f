//! What is known of a field's or an output's type: whether it is a secret, and how its values are written.

use std::marker::PhantomData;

use crate::resource::seconds::Seconds;
use crate::resource::secret::Secret;

/// How the values of a type are written, where their JSON alone does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// As their JSON is.
    #[default]
    Plain,
    /// Permissions: a text of octal digits. In YAML `0644` without quotes is one, too.
    Octal,
    /// A length of time: a number of seconds.
    Seconds,
    /// One word out of a list, which in Rust is a variant of the type's enum.
    Choice,
    /// A user or a group: a name, or a number of 32 bits.
    Account,
    /// Whether, or a number of 16 bits.
    Levels,
    /// Texts by name.
    Table,
}

/// Facts about a type, for the front ends. A type without them is plain and no secret.
///
/// The derive finds the facts by the type itself (`FieldSpec::secret`, `FieldSpec::format`); its name is never asked.
pub trait TypeFacts {
    /// Its values must not be shown.
    const SECRET: bool = false;
    /// How its values are written.
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

/// Asks for the facts of a type without demanding them: see [`Ability`](crate::resource::ability::Ability).
#[derive(Debug)]
pub struct Fact<T>(PhantomData<T>);

/// The facts of a type that states none.
pub trait Unstated {
    /// No secret.
    const SECRET: bool = false;
    /// As its JSON is.
    const FORMAT: Format = Format::Plain;
}

impl<T> Unstated for Fact<T> {}

impl<T: TypeFacts> Fact<T> {
    /// Whether its values must not be shown.
    pub const SECRET: bool = T::SECRET;
    /// How its values are written.
    pub const FORMAT: Format = T::FORMAT;
}

/// A fact about a type.
#[doc(hidden)]
#[macro_export]
macro_rules! __fact {
    ($fact:ident, $type:ty) => {{
        // Together: for a type that states its facts `Unstated` alone would be unused.
        use $crate::resource::private::fact::*;
        Fact::<$type>::$fact
    }};
}
