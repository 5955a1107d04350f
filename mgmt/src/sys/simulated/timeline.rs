//! The time of a simulated host: it passes with tokio's paused clock, and continues from one engine to the next.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The wall time at which a simulated host begins: 2026-01-01, in seconds since 1970.
const BEGIN_S: u64 = 1_767_225_600;

/// The time since the host began.
#[derive(Debug, Default)]
pub(super) struct Timeline(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The time that has passed in runtimes that have ended.
    passed: Duration,
    /// When the present runtime began.
    since: Option<Instant>,
    /// The last stamp that was given.
    stamp: i128,
}

impl Timeline {
    /// From now on, time passes with the clock of this thread's runtime.
    pub(super) fn begin(&self) {
        self.pause();
        self.state().since = Some(Instant::now());
    }

    /// The time stands still.
    pub(super) fn pause(&self) {
        let mut state = self.state();
        state.passed = state.now();
        state.since = None;
    }

    /// The time since the host began.
    pub(super) fn now(&self) -> Duration {
        self.state().now()
    }

    /// The wall time, in time since 1970.
    pub(super) fn wall(&self) -> Duration {
        Duration::from_secs(BEGIN_S) + self.now()
    }

    /// The wall time of a change in nanoseconds since 1970: no two changes have the same.
    pub(super) fn stamp(&self) -> i128 {
        let wall = self.wall().as_nanos() as i128;
        let mut state = self.state();
        state.stamp = wall.max(state.stamp + 1);
        state.stamp
    }

    pub(super) fn fork(&self) -> Timeline {
        let state = self.state();
        Timeline(Mutex::new(State { passed: state.now(), since: None, stamp: state.stamp }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn now(&self) -> Duration {
        self.passed + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
