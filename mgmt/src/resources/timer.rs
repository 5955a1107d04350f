//! `timer`: changes at an interval, and thereby causes checks and refreshes of the resources that depend on it.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::resource::{
    ApplyCx, Change, CheckCx, Converge, FieldProblem, Format, Known, Refresh, Result, Seconds, TypeFacts, Watch,
    WatchCx, WatchEvent, every,
};
use mgmt_macros::Resource;

/// Ticks at an interval. Each tick is a change: resources after it are checked, and those that subscribe to it are
/// refreshed. The first tick comes one interval after the start. Ticks that could not be handled in time become one. A
/// refresh starts the interval again. Ticks do not keep a run from converging as long as all resources after the timer
/// are in sync.
///
/// With `grow` the interval becomes longer with each tick, up to `max`; a refresh brings the first one back.
///
/// ```
/// use mgmt::prelude::*;
/// use mgmt::resources::Grow;
///
/// let mut g = Graph::new("growing");
/// let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
/// // After 1 s, 2 s more, 4 s more … at last each hour; again so with each new graph.
/// g.add(Timer::new("often at first", second).grow(Grow::Exponential).max(hour).reset(true));
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "timer", inline, ticks)]
pub struct Timer {
    /// The name of the resource.
    #[resource(name)]
    name: String,
    /// The time from tick to tick, in seconds: more than 0. With `grow`, the time to the first tick.
    interval: Seconds,
    /// How the interval becomes longer: `linear` (by one `interval` with each tick) or `exponential` (it doubles with
    /// each tick). Default: it stays the same.
    grow: Option<Grow>,
    /// The longest interval, in seconds, if it grows: at least `interval`. Must be given with `grow`.
    max: Option<Seconds>,
    /// Whether the interval starts again, as short as at first, when a new graph comes into force, even one in which
    /// the timer is the same. Default: false.
    #[resource(default)]
    reset: bool,
}

/// How the interval of a timer becomes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grow {
    /// By one interval with each tick: 1, 2, 3, 4 …
    Linear,
    /// It doubles with each tick: 1, 2, 4, 8 …
    Exponential,
}

impl TypeFacts for Grow {
    const FORMAT: Format = Format::Choice;
}

/// The intervals from tick to tick.
#[derive(Clone, Copy, Debug)]
struct Pace {
    first: Duration,
    grow: Option<Grow>,
    max: Duration,
}

impl Pace {
    /// The interval after this number of ticks.
    fn after(&self, ticks: u32) -> Duration {
        let times = match self.grow {
            None => return self.first,
            Some(Grow::Linear) => ticks.saturating_add(1),
            Some(Grow::Exponential) => 2u32.saturating_pow(ticks),
        };
        self.first.saturating_mul(times).min(self.max)
    }
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
    const LASTS: bool = false;

    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        let ticks = !self.interval.0.is_zero();
        let is_bounded = self.grow.is_none() || self.max.is_some();
        let grows = self.max.is_none() || self.grow.is_some();
        every([
            known.require("interval", ticks, "is 0", "give the time from tick to tick"),
            known.require(["grow", "max"], is_bounded, "has no bound", "give the longest interval as `max`"),
            known.require(
                ["max", "grow"],
                grows,
                "is given, and the interval does not grow",
                "set `grow`, or leave it out",
            ),
            known.require(
                ["max", "interval"],
                self.max.is_none_or(|max| max >= self.interval),
                "is shorter than `interval`",
                "give a longer time",
            ),
        ])
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
        let (state, graphs, is_reset) = (cx.local::<State>(), cx.graphs(), self.reset);
        let max = self.max.map_or(Duration::MAX, |max| max.0);
        let pace = Pace { first: self.interval.0, grow: self.grow, max };
        // The next tick, how many have come since the interval was the first, and how many graphs.
        let step = move |next: Option<(Instant, u32, u64)>| {
            let (state, graphs) = (Arc::clone(&state), graphs.clone());
            async move {
                let Some((mut next, mut ticks, mut seen)) = next else {
                    return Ok((WatchEvent::Ready, Some((after(Instant::now(), pace.first), 0, graphs.count()))));
                };
                loop {
                    let new_graph = async { if is_reset { graphs.after(seen).await } else { pending().await } };
                    tokio::select! {
                        () = sleep_until(next) => break,
                        () = state.restart.notified() => {}
                        count = new_graph => seen = count,
                    }
                    (next, ticks) = (after(Instant::now(), pace.first), 0);
                }
                state.ticks.fetch_add(1, Ordering::AcqRel);
                ticks = ticks.saturating_add(1);
                // A late tick does not shift the following ones, and missed ticks are not made up for.
                let (now, due) = (Instant::now(), after(next, pace.after(ticks)));
                let due = if due > now { due } else { after(now, pace.after(ticks)) };
                Ok((WatchEvent::Changed, Some((due, ticks, seen))))
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

/// The point in time that much later. One beyond the largest representable time never comes.
fn after(start: Instant, interval: Duration) -> Instant {
    start.checked_add(interval).unwrap_or_else(far)
}

/// A point in time beyond the life of the process.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(86_400 * 365 * 30)
}

#[cfg(test)]
mod tests {
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

    #[tokio::test(start_paused = true)]
    async fn the_interval_grows_to_its_longest_and_a_refresh_brings_the_first_back() {
        let host = Fake::new().unwrap();
        let second = Duration::from_secs(1);
        for (grow, seconds) in [(Grow::Linear, [2, 4, 6, 8, 9, 9]), (Grow::Exponential, [2, 4, 8, 9, 9, 9])] {
            let timer = host.put(Timer::new("t", 2 * second).grow(grow).max(9 * second));
            let mut watch = timer.listen();
            ready(&mut watch).await;
            for seconds in seconds {
                assert_eq!(tick(&mut watch).await, seconds * second, "{grow:?}");
            }
            tokio::time::sleep(second).await;
            timer.refresh().await.unwrap();
            for seconds in seconds {
                assert_eq!(tick(&mut watch).await, seconds * second, "{grow:?} after a refresh");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_with_reset_starts_again_with_each_graph_and_another_one_does_not() {
        let host = Fake::new().unwrap();
        let second = Duration::from_secs(1);
        let timer = |name: &str| Timer::new(name, 4 * second).grow(Grow::Exponential).max(60 * second);
        let (mut resets, mut stays) = (host.put(timer("r").reset(true)).listen(), host.put(timer("s")).listen());
        ready(&mut resets).await;
        ready(&mut stays).await;
        for watch in [&mut resets, &mut stays] {
            tick(watch).await;
        }
        tokio::time::sleep(6 * second).await;
        host.new_graph();
        let began = Instant::now();
        tick(&mut resets).await;
        assert_eq!(began.elapsed(), 4 * second);
        assert_eq!(tick(&mut stays).await, Duration::ZERO, "its tick came after 2 s");
        tick(&mut resets).await;
        assert_eq!(began.elapsed(), 12 * second, "it grows again");
    }

    #[test]
    fn the_longest_interval_is_reached_without_an_overflow() {
        for grow in [Grow::Linear, Grow::Exponential] {
            let pace = Pace { first: Duration::MAX / 3, grow: Some(grow), max: Duration::MAX };
            assert_eq!(pace.after(u32::MAX), Duration::MAX);
            let pace = Pace { first: Duration::from_nanos(1), grow: Some(grow), max: Duration::from_secs(1) };
            assert_eq!(pace.after(u32::MAX), Duration::from_secs(1));
        }
    }

    #[test]
    fn growth_without_a_bound_and_a_bound_without_growth_are_refused() {
        let (second, host) = (Duration::from_secs(1), Fake::new().unwrap());
        let said = |timer: TimerBuilder| host.put(timer).refusal();
        assert!(said(Timer::new("t", second).grow(Grow::Linear)).starts_with("`grow` has no bound"));
        assert!(
            said(Timer::new("t", second).max(second)).starts_with("`max` is given, and the interval does not grow")
        );
        let short = Timer::new("t", 2 * second).grow(Grow::Linear).max(second);
        assert!(said(short).starts_with("`max` is shorter than `interval`"));
        assert_eq!(said(Timer::new("t", second).grow(Grow::Linear).max(second)), "");
    }

    #[test]
    fn no_interval_is_refused() {
        let said = Fake::new().unwrap().put(Timer::new("t", Duration::from_secs(0))).refusal();
        assert!(said.contains("`interval` is 0"), "{said}");
    }
}
