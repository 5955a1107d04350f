//! Runs in another process, as on another machine: `remote` over a child process of this one.

mod closures;
mod command_line;
mod desk;
mod detached;
#[path = "../shared/executable.rs"]
mod executable;
mod files;
mod fleet;
mod followed;
mod hostile;
mod kit;
mod plans;
mod program;
mod raw;
#[cfg(feature = "etcd")]
mod relay;
mod runs;
#[path = "../shared/session.rs"]
mod session;
mod strange;
mod trials;
mod vertex;
