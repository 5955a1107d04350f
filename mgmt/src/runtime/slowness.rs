//! Kinds whose operations keep their thread for long: these are begun on threads that may block.

use std::collections::HashMap;
use std::time::Duration;

/// A poll that keeps its thread longer than this is slow…
const SLOW: Duration = Duration::from_millis(1);
/// …and one that keeps it longer than this is enough to judge its kind.
const VERY_SLOW: Duration = Duration::from_millis(10);
/// A slow poll adds this to the score of its kind. A quick poll subtracts one, so that a kind of which less than one
/// poll in a hundred is slow does not stay slow: the system may take the thread from any kind for a while.
const SCORE_SLOW: u32 = 100;
/// A kind with this score is slow, until its score is zero.
const SCORE_MIN: u32 = 3 * SCORE_SLOW;
/// The highest score.
const SCORE_MAX: u32 = 2 * SCORE_MIN;

#[derive(Debug, Default)]
struct Score {
    score: u32,
    is_slow: bool,
}

/// The scores of kinds; those that are never slow have none.
#[derive(Debug, Default)]
pub(crate) struct Slowness(HashMap<&'static str, Score>);

impl Slowness {
    pub(super) fn is_slow(&self, kind: &str) -> bool {
        self.0.get(kind).is_some_and(|score| score.is_slow)
    }

    /// A poll of an operation of this kind has kept its thread for this long.
    pub(super) fn note(&mut self, kind: &'static str, kept: Duration) {
        if kept > SLOW {
            let Score { score, is_slow } = self.0.entry(kind).or_default();
            let more = if kept > VERY_SLOW { SCORE_MIN } else { SCORE_SLOW };
            *score = (*score + more).min(SCORE_MAX);
            *is_slow |= *score >= SCORE_MIN;
        } else if let Some(Score { score, .. }) = self.0.get_mut(kind) {
            *score -= 1;
            if *score == 0 {
                self.0.remove(kind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_slow_after_three_slow_polls_or_a_very_slow_one() {
        let mut slowness = Slowness::default();
        for _ in 0..3 {
            assert!(!slowness.is_slow("a"));
            slowness.note("a", Duration::from_millis(2));
        }
        slowness.note("b", Duration::from_millis(20));
        assert!(slowness.is_slow("a") && slowness.is_slow("b") && !slowness.is_slow("c"));
    }

    #[test]
    fn what_is_quick_again_and_again_is_not_slow_for_ever() {
        let mut slowness = Slowness::default();
        slowness.note("a", Duration::from_secs(1));
        slowness.note("a", Duration::from_micros(3));
        assert!(slowness.is_slow("a"));
        for _ in 0..1000 {
            slowness.note("a", Duration::from_micros(3));
        }
        assert!(slowness.0.is_empty());
        for turn in 0..10_000 {
            slowness.note("b", Duration::from_millis(if turn % 50 == 0 { 2 } else { 0 }));
        }
        assert!(slowness.is_slow("b"), "one in fifty is slow");
    }
}
