//! The operations that a `test` can be asked to fail at or to hang in.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Format, TypeFacts};

/// An operation of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The check, which looks.
    Check,
    /// The apply, which repairs what the check found.
    Apply,
    /// The refresh.
    Refresh,
    /// The watch: when it begins to listen.
    Watch,
}

impl TypeFacts for Step {
    const FORMAT: Format = Format::Choice;
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Check => "check",
            Step::Apply => "apply",
            Step::Refresh => "refresh",
            Step::Watch => "watch",
        })
    }
}
