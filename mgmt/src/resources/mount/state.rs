//! Whether a file system is mounted: the field `state`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Format, TypeFacts};

/// What must be true of a mount point or a swap device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MountState {
    /// It has an entry in the file, and is mounted. In YAML also `exists`.
    #[default]
    #[serde(alias = "exists")]
    Mounted,
    /// It has an entry in the file, and is not mounted.
    Unmounted,
    /// It has no entry, and is not mounted.
    Absent,
}

impl TypeFacts for MountState {
    const FORMAT: Format = Format::Choice;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::MountState;

    #[test]
    fn what_exists_is_mounted() {
        assert_eq!(serde_json::from_value::<MountState>(json!("exists")).unwrap(), MountState::Mounted);
        assert_eq!(serde_json::to_value(MountState::Mounted).unwrap(), json!("mounted"));
    }
}
