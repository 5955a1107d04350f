//! A plan as text for people.

use std::fmt;

use crate::id::{Palette, ResourceId, Role, Shown, harmless};
use crate::plan::data::{After, Outcome, Plan, PlanEntry, PlanUndo, Summary};

/// At most this many resources that come first are listed for one resource.
const AFTER_MAX: usize = 5;

impl Plan {
    /// The plan as text for people, in colour if the palette has any.
    pub fn painted(&self, palette: Palette) -> impl fmt::Display + '_ {
        Shown(move |f: &mut fmt::Formatter<'_>| {
            for entry in self.resources.iter().filter(|entry| entry.is_pending() || !entry.remarks.is_empty()) {
                writeln!(f, "{}", entry.painted(palette))?;
            }
            for PlanUndo { id, what } in &self.undo {
                let what = harmless(&what.join(", ")).into_owned();
                writeln!(f, "{} {id}: would be undone: {what}", palette.paint(Role::Removed, '-'))?;
            }
            write!(f, "{}", self.summary)
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.painted(Palette::Plain))
    }
}

impl PlanEntry {
    /// The entry as text for people, in colour if the palette has any.
    pub fn painted(&self, palette: Palette) -> impl fmt::Display + '_ {
        Shown(move |f: &mut fmt::Formatter<'_>| {
            self.head(palette, f)?;
            if let Some(host) = &self.exported_by {
                write!(f, "\n    exported by {}", harmless(host))?;
            }
            if let Outcome::Unknown { now: Some(error), .. } = &self.outcome {
                write!(f, "\n    now: {}", harmless(error))?;
            }
            if let Outcome::Drifted { changes, .. } = &self.outcome {
                for change in changes {
                    write!(f, "\n    {}", harmless(&change.to_string()))?;
                    // `lines` would hide a carriage return at the end of a line.
                    for line in change.diff.iter().flat_map(|diff| diff.split_terminator('\n')) {
                        write!(f, "\n      {}", painted_line(palette, line))?;
                    }
                }
            }
            for After { id, why } in self.after.iter().take(AFTER_MAX) {
                write!(f, "\n    after {id}: {}", harmless(why))?;
            }
            if let Some(more) = self.after.len().checked_sub(AFTER_MAX).filter(|more| *more > 0) {
                write!(f, "\n    after {more} more")?;
            }
            if let Some(obstacle) = &self.obstacle {
                let label = palette.paint(Role::Error, "can't be repaired now:");
                write!(f, "\n    {label} {}", harmless(obstacle))?;
            }
            if !self.refreshed_by.is_empty() {
                write!(f, "\n    asked to refresh, since {} would change", List(&self.refreshed_by))?;
            }
            if !self.refresh_owed_by.is_empty() {
                let list = List(&self.refresh_owed_by);
                write!(f, "\n    asked to refresh, since {list} changed in an earlier run")?;
            }
            if !self.asked_by.is_empty() {
                write!(
                    f,
                    "\n    its values will be regenerated: {} needs one that was not kept",
                    List(&self.asked_by)
                )?;
            }
            if !self.owed_by.is_empty() {
                write!(f, "\n    owed a refresh by {}", List(&self.owed_by))?;
            }
            for remark in &self.remarks {
                write!(f, "\n    {}", harmless(remark))?;
            }
            Ok(())
        })
    }

    /// The first line.
    fn head(&self, palette: Palette, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |role, sign| palette.paint(role, sign);
        let id = &self.id;
        match &self.outcome {
            Outcome::InSync if !self.is_pending() => write!(f, "  {id}"),
            Outcome::InSync if !self.owed_by.is_empty() => {
                write!(f, "{} {id} (noop: would not be refreshed)", sign(Role::Drift, '·'))
            }
            Outcome::InSync => write!(f, "{} {id}", sign(Role::Refresh, '↻')),
            Outcome::Hidden => write!(f, "  {id} (hidden: not checked)"),
            Outcome::Drifted { noop: false, .. } => write!(f, "{} {id}", sign(Role::Drift, '~')),
            Outcome::Drifted { alert: true, .. } => {
                write!(f, "{} {id} (alert: would not be repaired)", sign(Role::Error, '!'))
            }
            Outcome::Drifted { noop: true, .. } => {
                write!(f, "{} {id} (noop: would not be repaired)", sign(Role::Drift, '·'))
            }
            Outcome::Unknown { until, .. } => {
                write!(f, "{} {id}: not known until {} has run", sign(Role::Aside, '?'), List(until))
            }
            Outcome::Blocked { by } => {
                write!(f, "{} {id}: would not run, blocked by {}", sign(Role::Error, '-'), List(by))
            }
            Outcome::Failed { error, waits_for } => {
                let waits = if waits_for.is_some() { " (would wait until that changes)" } else { "" };
                write!(f, "{} {id}: {}{waits}", sign(Role::Error, '!'), harmless(error))
            }
        }
    }
}

impl fmt::Display for PlanEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.painted(Palette::Plain))
    }
}

/// A line of a diff.
fn painted_line(palette: Palette, line: &str) -> impl fmt::Display + '_ {
    let role = match line.as_bytes().first() {
        Some(b'+') => Role::Good,
        Some(b'-') => Role::Removed,
        Some(b'@') => Role::Aside,
        _ => Role::Plain,
    };
    palette.paint(role, harmless(line))
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
            (self.alerts, if self.alerts == 1 { "alert" } else { "alerts" }),
            (self.refreshed, "to refresh"),
            (self.owed, "owed a refresh in noop"),
            (self.unknown, "not known yet"),
            (self.blocked, "blocked"),
            (self.failed, "failed"),
            (self.undone, "to undo"),
            (self.in_sync, "in sync"),
            (self.hidden, "hidden"),
        ];
        let mut first = true;
        for (count, what) in parts.iter().filter(|(count, _)| *count > 0) {
            write!(f, "{}{count} {what}", if first { "" } else { ", " })?;
            if first && self.obstructed > 0 {
                write!(f, " ({} of them can't be repaired now)", self.obstructed)?;
            }
            first = false;
        }
        if first { f.write_str("no resources") } else { Ok(()) }
    }
}
