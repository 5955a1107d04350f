//! Domains of libvirt: one connection for each hypervisor and login, the events of all domains on it, and definitions
//! as trees of XML.

mod door;
mod error;
mod events;
mod facts;
mod heard;
mod login;
mod places;
#[cfg(test)]
mod tests;
mod xml;

pub use door::Libvirt;
pub use error::LibvirtError;
pub use facts::{Action, Domain, DomainState, Hypervisor, Pause};
pub use heard::Subscription;
pub use login::Login;
pub use places::{Driver, Place, WrongUri};
pub use xml::{Element, is_text};
