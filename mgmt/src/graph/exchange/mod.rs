//! What hosts give one another: exports, the rules by which they are collected, and how a graph with both becomes one
//! that can run here.

mod awaited;
mod check;
mod collect;
mod data;
mod entry;
mod export;
mod keys;
mod offers;
mod resolve;
#[cfg(test)]
mod tests;

pub(crate) use awaited::Awaited;
pub(crate) use check::check_exchange;
pub(in crate::graph) use check::with_exchange;
pub use collect::{AwaitedEdge, Collect, Collected, End};
pub(in crate::graph) use data::exchange_data;
pub use data::{AwaitedData, CollectData, EndData, ExportData};
pub(crate) use entry::{sealed_entry, sealed_parts};
pub use export::{Export, Exporting};
pub(crate) use keys::{
    ExportKey, ExportPlace, export_key, exporter_key, exports_of, number_key, seal_key, wanted_keys,
};
pub(crate) use offers::{Offers, Taken, number as export_number};
pub(crate) use resolve::{Resolution, resolve, spoilers};
