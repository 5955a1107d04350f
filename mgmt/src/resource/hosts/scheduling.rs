//! The part of an engine that lets its host take part in schedules.

use std::fmt;

use crate::resource::any::BoxFuture;
use crate::resource::hosts::schedule::Terms;

/// What a host knows of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chosen {
    /// Whether this host is chosen. It is false while the host can't know: before it has read the list, and when it was
    /// cut off for so long that others may have taken its place.
    pub is_chosen: bool,
    /// The chosen hosts, in the order of their names, as far as this host knows.
    pub hosts: Vec<String>,
    /// What they give others to know, in the same order: empty texts where they give nothing.
    pub data: Vec<String>,
}

/// Takes part in schedules for one host. The runtime implements it.
pub(crate) trait Scheduling: fmt::Debug + Send + Sync {
    /// Whether this host can be chosen. In noop and for a plan it only looks.
    fn takes_part(&self) -> bool;

    /// The host takes part on these terms, as long as at least one seat is kept. The last terms hold.
    fn join(&self, schedule: &str, terms: &Terms) -> Seat;

    /// What is known of a schedule that was joined; `None`: it is not known yet, or the host has not joined.
    fn known(&self, schedule: &str) -> Option<Chosen>;

    /// Returns a number greater than this when something has changed in any schedule that was joined. The first one is
    /// greater than 0.
    fn changed(&self, after: u64) -> BoxFuture<u64>;
}

/// A place in a schedule. The host leaves the schedule when it is dropped.
pub(crate) struct Seat(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Seat {
    pub(crate) fn new(leave: impl FnOnce() + Send + Sync + 'static) -> Seat {
        Seat(Some(Box::new(leave)))
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seat")
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(leave) = self.0.take() {
            leave();
        }
    }
}
