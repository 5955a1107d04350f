//! `group` and `user`: the accounts of this host, in the files of `/etc`, changed by the system's own tools.

mod files;
mod group;
mod group_reverse;
mod names;
mod state;
#[cfg(test)]
mod tests;
mod tools;

pub use group::{Group, GroupBuilder, GroupHandle};
pub use state::AccountState;
