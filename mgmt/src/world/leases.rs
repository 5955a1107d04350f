//! The leases of an embedded world: which there are, until when, and which keys they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::resource::LeaseId;

/// The shortest time of a lease.
const TTL_MIN: Duration = Duration::from_secs(1);
/// The longest one: a longer time is cut, since not every one can be added to a time.
const TTL_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[derive(Debug)]
struct Lease {
    ttl: Duration,
    deadline: Instant,
    keys: BTreeSet<String>,
}

/// All leases that have not ended.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_id: BTreeMap<LeaseId, Lease>,
    last: u64,
}

impl Leases {
    /// None of them; their numbers are not used again.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn none(self) -> Leases {
        Leases { by_id: BTreeMap::new(), last: self.last }
    }

    pub(super) fn begin(&mut self, ttl: Duration) -> LeaseId {
        self.last += 1;
        let (id, ttl) = (LeaseId(self.last), ttl.clamp(TTL_MIN, TTL_MAX));
        self.by_id.insert(id, Lease { ttl, deadline: Instant::now() + ttl, keys: BTreeSet::new() });
        id
    }

    /// Whether there is such a lease.
    pub(super) fn renew(&mut self, id: LeaseId) -> bool {
        let lease = self.by_id.get_mut(&id);
        lease.map(|lease| lease.deadline = Instant::now() + lease.ttl).is_some()
    }

    pub(super) fn has(&self, id: LeaseId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn deadline(&self, id: LeaseId) -> Option<Instant> {
        self.by_id.get(&id).map(|lease| lease.deadline)
    }

    /// Ends a lease. Returns the keys that it held.
    pub(super) fn end(&mut self, id: LeaseId) -> BTreeSet<String> {
        self.by_id.remove(&id).map(|lease| lease.keys).unwrap_or_default()
    }

    /// The first lease whose time is over.
    pub(super) fn overdue(&self) -> Option<LeaseId> {
        let now = Instant::now();
        self.by_id.iter().find(|(_, lease)| lease.deadline <= now).map(|(id, _)| *id)
    }

    /// From now on `after` holds the key, and `before` does not.
    pub(super) fn hold(&mut self, key: &str, before: Option<LeaseId>, after: Option<LeaseId>) {
        if let Some(lease) = before.and_then(|id| self.by_id.get_mut(&id)) {
            lease.keys.remove(key);
        }
        if let Some(lease) = after.and_then(|id| self.by_id.get_mut(&id)) {
            lease.keys.insert(key.to_owned());
        }
    }
}
