//! Whether the line is in the file: the field `state`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Format, TypeFacts};

/// Whether a line must be in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LineState {
    /// The line is in the file, at least once.
    #[default]
    Exists,
    /// The line is not in the file.
    Absent,
}

impl TypeFacts for LineState {
    const FORMAT: Format = Format::Choice;
}
