//! What a source of graphs reads of the world: values, and each change of them.

mod follow;
mod signal;
mod topics;
mod view;

pub use signal::WorldSignal;
pub use view::WorldView;
