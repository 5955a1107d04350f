//! How long the journal remembers resources that have left the graph.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::id::ResourceId;

use super::entry::Entry;
use super::journal::Journal;

/// The number of days of use after which a resource that is in no graph is forgotten.
pub const ABSENT_DAYS_MAX: u16 = 30;
/// The most resources in no graph that are remembered: beyond that, the longest absent are forgotten.
pub const ABSENT_RESOURCES_MAX: usize = 10_000;

impl Journal {
    /// Forgets resources that have been in no graph for [`ABSENT_DAYS_MAX`] days on which the prefix was in use, and,
    /// if more than [`ABSENT_RESOURCES_MAX`] resources are in no graph, the longest absent of them. To be called at the
    /// start of an engine and at least once a day. It writes only when an absence begins, ends, or is counted, so
    /// nothing while all remembered resources are in the graph.
    ///
    /// `today` is the day of the wall clock. That clock may be wrong and jump, so the distance between two dates means
    /// nothing: a day counts as one more day of absence when it is later than the last day that was seen, however much
    /// later, and is not one of the last 64 days that were seen. Therefore
    ///
    /// - a clock far ahead costs one day of the thirty, not all of them,
    /// - a clock set back counts nothing until it has passed the next midnight,
    /// - a clock that starts at the same day with each boot, and is set later, counts each real day once, however often
    ///   the host boots,
    /// - days on which no engine used the prefix do not count.
    ///
    /// `more` are resources about which something is kept elsewhere. Returns the resources that are forgotten.
    pub fn retain(
        &self,
        today: u64,
        is_present: impl Fn(&ResourceId) -> bool,
        more: impl IntoIterator<Item = ResourceId>,
    ) -> Vec<ResourceId> {
        let known: BTreeSet<ResourceId> = self.resources().into_iter().chain(more).collect();
        let counted = self.counted();
        let is_new_day = counted.last().is_some_and(|last| *last < today) && !counted.contains(&today);
        let (mut batch, mut gone, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        let mut is_absent = false;
        for of in known {
            let days = self.absent(&of);
            if is_present(&of) {
                if days.is_some() {
                    batch.push(Entry::Absent { of, days: None });
                }
                continue;
            }
            is_absent = true;
            match days {
                None => batch.push(Entry::Absent { of: of.clone(), days: Some(0) }),
                Some(ABSENT_DAYS_MAX..) if is_new_day => {
                    gone.push(of.clone());
                    batch.push(Entry::Forget { of });
                    continue;
                }
                Some(days) if is_new_day => batch.push(Entry::Absent { of: of.clone(), days: Some(days + 1) }),
                Some(_) => {}
            }
            absent.push((days.unwrap_or(0), of));
        }
        let excess = absent.len().saturating_sub(ABSENT_RESOURCES_MAX);
        absent.sort_by_key(|(days, _)| Reverse(*days));
        for (_, of) in absent.drain(..excess) {
            gone.push(of.clone());
            batch.push(Entry::Forget { of });
        }
        if is_absent && counted.last() != Some(&today) {
            batch.push(Entry::Counted(today));
        }
        if !batch.is_empty() {
            self.note(batch);
        }
        gone
    }

    /// Forgets everything about these resources.
    pub fn forget(&self, gone: &[ResourceId]) {
        self.note(gone.iter().map(|of| Entry::Forget { of: of.clone() }).collect());
    }

    /// Ends the absence of resources that are in the graph again. Cheap: it checks only resources that are counted as
    /// absent.
    pub fn welcome(&self, is_present: impl Fn(&ResourceId) -> bool) {
        let back = self.all_absent().into_iter().filter(|of| is_present(of));
        let batch: Vec<_> = back.map(|of| Entry::Absent { of, days: None }).collect();
        if !batch.is_empty() {
            self.note(batch);
        }
    }
}
