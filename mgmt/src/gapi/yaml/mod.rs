//! Graphs from YAML files: the established format of mgmt, with some additions.

mod absent;
mod collect;
mod compat;
mod document;
mod draft;
mod edges;
mod elsewhere;
mod excerpt;
mod metas;
mod options;
mod read;
mod recv;
mod resources;
mod schema;
mod source;
mod tree;
mod typed;
#[cfg(feature = "cli")]
mod write;

#[cfg(feature = "cli")]
pub(crate) use absent::lacking;
pub use options::YamlOptions;
pub use read::{RemoteAddress, YamlGraph, read_yaml};
pub use schema::yaml_schema;
#[cfg(feature = "cli")]
pub(crate) use schema::yaml_schema_with;
pub(crate) use source::accept;
#[cfg(feature = "cli")]
pub(crate) use source::{STDIN, bytes as read_graph_file};
pub use source::{Yaml, yaml, yaml_of_stdin};
pub(crate) use tree::BYTES_MAX;
#[cfg(feature = "cli")]
pub(crate) use write::{Written, write_yaml};
