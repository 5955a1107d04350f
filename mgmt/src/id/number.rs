//! Small integers with a meaning: nodes, generations, tickets, points in time.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The slot of a resource in a running engine. It stays the same as long as the resource is in the graph, even when the
/// graph is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u32);

impl Node {
    /// The slot as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The index of a vertex in a graph. Another graph may have another resource there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u32);

impl Place {
    /// No vertex.
    pub(crate) const NONE: Place = Place(u32::MAX);

    /// The place as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The version of the graph: 1 for the first one, one more with each swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// The number of a batch of journal entries that a caller waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A point in monotonic time: nanoseconds since the engine started. Never the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The time `delay` later; saturates instead of wrapping.
    #[must_use]
    pub fn after(self, delay: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The duration from `earlier` until now; zero if `earlier` is in the future.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
