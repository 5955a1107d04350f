//! `test`: has a field of each type and does what it is asked to, for trying graphs, engines and front ends.

mod kind;
mod step;
#[cfg(test)]
mod tests;

pub use kind::{Test, TestBuilder, TestHandle};
pub use step::Step;
