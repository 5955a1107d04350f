//! For the code that the derive makes.

pub use crate::resource::field::{Not, Probe, Take, WithDefault, WithoutDefault, default, equal_options, output};

/// Which abilities a kind has.
pub mod ability {
    pub use crate::resource::ability::{Ability, Lacks};
}

/// Which facts a type states.
pub mod fact {
    pub use crate::resource::facts::{Fact, Unstated};
}

/// Whether a field takes a type.
pub mod either {
    pub use crate::resource::field::{Refuses, Takes};
}
