//! What hosts share: the contract of a store of bytes, revisions and leases. Implementations are in `world`.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;

use crate::resource::any::BoxFuture;

/// A store that hosts share. Each host uses it through its own [`Member`].
pub trait World: fmt::Debug + Send + Sync + 'static {
    /// The access of the host of that name. Returns at once; an implementation connects when the member is used.
    fn member(&self, host: &str) -> Arc<dyn Member>;
}

impl<W: World + ?Sized> World for Arc<W> {
    fn member(&self, host: &str) -> Arc<dyn Member> {
        (**self).member(host)
    }
}

/// The access of one host to a [`World`]. All methods can be called concurrently; dropping a future abandons the
/// question, and a transaction that was under way may still be carried out.
pub trait Member: fmt::Debug + Send + Sync + 'static {
    /// The name of this host.
    fn host(&self) -> &str;

    /// What one transaction can hold.
    fn limits(&self) -> Limits {
        Limits::NONE
    }

    /// The entries of these keys, all as of one revision.
    ///
    /// # Errors
    /// The world can't be reached, or does not permit it.
    fn get(&self, keys: Vec<Keys>) -> BoxFuture<Result<Snapshot, WorldError>>;

    /// The changes of these keys after that revision, without a gap. All changes of one transaction come in one event,
    /// and transactions come in their order. If changes may have been missed (the store no longer has them, or the
    /// connection was cut), the stream yields [`WorldEvent::Lost`] and ends: take a snapshot, and watch from there.
    fn watch(&self, keys: Vec<Keys>, after: Revision) -> WorldWatch;

    /// Carries out a transaction as a whole if all its conditions hold. `None`: one of them does not hold, and nothing
    /// was written. Otherwise the revision that has the writes; it is that of the store if they changed nothing.
    ///
    /// # Errors
    /// After [`WorldError::Unreachable`] the transaction may have been carried out or not: read again. After any other
    /// error nothing was written.
    fn commit(&self, transaction: Transaction) -> BoxFuture<Result<Option<Revision>, WorldError>>;

    /// A new lease. Entries that are written with it are removed when it ends, which is when it has not been renewed
    /// for `ttl` (at least a second), or when it is revoked.
    ///
    /// # Errors
    /// The world can't be reached, or does not permit it.
    fn lease(&self, ttl: Duration) -> BoxFuture<Result<LeaseId, WorldError>>;

    /// Lets a lease begin again with its full time.
    ///
    /// # Errors
    /// [`WorldError::NoLease`]: it has ended, and the entries that it held are gone. Or the world can't be reached.
    fn renew(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>>;

    /// Ends a lease now: the entries that it holds are removed in one transaction. Without effect if it has ended.
    ///
    /// # Errors
    /// The world can't be reached.
    fn revoke(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>>;
}

/// The events of a watch.
pub type WorldWatch = Pin<Box<dyn Stream<Item = WorldEvent> + Send>>;

/// A state of the whole store. Each transaction that changes something makes the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// The number of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseId(pub u64);

/// Keys of the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keys {
    /// One key.
    One(String),
    /// All keys that begin with this text.
    Below(String),
}

impl Keys {
    /// Whether the key is one of these.
    pub fn contain(&self, key: &str) -> bool {
        match self {
            Keys::One(one) => one == key,
            Keys::Below(prefix) => key.starts_with(prefix.as_str()),
        }
    }
}

/// The value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes.
    pub value: Arc<[u8]>,
    /// The revision that wrote them.
    pub written: Revision,
    /// The lease that holds the entry.
    pub lease: Option<LeaseId>,
}

/// Entries by key, as of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The revision of the store.
    pub revision: Revision,
    /// The entries that exist.
    pub entries: BTreeMap<String, Entry>,
}

impl Snapshot {
    /// The state after these changes, unless it has them already.
    pub(crate) fn follow(&mut self, changes: Changes) {
        if changes.revision > self.revision {
            self.apply(changes);
        }
    }

    /// The state after these changes.
    pub fn apply(&mut self, changes: Changes) {
        self.revision = changes.revision;
        for (key, entry) in changes.entries {
            match entry {
                Some(entry) => drop(self.entries.insert(key, entry)),
                None => drop(self.entries.remove(&key)),
            }
        }
    }
}

/// What one transaction has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The revision that the transaction made.
    pub revision: Revision,
    /// The new entry of each key, in the order of the keys; `None`: the key was removed.
    pub entries: Vec<(String, Option<Entry>)>,
}

/// An event of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorldEvent {
    /// A transaction has changed something.
    Changed(Changes),
    /// Changes may have been missed, for this reason. The watch ends.
    Lost(String),
}

/// A condition on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The key.
    pub key: String,
    /// The revision that wrote its entry; `None`: the key does not exist.
    pub written: Option<Revision>,
}

/// What happens to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The key gets this value, and is held by the lease, if there is one.
    Put(Arc<[u8]>, Option<LeaseId>),
    /// The key is removed, if it exists.
    Remove,
}

/// Writes that are carried out together, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// The conditions, which must all hold.
    pub conditions: Vec<Condition>,
    /// The writes by key.
    pub writes: BTreeMap<String, Write>,
}

/// What one transaction can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of writes and conditions.
    pub operations: usize,
    /// The bytes of all keys and values.
    pub bytes: usize,
}

impl Limits {
    /// No limits.
    pub const NONE: Limits = Limits { operations: usize::MAX, bytes: usize::MAX };
}

impl Transaction {
    /// The writes and conditions, and the bytes of all keys and values.
    pub fn size(&self) -> Limits {
        let written = |(key, write): (&String, &Write)| {
            key.len()
                + match write {
                    Write::Put(value, _) => value.len(),
                    Write::Remove => 0,
                }
        };
        let keys: usize = self.conditions.iter().map(|condition| condition.key.len()).sum();
        Limits {
            operations: self.conditions.len() + self.writes.len(),
            bytes: keys + self.writes.iter().map(written).sum::<usize>(),
        }
    }
}

/// Why a world did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// It can't be reached now.
    #[error("the world can't be reached: {0}")]
    Unreachable(String),
    /// It answers, and has no space for what is written.
    #[error("the world has no space left, and accepts no writes: {0}")]
    Full(String),
    /// It does not permit this to the host.
    #[error("the world does not permit it: {0}")]
    Denied(String),
    /// The transaction is larger than one may be.
    #[error("a transaction of {} operations and {} bytes: at most {} and {} are possible", .is.operations, .is.bytes, .max.operations, .max.bytes)]
    TooLarge {
        /// Its size.
        is: Limits,
        /// What is possible.
        max: Limits,
    },
    /// The lease has ended.
    #[error("the lease {} has ended", .0.0)]
    NoLease(LeaseId),
}
