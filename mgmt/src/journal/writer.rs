//! The thread that makes batches durable. All batches that arrive during a commit go into the next one.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::database::{DatabaseFile, Writes};
use super::entry::Entry;
use super::error::CommitError;
use super::lock::Lock;
use super::mirror::{Key, Mirror};

/// The time after a failure until batches without a waiter are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The callback of a waiter.
pub(super) type Done = Box<dyn FnOnce(Result<(), CommitError>) + Send>;

/// The state that the users of a journal and its writer share.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) mirror: Mirror,
    /// The keys whose values differ from those on disk. The values are read from the mirror when the commit begins.
    dirty: BTreeSet<Key>,
    waiting: Vec<Done>,
    /// The time at which `dirty` is written even without a waiter.
    due: Option<Instant>,
    pub(super) closing: bool,
    /// The written file is no longer in its place.
    lost: bool,
    /// The error of the last commit, if it failed.
    last: Option<CommitError>,
}

impl Shared {
    pub(super) fn new(mirror: Mirror) -> Shared {
        Shared { state: Mutex::new(State { mirror, ..State::default() }), wake: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes over a whole batch. With `done` it is written at once, otherwise within `lazy`. A closed journal takes
    /// nothing. Returns whether there is work for the writer.
    pub(super) fn submit(&self, batch: Vec<Entry>, done: Option<Done>, lazy: Duration) -> bool {
        let mut state = self.lock();
        if state.closing {
            drop(state);
            refuse(done);
            return false;
        }
        let State { mirror, dirty, .. } = &mut *state;
        for entry in batch {
            mirror.apply(entry, dirty);
        }
        match done {
            Some(done) => state.waiting.push(done),
            None if state.dirty.is_empty() => return false,
            None if state.due.is_some() => return true,
            None => state.due = Some(Instant::now() + lazy),
        }
        self.wake.notify_one();
        true
    }

    /// Takes over a batch that is never written. A closed journal takes nothing.
    pub(super) fn keep(&self, batch: Vec<Entry>, done: Option<Done>) {
        let mut state = self.lock();
        if state.closing {
            drop(state);
            return refuse(done);
        }
        let mut dirty = BTreeSet::new();
        batch.into_iter().for_each(|entry| state.mirror.apply(entry, &mut dirty));
        drop(state);
        if let Some(done) = done {
            done(Ok(()));
        }
    }

    /// Makes the writer write what is left, and end.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }

    /// Records that the file is gone: the next commit writes all content into a new one.
    pub(super) fn set_lost(&self) {
        self.lock().lost = true;
    }

    /// The error of the last commit, if it failed.
    pub(super) fn last(&self) -> Option<CommitError> {
        self.lock().last.clone()
    }

    /// Sleeps until there is work, and returns whether it includes a write. `None`: no more work will come.
    fn wait(&self) -> Option<bool> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let due = state.due.is_some_and(|due| due <= now);
            if !state.waiting.is_empty() || due || (state.closing && !state.dirty.is_empty()) {
                return Some(!state.dirty.is_empty());
            }
            if state.closing {
                return None;
            }
            state = match state.due {
                None => self.wake.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some(due) => {
                    let waited = self.wake.wait_timeout(state, due - now);
                    waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
                }
            };
        }
    }

    /// If there are waiters, whether there is something to write for them. `None`: there are no waiters.
    pub(super) fn urgent(&self) -> Option<bool> {
        let state = self.lock();
        (!state.waiting.is_empty()).then(|| !state.dirty.is_empty())
    }

    /// The work of one round. `None`: there was nothing to write at `wait`, but there is now.
    fn next(&self, writes: bool, wants_all: bool) -> Option<Round> {
        let mut state = self.lock();
        if !writes && !state.dirty.is_empty() {
            return None;
        }
        state.due = None;
        let keys = std::mem::take(&mut state.dirty);
        // The values are read under the lock under which the keys are taken: a commit has the state of one moment,
        // never half of a batch.
        let value = |key: Key| {
            let bytes = state.mirror.bytes(&key);
            (key, bytes)
        };
        let writes = match wants_all {
            true => state.mirror.keys().into_iter().map(value).collect(),
            false => keys.iter().cloned().map(value).collect(),
        };
        Some(Round { keys, writes, waiting: std::mem::take(&mut state.waiting), closing: state.closing })
    }
}

/// Answers a batch that a closed journal does not take.
fn refuse(done: Option<Done>) {
    match done {
        Some(done) => done(Err(CommitError::Closed)),
        None => tracing::debug!("{}", CommitError::Closed),
    }
}

/// The content of one commit.
struct Round {
    keys: BTreeSet<Key>,
    writes: Writes,
    waiting: Vec<Done>,
    closing: bool,
}

/// What the writer needs; the journal keeps it until the writer starts.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) file: DatabaseFile,
    /// The lock of the prefix. The journal can replace it.
    pub(super) _lock: Arc<Mutex<Lock>>,
}

/// The loop of the writer. It holds the lock of the prefix until it ends.
pub(super) fn work(shared: &Shared, mut held: Held) {
    while let Some(is_dirty) = shared.wait() {
        turn(shared, &mut held.file, is_dirty);
    }
}

/// Does the writer's urgent work on the thread of the caller, for when the system gives no thread.
pub(super) fn work_here(shared: &Shared, held: &mut Held) {
    while let Some(is_dirty) = shared.urgent() {
        turn(shared, &mut held.file, is_dirty);
    }
}

/// One commit, and the answers to its waiters.
fn turn(shared: &Shared, file: &mut DatabaseFile, is_dirty: bool) {
    if std::mem::take(&mut shared.lock().lost) {
        file.forget();
    }
    // With nothing to write, the waiters' batches are on disk already, unless no file contains them.
    let wants_all = if is_dirty { file.prepare() } else { file.is_missing() };
    let writes = is_dirty || wants_all;
    let Some(round) = shared.next(writes, wants_all) else { return };
    let result = if writes { commit(file, round.writes) } else { Ok(()) };
    let mut state = shared.lock();
    if let Err(error) = &result {
        if state.last.is_none() {
            tracing::error!("{error}; what is not on disk is kept in memory and tried again");
        }
        state.dirty.extend(round.keys);
        state.due.get_or_insert(Instant::now() + RETRY);
    }
    state.last = result.as_ref().err().cloned();
    let give_up = round.closing && result.is_err();
    if give_up {
        state.dirty.clear();
        state.due = None;
    }
    drop(state);
    for done in round.waiting {
        let result = result.clone();
        if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
            tracing::error!("a waiter for the journal has panicked");
        }
    }
}

fn commit(file: &mut DatabaseFile, writes: Writes) -> Result<(), CommitError> {
    file.commit(writes).map_err(|source| CommitError::Write { path: file.path().to_owned(), source: Arc::new(source) })
}
