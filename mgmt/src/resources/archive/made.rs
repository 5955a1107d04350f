//! What was made of which original, remembered so that nothing is made twice to be compared.

use std::sync::{Mutex, PoisonError};

use crate::resource::Digest;
use crate::resources::digests::Digests;

/// What was found earlier, for one resource. `H`: how the output is made, apart from its original.
#[derive(Debug)]
pub(super) struct Seen<H> {
    pub(super) digests: Digests,
    made: Mutex<Option<Made<H>>>,
}

/// The digest of an original, and that of the output that is made of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made<H> {
    pub(super) original: Digest,
    pub(super) how: H,
    pub(super) output: Digest,
}

impl<H> Default for Seen<H> {
    fn default() -> Seen<H> {
        Seen { digests: Digests::default(), made: Mutex::default() }
    }
}

impl<H: Copy + PartialEq> Seen<H> {
    fn made(&self) -> Option<Made<H>> {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of the output that is made of this original, if that is known.
    pub(super) fn output(&self, original: Digest, how: H) -> Option<Digest> {
        self.made().filter(|made| made.original == original && made.how == how).map(|made| made.output)
    }

    /// Whether this output is known to be made of another original in the same way: then it differs from the output
    /// of this original, which need not be made to be compared.
    pub(super) fn is_of_another(&self, original: Digest, how: H, output: Digest) -> bool {
        self.made().is_some_and(|made| made.output == output && made.how == how && made.original != original)
    }

    pub(super) fn keep(&self, made: Made<H>) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
    }
}
