//! Sources of hosts: a list, a file, the living hosts of a world, a value that changes, or your own.

mod addresses;
mod contract;
mod error;
mod signal;

pub use addresses::Addresses;
pub use contract::{Hosts, HostsBox};
pub use error::HostsError;
pub use signal::{HostsSignal, hosts_of};
