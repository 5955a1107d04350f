//! The built-in kinds, one file each.

mod file;
mod noop;

pub use file::{Content, File, FileBuilder, FileDrift, FileHandle, FileState, Mode, Owner};
pub use noop::{Noop, NoopBuilder, NoopHandle};
