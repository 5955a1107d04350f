//! Tests for your own kinds and graphs: [`Host`], a simulated host on which a whole graph runs, in simulated time;
//! [`survives`], which runs a graph against every single fault; [`Fake`], a host without an engine, on which single
//! resources are tried; and [`laws`], which every kind must keep.

mod fake;
pub mod laws;
mod marks;
mod run;
mod stand_in;
mod survive;
mod temp;
#[cfg(test)]
mod tests;
mod trial;
mod watching;

pub use crate::sys::fs::{At, Call, Faults};
pub use crate::sys::simulated::{Answer, Called, Deb, Host, Part, here};
pub use fake::Fake;
pub use run::{IntoGraph, Run, Settled};
pub use stand_in::Expect;
pub use survive::{Broken, Fault, Invariant, Report, Survival, survives};
pub use temp::TempDir;
pub use trial::{Begun, Outcome, Trial};
pub use watching::Watching;
