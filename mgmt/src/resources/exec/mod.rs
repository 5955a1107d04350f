//! `exec`: runs commands, once or whenever a guard, a watch or a refresh says so.

mod command;
mod commands;
mod env;
mod guard;
mod kind;
mod state;
#[cfg(test)]
mod tests;
mod watch;

pub use commands::Commands;
pub use env::{Env, EnvValue};
pub use kind::{Exec, ExecBuilder, ExecHandle};
