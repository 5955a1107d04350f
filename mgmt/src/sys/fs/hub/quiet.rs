//! Whether anything has happened since a moment: asked on other threads, while the hub waits elsewhere.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// A check whether the kernel has queued anything since this was made, whether or not it was read since.
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

    /// Whether nothing has happened since. Events that the kernel had queued before count too.
    pub fn is_quiet(&self) -> bool {
        let is_unread = || self.reads.0.load(Ordering::SeqCst) == self.then;
        is_unread() && self.is_empty() && is_unread()
    }

    fn is_empty(&self) -> bool {
        let mut queue = [PollFd::new(&*self.queue, PollFlags::IN)];
        matches!(poll(&mut queue, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
    }
}
