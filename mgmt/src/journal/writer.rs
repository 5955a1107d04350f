//! The thread that makes things durable. Everything that comes while one commit runs goes into the next.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::database::{DatabaseFile, Writes};
use super::entry::Entry;
use super::error::CommitError;
use super::lock::Lock;
use super::mirror::{Key, Mirror};

/// After a failure, what nobody waits for is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// Who waits for a batch.
pub(super) type Done = Box<dyn FnOnce(Result<(), CommitError>) + Send>;

/// What the users of a journal and its writer share.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) mirror: Mirror,
    /// What differs from the disk. Only the place is kept: what is written is what the mirror says when the commit begins.
    dirty: BTreeSet<Key>,
    waiting: Vec<Done>,
    /// When `dirty` is written though nobody waits.
    due: Option<Instant>,
    pub(super) closing: bool,
    /// The file that was written so far is no longer in its place.
    lost: bool,
    /// How the last commit went.
    last: Option<CommitError>,
}

impl Shared {
    pub(super) fn new(mirror: Mirror) -> Shared {
        Shared { state: Mutex::new(State { mirror, ..State::default() }), wake: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Take over a batch whole. With `done` it is written at once, else within `lazy`. A closed journal takes nothing.
    /// Returns whether there is something to do for the writer.
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

    /// Take over a batch that is to be written nowhere. A closed journal takes nothing.
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

    /// Write what there is, and end.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }

    /// The file is gone: with the next commit all is written again, into a new one.
    pub(super) fn set_lost(&self) {
        self.lock().lost = true;
    }

    /// Why the last commit failed, if it did.
    pub(super) fn last(&self) -> Option<CommitError> {
        self.lock().last.clone()
    }

    /// Sleep until there is something to do: whether that is to write. `None`: nothing more will come.
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

    /// Something is waited for: whether there is something to write for it. `None`: what there is has time.
    pub(super) fn urgent(&self) -> Option<bool> {
        let state = self.lock();
        (!state.waiting.is_empty()).then(|| !state.dirty.is_empty())
    }

    /// What must be done now. `None`: since `wait` there is something to write after all.
    fn next(&self, writes: bool, wants_all: bool) -> Option<Round> {
        let mut state = self.lock();
        if !writes && !state.dirty.is_empty() {
            return None;
        }
        state.due = None;
        let keys = std::mem::take(&mut state.dirty);
        // Read under the same lock as the keys were taken: what is written is what was true at one moment, never half of
        // a batch.
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

/// Nothing is written any more.
fn refuse(done: Option<Done>) {
    match done {
        Some(done) => done(Err(CommitError::Closed)),
        None => tracing::debug!("{}", CommitError::Closed),
    }
}

/// What goes into one commit.
struct Round {
    keys: BTreeSet<Key>,
    writes: Writes,
    waiting: Vec<Done>,
    closing: bool,
}

/// What the writer needs, wherever it is until it begins.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) file: DatabaseFile,
    /// Of the prefix. The journal can put another one in its place.
    pub(super) _lock: Arc<Mutex<Lock>>,
}

/// The writer's life. Holds the lock of the prefix to its end.
pub(super) fn work(shared: &Shared, mut held: Held) {
    while let Some(is_dirty) = shared.wait() {
        turn(shared, &mut held.file, is_dirty);
    }
}

/// What the writer would do at once, on the thread of the caller: where the system gives no thread.
pub(super) fn work_here(shared: &Shared, held: &mut Held) {
    while let Some(is_dirty) = shared.urgent() {
        turn(shared, &mut held.file, is_dirty);
    }
}

/// One commit, and the answers to those who wait for it.
fn turn(shared: &Shared, file: &mut DatabaseFile, is_dirty: bool) {
    if std::mem::take(&mut shared.lock().lost) {
        file.forget();
    }
    // With nothing to write, what is waited for is on disk already, unless there is no file that holds it.
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
            tracing::error!("somebody who waited for the journal has panicked");
        }
    }
}

fn commit(file: &mut DatabaseFile, writes: Writes) -> Result<(), CommitError> {
    file.commit(writes).map_err(|source| CommitError::Write { path: file.path().to_owned(), source: Arc::new(source) })
}
