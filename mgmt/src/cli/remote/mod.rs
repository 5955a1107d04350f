//! The command `remote`: plans or runs the graph on other hosts, and shows all of them at once.

mod bars;
#[cfg(feature = "etcd")]
mod cluster;
#[cfg(not(feature = "etcd"))]
#[path = "no_cluster.rs"]
mod cluster;
mod command;
#[cfg(feature = "yaml")]
mod files;
mod graphs;
mod latest;
mod left;
mod options;
mod plan;
mod prompt;
mod run;
mod view;
mod words;

pub(crate) use command::remote;
pub use options::{
    HostOptions, RemoteCommand, RemoteLeftOptions, RemotePlanOptions, RemoteRunOptions, SshOptions, TrialOptions,
};
