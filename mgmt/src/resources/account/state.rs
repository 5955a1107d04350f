//! Whether an account exists: the field `state`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Format, TypeFacts};

/// Whether a user, a group or a key must exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// It exists.
    #[default]
    Exists,
    /// It does not exist.
    Absent,
}

impl TypeFacts for AccountState {
    const FORMAT: Format = Format::Choice;
}
