//! Operations that write at about the same time are made durable together: while one thread syncs, others write, and
//! everything that has been written by then is synced next, each directory once. A thread that runs several operations
//! one after the other gathers their commits ([`gathering`]) and does them together.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::batch::{Due, SyncBatch};
use super::error::FsError;
use super::read::Inner;
use crate::sys::task::{caught, give_way, may_block};
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
    /// How many files have been opened to be written.
    opened: AtomicU64,
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
    /// A thread has gathered it, and will sync its device.
    is_gathered: bool,
}

/// What a thread gathers.
enum Gathering {
    Nothing,
    /// The next commit.
    Next,
    /// It has this one.
    One(Gathered),
}

thread_local! {
    static GATHERING: RefCell<Gathering> = const { RefCell::new(Gathering::Nothing) };
}

/// A commit waits until the thread that has gathered it calls [`Gathered::sync`].
#[must_use = "nothing else makes the commit"]
pub struct Gathered {
    inner: Arc<Inner>,
    device: u64,
}

/// Polls an operation on a thread that may block. If the operation begins a commit, that waits, and is returned: so the
/// thread can poll others first, and do the commits of all of them together. After [`Gathered::sync`], the operation
/// must be polled again.
pub fn gathering<T>(poll: impl FnOnce() -> T) -> (T, Option<Gathered>) {
    /// Ends it, also after a panic.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            GATHERING.set(Gathering::Nothing);
        }
    }
    let _end = End;
    GATHERING.set(Gathering::Next);
    let value = poll();
    let gathered = match GATHERING.replace(Gathering::Nothing) {
        Gathering::One(gathered) => Some(gathered),
        Gathering::Nothing | Gathering::Next => None,
    };
    (value, gathered)
}

impl Gathered {
    /// Whether a sync of one is a sync of both.
    pub fn is_with(&self, other: &Gathered) -> bool {
        self.device == other.device && Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Does all commits that wait for the device by now, and those that come meanwhile and are not gathered.
    pub fn sync(self) {
        let group = &self.inner.group;
        while let Some(items) = group.take(self.device) {
            let _ = caught(|| commit(items));
            if !group.end_turn(self.device) {
                return;
            }
        }
    }
}

impl fmt::Debug for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gathered").field(&self.device).finish()
    }
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
        let is_gathered = GATHERING.with_borrow(|gathering| matches!(gathering, Gathering::Next)) && may_block();
        let is_gathered = is_gathered && !inner.group.is_full(device);
        if may_block() && !is_gathered {
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
        let is_free = inner.group.wait(device, Item { due, committed, is_gathered });
        let mut receiver = pin!(receiver);
        if is_gathered {
            GATHERING.set(Gathering::One(Gathered { inner: Arc::clone(&inner), device }));
            give_way().await;
            match receiver.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) if inner.group.is_unbegun(device) => {
                    Syncer::start(&inner, device)
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
                outcome => return outcome.unwrap_or_else(|_| lost()),
            }
        } else if is_free {
            Syncer::start(&inner, device);
        }
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
        outcome.unwrap_or_else(|_| lost())
    }
}

/// Only a panic ends a commit without an outcome: passes it on.
fn lost() -> ! {
    panic!("what was written could not be made durable")
}

impl Group {
    /// A number for a file that is open now, and that nothing has been written into.
    pub(super) fn opened(&self) -> u64 {
        self.opened.fetch_add(1, Ordering::SeqCst)
    }

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

    /// Commits wait for a thread that syncs the device.
    fn is_unbegun(&self, device: u64) -> bool {
        self.lock().get(&device).is_some_and(|device| !device.has_begun && !device.waiting.is_empty())
    }

    /// Ends the sync of a device. Returns whether commits wait for it that no thread has gathered: they need another
    /// one now. If none waits at all, the device is not being synced any more.
    fn end_turn(&self, device: u64) -> bool {
        let mut devices = self.lock();
        let Some(of) = devices.get_mut(&device) else { return false };
        of.has_begun = false;
        if of.waiting.is_empty() {
            devices.remove(&device);
            return false;
        }
        of.waiting.iter().any(|item| !item.is_gathered)
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
