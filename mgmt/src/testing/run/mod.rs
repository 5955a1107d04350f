//! A graph that runs on a simulated host.

mod drift;
mod engine;
mod mishaps;
mod order;
mod planned;
mod record;
#[cfg(test)]
mod tests;

pub(super) use drift::Drift;
pub use engine::{IntoGraph, Run, Settled};
pub(super) use mishaps::id_of;
pub(super) use record::difference;
