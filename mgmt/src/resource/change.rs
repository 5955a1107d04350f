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
    /// Why the values are not shown: `secret`, or for example `mode 0600` for the content of a file that other users
    /// may not read. `None`: they are shown. In place of values that are not shown, `from` and `to` are both
    /// `(secret)` or both `(not shown)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<String>,
}

/// Stands for a value that is no secret, but is not shown.
const NOT_SHOWN: &str = "(not shown)";

impl Change {
    /// A change of `field` from `from` to `to`.
    pub fn new(field: impl Into<String>, from: impl fmt::Display, to: impl fmt::Display) -> Change {
        Change { field: field.into(), from: from.to_string(), to: to.to_string(), diff: None, hidden: None }
    }

    /// A change of `field` whose values must not be shown.
    pub fn secret(field: impl Into<String>) -> Change {
        let hidden = Some("secret".to_owned());
        Change { hidden, ..Change::new(field, SECRET_PLACEHOLDER, SECRET_PLACEHOLDER) }
    }

    /// A change of `field` whose values are no secrets, but are shown only if the program provides [`ShowPrivate`].
    /// `why` is the reason, such as `mode 0600`.
    pub fn private(field: impl Into<String>, why: impl fmt::Display) -> Change {
        Change { hidden: Some(why.to_string()), ..Change::new(field, NOT_SHOWN, NOT_SHOWN) }
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

/// Provided by the engine while it makes a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planning;

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == SECRET_PLACEHOLDER && self.to == SECRET_PLACEHOLDER {
            // Two equal placeholders would look as if nothing had changed.
            return write!(f, "{}: changed {SECRET_PLACEHOLDER}", self.field);
        }
        if let (NOT_SHOWN, Some(why)) = (self.to.as_str(), &self.hidden) {
            return write!(f, "{}: changed (not shown: {why}; `--show` shows it)", self.field);
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
        let private = Change::private("content", "mode 0600");
        assert_eq!(private.to_string(), "content: changed (not shown: mode 0600; `--show` shows it)");
        let data = |change| serde_json::to_value(change).unwrap();
        let [from, to] = ["(not shown)"; 2];
        let json = serde_json::json!({ "field": "content", "from": from, "to": to, "hidden": "mode 0600" });
        assert_eq!(data(private), json);
        assert_eq!(data(Change::secret("content"))["hidden"], "secret");
        assert!(data(Change::new("mode", "0600", "0644")).get("hidden").is_none());
        assert_eq!(Change::new("content", "nothing", SECRET_PLACEHOLDER).to_string(), "content: nothing → (secret)");
    }
}
