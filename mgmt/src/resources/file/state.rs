//! Whether something exists at the path: the field `state`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Format, TypeFacts};

/// Whether something must exist at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// Something is at the path. The default.
    Exists,
    /// Nothing is at the path.
    Absent,
    /// What is at the path is kept as declared, but never created: a missing file is an error.
    #[serde(alias = "")]
    Undefined,
}

impl TypeFacts for FileState {
    const FORMAT: Format = Format::Choice;
}
