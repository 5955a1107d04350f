//! Changes of files that the kernel had no room to report: a burst of overflows is one warning, and one more with their
//! count.

use std::time::Duration;

use crate::id::Time;

/// How long after a warning further ones are only counted.
const BURST: Duration = Duration::from_secs(10);

/// Overflows of the kernel's queue.
#[derive(Debug, Default)]
pub(crate) struct Overflows {
    /// When the last warning was given; `None` when further overflows are no longer counted.
    last: Option<Time>,
    /// How many overflows there have been since.
    more: u64,
}

impl Overflows {
    /// Notes an overflow. Returns the warning, unless the overflow is only counted.
    pub(crate) fn note(&mut self, now: Time) -> Option<String> {
        if self.last.is_some() {
            self.more += 1;
            return None;
        }
        self.last = Some(now);
        Some("more changes than the kernel could report: everything is checked again".to_owned())
    }

    /// When [`Overflows::sum`] must be asked for.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        self.last.map(|last| last.after(BURST))
    }

    /// The warning about the overflows since the last one, if it is due.
    pub(crate) fn sum(&mut self, now: Time) -> Option<String> {
        if self.next_timeout().is_none_or(|due| due > now) {
            return None;
        }
        let more = std::mem::take(&mut self.more);
        self.last = (more > 0).then_some(now);
        (more > 0).then(|| format!("more changes than the kernel could report, {more} more times within {BURST:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_one_warning_and_its_count() {
        let mut overflows = Overflows::default();
        let at = |seconds: u64| Time::default().after(Duration::from_secs(seconds));
        assert_eq!(overflows.next_timeout(), None);
        assert!(overflows.note(at(1)).is_some_and(|text| text.contains("everything is checked again")));
        for _ in 0..190 {
            assert_eq!(overflows.note(at(2)), None);
        }
        assert_eq!((overflows.sum(at(10)), overflows.next_timeout()), (None, Some(at(11))));
        assert!(overflows.sum(at(11)).is_some_and(|text| text.contains("190 more times within 10s")));
        // Overflows are counted until there has been none for as long.
        assert_eq!(overflows.note(at(12)), None);
        assert!(overflows.sum(at(21)).is_some_and(|text| text.contains("1 more times")));
        assert_eq!((overflows.sum(at(31)), overflows.next_timeout()), (None, None));
        assert!(overflows.note(at(40)).is_some());
    }
}
