//! Pauses between attempts to reach a world.

use std::time::Duration;

use crate::sys::rng;

/// The first pause, and the longest one.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(10);

/// Attempts that fail in a row: reports the first failure, and doubles the pause with each further one.
#[derive(Debug)]
pub struct Attempts {
    what: &'static str,
    failed: u32,
}

impl Attempts {
    /// `what`: what is attempted, in words that follow "the world: ".
    pub fn new(what: &'static str) -> Attempts {
        Attempts { what, failed: 0 }
    }

    /// An attempt has succeeded.
    pub fn succeeded(&mut self) {
        if std::mem::take(&mut self.failed) > 0 {
            tracing::info!(target: "mgmt", "the world: {} succeeds again", self.what);
        }
    }

    /// How long to wait until the next one: a random time in the upper half of the pause, so that hosts that were cut
    /// off together do not return together.
    pub fn failed(&mut self, error: &dyn std::fmt::Display) -> Duration {
        if self.failed == 0 {
            let what = self.what;
            tracing::warn!(target: "mgmt", "the world: {what} fails, and is tried again until it succeeds: {error}");
        }
        let pause = FIRST.saturating_mul(1 << self.failed.min(10)).min(LAST);
        self.failed = self.failed.saturating_add(1);
        // Without random numbers all wait for the same time, which only costs load.
        let part = rng::number().unwrap_or(u64::MAX) % 1024;
        pause / 2 + pause / 2 * u32::try_from(part).unwrap_or(0) / 1024
    }
}
