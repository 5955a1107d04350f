//! The priorities of messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Format, TypeFacts};

/// How urgent a message is, as syslog has it: the most urgent first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// The system is unusable.
    #[serde(alias = "Emerg")]
    Emerg,
    /// An action is needed at once.
    #[serde(alias = "Alert")]
    Alert,
    /// A critical condition.
    #[serde(alias = "Crit")]
    Crit,
    /// An error.
    #[serde(alias = "Err")]
    Err,
    /// A warning.
    #[serde(alias = "Warning")]
    Warning,
    /// Normal, but significant.
    #[default]
    #[serde(alias = "Notice")]
    Notice,
    /// Information.
    #[serde(alias = "Info")]
    Info,
    /// Information for debugging.
    #[serde(alias = "Debug")]
    Debug,
}

impl TypeFacts for Priority {
    const FORMAT: Format = Format::Choice;
}

impl Priority {
    /// The number of the priority in syslog: 0, the most urgent, to 7.
    pub fn number(self) -> u8 {
        self as u8
    }
}
