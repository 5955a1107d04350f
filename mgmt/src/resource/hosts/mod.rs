//! What hosts share in a world besides resources: values, who is alive, and who is chosen; and the access of kinds.

mod access;
mod alive;
mod attempts;
mod follow;
mod typed;
mod values;

pub use access::{WorldRead, WorldWatching, WorldWrite};
pub use alive::AliveHost;
pub(crate) use alive::{alive_key, all_hosts, living};
pub(crate) use attempts::{Attempts, READ_MAX};
pub(crate) use follow::{Followed, Following};
pub(crate) use typed::of_text;
pub(crate) use values::{VALUE_BYTES_MAX, host_of_value, value_key, values_of};
