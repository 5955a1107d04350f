//! The life of a process on a simulated host: once it is over, nothing that belongs to it has any effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::Errno;
use tokio::sync::Notify;

/// One life; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_over: AtomicBool,
    /// The life ends with this change of a file, before it is made; 0: it does not.
    last_change: AtomicU64,
    changes: AtomicU64,
    ended: Notify,
}

impl Life {
    /// Ends the life: whatever still runs has no effect any more.
    pub(crate) fn end(&self) {
        self.0.is_over.store(true, Ordering::SeqCst);
        self.0.ended.notify_waiters();
        self.0.ended.notify_one();
    }

    /// Makes the life end right before the n-th change of a file from now on.
    pub(crate) fn end_at_change(&self, n: u64) {
        self.0.last_change.store(self.changes() + n, Ordering::SeqCst);
    }

    /// Undoes [`Life::end_at_change`].
    pub(crate) fn end_at_no_change(&self) {
        self.0.last_change.store(0, Ordering::SeqCst);
    }

    /// The number of changes of files so far.
    pub(crate) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::SeqCst)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::SeqCst)
    }

    /// Returns when the life is over.
    pub(crate) async fn over(&self) {
        while !self.is_over() {
            self.0.ended.notified().await;
        }
    }

    /// Fails if the life is over.
    pub(super) fn go_on(&self) -> Result<(), Errno> {
        if self.is_over() { Err(Errno::IO) } else { Ok(()) }
    }

    /// Like [`Life::go_on`], before a change of a file.
    pub(in crate::sys) fn change(&self) -> Result<(), Errno> {
        let n = self.0.changes.fetch_add(1, Ordering::SeqCst) + 1;
        if n == self.0.last_change.load(Ordering::SeqCst) {
            self.end();
        }
        self.go_on()
    }
}
