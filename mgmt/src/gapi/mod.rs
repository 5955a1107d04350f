//! Where graphs come from: closures, channels, YAML files, programs that print YAML, or a source of your own.

mod builtin;
mod channel;
mod cluster;
mod contract;
mod deploy;
mod failure;
mod fixed;
mod hosts;
mod native;
#[cfg(feature = "yaml")]
mod printed;
mod signal;
mod warn;
#[cfg(any(feature = "ssh", feature = "yaml"))]
mod watcher;
#[cfg(feature = "yaml")]
mod yaml;

pub use crate::sys::facts::FactError;
pub use builtin::builtin_kinds;
pub use channel::{Channel, GraphSender, channel};
pub use cluster::{Cluster, ClusterStatus};
pub use contract::{Gapi, GapiData, GapiError};
pub use deploy::{
    DeployDetails, DeployError, DeploySource, Deployed, Deploys, ListedDeploy, Publish, RolloutView, Waves, deployed,
};
#[cfg(feature = "ssh")]
pub(crate) use deploy::{Hold, Packed, PrivateTerms, Stowed, Terms as TravelTerms, pack, pack_files, pack_unread};
pub use failure::Failure;
pub use fixed::{Fixed, fixed};
pub use hosts::{WorldSchedule, WorldSignal, WorldView};
pub use native::{Cx, Native, native};
#[cfg(feature = "yaml")]
pub use printed::{Program, command, puppet};
pub use signal::{Facts, Readable, Signal};
pub(crate) use warn::Warnings;
#[cfg(feature = "ssh")]
pub(crate) use watcher::Watcher;
#[cfg(feature = "yaml")]
pub use yaml::{RemoteAddress, Yaml, YamlGraph, YamlOptions, read_yaml, yaml, yaml_of_stdin, yaml_schema};
#[cfg(all(feature = "cli", feature = "yaml"))]
pub(crate) use yaml::{STDIN, Written, lacking, read_graph_file, write_yaml, yaml_schema_with};
