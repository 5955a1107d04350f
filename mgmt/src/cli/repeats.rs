//! Failures that repeat: a resource without a pause between its tries can fail hundreds of times a second.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::id::ResourceId;
use crate::runtime::Operation;

/// The time after which a failure that repeats is shown again. It doubles each time.
const FIRST: Duration = Duration::from_secs(1);
/// The longest such time.
const LONGEST: Duration = Duration::from_secs(60);

/// The resources that have failed and will be tried again, and those that wait.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    failed: HashMap<ResourceId, Repeated>,
    waiting: HashSet<ResourceId>,
}

#[derive(Debug)]
struct Repeated {
    operation: Operation,
    error: String,
    /// How many times the resource failed in the same way since that was last shown.
    left_out: usize,
    pause: Duration,
    shown: Instant,
}

impl Repeats {
    /// How many resources have failed and will be tried again.
    pub(crate) fn len(&self) -> usize {
        self.failed.len()
    }

    /// A resource waits.
    pub(crate) fn wait(&mut self, id: &ResourceId) {
        self.waiting.insert(id.clone());
    }

    /// A resource has failed, and will be tried again. `Some`: show this, with the number of times that it was not
    /// shown before.
    pub(crate) fn again(&mut self, id: &ResourceId, operation: Operation, error: &str, now: Instant) -> Option<usize> {
        match self.failed.get_mut(id) {
            Some(last) if last.operation == operation && last.error == error => {
                if now.saturating_duration_since(last.shown) < last.pause {
                    last.left_out += 1;
                    return None;
                }
                last.shown = now;
                last.pause = (last.pause * 2).min(LONGEST);
                Some(std::mem::take(&mut last.left_out))
            }
            _ => {
                let left_out = self.end(id);
                let error = error.to_owned();
                let repeated = Repeated { operation, error, left_out: 0, pause: FIRST, shown: now };
                self.failed.insert(id.clone(), repeated);
                Some(left_out)
            }
        }
    }

    /// A check of the resource has ended well. Returns whether it has failed or waited before. A refresh that fails is
    /// tried again after such a check each time.
    pub(crate) fn checked(&mut self, id: &ResourceId) -> bool {
        let waited = !self.waiting.is_empty() && self.waiting.remove(id);
        if !self.failed.is_empty() && self.failed.get(id).is_some_and(|last| last.operation != Operation::Refresh) {
            self.failed.remove(id);
            return true;
        }
        waited
    }

    /// The resource no longer fails, or will not be tried again. Returns how many failures were not shown.
    pub(crate) fn end(&mut self, id: &ResourceId) -> usize {
        // Most graphs never have one, and this is called for each event.
        if !self.waiting.is_empty() {
            self.waiting.remove(id);
        }
        if self.failed.is_empty() {
            return 0;
        }
        self.failed.remove(id).map_or(0, |repeated| repeated.left_out)
    }

    /// Another graph is in force: what still fails will be reported again.
    pub(crate) fn clear(&mut self) {
        self.failed.clear();
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_shown_with_growing_pauses_and_each_other_one_at_once() {
        let (mut repeats, began) = (Repeats::default(), Instant::now());
        let (id, apply) = (ResourceId::new("exec", "a"), Operation::Apply);
        let (mut shown, mut counted) = (0, 0);
        for n in 0..200_000 {
            if let Some(left_out) = repeats.again(&id, apply, "exit code 1", began + Duration::from_millis(5 * n)) {
                shown += 1;
                counted += left_out + 1;
            }
        }
        // 1000 seconds: after 0, 1, 3, 7, 15, 31, and then each minute.
        assert!((20..25).contains(&shown) && counted > 185_000, "{shown}, {counted}");
        let now = began + Duration::from_secs(1000);
        assert!(repeats.again(&id, apply, "exit code 2", now).is_some_and(|left_out| left_out > 0));
        assert_eq!(repeats.again(&id, Operation::Check, "exit code 2", now), Some(0));
        assert_eq!((repeats.again(&id, Operation::Check, "exit code 2", now), repeats.len()), (None, 1));
        assert_eq!((repeats.end(&id), repeats.len()), (1, 0));
        assert_eq!(repeats.again(&id, Operation::Check, "exit code 2", now), Some(0));
    }
}
