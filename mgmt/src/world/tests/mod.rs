//! The contract of a world, and each implementation that it is asked of.

mod contract;
mod embedded;
#[cfg(feature = "etcd")]
mod etcd;
