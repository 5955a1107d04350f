//! Graphs: a store with a fixed order, queries, the difference of two graphs, and pictures as text.
//!
//! This module is independent of what a node means. Every order is that of insertion, and the same input always gives
//! the same output. No function recurses: a chain of a million nodes is a graph like any other. "Linear" means linear
//! in nodes + edges.

mod csr;
mod cycles;
mod detours;
mod diff;
mod draw;
mod grow;
mod reduce;
mod store;
mod walk;
mod way;

pub mod topo;

pub(crate) use csr::Csr;
pub use cycles::Cycles;
pub use detours::spare_edges;
pub use diff::{Diff, DuplicateKey, Parts, diff};
pub use draw::{Cluster, EdgeLook, NodeLook};
pub use grow::Growing;
pub use store::{Dag, NodeId};
pub use way::shortest_way;

#[cfg(test)]
mod tests;
