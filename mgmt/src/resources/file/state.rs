//! Whether something is at the path: the field `state`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Format, TypeFacts};

/// Whether something is to be at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// It is there. The default.
    Exists,
    /// Nothing is there.
    Absent,
    /// It is kept as declared, but never created: that it is missing is an error.
    #[serde(alias = "")]
    Undefined,
}

impl TypeFacts for FileState {
    const FORMAT: Format = Format::Choice;
}
