//! For the code that the derive makes.

pub use crate::resource::field::{Not, Probe, Take, WithDefault, WithoutDefault, default, equal_options, output};

/// Which abilities a kind has.
pub mod ability {
    pub use crate::resource::ability::{Ability, Lacks};
}

/// Whether a field takes a type.
pub mod either {
    pub use crate::resource::field::{Refuses, Takes};
}
