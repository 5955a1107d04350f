//! Desired state: the builder, the one data structure that every front end makes, and the passes over it.

mod autoedge;
mod bind;
mod builder;
mod coming;
mod config;
mod copies;
mod cycle;
mod data;
mod deploy;
mod draw;
mod exchange;
mod former;
mod found;
mod grouping;
mod groups;
mod host;
mod index;
mod merging;
mod pass;
mod places;
mod prepare;
mod problem;
mod quotient;
mod reduction;
mod schema;
mod secrets;
mod table;
mod twice;
mod validate;
mod warnings;
#[cfg(feature = "ssh")]
mod within;

pub use autoedge::AutoEdges;
pub use builder::Graph;
#[cfg(feature = "yaml")]
pub(crate) use coming::{Doubt, Doubts};
pub use config::{Edge, GraphConfig, Link, Vertex};
pub use data::{EdgeData, GraphData, Kinds, SendData, VertexData};
#[cfg(feature = "ssh")]
pub(crate) use deploy::relocate_graph;
pub use deploy::{
    Carried, CarriedEntry, CarriedTree, CarriedUse, ContentId, ContentRef, Deploy, DeployId, Difference, Fate,
    FieldChange, Relocation, ResourceChange, Rollout, Stage, Wave, WaveGoal,
};
pub(crate) use deploy::{
    DEPLOY_BYTES_MAX, DeployState, ENTRIES_MAX, FILE_BYTES_MAX, Head, Indexed, Kept, Listed, MESSAGE_BYTES_MAX,
    PART_BYTES, Pending, RECORD_BYTES_MAX, Read, RecordError, Upload, WaveTerms, data_key, differences, entry_mode,
    files_read, head_key, index_key, index_keys, indexed, is_name, is_there, part_count, pending_key, record_key,
    removals, rollout_key, target, turn_key, uploads, wrong_waves,
};
#[cfg(feature = "cli")]
pub(crate) use exchange::Awaited;
pub use exchange::{AwaitedData, CollectData, EndData, ExportData};
pub use exchange::{AwaitedEdge, Collect, Collected, End, Export, Exporting};
pub(crate) use exchange::{
    ExportKey, ExportPlace, Offers, Taken, check_exchange, export_key, export_number, exporter_key, exports_of,
    number_key, resolve, seal_key, sealed_entry, sealed_parts, spoilers, wanted_keys,
};
pub(crate) use former::Former;
pub use grouping::{AutoGroups, GroupGraph, Grouping};
pub use groups::Groups;
pub(crate) use host::Host;
pub(crate) use index::is;
pub use merging::{Merging, Pairs, Refusal, pairwise};
pub use pass::{Pass, PassGraph};
pub(crate) use prepare::{Draft, Exchanged, alone, prepare_with};
pub use prepare::{Prepared, Settings, prepare};
pub use problem::{Problem, Problems};
pub use quotient::{Quotient, QuotientEdge};
pub use reduction::Reduction;
pub use schema::graph_schema;
#[cfg(all(feature = "cli", not(feature = "yaml")))]
pub(crate) use schema::graph_schema_with;
pub use validate::validate;
#[cfg(feature = "yaml")]
pub(crate) use validate::validate_but;
#[cfg(feature = "ssh")]
pub(crate) use within::kinds_of_reading;
#[cfg(all(feature = "ssh", feature = "yaml"))]
pub(crate) use within::reading_with;
