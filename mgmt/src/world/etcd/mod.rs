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
mod world;

pub use address::EtcdError;
pub(in crate::world) use address::{check, is_here};
pub(in crate::world) use cluster::{CHANGE_MAX, Health, Listed, Members};
pub(in crate::world) use socket::UNIX;
pub use world::Etcd;
pub(in crate::world) use world::plain;
