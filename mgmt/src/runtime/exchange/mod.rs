//! Between hosts: publishes what the graph in force exports, follows what it collects, and makes the graph that runs
//! here of both.

mod changes;
mod collect;
mod publish;
mod resolve;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use collect::follow_exports;
pub(crate) use publish::publish_exports;
pub(crate) use settings::{InForce, Site, begin};
