//! A graph against every single fault.

mod attempt;
mod fault;
mod report;
#[cfg(test)]
mod tests;
mod trials;

pub use fault::Fault;
pub use report::{Broken, Invariant, Report};
pub use trials::{Survival, survives};
