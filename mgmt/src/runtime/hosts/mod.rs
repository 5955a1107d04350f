//! What an engine keeps in the world for itself: that it is alive.

mod alive;
mod hold;

pub(crate) use alive::{Living, keep_alive};
