//! What a file resource keeps between its operations: one allocation, since there may be very many files.

use crate::resources::digests::Digests;
use crate::resources::file::alias::Claims;

/// What a file resource keeps between its operations.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The files that were read.
    pub(super) digests: Digests,
    /// The files that the resource has under more than one spelling.
    pub(super) claims: Claims,
}
