//! What an engine keeps in the world for itself: that it is alive, and its part in schedules.

mod alive;
mod decide;
mod hold;
mod schedules;

pub(crate) use alive::{Living, keep_alive};
pub(crate) use schedules::Schedules;
