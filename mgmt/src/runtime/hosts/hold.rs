//! Keeps an entry of this host in the world under a lease, as long as it runs.
//!
//! The lease of an entry shows whose it is. At the start an entry with another lease is replaced: it is one of an
//! earlier run that was killed. Later it is not: then another engine has the same name, which is reported, and the
//! entry stays until that lease has ended. So two engines with one name do not replace each other's entries all the
//! time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::id::in_one_line;
use crate::resource::{
    Attempts, Condition, Entry, Fed, Feed, Keys, LeaseId, Member, Revision, Transaction, Why, WorldError, Write,
};
use crate::runtime::hosts::lease::{Granted, Lease};

/// The longest time that the end waits for the world.
const END_MAX: Duration = Duration::from_secs(1);

/// An entry of this host.
pub(super) struct Hold {
    member: Arc<dyn Member>,
    key: String,
    lease: Lease,
    /// What is done, in words that follow "the world: ".
    what: &'static str,
    feed: Feed,
    /// What the world has, as of this revision.
    found: (Option<Entry>, Revision),
    /// No entry of this run has been written yet.
    is_first: bool,
    /// The last lease with which this run had the entry.
    own: Option<LeaseId>,
    /// The last lease, and when it got the entry.
    since: Option<(LeaseId, Revision)>,
    held: watch::Sender<Option<Held>>,
}

/// The world certainly has the entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Until then, by the clock of this host.
    pub(super) until: Instant,
    /// Without a gap since this revision, or an earlier one.
    pub(super) since: Revision,
}

/// What the world has.
enum Has {
    /// The entry of this host, until its lease must be renewed.
    Ours(Granted),
    /// That of another engine with the same name.
    Theirs(Granted),
    /// Another program was faster: the entry must be read again.
    Unknown,
}

impl Hold {
    /// The entry stays for the time of the lease after this host can no longer reach the world.
    pub(super) fn new(member: Arc<dyn Member>, key: String, lease: Lease, what: &'static str) -> Hold {
        let feed = Feed::new(Arc::clone(&member), vec![Keys::One(key.clone())], Attempts::new(what));
        let (held, found) = (watch::Sender::new(None), (None, Revision::default()));
        Hold { member, key, lease, what, feed, found, is_first: true, own: None, since: None, held }
    }

    /// For how long the world certainly has the entry; `None`: it may not have it.
    pub(super) fn held(&self) -> watch::Receiver<Option<Held>> {
        self.held.subscribe()
    }

    /// Keeps the entry, with the value that it should have, until `ends` returns; then removes it, with all that its
    /// lease holds, if `ends` returns true.
    pub(super) async fn run(mut self, value: watch::Receiver<Arc<[u8]>>, ends: impl Future<Output = bool>) {
        let is_removed = tokio::select! {
            () = self.keep(value) => false,
            is_removed = ends => is_removed,
        };
        self.held.send_replace(None);
        if is_removed {
            // What is not removed leaves with its lease.
            let _ = tokio::time::timeout(END_MAX, self.lease.end()).await;
        }
    }

    /// Looks at the entry, and then at what becomes of it: it is not read again to renew the lease, or to be written.
    async fn keep(&mut self, mut value: watch::Receiver<Arc<[u8]>>) {
        let (mut attempts, mut contested) = (Attempts::new(self.what), Attempts::new(self.what));
        let pause_max = self.lease.ttl() / 3;
        loop {
            if !self.feed.is_listening() {
                let fed = self.feed.next().await;
                if let Some(pause) = self.note(fed) {
                    tokio::time::sleep(pause.min(pause_max)).await;
                }
                continue;
            }
            let wanted = value.borrow_and_update().clone();
            let until = match self.settle(&wanted).await {
                Ok(Has::Ours(granted)) => {
                    attempts.succeeded();
                    contested.succeeded();
                    granted.due
                }
                Ok(Has::Theirs(granted)) => {
                    let host = in_one_line(self.member.host()).into_owned();
                    let why = format!("another engine has the name {host}: give each host its own name");
                    contested.failed(Why::Own(why));
                    granted.due
                }
                Ok(Has::Unknown) => {
                    self.feed.read_again();
                    continue;
                }
                Err(error) => Instant::now() + attempts.failed(&error).min(pause_max),
            };
            let fed = tokio::select! {
                changed = value.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => std::future::pending().await,
                },
                () = sleep_until(until) => continue,
                fed = self.feed.next() => fed,
            };
            if let Some(pause) = self.note(fed) {
                tokio::time::sleep(pause.min(pause_max)).await;
            }
        }
    }

    /// Notes what has become of the entry. Returns how long to wait after a failure.
    fn note(&mut self, fed: Fed) -> Option<Duration> {
        match fed {
            Fed::Snapshot(mut state) => self.found = (state.entries.remove(&self.key), state.revision),
            Fed::Changes(changes) => {
                // What this host has written itself comes, too.
                if changes.revision > self.found.1 {
                    let entry = changes.entries.into_iter().find(|(key, _)| *key == self.key);
                    self.found = (entry.and_then(|(_, entry)| entry), changes.revision);
                }
            }
            Fed::Failed(pause) => return Some(pause),
        }
        None
    }

    /// Makes the entry of this host what is wanted, unless it is that of another engine.
    async fn settle(&mut self, wanted: &Arc<[u8]>) -> Result<Has, WorldError> {
        let granted = self.lease.granted().await?;
        if self.since.is_some_and(|(lease, _)| lease != granted.id) {
            self.held.send_replace(None);
            self.since = None;
        }
        let written = match &self.found.0 {
            Some(found) if found.lease == Some(granted.id) && found.value == *wanted => found.written,
            // One with an own lease that has ended: that it is removed is not known here yet.
            Some(found) if ![Some(granted.id), self.own].contains(&found.lease) && !self.is_first => {
                self.held.send_replace(None);
                return Ok(Has::Theirs(granted));
            }
            found => {
                let condition = Condition { key: self.key.clone(), written: found.as_ref().map(|found| found.written) };
                let put = Write::Put(Arc::clone(wanted), Some(granted.id));
                let transaction = Transaction { conditions: vec![condition], writes: [(self.key.clone(), put)].into() };
                match self.member.commit(transaction).await {
                    Ok(Some(at)) => {
                        let entry = Entry { value: Arc::clone(wanted), written: at, lease: Some(granted.id) };
                        self.found = (Some(entry), at);
                        at
                    }
                    Ok(None) => return Ok(Has::Unknown),
                    Err(WorldError::NoLease(id)) => {
                        self.lease.lost(id).await;
                        return Ok(Has::Unknown);
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        (self.is_first, self.own) = (false, Some(granted.id));
        let (_, since) = *self.since.get_or_insert((granted.id, written));
        // A part of the time is for clocks that do not run equally fast.
        let ttl = self.lease.ttl();
        self.held.send_replace(Some(Held { until: granted.asked + ttl - ttl / 10, since }));
        Ok(Has::Ours(granted))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::resource::{BoxFuture, Snapshot, WorldWatch};

    /// A world with one entry, and the number of what came last.
    #[derive(Debug, Default)]
    struct One(Mutex<(Option<Entry>, u64)>);

    fn ready<T: Send + 'static>(value: T) -> std::pin::Pin<Box<dyn Future<Output = T> + Send>> {
        Box::pin(std::future::ready(value))
    }

    impl Member for One {
        fn host(&self) -> &str {
            "web1"
        }

        fn get(&self, _: Vec<Keys>) -> BoxFuture<Result<Snapshot, WorldError>> {
            ready(Err(WorldError::Unreachable("it is not asked".to_owned())))
        }

        fn watch(&self, _: Vec<Keys>, _: Revision) -> WorldWatch {
            Box::pin(futures_util::stream::pending())
        }

        fn commit(&self, transaction: Transaction) -> BoxFuture<Result<Option<Revision>, WorldError>> {
            let (mut state, written) = (self.0.lock().unwrap(), |entry: &Entry| entry.written);
            if transaction.conditions.iter().any(|condition| condition.written != state.0.as_ref().map(written)) {
                return ready(Ok(None));
            }
            state.1 += 1;
            let revision = Revision(state.1);
            if let Some(Write::Put(value, lease)) = transaction.writes.into_values().next() {
                state.0 = Some(Entry { value, written: revision, lease });
            }
            ready(Ok(Some(revision)))
        }

        fn lease(&self, _: Duration) -> BoxFuture<Result<LeaseId, WorldError>> {
            let mut state = self.0.lock().unwrap();
            state.1 += 1;
            ready(Ok(LeaseId(state.1)))
        }

        fn renew(&self, _: LeaseId) -> BoxFuture<Result<(), WorldError>> {
            ready(Ok(()))
        }

        fn revoke(&self, _: LeaseId) -> BoxFuture<Result<(), WorldError>> {
            self.0.lock().unwrap().0 = None;
            ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn an_entry_with_an_own_lease_that_has_ended_is_not_that_of_another_engine() {
        let (member, wanted): (Arc<dyn Member>, Arc<[u8]>) = (Arc::<One>::default(), b"x"[..].into());
        let lease = Lease::new(Arc::clone(&member), Duration::from_secs(60));
        let mut hold = Hold::new(Arc::clone(&member), "/mgmt/x".to_owned(), lease, "");
        let Ok(Has::Ours(granted)) = hold.settle(&wanted).await else { panic!("it is not written") };
        // The world ends it, and what this host has of the entry is older.
        member.revoke(granted.id).await.unwrap();
        hold.lease.lost(granted.id).await;
        assert!(matches!(hold.settle(&wanted).await, Ok(Has::Unknown)));
        hold.found.0 = None;
        assert!(matches!(hold.settle(&wanted).await, Ok(Has::Ours(_))));
        // That of another engine is left alone.
        hold.found.0 = Some(Entry { value: Arc::clone(&wanted), written: hold.found.1, lease: Some(LeaseId(99)) });
        assert!(matches!(hold.settle(&wanted).await, Ok(Has::Theirs(_))));
    }
}
