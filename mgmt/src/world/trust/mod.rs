//! Which hosts are let in: the authority of a cluster, its join tokens, the certificates of hosts, and what etcd lets
//! each of them read and write.

mod access;
mod authority;
mod error;
mod gate;
mod identity;
mod issued;
mod join;
mod keeper;
mod membership;
mod protocol;
#[cfg(feature = "ssh")]
mod relay;
mod serving;
mod stay;
mod token;
mod users;

pub(in crate::world) use access::Grant;
pub use authority::{Authority, NewAuthority};
pub use error::TrustError;
pub(in crate::world) use gate::{Gate, serve};
pub(in crate::world) use identity::{Identity, ServerFiles, is_there};
pub use issued::Invitation;
pub(in crate::world) use join::join;
pub(in crate::world) use keeper::keep_grants;
pub use membership::{JoinedHost, Membership};
#[cfg(feature = "ssh")]
pub use relay::Relay;
#[cfg(feature = "ssh")]
pub(crate) use relay::{Guest, Offer};
pub(in crate::world) use stay::Stay;
pub(in crate::world) use token::JoinToken;
pub(in crate::world) use users::begin;
