//! `timer`: changes at an interval, and thereby causes checks and refreshes of the resources that depend on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, FieldProblem, Known, Refresh, Result, Seconds, Watch, WatchCx, WatchEvent,
    every,
};
use mgmt_macros::Resource;

/// Ticks at an interval. Each tick is a change: resources after it are checked, and those that subscribe to it are
/// refreshed. The first tick comes one interval after the start. Ticks that could not be handled in time become one. A
/// refresh starts the interval again. Ticks do not keep a run from converging as long as all resources after the timer
/// are in sync.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "timer", inline, ticks)]
pub struct Timer {
    /// The name of the resource.
    #[resource(name)]
    name: String,
    /// The time from tick to tick, in seconds: more than 0.
    interval: Seconds,
}

/// The ticks in this process.
#[derive(Debug, Default)]
struct State {
    ticks: AtomicU64,
    handled: AtomicU64,
    restart: Notify,
}

impl State {
    /// Handles all ticks so far. Returns whether there were any.
    fn handle(&self) -> bool {
        let ticks = self.ticks.load(Ordering::Acquire);
        self.handled.swap(ticks, Ordering::AcqRel) < ticks
    }
}

impl Converge for Timer {
    type Drift = Change;

    const STANDS_ALONE: bool = true;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let ticks = !self.interval.0.is_zero();
        every([known.require("interval", ticks, "is 0", "give the time from tick to tick")])
    }

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let state = cx.local::<State>();
        let (ticks, handled) = (state.ticks.load(Ordering::Acquire), state.handled.load(Ordering::Acquire));
        Ok((ticks > handled).then(|| Change::new("tick", handled, ticks)))
    }

    async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
        cx.local::<State>().handle();
        cx.by_event();
        Ok(())
    }

    fn watch(&self, cx: &WatchCx) -> Watch {
        let (state, interval) = (cx.local::<State>(), self.interval.0);
        let step = move |next: Option<Instant>| {
            let state = Arc::clone(&state);
            async move {
                // A tick beyond the largest representable time never comes.
                let from = |start: Instant| start.checked_add(interval).unwrap_or_else(far);
                let Some(mut next) = next else { return Ok((WatchEvent::Ready, Some(from(Instant::now())))) };
                loop {
                    tokio::select! {
                        () = sleep_until(next) => break,
                        () = state.restart.notified() => next = from(Instant::now()),
                    }
                }
                state.ticks.fetch_add(1, Ordering::AcqRel);
                // A late tick does not shift the following ones, and missed ticks are not made up for.
                let (now, due) = (Instant::now(), from(next));
                Ok((WatchEvent::Changed, Some(if due > now { due } else { from(now) })))
            }
        };
        Watch::unfold(None, step)
    }
}

impl Refresh for Timer {
    async fn refresh(&self, cx: &ApplyCx) -> Result<bool> {
        let state = cx.local::<State>();
        state.handle();
        state.restart.notify_one();
        Ok(true)
    }
}

/// A point in time beyond the life of the process.
fn far() -> Instant {
    Instant::now() + std::time::Duration::from_secs(86_400 * 365 * 30)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{Fake, Watching};

    async fn ready(watch: &mut Watching) {
        assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::Ready);
    }

    async fn tick(watch: &mut Watching) -> Duration {
        let before = Instant::now();
        assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::Changed);
        before.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn each_tick_is_a_change_and_the_start_is_none() {
        let host = Fake::new().unwrap();
        let timer = host.put(Timer::new("t", Duration::from_secs(5)));
        let mut watch = timer.listen();
        ready(&mut watch).await;
        assert!(timer.settle().await.unwrap().in_sync());
        assert_eq!(tick(&mut watch).await, Duration::from_secs(5));
        let outcome = timer.settle().await.unwrap();
        assert_eq!(outcome.changes, [Change::new("tick", 0, 1)]);
        assert!(timer.settle().await.unwrap().in_sync());
        assert_eq!(tick(&mut watch).await, Duration::from_secs(5));
        assert!(!timer.clone().noop().settle().await.unwrap().in_sync());
        assert!(!timer.settle().await.unwrap().in_sync(), "noop handles nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_that_were_missed_become_one() {
        let host = Fake::new().unwrap();
        let timer = host.put(Timer::new("t", Duration::from_millis(1500)));
        let mut watch = timer.listen();
        ready(&mut watch).await;
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(tick(&mut watch).await, Duration::ZERO);
        assert_eq!(tick(&mut watch).await, Duration::from_millis(1500));
        assert_eq!(timer.settle().await.unwrap().changes, [Change::new("tick", 0, 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_starts_the_interval_again_while_it_is_watched() {
        let host = Fake::new().unwrap();
        let timer = host.put(Timer::new("t", Duration::from_secs(10)));
        let mut watch = timer.listen();
        ready(&mut watch).await;
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert!(timer.refresh().await.unwrap().changed);
        assert_eq!(tick(&mut watch).await, Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_interval_does_no_harm() {
        let host = Fake::new().unwrap();
        let mut watch = host.put(Timer::new("t", Duration::MAX)).listen();
        ready(&mut watch).await;
        let next = watch.next();
        assert!(tokio::time::timeout(Duration::from_secs(15), next).await.is_err());
    }

    #[test]
    fn no_interval_is_refused() {
        let said = Fake::new().unwrap().put(Timer::new("t", Duration::from_secs(0))).refusal();
        assert!(said.contains("`interval` is 0"), "{said}");
    }
}
