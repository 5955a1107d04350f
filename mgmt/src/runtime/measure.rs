//! How often operations ran, how long they took, and their outcomes: for metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::id::Time;
use crate::resource::{AnyResource, seconds};
use crate::runtime::core::Core;
use crate::scheduler::{ApplyOutcome, CheckOutcome};

/// The upper ends of the classes in which durations are counted; the last class has no end.
pub const DURATION_CLASSES: [Duration; 10] = [
    Duration::from_micros(10),
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3600),
];

/// What an engine has measured since it started. See [`Builder::measure`](crate::runtime::Builder::measure).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measures {
    /// Checks, applies and refreshes, by kind and outcome.
    pub operations: Vec<Measure>,
    /// Watches that ended with an error, by kind.
    pub watch_failures: Vec<(String, u64)>,
    /// Resources that are watched now.
    pub watches: usize,
    /// Refreshes that are owed now.
    pub owed: usize,
    /// Graphs that were put in force.
    pub graphs: u64,
    /// Graphs that were refused.
    pub rejected: u64,
}

/// Operations of one sort.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measure {
    /// The kind of the resources.
    pub kind: &'static str,
    /// `check`, `apply` or `refresh`.
    pub operation: &'static str,
    /// The result. Of a check: `in_sync`, `drifted`, `waiting` (for a value), `failed`, `cancelled`. Of an apply or a
    /// refresh: `changed`, `unchanged`, `failed`, `cancelled`.
    pub outcome: &'static str,
    /// How many such operations have ended.
    pub count: u64,
    /// How long they took in total; in data, a number of seconds.
    #[serde(with = "seconds")]
    pub took: Duration,
    /// For each of [`DURATION_CLASSES`], how many operations took at most that long and longer than the class before;
    /// the last number counts those that took longer.
    pub classes: [u64; DURATION_CLASSES.len() + 1],
}

/// The counters of a running engine.
#[derive(Debug, Default)]
pub(crate) struct Table {
    operations: BTreeMap<(&'static str, &'static str, &'static str), (Duration, [u64; DURATION_CLASSES.len() + 1])>,
    watch_failures: BTreeMap<&'static str, u64>,
    pub(crate) graphs: u64,
    pub(crate) rejected: u64,
}

impl Table {
    fn add(&mut self, kind: &'static str, operation: &'static str, outcome: &'static str, took: Duration) {
        let (sum, classes) = self.operations.entry((kind, operation, outcome)).or_default();
        *sum += took;
        classes[DURATION_CLASSES.partition_point(|end| *end < took)] += 1;
    }

    pub(crate) fn watch_failed(&mut self, kind: &'static str) {
        *self.watch_failures.entry(kind).or_default() += 1;
    }
}

pub(crate) fn check_word(outcome: &CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::InSync => "in_sync",
        CheckOutcome::Drifted | CheckOutcome::GoesOn => "drifted",
        CheckOutcome::Missing(_) | CheckOutcome::Occupied(_) => "waiting",
        CheckOutcome::Failed | CheckOutcome::Waits(_) => "failed",
        CheckOutcome::Cancelled => "cancelled",
    }
}

pub(crate) fn apply_word(outcome: ApplyOutcome) -> &'static str {
    match outcome {
        ApplyOutcome::Changed | ApplyOutcome::ChangedByEvent => "changed",
        ApplyOutcome::Unchanged => "unchanged",
        ApplyOutcome::Failed | ApplyOutcome::Waits(_) => "failed",
        ApplyOutcome::Cancelled => "cancelled",
    }
}

impl Core {
    /// An operation has ended.
    pub(crate) fn measure(
        &mut self,
        of: &dyn AnyResource,
        operation: &'static str,
        outcome: &'static str,
        began: Time,
    ) {
        if let Some(table) = &mut self.measured {
            table.add(of.spec().kind, operation, outcome, self.clock.now().since(began));
        }
    }

    pub(crate) fn measures(&self) -> Measures {
        let mut measures =
            Measures { watches: self.watches.len(), owed: self.scheduler.owed().count(), ..Measures::default() };
        let Some(table) = &self.measured else { return measures };
        measures.operations = table
            .operations
            .iter()
            .map(|((kind, operation, outcome), (took, classes))| {
                let count = classes.iter().sum();
                Measure { kind, operation, outcome, count, took: *took, classes: *classes }
            })
            .collect();
        measures.watch_failures =
            table.watch_failures.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        (measures.graphs, measures.rejected) = (table.graphs, table.rejected);
        measures
    }
}
