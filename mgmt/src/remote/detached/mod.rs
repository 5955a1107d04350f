//! Runs that stay on their machine when the near end leaves: how they are started there, what they record, and how they
//! are found, shown and stopped.

mod hub;
mod recall;
mod record;
mod relay;
mod start;

pub(super) use hub::Hub;
pub(super) use record::Place;
pub use record::{Detached, DetachedEnd};
pub(super) use relay::{Manner, relay};
pub(super) use start::{Stays, place_of, start};
