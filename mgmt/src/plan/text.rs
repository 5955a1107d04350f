//! A plan as people read it.

use std::fmt;

use crate::id::{ResourceId, harmless};
use crate::plan::data::{Outcome, Plan, PlanEntry, Summary};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in self.resources.iter().filter(|entry| entry.is_pending() || !entry.remarks.is_empty()) {
            writeln!(f, "{entry}")?;
        }
        write!(f, "{}", self.summary)
    }
}

impl fmt::Display for PlanEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::InSync if !self.is_pending() => write!(f, "  {}", self.id)?,
            Outcome::InSync if !self.owed_by.is_empty() => write!(f, "· {} (noop: would not be refreshed)", self.id)?,
            Outcome::InSync => write!(f, "↻ {}", self.id)?,
            Outcome::Drifted { noop: false, .. } => write!(f, "~ {}", self.id)?,
            Outcome::Drifted { noop: true, .. } => write!(f, "· {} (noop: would not be repaired)", self.id)?,
            Outcome::Unknown { until, .. } => write!(f, "? {}: not known until {} has run", self.id, List(until))?,
            Outcome::Blocked { by } => write!(f, "- {}: would not run, blocked by {}", self.id, List(by))?,
            Outcome::Failed { error, waits_for: None } => write!(f, "! {}: {}", self.id, harmless(error))?,
            Outcome::Failed { error, .. } => {
                write!(f, "! {}: {} (would wait until that changes)", self.id, harmless(error))?;
            }
        }
        if let Outcome::Unknown { now: Some(error), .. } = &self.outcome {
            write!(f, "\n    now: {}", harmless(error))?;
        }
        if let Outcome::Drifted { changes, .. } = &self.outcome {
            for change in changes {
                write!(f, "\n    {}", harmless(&change.to_string()))?;
                // Not `lines`, which hides the carriage return of a line that has one.
                for line in change.diff.iter().flat_map(|diff| diff.split_terminator('\n')) {
                    write!(f, "\n      {}", harmless(line))?;
                }
            }
        }
        if !self.refreshed_by.is_empty() {
            write!(f, "\n    asked to refresh, since {} would change", List(&self.refreshed_by))?;
        }
        if !self.asked_by.is_empty() {
            write!(f, "\n    its values are made anew, since nobody knows what {} needs", List(&self.asked_by))?;
        }
        if !self.owed_by.is_empty() {
            write!(f, "\n    owed a refresh by {}", List(&self.owed_by))?;
        }
        for remark in &self.remarks {
            write!(f, "\n    {}", harmless(remark))?;
        }
        Ok(())
    }
}

struct List<'a>(&'a [ResourceId]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.drifted, "to repair"),
            (self.noop, "drifted in noop"),
            (self.refreshed, "to refresh"),
            (self.owed, "owed a refresh in noop"),
            (self.unknown, "not known yet"),
            (self.blocked, "blocked"),
            (self.failed, "failed"),
            (self.in_sync, "in sync"),
        ];
        let mut first = true;
        for (count, what) in parts.iter().filter(|(count, _)| *count > 0) {
            write!(f, "{}{count} {what}", if first { "" } else { ", " })?;
            first = false;
        }
        if first { f.write_str("no resources") } else { Ok(()) }
    }
}
