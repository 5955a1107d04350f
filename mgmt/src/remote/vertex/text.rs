//! What a plan, and the state of a run on another host, mean for the resource here: as changes, and as errors.

use crate::id::in_one_line;
use crate::plan::{Outcome, Plan, PlanEntry};
use crate::remote::error::RemoteError;
use crate::remote::run::{Ended, HowEnded};
use crate::resource::{Change, Error, Obstacle, ObstacleKind};
use crate::runtime::{ResourceStatus, Standing, Status};

/// The most resources that an error names.
const NAMED_MAX: usize = 5;

/// What would be done there, as changes of the resource here.
pub(super) fn planned(plan: &Plan) -> Vec<Change> {
    let undone = plan.undo.iter().map(|undo| Change::new(undo.id.to_string(), "no longer in the graph", "undone"));
    plan.resources.iter().filter(|entry| entry.is_pending()).flat_map(of_entry).chain(undone).collect()
}

fn of_entry(entry: &PlanEntry) -> Vec<Change> {
    let id = entry.id.to_string();
    let listed = |ids: &[crate::id::ResourceId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match &entry.outcome {
        Outcome::Drifted { changes, noop: false, .. } if !changes.is_empty() => {
            changes.iter().map(|change| Change { field: format!("{id} {}", change.field), ..change.clone() }).collect()
        }
        Outcome::Drifted { noop: false, .. } => vec![Change::new(id, "drifted", "repaired")],
        Outcome::Drifted { alert, .. } => {
            vec![Change::new(id, "drifted", if *alert { "not repaired (alert)" } else { "not repaired (noop)" })]
        }
        Outcome::Unknown { until, .. } => {
            vec![Change::new(id, "unknown", format_args!("known when {} has run", listed(until)))]
        }
        Outcome::Blocked { by } => vec![Change::new(id, "not run", format_args!("blocked by {}", listed(by)))],
        Outcome::Failed { error, .. } => {
            vec![Change::new(id, "not known", format_args!("fails: {}", in_one_line(error)))]
        }
        Outcome::InSync | Outcome::Hidden => vec![Change::new(id, "in sync", "refreshed")],
    }
}

/// The error of a host.
pub(super) fn failed(host: &str, error: &RemoteError) -> Error {
    let text = Error::new(format!("{host}: {error}"));
    match error {
        RemoteError::Unreachable(_) | RemoteError::Lost { .. } => {
            text.waiting_for(Obstacle::new(ObstacleKind::NoComponent))
        }
        _ => text,
    }
}

/// The error of a run that has ended by itself. `None`: it was ended from here.
pub(super) fn ended(host: &str, outcome: &Result<Ended, RemoteError>) -> Option<Error> {
    let Ended { code, how } = match outcome {
        Err(error) => return Some(failed(host, error)),
        Ok(ended) => ended,
    };
    let what = match how {
        HowEnded::Stopped => return None,
        HowEnded::StoppedThere => "was stopped on that host".to_owned(),
        HowEnded::Exit => format!("was ended by a resource there, with exit code {code}"),
        _ => format!("has ended with exit code {code}"),
    };
    Some(Error::new(format!("{host}: the run there {what}")))
}

/// The error of a run that can't converge.
pub(super) fn hopeless(host: &str, status: &Status) -> Error {
    let troubled = |resource: &&ResourceStatus| {
        let is_at_rest = matches!(resource.standing, Standing::Blocked(_) | Standing::WaitingForParents(_));
        !is_at_rest && resource.error.is_some()
    };
    let troubled: Vec<_> = status.notable.iter().filter(troubled).collect();
    let text = |resource: &&ResourceStatus| {
        let error = in_one_line(resource.error.as_deref().unwrap_or_default()).into_owned();
        format!("{}: {error}", resource.id)
    };
    let mut texts: Vec<_> = troubled.iter().take(NAMED_MAX).map(text).collect();
    if let Some(more) = troubled.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        texts.push(format!("{more} more"));
    }
    if texts.is_empty() {
        let left = status.resources.saturating_sub(status.settled);
        texts.push(format!("{left} of its {} resources are not settled, and wait in vain", status.resources));
    }
    let error = Error::new(format!("{host}: the graph there can't converge: {}", texts.join("; ")));
    // What all wait for may come by itself. If one has failed for good, another try may help.
    let waits: Option<Vec<_>> = troubled.iter().map(|resource| resource.waits_for.as_ref()).collect();
    match waits.as_deref() {
        Some([first, ..]) => error.waiting_for(Obstacle::new(first.kind)),
        _ => error,
    }
}
