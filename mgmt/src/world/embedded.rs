//! A world in the memory of this process. Engines that are given the same one are hosts of one world.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc;

use crate::resource::{
    BoxFuture, Changes, Condition, Entry, Keys, LeaseId, Limits, Member, Revision, Snapshot, Transaction, World,
    WorldError, WorldEvent, WorldWatch, Write,
};
use crate::world::leases::Leases;

/// How many transactions a watch can begin behind. Older ones are forgotten: such a watch is lost.
const HISTORY_MAX: usize = 1024;
/// How many transactions may wait for the reader of a watch. The watch of a slower reader is lost.
const QUEUE_MAX: usize = 1024;

/// A world in the memory of this process. Clones are the same world; it ends with the last clone and the last engine
/// that has one.
///
/// ```
/// use mgmt::{Engine, world::Embedded};
/// let world = Embedded::new();
/// let web1 = Engine::builder().world(world.clone()).hostname("web1");
/// let web2 = Engine::builder().world(world).hostname("web2");
/// # drop((web1, web2));
/// ```
#[derive(Clone, Default)]
pub struct Embedded {
    store: Store,
}

type Store = Arc<Mutex<State>>;

/// All state of the world.
#[derive(Debug, Default)]
struct State {
    revision: Revision,
    entries: BTreeMap<String, Entry>,
    /// The last transactions, oldest first.
    history: VecDeque<Arc<Changes>>,
    /// The last revision whose changes are forgotten.
    forgotten: Revision,
    leases: Leases,
    watches: Vec<Watching>,
    /// Hosts that can't reach the world.
    cut: BTreeSet<String>,
}

/// A watch, as the world has it. When its sender is dropped, the watch is lost.
#[derive(Debug)]
struct Watching {
    #[cfg_attr(not(any(test, feature = "testing")), expect(dead_code, reason = "only tests cut hosts off"))]
    host: String,
    keys: Vec<Keys>,
    sender: mpsc::Sender<Changes>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.store);
        let (revision, entries) = (state.revision, state.entries.len());
        f.debug_struct("Embedded").field("revision", &revision).field("entries", &entries).finish_non_exhaustive()
    }
}

fn lock(store: &Mutex<State>) -> MutexGuard<'_, State> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Embedded {
    /// An empty world.
    pub fn new() -> Embedded {
        Embedded::default()
    }

    /// From now on the host can't reach the world: what it asks for fails, and its watches are lost. For tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn cut(&self, host: &str) {
        let mut state = lock(&self.store);
        state.cut.insert(host.to_owned());
        state.watches.retain(|watching| watching.host != host);
    }

    /// The host can reach the world again.
    #[cfg(any(test, feature = "testing"))]
    pub fn mend(&self, host: &str) {
        lock(&self.store).cut.remove(host);
    }

    /// Forgets all earlier changes: a watch that begins behind the present revision is lost. For tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn compact(&self) {
        let mut state = lock(&self.store);
        state.history.clear();
        state.forgotten = state.revision;
    }

    /// All entries and watches are lost, and revisions begin again. For tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn lose_all(&self) {
        let mut state = lock(&self.store);
        let (leases, cut) = (std::mem::take(&mut state.leases).none(), std::mem::take(&mut state.cut));
        *state = State { leases, cut, ..State::default() };
    }

    /// The present revision: it is the same as before exactly if nothing was written. For tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn revision(&self) -> Revision {
        lock(&self.store).revision
    }

    /// How many of the last 1024 transactions have changed something below this prefix, since all data was lost. For
    /// tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn transactions(&self, prefix: &str) -> usize {
        let is_below = |changes: &&Arc<Changes>| changes.entries.iter().any(|(key, _)| key.starts_with(prefix));
        lock(&self.store).history.iter().filter(is_below).count()
    }

    /// How many watches there are of keys below this prefix. For tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn watches_below(&self, prefix: &str) -> usize {
        let is_below = |keys: &Keys| match keys {
            Keys::One(key) => key.starts_with(prefix),
            Keys::Below(below) => below.starts_with(prefix),
        };
        let mut state = lock(&self.store);
        state.watches.retain(|watching| !watching.sender.is_closed());
        state.watches.iter().filter(|watching| watching.keys.iter().any(is_below)).count()
    }

    /// How many watches there are. For tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn watches(&self) -> usize {
        let mut state = lock(&self.store);
        state.watches.retain(|watching| !watching.sender.is_closed());
        state.watches.len()
    }
}

impl World for Embedded {
    fn member(&self, host: &str) -> Arc<dyn Member> {
        Arc::new(Host { store: Arc::clone(&self.store), name: host.to_owned() })
    }
}

/// The access of a host.
#[derive(Debug)]
struct Host {
    store: Store,
    name: String,
}

impl Host {
    /// Asks the world. As every world, it answers when the future is polled.
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut State, &Store) -> Result<T, WorldError> + Send + 'static,
    ) -> BoxFuture<Result<T, WorldError>> {
        let (store, name) = (Arc::clone(&self.store), self.name.clone());
        Box::pin(async move {
            let mut state = lock(&store);
            if state.cut.contains(&name) {
                return Err(WorldError::Unreachable(format!("the host {name} is cut off")));
            }
            state.end_overdue();
            question(&mut state, &store)
        })
    }
}

impl Member for Host {
    fn host(&self) -> &str {
        &self.name
    }

    fn get(&self, keys: Vec<Keys>) -> BoxFuture<Result<Snapshot, WorldError>> {
        self.ask(move |state, _| Ok(state.snapshot(&keys)))
    }

    fn watch(&self, keys: Vec<Keys>, after: Revision) -> WorldWatch {
        let mut state = lock(&self.store);
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let why = if state.cut.contains(&self.name) {
            format!("the host {} is cut off", self.name)
        } else if after < state.forgotten {
            format!("the changes after revision {} are forgotten", after.0)
        } else {
            let watching = Watching { host: self.name.clone(), keys, sender };
            let mut missed = state.history.iter().filter(|changes| changes.revision > after);
            if missed.all(|changes| watching.send(changes)) {
                state.watches.push(watching);
            }
            "the host was cut off, or its reader was too slow".to_owned()
        };
        Box::pin(Events { receiver, why: Some(why) })
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<Result<Option<Revision>, WorldError>> {
        self.ask(move |state, _| state.commit(transaction))
    }

    fn lease(&self, ttl: Duration) -> BoxFuture<Result<LeaseId, WorldError>> {
        self.ask(move |state, store| {
            let lease = state.leases.begin(ttl);
            tokio::spawn(end_in_time(Arc::downgrade(store), lease));
            Ok(lease)
        })
    }

    fn renew(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>> {
        self.ask(move |state, _| state.leases.renew(lease).then_some(()).ok_or(WorldError::NoLease(lease)))
    }

    fn revoke(&self, lease: LeaseId) -> BoxFuture<Result<(), WorldError>> {
        self.ask(move |state, _| {
            state.end(lease);
            Ok(())
        })
    }

    fn limits(&self) -> Limits {
        Limits::NONE
    }
}

/// Ends a lease when its time is over, so that the watches of what it holds are woken.
async fn end_in_time(store: Weak<Mutex<State>>, lease: LeaseId) {
    loop {
        let deadline = store.upgrade().and_then(|store| lock(&store).leases.deadline(lease));
        let Some(deadline) = deadline else { return };
        tokio::time::sleep_until(deadline).await;
        let Some(store) = store.upgrade() else { return };
        lock(&store).end_overdue();
    }
}

impl State {
    fn snapshot(&self, keys: &[Keys]) -> Snapshot {
        let mut entries = BTreeMap::new();
        let mut add = |(key, entry): (&String, &Entry)| drop(entries.insert(key.clone(), entry.clone()));
        for keys in keys {
            match keys {
                Keys::One(key) => self.entries.get_key_value(key).into_iter().for_each(&mut add),
                Keys::Below(prefix) => {
                    let from = self.entries.range(prefix.clone()..);
                    from.take_while(|(key, _)| key.starts_with(prefix.as_str())).for_each(&mut add);
                }
            }
        }
        Snapshot { revision: self.revision, entries }
    }

    fn commit(&mut self, transaction: Transaction) -> Result<Option<Revision>, WorldError> {
        let leases = transaction.writes.values().filter_map(|write| match write {
            Write::Put(_, lease) => *lease,
            Write::Remove => None,
        });
        if let Some(ended) = leases.into_iter().find(|lease| !self.leases.has(*lease)) {
            return Err(WorldError::NoLease(ended));
        }
        let holds =
            |condition: &Condition| self.entries.get(&condition.key).map(|entry| entry.written) == condition.written;
        if !transaction.conditions.iter().all(holds) {
            return Ok(None);
        }
        self.write(transaction.writes);
        Ok(Some(self.revision))
    }

    fn write(&mut self, writes: BTreeMap<String, Write>) {
        let revision = Revision(self.revision.0 + 1);
        let mut entries = Vec::with_capacity(writes.len());
        for (key, write) in writes {
            let (before, after) = match write {
                Write::Put(value, lease) => {
                    let entry = Entry { value, written: revision, lease };
                    (self.entries.insert(key.clone(), entry.clone()), Some(entry))
                }
                Write::Remove => match self.entries.remove(&key) {
                    Some(before) => (Some(before), None),
                    None => continue,
                },
            };
            let lease = |entry: &Option<Entry>| entry.as_ref().and_then(|entry| entry.lease);
            self.leases.hold(&key, lease(&before), lease(&after));
            entries.push((key, after));
        }
        if entries.is_empty() {
            return;
        }
        self.revision = revision;
        let changes = Arc::new(Changes { revision, entries });
        self.watches.retain(|watching| watching.send(&changes));
        self.history.push_back(changes);
        if self.history.len() > HISTORY_MAX
            && let Some(oldest) = self.history.pop_front()
        {
            self.forgotten = oldest.revision;
        }
    }

    fn end_overdue(&mut self) {
        while let Some(lease) = self.leases.overdue() {
            self.end(lease);
        }
    }

    fn end(&mut self, lease: LeaseId) {
        let keys = self.leases.end(lease);
        self.write(keys.into_iter().map(|key| (key, Write::Remove)).collect());
    }
}

impl Watching {
    /// Sends the part that is watched. False: the watch is over.
    fn send(&self, changes: &Changes) -> bool {
        let is_watched = |(key, _): &&(String, Option<Entry>)| self.keys.iter().any(|keys| keys.contain(key));
        let entries: Vec<_> = changes.entries.iter().filter(is_watched).cloned().collect();
        let sent = Changes { revision: changes.revision, entries };
        if sent.entries.is_empty() { !self.sender.is_closed() } else { self.sender.try_send(sent).is_ok() }
    }
}

/// The events of a watch, for its reader.
struct Events {
    receiver: mpsc::Receiver<Changes>,
    /// Why the watch is lost when nothing is left to receive. `None`: this was yielded.
    why: Option<String>,
}

impl Stream for Events {
    type Item = WorldEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WorldEvent>> {
        Poll::Ready(match ready!(self.receiver.poll_recv(cx)) {
            Some(changes) => Some(WorldEvent::Changed(changes)),
            None => self.why.take().map(WorldEvent::Lost),
        })
    }
}
