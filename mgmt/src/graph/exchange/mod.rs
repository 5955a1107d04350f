//! What hosts give one another: exports, the rules by which they are collected, and how a graph with both becomes one
//! that can run here.

mod check;
mod collect;
mod entry;
mod export;
mod keys;
mod offers;
mod pattern;
mod resolve;
#[cfg(test)]
mod tests;

pub(crate) use check::check_exchange;
pub use collect::{AwaitedEdge, Collect, Collected, CollectedOne, End};
pub use export::{Export, Exporting};
pub(crate) use keys::{exporter_key, exports_of, wanted_keys};
pub(crate) use offers::{Offers, Taken};
pub(crate) use resolve::{resolve, spoilers};
