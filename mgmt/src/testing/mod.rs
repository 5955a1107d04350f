//! For tests of one's own kinds and graphs: a host without an engine, and the laws that every kind must keep.

mod fake;
pub mod laws;
mod temp;

pub use fake::{Fake, FakeMemory, Trial};
pub use temp::TempDir;
