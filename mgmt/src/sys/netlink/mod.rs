//! Network interfaces, their addresses and default routes, through rtnetlink: one connection for all resources of an
//! engine, which reads again only what the kernel has reported as changed.

mod changes;
mod door;
mod dump;
mod error;
mod heard;
mod requests;
mod subscription;
mod tables;
#[cfg(test)]
mod tests;
mod wire;

pub use changes::{DECLARED, NewDefault, Rival};
pub use door::{LINKS, Netlink};
pub use error::NetlinkError;
pub use subscription::{Subscription, Wanted};
pub use tables::{Cidr, DefaultRoute, Details, Family, Hop, Interface, InterfaceAddress, Made, Network, NotACidr};
