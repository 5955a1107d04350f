//! Trials: runs whose changes are put back unless they are confirmed.

mod place;
mod put_back;
mod settings;

#[cfg(feature = "ssh")]
pub(crate) use place::TrialPlace;
pub use place::{confirm, is_pending};
pub(super) use put_back::Tried;
pub use settings::Trial;
pub(super) use settings::{Recorded, Role, begin, end};
