//! What metaparameters mean for the scheduler: how often, how long and after which pauses something is tried.

use std::time::Duration;

use crate::resource::{Backoff, Meta};
use crate::scheduler;

pub(super) fn backoff(meta: &Meta) -> scheduler::Backoff {
    match meta.backoff {
        Backoff::Constant => scheduler::Backoff::Constant,
        Backoff::Exponential { max } => scheduler::Backoff::Exponential { max, jitter: true },
    }
}

pub(super) fn timeout(meta: &Meta) -> Option<Duration> {
    meta.timeout.filter(|timeout| *timeout < Duration::MAX)
}

/// How an undo is tried again, and how long it may take.
pub(crate) fn undo_settings(meta: &Meta) -> (scheduler::Tries, Option<Duration>) {
    let retry = u32::try_from(meta.retry).ok();
    (scheduler::Tries { retry, delay: meta.delay, backoff: backoff(meta) }, timeout(meta))
}
