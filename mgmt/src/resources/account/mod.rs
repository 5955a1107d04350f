//! `group`, `user` and `ssh:authorized_key`: the accounts of this host, in the files of `/etc`, changed by the system's
//! own tools, and the keys with which their users may log in.

mod capture;
mod expiry;
mod files;
mod group;
mod group_reverse;
mod key;
mod key_edit;
mod key_line;
mod key_lines;
mod key_reverse;
mod names;
mod state;
#[cfg(test)]
mod tests;
mod tools;
mod user;
mod user_changes;
mod user_reverse;
mod user_tools;
mod user_wanted;

pub use expiry::Expiry;
pub use group::{Group, GroupBuilder, GroupHandle};
pub use key::{SshAuthorizedKey, SshAuthorizedKeyBuilder, SshAuthorizedKeyDrift, SshAuthorizedKeyHandle};
pub use state::AccountState;
pub use user::{User, UserBuilder, UserDrift, UserHandle};
