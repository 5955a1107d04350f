//! A world in etcd, which hosts share over the network.

mod address;
mod member;
mod watch;
mod world;

pub use address::EtcdError;
pub use world::Etcd;
