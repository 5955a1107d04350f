//! What is remembered of a password: beyond a restart without its text, in memory with it.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::resource::{CheckCx, Secret};
use crate::resources::password::charset::Charset;

/// What is remembered of a generated password. Never the password itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) generated: bool,
    pub(super) length: usize,
    pub(super) charset: Charset,
    /// The bcrypt hash. Not a `Secret`: that would be written as a placeholder.
    pub(super) hash: String,
}

impl Mark {
    pub(super) fn read(cx: &CheckCx) -> Option<Mark> {
        let mark = serde_json::from_slice::<Mark>(&cx.mark()?).ok()?;
        mark.generated.then_some(mark)
    }
}

/// A password and its hash.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) password: Secret<String>,
    pub(super) hash: Secret<String>,
}

/// The password, as long as the process lives.
#[derive(Debug, Default)]
pub(super) struct State(Mutex<Option<Known>>);

impl State {
    /// The password, if it is the one of this mark. (It is set before its mark, whose write may then fail.)
    pub(super) fn known(&self, mark: &Mark) -> Option<Known> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|known| *known.hash.declassify() == mark.hash)
    }

    pub(super) fn set(&self, known: Known) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}
