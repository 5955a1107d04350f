//! How often a host may write its state: a few times at once, and then once in a while, however often it changes. That
//! it has ceased to converge is always written at once.

use std::time::Duration;

use tokio::time::Instant;

/// This many writes may follow one another at once.
const BURST: u32 = 8;
/// After that there is one more each time this is over.
const EVERY: Duration = Duration::from_secs(2);

/// The writes that are left.
#[derive(Debug)]
pub(super) struct Pace {
    /// When all writes are left again.
    full: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace { full: now }
    }

    /// When the next write may be made. After one that has `converged` another one must be possible at once.
    pub(super) fn next(&self, converged: bool) -> Instant {
        let reserve = if converged { 2 } else { 1 };
        self.full.checked_sub(EVERY * (BURST - reserve)).unwrap_or(self.full)
    }

    /// A write is made.
    pub(super) fn write(&mut self, now: Instant) {
        self.full = self.full.max(now) + EVERY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_flaps_is_written_once_in_a_while_and_the_bad_news_always_at_once() {
        let start = Instant::now() + Duration::from_secs(3600);
        let (mut pace, mut now, mut written) = (Pace::new(start), start, Vec::new());
        for turn in 0..1000 {
            let converged = turn % 2 == 0;
            let next = pace.next(converged);
            assert!(converged || next <= now, "turn {turn}: that it has not converged waits for {:?}", next - now);
            now = now.max(next);
            pace.write(now);
            written.push(now);
            now += Duration::from_millis(1);
        }
        let most = |within: Duration| {
            let count = |from: &Instant| written.iter().filter(|at| (*from..*from + within).contains(*at)).count();
            written.iter().map(count).max().unwrap()
        };
        assert!(most(Duration::from_secs(1)) <= BURST as usize, "{}", most(Duration::from_secs(1)));
        assert!(most(Duration::from_secs(100)) <= BURST as usize + 51, "{}", most(Duration::from_secs(100)));
        // After a rest, all are left again.
        now += EVERY * BURST;
        for _ in 0..BURST {
            assert!(pace.next(false) <= now);
            pace.write(now);
        }
        assert!(pace.next(false) > now);
    }
}
