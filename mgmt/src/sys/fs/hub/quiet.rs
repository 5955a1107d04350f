//! Whether anything has happened since a moment: asked on other threads, while the hub waits elsewhere.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Counts the reads of the kernel's queue that found something; odd while a read is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads(Arc<AtomicU64>);

impl Reads {
    /// Runs `read`, which also returns whether it found something.
    pub(super) fn during<T>(&self, read: impl FnOnce() -> (T, bool)) -> T {
        // The count changes before anything leaves the queue.
        self.0.fetch_add(1, Ordering::SeqCst);
        let (value, found) = read();
        match found {
            true => self.0.fetch_add(1, Ordering::SeqCst),
            false => self.0.fetch_sub(1, Ordering::SeqCst),
        };
        value
    }
}

/// Counts how often the kernel has reported changes of the table of mounts. What is unmounted is gone before any watch
/// reports it.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    /// Used for nothing else: the kernel reports a change once for each open file.
    table: Arc<OwnedFd>,
    count: Arc<Mutex<u64>>,
}

impl Changes {
    pub(super) fn new(table: OwnedFd) -> Changes {
        Changes { table: Arc::new(table), count: Arc::default() }
    }

    pub(super) fn count(&self) -> u64 {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += u64::from(!is_idle(&self.table, PollFlags::PRI));
        *count
    }
}

/// A check whether the kernel has queued anything since this was made, whether or not it was read since, or the table
/// of mounts has changed.
#[derive(Clone, Debug)]
pub struct Quiet {
    queue: Arc<OwnedFd>,
    reads: Reads,
    then: u64,
    mounts: Option<(Changes, u64)>,
}

impl Quiet {
    pub(super) fn new(queue: &Arc<OwnedFd>, reads: &Reads) -> Quiet {
        Quiet { queue: Arc::clone(queue), reads: reads.clone(), then: reads.0.load(Ordering::SeqCst), mounts: None }
    }

    /// Also of changes of the table of mounts, beyond this number.
    pub(super) fn and(self, mounts: (Changes, u64)) -> Quiet {
        Quiet { mounts: Some(mounts), ..self }
    }

    /// Whether nothing has happened since. Events that the kernel had queued before count too.
    pub fn is_quiet(&self) -> bool {
        let is_unread = || self.reads.0.load(Ordering::SeqCst) == self.then;
        let is_mounted = || self.mounts.as_ref().is_none_or(|(changes, then)| changes.count() == *then);
        is_unread() && is_idle(&self.queue, PollFlags::IN) && is_mounted() && is_unread()
    }
}

/// Whether the kernel has nothing of this sort for the descriptor. False if that can't be known.
fn is_idle(fd: &OwnedFd, sort: PollFlags) -> bool {
    matches!(poll(&mut [PollFd::new(fd, sort)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}
