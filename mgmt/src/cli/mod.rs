//! The command line around a program's graph: any program with a graph becomes a tool with `run`, `plan`, `check`, `graph`, `schema`, `completion` and `man`; and the program `mgmt`.

mod app;
mod commands;
#[cfg(feature = "yaml")]
mod convert;
mod describe;
mod graphviz;
mod log_format;
mod logs;
mod metrics;
mod options;
mod outlet;
mod prefix;
mod run;
mod session;
mod signals;
#[cfg(feature = "yaml")]
mod stock;
mod svg;
mod user_file;
mod view;

pub use app::{App, main};
#[cfg(feature = "yaml")]
pub use convert::to_rust;
pub use options::{Command, GraphFormat, GraphvizFilter, LogFormat, Options, RunOptions, Timeout};
pub use prefix::default_prefix;
#[cfg(feature = "yaml")]
pub use stock::stock;
