//! Between hosts: implementations of [`World`](crate::resource::World), the store that hosts share.

mod embedded;
mod leases;
#[cfg(test)]
mod tests;

pub use embedded::Embedded;
