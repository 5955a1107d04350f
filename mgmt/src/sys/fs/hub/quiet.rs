//! Whether anything has happened since: asked on other threads, while the hub waits elsewhere.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Counts the reads of the kernel's queue that found something; odd while one is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads(Arc<AtomicU64>);

impl Reads {
    /// Reads: whether it found something.
    pub(super) fn during<T>(&self, read: impl FnOnce() -> (T, bool)) -> T {
        // Before anything leaves the queue.
        self.0.fetch_add(1, Ordering::SeqCst);
        let (value, found) = read();
        match found {
            true => self.0.fetch_add(1, Ordering::SeqCst),
            false => self.0.fetch_sub(1, Ordering::SeqCst),
        };
        value
    }
}

/// Knows whether the kernel has queued anything since this was made, be it read since or not.
#[derive(Clone, Debug)]
pub struct Quiet {
    queue: Arc<OwnedFd>,
    reads: Reads,
    then: u64,
}

impl Quiet {
    pub(super) fn new(queue: &Arc<OwnedFd>, reads: &Reads) -> Quiet {
        Quiet { queue: Arc::clone(queue), reads: reads.clone(), then: reads.0.load(Ordering::SeqCst) }
    }

    /// Nothing has happened since. What the kernel had queued before counts as well.
    pub fn is_quiet(&self) -> bool {
        let is_unread = || self.reads.0.load(Ordering::SeqCst) == self.then;
        is_unread() && self.is_empty() && is_unread()
    }

    fn is_empty(&self) -> bool {
        let mut queue = [PollFd::new(&*self.queue, PollFlags::IN)];
        matches!(poll(&mut queue, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
    }
}
