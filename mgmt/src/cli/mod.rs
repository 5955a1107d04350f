//! The command line around a program's graph: any program with a graph becomes a tool with `run`, `plan`, `check`, `graph` and `schema`.

mod app;
mod commands;
mod ladder;
mod logs;
mod options;
mod prefix;
mod run;
mod svg;
mod view;

pub use app::{App, main};
pub use options::{Command, GraphFormat, Options, RunOptions};
pub use prefix::default_prefix;
