//! (placeholder until merged)
mod door;
pub use door::*;
