//! Which host becomes a server of etcd next, and which one no longer is: a pure function.

mod decide;
mod mutants;
mod snapshot;
#[cfg(test)]
mod tests;

pub(crate) use decide::{MISSING_MAX, Step, elastic};
pub(crate) use snapshot::{Change, IDEAL_SIZE, Memory, Server, Snapshot, Volunteer};
