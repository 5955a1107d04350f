//! Operations that write at about the same time are made durable together: while one thread syncs, others write, and
//! everything that has been written by then is synced next, each directory once.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::batch::{Due, SyncBatch};
use super::error::FsError;
use super::read::Inner;
use crate::sys::task::{caught, may_block};
use crate::sys::threads::in_background;

/// The most commits that wait for a device, each with open files. Beyond that, a thread with another commit does it by
/// itself.
const WAITING_MAX: usize = 64;

/// How long a commit waits for a thread before it is done without one.
const PATIENCE: Duration = Duration::from_millis(100);

type Outcome = Result<usize, FsError>;

/// The commits of a [`WriteFs`](super::WriteFs) and its clones: for each device that is being synced, those that wait
/// for it. Devices do not wait for each other, since one may hang.
#[derive(Default)]
pub(super) struct Group {
    devices: Mutex<BTreeMap<u64, Device>>,
}

#[derive(Default)]
struct Device {
    waiting: Vec<Item>,
    /// Whether a thread syncs the device; if not, a thread has been asked for.
    has_begun: bool,
}

/// A commit, and the function that is called with its outcome.
struct Item {
    due: Due,
    committed: Box<dyn FnOnce(Outcome) + Send>,
}

impl SyncBatch {
    /// Makes everything durable: at once if this thread may block and its device is not being synced, otherwise
    /// together with others. `held` is dropped when it is done, even if the returned future is dropped before.
    ///
    /// # Errors
    /// Those of [`SyncBatch::commit`].
    pub(crate) async fn commit_together(mut self, held: impl Send + 'static) -> Outcome {
        let due = self.due();
        let Some(device) = due.device() else { return due.end() };
        let inner = Arc::clone(&self.fs().inner);
        if may_block() {
            let turn = inner.group.take_turn(device).then(|| Turn { inner: &inner, device });
            if turn.is_some() || inner.group.is_full(device) {
                let outcome = due.sync();
                drop(held);
                return outcome;
            }
        }
        let (sender, receiver) = oneshot::channel();
        let committed = Box::new(move |outcome| {
            drop(held);
            // If the receiver is gone, the operation was cancelled.
            let _ = sender.send(outcome);
        });
        if inner.group.wait(device, Item { due, committed }) {
            Syncer::start(&inner, device);
        }
        let mut receiver = pin!(receiver);
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut receiver => break outcome,
                // If the system gives no more threads, the existing threads may be waiting for this commit.
                () = sleep(PATIENCE) => {
                    let _ = caught(|| commit(inner.group.take_unbegun(device)));
                }
            }
        };
        match outcome {
            Ok(outcome) => outcome,
            // Only a panic ends a syncer without an outcome: pass it on.
            Err(_) => panic!("what was written could not be made durable"),
        }
    }
}

impl Group {
    /// Marks the device as being synced. Returns whether it was not before.
    fn take_turn(&self, device: u64) -> bool {
        let mut devices = self.lock();
        let is_free = !devices.contains_key(&device);
        devices.entry(device).or_default().has_begun |= is_free;
        is_free
    }

    fn is_full(&self, device: u64) -> bool {
        self.lock().get(&device).is_some_and(|device| device.waiting.len() >= WAITING_MAX)
    }

    /// Lets the commit wait for the device. Returns whether the device was not being synced, so that the caller must
    /// start that.
    fn wait(&self, device: u64, item: Item) -> bool {
        let mut devices = self.lock();
        let is_free = !devices.contains_key(&device);
        devices.entry(device).or_default().waiting.push(item);
        is_free
    }

    /// The commits that wait for the device; if there are none, the device is not being synced any more.
    fn take(&self, device: u64) -> Option<Vec<Item>> {
        let mut devices = self.lock();
        let of = devices.get_mut(&device)?;
        of.has_begun = true;
        let waiting = mem::take(&mut of.waiting);
        if waiting.is_empty() {
            devices.remove(&device);
            return None;
        }
        Some(waiting)
    }

    /// The commits that wait for a thread that the system has not given yet.
    fn take_unbegun(&self, device: u64) -> Vec<Item> {
        let mut devices = self.lock();
        let unbegun = devices.get_mut(&device).filter(|device| !device.has_begun);
        unbegun.map(|device| mem::take(&mut device.waiting)).unwrap_or_default()
    }

    /// Ends the sync of a device. Returns whether commits wait for it, which need another thread now; if none does, the
    /// device is not being synced any more.
    fn end_turn(&self, device: u64) -> bool {
        let mut devices = self.lock();
        let Some(of) = devices.get_mut(&device) else { return false };
        of.has_begun = false;
        let waits = !of.waiting.is_empty();
        if !waits {
            devices.remove(&device);
        }
        waits
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().values().map(|device| device.waiting.len()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Device>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread syncs a device for its own commit, until this is dropped.
struct Turn<'a> {
    inner: &'a Arc<Inner>,
    device: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.inner.group.end_turn(self.device) {
            Syncer::start(self.inner, self.device);
        }
    }
}

/// When dropped, does all commits that wait for a device: also if no thread takes it because the runtime ends.
struct Syncer {
    inner: Arc<Inner>,
    device: u64,
}

impl Syncer {
    fn start(inner: &Arc<Inner>, device: u64) {
        let syncer = Syncer { inner: Arc::clone(inner), device };
        in_background(move || drop(syncer));
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        while let Some(items) = self.inner.group.take(self.device) {
            // Only code that receives log messages can panic here: then these operations fail.
            let _ = caught(|| commit(items));
        }
    }
}

fn commit(items: Vec<Item>) {
    let (mut dues, committed): (Vec<_>, Vec<_>) = items.into_iter().map(|item| (item.due, item.committed)).unzip();
    Due::sync_all(&mut dues);
    committed.into_iter().zip(dues).for_each(|(committed, due)| committed(due.end()));
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices = self.lock();
        f.debug_map().entries(devices.iter().map(|(id, device)| (id, device.waiting.len()))).finish()
    }
}
