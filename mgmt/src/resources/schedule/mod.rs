//! `schedule`: chooses some of the hosts that take part in it.

mod kind;
#[cfg(test)]
mod tests;

pub use crate::resource::PickOrder;
pub use kind::{Schedule, ScheduleBuilder, ScheduleHandle};
