//! What hosts share in a world besides resources: values, who is alive and in which state, and who is chosen; and the
//! access of kinds.

mod access;
mod alive;
mod attempts;
mod follow;
mod schedule;
#[cfg(test)]
mod schedule_tests;
mod scheduling;
mod state;
mod typed;
mod values;

pub use access::{WorldRead, WorldWatching, WorldWrite};
pub use alive::AliveHost;
pub(crate) use alive::{alive_key, all_hosts, living};
pub(crate) use attempts::{Attempts, READ_MAX, Why, part_of};
pub(crate) use follow::{Fed, Feed, Followed, Following};
pub use schedule::PickOrder;
pub(crate) use schedule::{
    Candidate, SCHEDULE_TTL, SCHEDULE_TTL_MIN, Schedule, Terms, candidate_key, chosen_key, schedule_keys,
};
pub use scheduling::Chosen;
pub(crate) use scheduling::{Scheduling, Seat};
pub use state::{ClusterHost, FollowedDeploy, HostState, HostTrouble, RefusedDeploy};
pub(crate) use state::{cluster_hosts, cluster_keys, state_key};
pub(crate) use typed::of_text;
pub(crate) use values::{VALUE_BYTES_MAX, host_of_value, value_key, values_of};
