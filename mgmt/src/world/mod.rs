//! Between hosts: implementations of [`World`](crate::resource::World), the store that hosts share.

#[cfg(feature = "etcd")]
mod elastic;
mod embedded;
#[cfg(feature = "etcd")]
mod etcd;
mod leases;
#[cfg(feature = "etcd")]
mod managed;
#[cfg(test)]
mod tests;
#[cfg(feature = "etcd")]
mod trust;

#[cfg(feature = "etcd")]
#[cfg(all(feature = "etcd", feature = "ssh"))]
pub use crate::sys::ssh::{Forward, HostKey, HostKeyError};
pub use embedded::Embedded;
#[cfg(feature = "etcd")]
pub use etcd::{Etcd, EtcdError};
#[cfg(feature = "etcd")]
pub use managed::{Managed, ManagedError, ManagedEtcd, ServerCount};
#[cfg(all(feature = "etcd", feature = "ssh"))]
pub use trust::Relay;
#[cfg(feature = "etcd")]
pub use trust::{Authority, Invitation, JoinedHost, Membership, NewAuthority, TrustError};
#[cfg(all(feature = "etcd", feature = "ssh"))]
pub(crate) use {
    etcd::{Connection, Direct, Way},
    trust::{Guest, Offer},
};
