//! A plan as data.

use serde::{Deserialize, Serialize};

use crate::id::ResourceId;
use crate::resource::{Change, Obstacle};

/// What would be done now. A plan is the result of the checks that run before every apply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The name of the graph.
    pub graph: String,
    /// The resources of the graph, in the order in which they would run.
    pub resources: Vec<PlanEntry>,
    /// Resources of earlier runs that are no longer in the graph, and would be undone: those that depended on others
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<PlanUndo>,
    /// How many resources there are of each outcome.
    pub summary: Summary,
}

/// What would be undone of a resource that is no longer in the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanUndo {
    /// The resource.
    pub id: ResourceId,
    /// What would be done, in short words.
    pub what: Vec<String>,
}

impl PlanUndo {
    /// This would be done.
    pub fn new(id: ResourceId, what: Vec<String>) -> PlanUndo {
        PlanUndo { id, what }
    }
}

/// What would be done with one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanEntry {
    /// The resource.
    pub id: ResourceId,
    /// The place where it was declared.
    pub origin: String,
    /// The host that exports it, if it was collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exported_by: Option<String>,
    /// The resources that come before it by edges which no declaration contains, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<After>,
    /// What would be done.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Why the repair can't be made now, for example because a directory, a user or a program does not exist: a run
    /// would wait until that changes, or fail. Only for a resource that has drifted, is not in noop, and has no
    /// resource before it that would change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
    /// Resources that would change and notify it: it would be refreshed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refreshed_by: Vec<ResourceId>,
    /// Resources that changed in an earlier run and notify it: the refresh that it has not got since would be made now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refresh_owed_by: Vec<ResourceId>,
    /// Resources that need a value of this one which was not kept: this one would generate its values again, for all
    /// that receive them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_by: Vec<ResourceId>,
    /// Resources that have changed, or would change, and notify this one, which does not get the refresh because it is
    /// in noop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed_by: Vec<ResourceId>,
    /// Why what would be changed could not be put back, as a whole or in part, if the run is not confirmed. Only for a
    /// resource that would, or may, change something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irreversible: Option<String>,
    /// Remarks of the kind about this resource, independent of the outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// A resource that comes before another one by an edge that a pass added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct After {
    /// The resource that comes first.
    pub id: ResourceId,
    /// The reason of the pass, for example `its directory`.
    pub why: String,
}

impl After {
    /// That resource, for that reason.
    pub fn new(id: ResourceId, why: impl Into<String>) -> After {
        After { id, why: why.into() }
    }
}

/// What would be done with one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The resource is as declared: nothing would be done.
    InSync,
    /// The resource is hidden ([`Meta::hidden`](crate::resource::Meta::hidden)): it is not checked, and nothing would
    /// be done.
    Hidden,
    /// The resource has drifted and would be repaired.
    Drifted {
        /// What would change, field by field.
        changes: Vec<Change>,
        /// Whether the resource is in noop, so that it would not be repaired.
        noop: bool,
        /// Whether the drift is an alert ([`Meta::alert`](crate::resource::Meta::alert)): then it would not be repaired
        /// either, and `noop` is true too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        alert: bool,
    },
    /// The outcome can't be known before other resources have run: they send a value that does not exist yet, or they
    /// come before this resource and would change, and its check fails until they have.
    Unknown {
        /// The resources that must run first.
        until: Vec<ResourceId>,
        /// The error of the check now, if it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        now: Option<String>,
    },
    /// The resource would not run, because resources before it failed.
    Blocked {
        /// The resources that failed.
        by: Vec<ResourceId>,
    },
    /// The check failed, and nothing that comes before the resource would change.
    Failed {
        /// The error of the check.
        error: String,
        /// The cause that the resource would wait for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waits_for: Option<Obstacle>,
    },
}

/// How many resources of each outcome a plan has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// As declared: nothing would be done.
    pub in_sync: usize,
    /// Drifted: would be repaired.
    pub drifted: usize,
    /// Drifted, but the repair can't be made now: a part of `drifted`.
    pub obstructed: usize,
    /// Drifted, but in noop.
    pub noop: usize,
    /// Drifted, which is an alert.
    pub alerts: usize,
    /// As declared, but would be refreshed, or would generate its values again.
    pub refreshed: usize,
    /// As declared and in noop, but owed a refresh.
    pub owed: usize,
    /// Not known before other resources have run.
    pub unknown: usize,
    /// Would not run, because a resource before it failed.
    pub blocked: usize,
    /// The check failed.
    pub failed: usize,
    /// Hidden: not checked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hidden: usize,
    /// No longer in the graph: would be undone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub undone: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Plan {
    /// Makes a plan of these entries, and counts their outcomes.
    pub fn new(graph: String, resources: Vec<PlanEntry>) -> Plan {
        let mut summary = Summary::default();
        for entry in &resources {
            let count = match &entry.outcome {
                Outcome::InSync if !entry.owed_by.is_empty() => &mut summary.owed,
                Outcome::InSync if entry.is_pending() => &mut summary.refreshed,
                Outcome::InSync => &mut summary.in_sync,
                Outcome::Hidden => &mut summary.hidden,
                Outcome::Drifted { noop: false, .. } => &mut summary.drifted,
                Outcome::Drifted { alert: true, .. } => &mut summary.alerts,
                Outcome::Drifted { noop: true, .. } => &mut summary.noop,
                Outcome::Unknown { .. } => &mut summary.unknown,
                Outcome::Blocked { .. } => &mut summary.blocked,
                Outcome::Failed { .. } => &mut summary.failed,
            };
            *count += 1;
            summary.obstructed += usize::from(entry.obstacle.is_some());
        }
        Plan { graph, resources, undo: Vec::new(), summary }
    }

    /// Adds what would be undone.
    #[must_use]
    pub fn with_undo(mut self, undo: Vec<PlanUndo>) -> Plan {
        self.summary.undone = undo.len();
        Plan { undo, ..self }
    }

    /// Whether nothing would be done, and there is no alert. Resources that have drifted but are in noop do not count.
    pub fn is_empty(&self) -> bool {
        self.summary.in_sync + self.summary.hidden + self.summary.noop == self.resources.len() && self.undo.is_empty()
    }

    /// Whether a check failed, so that the plan is incomplete.
    pub fn has_failed(&self) -> bool {
        self.summary.failed > 0
    }

    /// The entry of the resource with that identity, for example `file[/etc/motd]`.
    pub fn get(&self, id: &str) -> Option<&PlanEntry> {
        self.resources.iter().find(|entry| entry.id.to_string() == id)
    }
}

impl PlanEntry {
    /// Whether the plan shows the entry: the resource would do something, or may, or would if it were not in noop.
    pub fn is_pending(&self) -> bool {
        let others = [&self.refreshed_by, &self.refresh_owed_by, &self.asked_by, &self.owed_by];
        !matches!(self.outcome, Outcome::InSync | Outcome::Hidden) || others.iter().any(|others| !others.is_empty())
    }
}
