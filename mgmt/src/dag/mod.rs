//! Graphs: a store with a fixed order, the questions asked of it, the difference of two, and pictures as text.
//!
//! Nothing here knows what a node is. Every order is that of insertion, and the same input gives the same output, always. Nothing
//! recurses: a chain of a million nodes is a graph like any other. What is said to be linear is linear in nodes + edges.

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
