//! Between hosts: publishes what the graph in force exports, follows what it collects, and makes the graph that runs
//! here of both.

mod changes;
mod collect;
mod exporting;
mod publications;
mod publish;
mod resolve;
mod sealing;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use settings::{InForce, Site, begin};
