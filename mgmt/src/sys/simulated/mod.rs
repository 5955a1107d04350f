//! A simulated host behind the doors of `sys`: files, commands, accounts, units, time and randomness, all in memory.
//! While a thread is on such a host ([`Host::on`]), every door that is opened on it leads there: the code in front of
//! the doors is the same. For tests, and only there.

mod access;
mod account_args;
mod account_tools;
mod accounts;
mod commands;
mod disk;
#[cfg(feature = "virt")]
mod domains;
mod file;
mod files;
mod host;
mod inode;
mod interfaces;
mod kernel;
mod life;
mod mounts;
mod packages;
mod pattern;
mod programs;
mod seat;
#[cfg(test)]
mod tests;
mod timeline;
mod units;
mod watched;

pub(in crate::sys) use commands::Rule;
pub use commands::{Answer, Called};
pub(in crate::sys) use file::File;
pub use host::{Host, Part, here};
pub(in crate::sys) use inode::Found;
pub(crate) use life::Life;
pub use packages::Deb;
pub(crate) use pattern::matches;
pub(crate) use seat::Seat;
#[cfg(feature = "dbus")]
pub(in crate::sys) use units::Units;
