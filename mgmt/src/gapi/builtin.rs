//! The kinds that graphs given as data may use by default.

use crate::graph::Kinds;
use crate::resources::kinds;

/// All built-in kinds.
pub fn builtin_kinds() -> Kinds {
    kinds().into_iter().collect()
}
