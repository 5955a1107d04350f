//! Pauses between attempts to reach a world, and how long something waits for it.

use std::fmt;
use std::time::Duration;

use crate::resource::world::WorldError;
use crate::sys::rng;

/// How long a graph waits for the world before it runs. After that it begins with what is known, and follows when the
/// world can be reached.
pub(crate) const READ_MAX: Duration = Duration::from_secs(5);

/// The first pause, and the longest one.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(10);
/// The time over which hosts that have lost their watches return.
const LOST: Duration = Duration::from_millis(400);

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The world can't be reached or has no space, which concerns all that use it: the engine reports it once. Or
    /// changes may have been missed, or a lease has ended meanwhile, which needs no report.
    Shared(String),
    /// It concerns this use alone.
    Own(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Why::Shared(why) | Why::Own(why)) = self;
        f.write_str(why)
    }
}

impl From<&WorldError> for Why {
    fn from(error: &WorldError) -> Why {
        match error {
            WorldError::Unreachable(_) | WorldError::Full(_) | WorldError::NoLease(_) => Why::Shared(error.to_string()),
            _ => Why::Own(error.to_string()),
        }
    }
}

impl From<&Why> for Why {
    fn from(why: &Why) -> Why {
        why.clone()
    }
}

/// Attempts that fail in a row: reports the first failure of its own, and doubles the pause with each further one.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// `None`: the failures are reported elsewhere.
    what: Option<&'static str>,
    failed: u32,
    is_reported: bool,
}

impl Attempts {
    /// `what`: what is attempted, in words that follow "the world: ".
    pub(crate) fn new(what: &'static str) -> Attempts {
        Attempts { what: Some(what), failed: 0, is_reported: false }
    }

    /// Attempts whose failures are reported elsewhere.
    pub(crate) fn unreported() -> Attempts {
        Attempts { what: None, failed: 0, is_reported: false }
    }

    /// Whether the last one has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed > 0
    }

    pub(crate) fn succeeded(&mut self) {
        self.failed = 0;
        if std::mem::take(&mut self.is_reported)
            && let Some(what) = self.what
        {
            tracing::info!(target: "mgmt", "the world: {what} succeeds again");
        }
    }

    /// How long to wait until the next one: a random time in the upper half of the pause, so that hosts that were cut
    /// off together do not return together.
    pub(crate) fn failed(&mut self, why: impl Into<Why>) -> Duration {
        match (why.into(), self.what) {
            (Why::Own(why), Some(what)) if !std::mem::replace(&mut self.is_reported, true) => {
                tracing::warn!(target: "mgmt", "the world: {what} fails, and is tried again until it succeeds: {why}");
            }
            (why, what) => tracing::debug!(target: "mgmt", "the world: {} fails: {why}", what.unwrap_or("a use")),
        }
        let pause = FIRST.saturating_mul(1 << self.failed.min(10)).min(LAST);
        self.failed = self.failed.saturating_add(1);
        pause / 2 + part_of(pause / 2)
    }

    /// The same after a watch was lost: most often because a server has gone, and then all hosts have lost theirs.
    pub(crate) fn lost(&mut self, why: String) -> Duration {
        self.failed(Why::Shared(why)) + part_of(LOST)
    }
}

/// A random part of a time, so that hosts that would do something together do it one after the other.
pub(crate) fn part_of(time: Duration) -> Duration {
    // Without random numbers all wait for the same time, which only costs load.
    let part = rng::number().unwrap_or(u64::MAX) % 1024;
    time * u32::try_from(part).unwrap_or(0) / 1024
}
