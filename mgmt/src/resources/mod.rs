//! The built-in kinds, one file each.

mod noop;

pub use noop::{Noop, NoopBuilder, NoopHandle};
