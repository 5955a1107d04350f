//! Deploys: a graph as data with the files that it reads, published to a world for hosts that follow it. Here is what
//! is pure: the layout in the world, the records, what may travel, and what must be written and removed.

mod carried;
mod content;
mod difference;
mod keys;
mod record;
#[cfg(feature = "ssh")]
mod relocated;
mod removal;
mod rollout;
#[cfg(test)]
mod rollout_tests;
mod state;
#[cfg(test)]
mod tests;
mod travel;
mod upload;

pub use carried::{Carried, CarriedEntry, CarriedTree, CarriedUse, Relocation};
pub(crate) use carried::{ENTRIES_MAX, FILE_BYTES_MAX, entry_mode, is_name};
pub use content::{ContentId, ContentRef};
pub(crate) use difference::differences;
pub use difference::{Difference, FieldChange, ResourceChange};
pub(crate) use keys::{
    PART_BYTES, data_key, head_key, index_key, index_keys, pending_key, record_key, rollout_key, turn_key,
};
pub(crate) use record::{DEPLOY_BYTES_MAX, Head, MESSAGE_BYTES_MAX, RECORD_BYTES_MAX, RecordError};
pub use record::{Deploy, DeployId};
#[cfg(feature = "ssh")]
pub(crate) use relocated::relocate_graph;
pub(crate) use removal::{Kept, removals};
pub use rollout::{Fate, Rollout, Stage, Wave, WaveGoal};
pub(crate) use rollout::{Terms as WaveTerms, target, wrong_waves};
pub(crate) use state::{DeployState, Indexed, Listed, Pending, indexed, is_there};
pub(crate) use travel::{Read, files_read};
pub(crate) use upload::{Upload, part_count, uploads};
