//! Sources of hosts: a list, a file, the living hosts of a world, a value that changes, or your own.

mod address;
mod addresses;
mod contract;
mod error;
mod signal;

pub(in crate::remote) use address::Address;
pub use addresses::Addresses;
pub use contract::{Hosts, HostsBox};
pub use error::HostsError;
pub use signal::{HostsSignal, hosts_of};
