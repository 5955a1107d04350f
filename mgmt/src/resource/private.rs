//! Items for the code that the derive generates.

pub use crate::resource::field::{Not, Probe, Take, WithDefault, WithoutDefault, default, equal_options, output};

/// Finds out which abilities a kind has.
pub mod ability {
    pub use crate::resource::ability::{Ability, Lacks};
}

/// Finds out which facts a type states.
pub mod fact {
    pub use crate::resource::facts::{Fact, Unstated};
}

/// Finds out whether a field takes a type.
pub mod either {
    pub use crate::resource::field::{Refuses, Takes};
}
