//! Tests for your own kinds and graphs: [`Fake`], a host without an engine, on which single resources are tried; and
//! [`laws`], which every kind must keep.

mod fake;
pub mod laws;
mod marks;
mod temp;
#[cfg(test)]
mod tests;
mod trial;
mod watching;

pub use crate::sys::fs::{At, Call, Faults};
pub use fake::Fake;
pub use temp::TempDir;
pub use trial::{Begun, Outcome, Trial};
pub use watching::Watching;
