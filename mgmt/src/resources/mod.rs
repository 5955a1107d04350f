//! The built-in kinds, one file each.

mod exec;
mod noop;
mod seconds;
#[cfg(test)]
mod trial;
mod unfold;

pub use exec::{Env, EnvValue, Exec, ExecBuilder, ExecHandle};
pub use noop::{Noop, NoopBuilder, NoopHandle};
pub use seconds::Seconds;
