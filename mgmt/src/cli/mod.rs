//! The command line tool around a program's graph, with the commands `run`, `plan`, `check`, `graph`, `deploy`,
//! `schema`, `setup`, `completion` and `man`, those that ask a running instance (`status`, `why` …), and the program
//! `mgmt`.

mod absent;
mod answers;
mod app;
mod ask;
mod bar;
mod capture;
mod chosen;
mod cluster;
mod colour;
mod command_line;
mod commands;
mod completing;
mod convert;
mod convert_exchange;
mod deploy;
mod describe;
mod exit;
mod graphviz;
mod help;
mod log_format;
mod logs;
mod membership;
mod metrics;
mod options;
mod outlet;
mod own_words;
mod prefix;
#[cfg(feature = "ssh")]
mod remote;
mod repeats;
mod report;
mod run;
mod servers;
mod session;
mod setup;
mod signals;
#[cfg(feature = "yaml")]
mod stock;
mod stopping;
mod sum;
mod supervision;
mod svg;
mod unit;
mod usage;
mod user_file;
mod view;
mod waves;
mod world;

pub use app::{App, main};
pub use ask::{Asking, EventsOptions, StatusOptions, WhyOptions};
pub use capture::CaptureOptions;
pub use cluster::{ClusterCommand, Right, TokenOptions};
pub use convert::to_rust;
pub use deploy::{DeployCommand, DeployOptions, PublishOptions};
pub use options::{Command, GraphFormat, GraphvizFilter, LogFormat, Options, RunOptions, Setup, Timeout};
pub use prefix::default_prefix;
#[cfg(feature = "ssh")]
pub use remote::{
    HostOptions, RemoteCommand, RemoteLeftOptions, RemotePlanOptions, RemoteRunOptions, SshOptions, TrialOptions,
};
pub use servers::ServerOptions;
pub use setup::Svc;
#[cfg(feature = "yaml")]
pub use stock::stock;
pub use usage::parse;
pub use waves::{Goal, WaveOptions};
pub use world::{Seeds, WorldOptions};
