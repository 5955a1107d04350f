//! Pauses between attempts to reach a world, and how long something waits for it.

use std::time::Duration;

use crate::sys::rng;

/// How long a graph waits for the world before it runs. After that it begins with what is known, and follows when the
/// world can be reached.
pub(crate) const READ_MAX: Duration = Duration::from_secs(5);

/// The first pause, and the longest one.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(10);
/// The time over which hosts that have lost their watches return.
const LOST: Duration = Duration::from_millis(400);

/// Attempts that fail in a row: reports the first failure, and doubles the pause with each further one.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// `None`: the failures are reported elsewhere.
    what: Option<&'static str>,
    failed: u32,
}

impl Attempts {
    /// `what`: what is attempted, in words that follow "the world: ".
    pub(crate) fn new(what: &'static str) -> Attempts {
        Attempts { what: Some(what), failed: 0 }
    }

    /// Attempts whose failures are reported elsewhere.
    pub(crate) fn unreported() -> Attempts {
        Attempts { what: None, failed: 0 }
    }

    pub(crate) fn succeeded(&mut self) {
        if std::mem::take(&mut self.failed) > 0
            && let Some(what) = self.what
        {
            tracing::info!(target: "mgmt", "the world: {what} succeeds again");
        }
    }

    /// How long to wait until the next one: a random time in the upper half of the pause, so that hosts that were cut
    /// off together do not return together.
    pub(crate) fn failed(&mut self, error: &dyn std::fmt::Display) -> Duration {
        if self.failed == 0
            && let Some(what) = self.what
        {
            tracing::warn!(target: "mgmt", "the world: {what} fails, and is tried again until it succeeds: {error}");
        }
        let pause = FIRST.saturating_mul(1 << self.failed.min(10)).min(LAST);
        self.failed = self.failed.saturating_add(1);
        pause / 2 + part_of(pause / 2)
    }

    /// The same after a watch was lost: most often because a server has gone, and then all hosts have lost theirs.
    pub(crate) fn lost(&mut self, why: &dyn std::fmt::Display) -> Duration {
        self.failed(why) + part_of(LOST)
    }
}

/// A random part of a time, so that hosts that would do something together do it one after the other.
pub(crate) fn part_of(time: Duration) -> Duration {
    // Without random numbers all wait for the same time, which only costs load.
    let part = rng::number().unwrap_or(u64::MAX) % 1024;
    time * u32::try_from(part).unwrap_or(0) / 1024
}
