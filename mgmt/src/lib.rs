//! Keep machines in a declared state, continuously: a typed graph of resources that runs.

extern crate self as mgmt;

pub mod dag;
pub mod gapi;
pub mod graph;
pub mod id;
pub mod journal;
pub mod plan;
pub mod resource;
pub mod resources;
pub mod runtime;
pub mod scheduler;
pub mod sys;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "testing")]
pub mod testing;
