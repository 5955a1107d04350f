//! Drift as data: what a check found wrong, field by field.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::resource::secret::SECRET_PLACEHOLDER;

/// One thing that is not as desired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The field, or what it is about (`content`, `mode`, `state` …).
    pub field: String,
    /// What is there now.
    pub from: String,
    /// What will be there.
    pub to: String,
    /// A text diff, where the values are long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

impl Change {
    /// `field` is `from` and should be `to`.
    pub fn new(field: impl Into<String>, from: impl fmt::Display, to: impl fmt::Display) -> Change {
        Change { field: field.into(), from: from.to_string(), to: to.to_string(), diff: None }
    }

    /// `field` differs, and neither value may be shown.
    pub fn secret(field: impl Into<String>) -> Change {
        Change::new(field, SECRET_PLACEHOLDER, SECRET_PLACEHOLDER)
    }

    /// The same with a text diff.
    #[must_use]
    pub fn with_diff(mut self, diff: impl Into<String>) -> Change {
        self.diff = Some(diff.into());
        self
    }
}

/// Provided by a program, it asks kinds to show what others may not read, in a plan and in events: contents of private
/// files, but never a [`Secret`](crate::resource::Secret). The command line's `--show`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShowPrivate;

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == SECRET_PLACEHOLDER && self.to == SECRET_PLACEHOLDER {
            // Two placeholders would look as if nothing changed.
            return write!(f, "{}: changed {SECRET_PLACEHOLDER}", self.field);
        }
        write!(f, "{}: {} → {}", self.field, self.from, self.to)
    }
}

/// What a check may find: handed on to `apply`, and shown as a list of changes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be shown as drift",
    note = "use `Change` or `Vec<Change>` as `type Drift`, or implement `Drift` to hand more than that from `check` to `apply`"
)]
pub trait Drift: Send + 'static {
    /// The changes that would repair it.
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
