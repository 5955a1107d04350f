//! `password`: makes a random password once, and sends it to the resources that need it.

mod charset;
mod kind;
mod mark;
#[cfg(test)]
mod tests;

pub use charset::Charset;
pub use kind::{Password, PasswordBuilder, PasswordDrift, PasswordHandle};
