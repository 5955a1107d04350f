//! What an engine keeps in the world for itself: that it is alive, its state, and its part in schedules; and what it
//! waits for of other hosts.

mod alive;
mod decide;
mod hold;
mod lease;
mod others;
mod pace;
mod report;
mod schedules;

pub(crate) use alive::{Living, keep_alive};
pub(crate) use lease::Lease;
pub(crate) use others::follow_others;
pub(crate) use report::Reporting;
pub(crate) use schedules::Schedules;
