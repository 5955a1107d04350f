//! The kinds that graphs given as data may use by default.

use crate::graph::Kinds;
#[cfg(feature = "ssh")]
use crate::remote::Remote;
use crate::resources::kinds;

/// All built-in kinds.
pub fn builtin_kinds() -> Kinds {
    with_those_above(kinds().into_iter().collect())
}

/// The only use of a module above: an entry of this list. The kind runs a whole engine elsewhere, so it can't be below
/// one.
#[cfg(feature = "ssh")]
fn with_those_above(kinds: Kinds) -> Kinds {
    kinds.with::<Remote>()
}

#[cfg(not(feature = "ssh"))]
fn with_those_above(kinds: Kinds) -> Kinds {
    kinds
}
