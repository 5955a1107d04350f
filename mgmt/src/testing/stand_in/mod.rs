//! Resources whose operations a test answers: data in place of what a kind does.

mod expect;
mod host;
mod resource;
mod script;
#[cfg(test)]
mod tests;

pub use expect::Expect;
