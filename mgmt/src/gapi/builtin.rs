//! The kinds that graphs given as data may use without being told.

use crate::graph::Kinds;
use crate::resources::*;

/// All built-in kinds.
pub fn builtin_kinds() -> Kinds {
    Kinds::none().with::<Noop>()
}
