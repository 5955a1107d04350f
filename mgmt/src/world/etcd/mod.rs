//! A world in etcd, which hosts share over the network.

mod address;
mod cluster;
mod line;
mod member;
mod parts;
mod rights;
mod socket;
mod space;
mod watch;
mod way;
mod world;

pub use address::EtcdError;
pub(in crate::world) use address::{check, https_host_and_port, is_here};
pub(in crate::world) use cluster::{CHANGE_MAX, Health, Listed, Members};
pub(in crate::world) use socket::UNIX;
#[cfg(feature = "ssh")]
pub(crate) use way::Connection;
pub(crate) use way::{Direct, Way};
pub use world::Etcd;
pub(in crate::world) use world::plain;
