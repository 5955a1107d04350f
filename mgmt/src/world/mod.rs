//! Between hosts: implementations of [`World`](crate::resource::World), the store that hosts share.

#[cfg(test)]
mod elastic;
mod embedded;
#[cfg(feature = "etcd")]
mod etcd;
mod leases;
#[cfg(test)]
mod tests;

pub use embedded::Embedded;
#[cfg(feature = "etcd")]
pub use etcd::{Etcd, EtcdError};
