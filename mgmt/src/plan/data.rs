//! A plan as data.

use serde::Serialize;

use crate::id::ResourceId;
use crate::resource::{Change, Obstacle};

/// What would be done now. Made by the very checks that run before every apply.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The graph's name.
    pub graph: String,
    /// Its resources, in the order in which they would run.
    pub resources: Vec<PlanEntry>,
    /// How many of each.
    pub summary: Summary,
}

/// What would be done with one resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlanEntry {
    /// Which.
    pub id: ResourceId,
    /// Where it was declared.
    pub origin: String,
    /// What would be done.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Resources that would change and notify it: it would be refreshed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refreshed_by: Vec<ResourceId>,
    /// Resources that need a value of it which nobody knows any more: it would make its values anew, for all who receive them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asked_by: Vec<ResourceId>,
    /// Resources that have changed, or would, and whose refresh it is owed but does not get, since it is in noop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owed_by: Vec<ResourceId>,
    /// What its kind has to say of it whatever would be done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// What would be done with one resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing.
    InSync,
    /// It would be repaired.
    Drifted {
        /// What would change.
        changes: Vec<Change>,
        /// It is in noop: it would not.
        noop: bool,
    },
    /// It can't be known before these have run: they send it a value that they don't have yet, or they come before it and would change, and its
    /// check fails as long as they have not.
    Unknown {
        /// Who.
        until: Vec<ResourceId>,
        /// What its check fails with now.
        #[serde(skip_serializing_if = "Option::is_none")]
        now: Option<String>,
    },
    /// It would not run, since these failed.
    Blocked {
        /// Who.
        by: Vec<ResourceId>,
    },
    /// Its check failed, and nothing that comes before it would change.
    Failed {
        /// Why.
        error: String,
        /// The cause that it would wait for.
        #[serde(skip_serializing_if = "Option::is_none")]
        waits_for: Option<Obstacle>,
    },
}

/// How many resources of each outcome a plan has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Nothing to do.
    pub in_sync: usize,
    /// Would be repaired.
    pub drifted: usize,
    /// Not as desired, but in noop.
    pub noop: usize,
    /// Would only be refreshed, or make its values anew.
    pub refreshed: usize,
    /// In noop, as desired, but owed a refresh.
    pub owed: usize,
    /// Not to be known yet.
    pub unknown: usize,
    /// Would not run.
    pub blocked: usize,
    /// Check failed.
    pub failed: usize,
}

impl Plan {
    /// The plan of these entries.
    pub fn new(graph: String, resources: Vec<PlanEntry>) -> Plan {
        let mut summary = Summary::default();
        for entry in &resources {
            let count = match &entry.outcome {
                Outcome::InSync if !entry.owed_by.is_empty() => &mut summary.owed,
                Outcome::InSync if entry.is_pending() => &mut summary.refreshed,
                Outcome::InSync => &mut summary.in_sync,
                Outcome::Drifted { noop: false, .. } => &mut summary.drifted,
                Outcome::Drifted { noop: true, .. } => &mut summary.noop,
                Outcome::Unknown { .. } => &mut summary.unknown,
                Outcome::Blocked { .. } => &mut summary.blocked,
                Outcome::Failed { .. } => &mut summary.failed,
            };
            *count += 1;
        }
        Plan { graph, resources, summary }
    }

    /// Nothing would be done. (What has drifted but is in noop may be there.)
    pub fn is_empty(&self) -> bool {
        self.summary.in_sync + self.summary.noop == self.resources.len()
    }

    /// A check failed, so the plan is not whole.
    pub fn has_failed(&self) -> bool {
        self.summary.failed > 0
    }

    /// The entry of a resource.
    pub fn get(&self, id: &str) -> Option<&PlanEntry> {
        self.resources.iter().find(|entry| entry.id.to_string() == id)
    }
}

impl PlanEntry {
    /// There is something to say about it: it would do something, or may, or would if it were not in noop.
    pub fn is_pending(&self) -> bool {
        let others = [&self.refreshed_by, &self.asked_by, &self.owed_by];
        !matches!(self.outcome, Outcome::InSync) || others.iter().any(|others| !others.is_empty())
    }
}
