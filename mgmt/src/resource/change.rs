//! Drift as data: the differences that a check found, field by field.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::resource::secret::SECRET_PLACEHOLDER;

/// One difference from the declared state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The field or the property (`content`, `mode`, `state` …).
    pub field: String,
    /// The present value.
    pub from: String,
    /// The value after the repair.
    pub to: String,
    /// A text diff, if the values are long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

impl Change {
    /// A change of `field` from `from` to `to`.
    pub fn new(field: impl Into<String>, from: impl fmt::Display, to: impl fmt::Display) -> Change {
        Change { field: field.into(), from: from.to_string(), to: to.to_string(), diff: None }
    }

    /// A change of `field` whose values must not be shown.
    pub fn secret(field: impl Into<String>) -> Change {
        Change::new(field, SECRET_PLACEHOLDER, SECRET_PLACEHOLDER)
    }

    /// The same change with a text diff.
    #[must_use]
    pub fn with_diff(mut self, diff: impl Into<String>) -> Change {
        self.diff = Some(diff.into());
        self
    }
}

/// A value that a program provides to make kinds show, in plans and events, content that other users may not read, such
/// as that of private files, but never a [`Secret`](crate::resource::Secret). Set by the command line's `--show`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShowPrivate;

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == SECRET_PLACEHOLDER && self.to == SECRET_PLACEHOLDER {
            // Two equal placeholders would look as if nothing had changed.
            return write!(f, "{}: changed {SECRET_PLACEHOLDER}", self.field);
        }
        write!(f, "{}: {} → {}", self.field, self.from, self.to)
    }
}

/// The type of a check's result: passed on to `apply`, and shown as a list of changes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be shown as drift",
    note = "use `Change` or `Vec<Change>` as `type Drift`, or implement `Drift` to hand more than that from `check` to `apply`"
)]
pub trait Drift: Send + 'static {
    /// The changes that a repair would make.
    fn changes(&self) -> Vec<Change>;
}

impl Drift for Change {
    fn changes(&self) -> Vec<Change> {
        vec![self.clone()]
    }
}

impl Drift for Vec<Change> {
    fn changes(&self) -> Vec<Change> {
        self.clone()
    }
}

/// A kind that never drifts.
impl Drift for std::convert::Infallible {
    fn changes(&self) -> Vec<Change> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_differs_is_shown_as_changed() {
        assert_eq!(Change::secret("content").to_string(), "content: changed (secret)");
        assert_eq!(Change::new("content", "nothing", SECRET_PLACEHOLDER).to_string(), "content: nothing → (secret)");
    }
}
