//! What was made of which original, remembered so that nothing is made twice to be compared.

use std::sync::{Arc, Mutex, PoisonError};

use crate::resource::{Digest, Result};
use crate::resources::digests::Digests;

/// What was found earlier, for one resource. `H`: how the output is made, apart from its original.
#[derive(Debug)]
pub(super) struct Seen<H> {
    pub(super) digests: Digests,
    made: Mutex<Option<Made<H>>>,
    value: Mutex<Option<Value<H>>>,
}

/// An output that is sent: of which original, how it is made, and its bytes.
type Value<H> = (Digest, H, Arc<Vec<u8>>);

/// The digest of an original, and that of the output that is made of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made<H> {
    pub(super) original: Digest,
    pub(super) how: H,
    pub(super) output: Digest,
}

impl<H> Default for Seen<H> {
    fn default() -> Seen<H> {
        Seen { digests: Digests::default(), made: Mutex::default(), value: Mutex::default() }
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

    /// The output that is made of this original, to be sent: made again only if the original or the way is another one.
    pub(super) fn value(
        &self,
        original: Digest,
        how: H,
        make: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Arc<Vec<u8>>> {
        let kept = self.value.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((.., value)) = kept.filter(|kept| (kept.0, kept.1) == (original, how)) {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some((original, how, Arc::clone(&value)));
        Ok(value)
    }

    pub(super) fn keep(&self, made: Made<H>) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
    }
}
