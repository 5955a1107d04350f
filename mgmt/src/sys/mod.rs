//! Access to the system: the only place for raw system calls.

pub mod account_files;
pub mod calendar;
pub mod clock;
pub mod culprit;
#[cfg(feature = "dbus")]
pub mod dbus;
pub mod dumps;
mod elsewhere;
pub mod facts;
pub mod fs;
#[cfg(feature = "dbus")]
pub mod hostnamed;
#[cfg(feature = "virt")]
pub mod libvirt;
pub mod limits;
#[cfg(any(feature = "cli", feature = "http"))]
pub mod listen;
pub mod local;
#[cfg(feature = "dbus")]
pub mod machined;
pub mod netlink;
pub mod obstacle;
pub mod ours;
#[cfg(feature = "dbus")]
pub mod packagekit;
pub mod pollable;
pub mod process;
#[cfg(all(feature = "cli", feature = "ssh"))]
pub mod prompt;
pub mod rng;
#[cfg(feature = "cli")]
pub mod runtimes;
pub mod seal;
pub mod signals;
#[cfg(any(test, feature = "testing"))]
pub mod simulated;
#[cfg(test)]
pub(crate) mod spaces;
#[cfg(feature = "ssh")]
pub mod ssh;
#[cfg(any(feature = "ssh", feature = "yaml"))]
pub mod stdin;
#[cfg(feature = "ssh")]
pub mod stdio;
#[cfg(feature = "dbus")]
pub mod systemd;
pub mod tables;
pub mod task;
#[cfg(feature = "cli")]
pub mod terminal;
pub mod threads;
#[cfg(any(feature = "cli", feature = "dbus", feature = "ssh"))]
pub mod unit_text;
pub mod users;
pub mod vigil;

pub(crate) use elsewhere::if_simulated;
