//! Keeps a machine in a declared state, continuously: a program declares a graph of typed resources, and the same
//! program checks them, repairs what has drifted, and repairs it again whenever it drifts.
//!
//! | to … | begin with |
//! |---|---|
//! | declare a graph and run it as a command line tool | [`main`](main()), the [`prelude`], the [`resources`] |
//! | run an engine inside a tokio program | [`Engine`], and what it reports: [`runtime`] |
//! | declare a graph that follows changing values | [`native`], [`gapi::Signal`] |
//! | read a graph from data or YAML | [`graph::GraphData`], [`gapi::read_yaml`] |
//! | plan and run a graph on other hosts over SSH | [`guide::remote`], the module `remote` (feature `ssh`) |
//! | give many hosts one graph | [`runtime::Builder::deploy`], [`gapi::deployed`] |
//! | write a kind of your own | [`Resource`](derive@Resource), [`resource::Converge`] |
//! | test a kind or a graph | [`testing`] (feature `testing`) |
//! | see what would be done now | [`runtime::Builder::plan`], [`plan::Plan`] |
//!
//! Cargo features: `archive` (the kinds `gzip`, `tar` and `unpack`), `cli` (the command line), `dbus` (the kinds
//! `cron`, `hostname`, `nspawn` and `svc`, and D-Bus for kinds), `http` (the kinds `http:server` and `http:file`),
//! `template` ([`render`]) and `yaml` (graphs from YAML) are on by default; `http-client` (the kind `http:client`),
//! `etcd` (a world in etcd), `ssh` (runs on other hosts, and the kind `remote`), `virt` (the kind `virt`) and
//! `testing` (laws and fakes for tests) are not.
//! More in the [guide](guide::embedding#cargo-features).
//!
//! The README of the project follows. Its chapters are the modules of [`guide`].
//!
//! [guide-language]: guide::language
//! [guide-automatic-edges]: guide::automatic_edges
//! [guide-reversal]: guide::reversal
//! [guide-secrets]: guide::secrets
//! [guide-command-line]: guide::command_line
//! [guide-systemd]: guide::systemd
//! [guide-kinds]: guide::kinds
//! [guide-own-kinds]: guide::own_kinds
//! [guide-testing]: guide::testing
//! [guide-embedding]: guide::embedding
//! [guide-world]: guide::world
//! [guide-remote]: guide::remote
//! [guide-yaml]: guide::yaml
//! [guide-promises]: guide::promises
//! [guide-faults]: guide::faults
//! [guide-cost]: guide::cost
//! [guide-comparison]: guide::comparison
//! [guide-contributing]: guide::contributing
#![doc = ""]
#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "virt"), forbid(unsafe_code))]

extern crate self as mgmt;

pub mod dag;
pub mod gapi;
pub mod graph;
pub mod guide;
pub mod id;
#[doc(hidden)]
pub mod journal;
pub mod plan;
pub mod prelude;
#[cfg(feature = "ssh")]
pub mod remote;
pub mod resource;
pub mod resources;
pub mod runtime;
#[doc(hidden)]
pub mod scheduler;
pub mod sys;
pub mod world;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(feature = "cli")]
pub use cli::{App, main};
pub use gapi::native;
pub use mgmt_macros::Resource;
#[cfg(feature = "template")]
pub use resource::render;
pub use resource::{Error, Result};
pub use runtime::{Doors, Engine};
pub use std::process::ExitCode;

/// Items for the code that the derive generates.
#[doc(hidden)]
pub mod __private {
    pub use mgmt_macros::vanish;
    pub use serde;

    /// A resource's fields as data.
    pub type Map = serde_json::Map<String, serde_json::Value>;
}
