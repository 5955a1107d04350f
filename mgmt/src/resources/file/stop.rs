//! Ends blocking work at its next step when the operation that waits for it is cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::resource::{Error, Result};

/// Held by whoever waits: when it is dropped, the work stops.
#[derive(Debug, Default)]
pub(super) struct StopOnDrop(Stop);

/// Asked by the work.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl StopOnDrop {
    pub(super) fn stop(&self) -> Stop {
        self.0.clone()
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Stop {
    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once it is asked. Nobody waits for it any more.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_asked() { Err(Error::new("cancelled")) } else { Ok(()) }
    }
}
