//! Keeps an entry of this host in the world under a lease, as long as it runs.
//!
//! The lease of an entry shows whose it is. At the start an entry with another lease is replaced: it is one of an
//! earlier run that was killed. Later it is not: then another engine has the same name, which is reported, and the
//! entry stays until that lease has ended. So two engines with one name do not replace each other's entries all the
//! time.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::id::in_one_line;
use crate::resource::{
    Attempts, Condition, Keys, LeaseId, Member, Revision, Transaction, Why, WorldError, WorldEvent, WorldWatch, Write,
};

/// How often a transaction that another one has overtaken is made again at once.
const RACES_MAX: usize = 16;
/// The longest time that the end waits for the world.
const END_MAX: Duration = Duration::from_secs(1);

/// An entry of this host.
pub(super) struct Hold {
    pub(super) member: Arc<dyn Member>,
    pub(super) key: String,
    /// How long the entry stays after this host can no longer reach the world.
    pub(super) ttl: Duration,
    /// What is done, in words that follow "the world: ".
    pub(super) what: &'static str,
    lease: Option<LeaseId>,
    /// No entry of this run has been written yet.
    is_first: bool,
    /// When the present lease got the entry.
    since: Option<Revision>,
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

/// The world has an entry, as of this revision.
enum Entry {
    Ours(Revision),
    /// That of another engine with the same name.
    Theirs(Revision),
}

impl Hold {
    pub(super) fn new(member: Arc<dyn Member>, key: String, ttl: Duration, what: &'static str) -> Hold {
        let held = watch::Sender::new(None);
        Hold { member, key, ttl, what, lease: None, is_first: true, since: None, held }
    }

    /// For how long the world certainly has the entry; `None`: it may not have it.
    pub(super) fn held(&self) -> watch::Receiver<Option<Held>> {
        self.held.subscribe()
    }

    /// Keeps the entry, with the value that it should have, until `ends` returns; then removes it, if `ends` returns
    /// true.
    pub(super) async fn run(mut self, value: watch::Receiver<Arc<[u8]>>, ends: impl Future<Output = bool>) {
        let is_removed = tokio::select! {
            () = self.keep(value) => false,
            is_removed = ends => is_removed,
        };
        self.held.send_replace(None);
        let Some(lease) = self.lease.filter(|_| is_removed) else { return };
        // What is not removed leaves with its lease.
        let _ = tokio::time::timeout(END_MAX, self.member.revoke(lease)).await;
    }

    async fn keep(&mut self, mut value: watch::Receiver<Arc<[u8]>>) {
        let (mut attempts, mut contested) = (Attempts::new(self.what), Attempts::new(self.what));
        loop {
            let wanted = value.borrow_and_update().clone();
            let (pause, after) = match self.write(&wanted).await {
                Ok(Entry::Ours(at)) => {
                    attempts.succeeded();
                    contested.succeeded();
                    // A third of its time, so that two renewals can fail.
                    (self.ttl / 3, Some(at))
                }
                Ok(Entry::Theirs(at)) => {
                    let host = in_one_line(self.member.host()).into_owned();
                    let why = format!("another engine has the name {host}: give each host its own name");
                    contested.failed(Why::Own(why));
                    (self.ttl / 3, Some(at))
                }
                Err(error) => (attempts.failed(&error).min(self.ttl / 3), None),
            };
            let mut watch = after.map(|at| self.member.watch(vec![Keys::One(self.key.clone())], at));
            tokio::select! {
                changed = value.changed() => if changed.is_err() { std::future::pending::<()>().await },
                () = tokio::time::sleep(pause) => {}
                lost = changed(&mut watch) => if let Some(why) = lost {
                    tokio::time::sleep(attempts.failed(Why::Shared(why))).await;
                }
            }
        }
    }

    /// Makes the entry of this host what is wanted, unless it is that of another engine.
    async fn write(&mut self, wanted: &Arc<[u8]>) -> Result<Entry, WorldError> {
        let asked = Instant::now();
        let lease = self.lease().await?;
        for _ in 0..RACES_MAX {
            let state = self.member.get(vec![Keys::One(self.key.clone())]).await?;
            let found = state.entries.get(&self.key);
            let (at, written) = match found {
                Some(found) if found.lease == Some(lease) && found.value == *wanted => (state.revision, found.written),
                Some(found) if found.lease != Some(lease) && !self.is_first => {
                    self.held.send_replace(None);
                    return Ok(Entry::Theirs(state.revision));
                }
                _ => {
                    let condition = Condition { key: self.key.clone(), written: found.map(|found| found.written) };
                    let put = Write::Put(Arc::clone(wanted), Some(lease));
                    let writes = [(self.key.clone(), put)].into();
                    let transaction = Transaction { conditions: vec![condition], writes };
                    match self.member.commit(transaction).await? {
                        Some(at) => (at, at),
                        None => continue,
                    }
                }
            };
            self.is_first = false;
            // A part of the time is for clocks that do not run equally fast.
            let since = *self.since.get_or_insert(written);
            self.held.send_replace(Some(Held { until: asked + self.ttl - self.ttl / 10, since }));
            return Ok(Entry::Ours(at));
        }
        Err(WorldError::Unreachable("other programs change the entry of this host all the time".to_owned()))
    }

    /// The lease, with its full time.
    async fn lease(&mut self) -> Result<LeaseId, WorldError> {
        if let Some(lease) = self.lease {
            match self.member.renew(lease).await {
                Ok(()) => return Ok(lease),
                Err(WorldError::NoLease(_)) => {
                    self.held.send_replace(None);
                    (self.lease, self.since) = (None, None);
                }
                Err(error) => return Err(error),
            }
        }
        let lease = self.member.lease(self.ttl).await?;
        self.lease = Some(lease);
        Ok(lease)
    }
}

/// Waits until something else has changed the entry, or that may have been missed: then the reason.
async fn changed(watch: &mut Option<WorldWatch>) -> Option<String> {
    let Some(watch) = watch else { return std::future::pending().await };
    match poll_fn(|cx| watch.as_mut().poll_next(cx)).await {
        Some(WorldEvent::Changed(_)) => None,
        Some(WorldEvent::Lost(why)) => Some(why),
        None => Some("the watch has ended".to_owned()),
    }
}
