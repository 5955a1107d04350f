//! `exec`: runs commands, once or as guards, watches and refreshes require.

mod command;
mod commands;
mod env;
mod guard;
mod kind;
mod needed;
mod state;
#[cfg(test)]
mod tests;
mod undo;
mod watch;

pub use commands::Commands;
pub use env::{Env, EnvValue};
pub use kind::{Exec, ExecBuilder, ExecHandle};
