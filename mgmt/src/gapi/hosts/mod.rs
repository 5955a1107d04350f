//! What a source of graphs reads of the world: values, hosts and schedules, and each change of them.

mod follow;
mod schedule;
mod signal;
mod topics;
mod view;

pub use schedule::WorldSchedule;
pub use signal::WorldSignal;
pub use view::WorldView;
