//! Keep machines in a declared state, continuously: a typed graph of resources that runs. What follows is the README; `mgmt/README.md` links to it.
#![doc = ""]
#![doc = include_str!("../README.md")]

extern crate self as mgmt;

pub mod dag;
pub mod gapi;
pub mod graph;
pub mod id;
pub mod journal;
pub mod plan;
pub mod prelude;
pub mod resource;
pub mod resources;
pub mod runtime;
pub mod scheduler;
pub mod sys;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(feature = "cli")]
pub use cli::{App, main};
pub use gapi::native;
#[cfg(feature = "template")]
pub use gapi::render;
pub use mgmt_macros::Resource;
pub use resource::{Error, Result};
pub use runtime::Engine;
pub use std::process::ExitCode;

/// For the code that the derive makes.
#[doc(hidden)]
pub mod __private {
    /// A resource's fields as data.
    pub type Map = serde_json::Map<String, serde_json::Value>;
}
