//! Clocks: monotonic time for decisions, wall time for people.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::id::Time;
use crate::sys::if_simulated;

/// A monotonic clock that starts at 0. All clones show the same time.
///
/// It follows tokio's clock: in a test that pauses tokio's clock, this clock stands still too.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real(Instant),
    Fake(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Clock {
        Clock(Source::Real(Instant::now()))
    }

    /// A clock that stands at 0 and is moved by hand.
    pub fn fake() -> Clock {
        Clock(Source::Fake(Arc::default()))
    }

    /// The current time.
    pub fn now(&self) -> Time {
        match &self.0 {
            Source::Real(start) => Time::default().after(start.elapsed()),
            Source::Fake(time) => Time(time.load(Ordering::Acquire)),
        }
    }

    /// The instant at which tokio's clock will show `time`. For a fake clock: the current instant of tokio's clock,
    /// plus the time that the fake clock is short of `time`.
    pub fn instant(&self, time: Time) -> Instant {
        match &self.0 {
            Source::Real(start) => *start + Duration::from_nanos(time.0),
            Source::Fake(_) => Instant::now() + time.since(self.now()),
        }
    }

    /// Moves a fake clock ahead.
    ///
    /// # Panics
    /// If the clock is a real one.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::Real(_) => panic!("a real clock cannot be moved"),
            Source::Fake(time) => {
                let _ = time.fetch_update(Ordering::AcqRel, Ordering::Acquire, |t| Some(Time(t).after(by).0));
            }
        }
    }
}

/// Returns after this time of tokio's clock.
pub async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// The result of the future; `None`: it takes longer than this, and is dropped.
pub async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(time, future).await.ok()
}

/// The wall clock. It may jump: no decision may depend on it.
pub fn wall() -> SystemTime {
    if_simulated!(host => UNIX_EPOCH + host.wall());
    SystemTime::now()
}

/// The day by the wall clock, in UTC, counted from 1970-01-01.
pub fn today() -> u64 {
    wall().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)
}

/// Formats a point of wall time for logs and reports, in UTC: `2026-11-22T14:00:05.123Z`.
pub fn rfc3339(time: SystemTime) -> String {
    let (seconds, millis) = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (since.as_secs() as i64, since.subsec_millis()),
        Err(before) => {
            let before = before.duration();
            let millis = before.as_millis() as i64;
            (-(millis + 999) / 1000, ((1000 - millis % 1000) % 1000) as u32)
        }
    };
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of the n-th day after 1970-01-01 in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Count in years that start in March: the leap day is then the last day of its year. 719 468 days lie between
    // 0000-03-01 and 1970-01-01.
    let day = days + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // From March on, months of 31 and 30 days alternate: five of them have 153 days.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fake_clock_moves_only_by_hand_and_for_all_its_clones() {
        let clock = Clock::fake();
        let other = clock.clone();
        assert_eq!(clock.now(), Time(0));
        clock.advance(Duration::from_nanos(7));
        assert_eq!(other.now(), Time(7));
        clock.advance(Duration::MAX);
        assert_eq!(other.now(), Time(u64::MAX));
    }

    #[test]
    fn a_real_clock_never_goes_back() {
        let clock = Clock::start();
        let mut last = clock.now();
        for _ in 0..1000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_real_clock_follows_paused_time() {
        let clock = Clock::start();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now(), Time::default().after(Duration::from_secs(3600)));
        let due = clock.now().after(Duration::from_secs(5));
        tokio::time::sleep_until(clock.instant(due)).await;
        assert_eq!(clock.now(), due);
    }

    #[test]
    fn wall_time_is_written_as_people_and_programs_read_it() {
        let at = |seconds: u64, millis: u64| UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis);
        assert_eq!(rfc3339(at(0, 0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(at(951_782_399, 999)), "2000-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(at(951_782_400, 0)), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(at(4_107_542_400, 0)), "2100-03-01T00:00:00.000Z");
        assert_eq!(rfc3339(at(1_795_356_005, 123)), "2026-11-22T14:00:05.123Z");
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_millis(1)), "1969-12-31T23:59:59.999Z");
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(1)), "1969-12-31T23:59:59.000Z");
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let mut last = civil(-146_097);
        for day in -146_096..146_097 {
            let next = civil(day);
            let (y, m, d) = last;
            assert!(
                next == (y, m, d + 1) || (d >= 28 && (next == (y, m + 1, 1) || (m == 12 && next == (y + 1, 1, 1))))
            );
            last = next;
        }
        assert_eq!(civil(146_097), (2370, 1, 1));
    }
}
