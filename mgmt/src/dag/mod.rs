//! Graphs: a store with a fixed order, queries, the difference of two graphs, and pictures as text.
//!
//! This module is independent of what a node means. Every order is that of insertion, and the same input always gives
//! the same output. No function recurses: a chain of a million nodes is a graph like any other. "Linear" means linear
//! in nodes + edges.

mod csr;
mod cycles;
mod diff;
mod draw;
mod grow;
mod reduce;
mod store;
mod walk;

pub mod topo;

pub use cycles::Cycles;
pub use diff::{Diff, DuplicateKey, Parts, diff};
pub use draw::{EdgeLook, NodeLook};
pub use grow::Growing;
pub use store::{Dag, NodeId};

#[cfg(test)]
mod tests;
