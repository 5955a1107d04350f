//! What a service does, and when it is started: the fields `state` and `startup`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Format, TypeFacts};

/// Whether a service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SvcState {
    /// It runs.
    Running,
    /// It does not run.
    Stopped,
}

impl TypeFacts for SvcState {
    const FORMAT: Format = Format::Choice;
}

/// Whether a service is started with the machine, or with the session of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SvcStartup {
    /// It is started.
    Enabled,
    /// It is not started, unless something else needs it.
    Disabled,
    /// Nothing can start it.
    Masked,
}

impl TypeFacts for SvcStartup {
    const FORMAT: Format = Format::Choice;
}
