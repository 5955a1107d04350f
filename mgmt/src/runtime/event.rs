//! Typed events that the engine reports: for the terminal, for metrics, for tests.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{Generation, ResourceId, harmless, in_one_line};
use crate::resource::{Change, Obstacle, seconds};
use crate::scheduler::Causes;
use crate::sys::culprit::Process;

/// An event, with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The time since the engine started.
    #[serde(with = "seconds")]
    pub at: Duration,
    /// The event itself.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The operation of a resource that failed. A failure to leave the graph is in [`EventKind::Left`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// A check; also a value that the resource receives and that could not be made.
    Check,
    /// An apply: the repair of what a check found.
    Apply,
    /// A refresh, after a resource that notifies this one has changed.
    Refresh,
    /// The watch, which reports outside changes.
    Watch,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Check => "check",
            Operation::Apply => "apply",
            Operation::Refresh => "refresh",
            Operation::Watch => "watch",
        })
    }
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A check found the resource as declared.
    #[non_exhaustive]
    InSync {
        /// The resource that was checked.
        id: ResourceId,
        /// Why it was checked.
        causes: Causes,
        /// Whether the resource is in noop and owed a refresh, which it does not get: it is then not as it should be.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        owed: bool,
    },
    /// A check found drift.
    #[non_exhaustive]
    Drifted {
        /// The resource that was checked.
        id: ResourceId,
        /// Why it was checked.
        causes: Causes,
        /// What is wrong, field by field.
        changes: Vec<Change>,
        /// Whether the resource is in noop: then it will not be repaired.
        noop: bool,
        /// Whether the drift is an alert ([`Meta::alert`](crate::resource::Meta::alert)): then it will not be repaired
        /// either, and `noop` is true too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        alert: bool,
    },
    /// An apply succeeded.
    #[non_exhaustive]
    Applied {
        /// The resource that was applied.
        id: ResourceId,
        /// Why the run of check and apply began.
        causes: Causes,
        /// What the apply repaired, field by field.
        changes: Vec<Change>,
        /// Whether the system was changed. False if there was nothing left to do.
        changed: bool,
        /// Whether a refresh was owed to the resource, and this apply counted as it.
        refreshed: bool,
        /// From the start of the check that found the drift to the end of the apply.
        #[serde(with = "seconds")]
        took: Duration,
    },
    /// A refresh succeeded.
    #[non_exhaustive]
    Refreshed {
        /// The resource that was refreshed.
        id: ResourceId,
        /// Why the run of check and refresh began.
        causes: Causes,
        /// Whether the refresh did something, as its kind reports ([`Refresh`](crate::resource::Refresh)): a command
        /// whose guard declined has not.
        changed: bool,
        /// How long the refresh took.
        #[serde(with = "seconds")]
        took: Duration,
    },
    /// A resource has left the graph and has done what its kind does then ([`Leave`](crate::resource::Leave)), or has
    /// failed to.
    #[non_exhaustive]
    Left {
        /// The resource that has left.
        id: ResourceId,
        /// The error, if leaving failed.
        error: Option<String>,
        /// The pause before the undo is tried again, in seconds; `None`: it is not, in this run. What the kind does
        /// when it leaves is not repeated.
        #[serde(default, with = "seconds::option", skip_serializing_if = "Option::is_none")]
        retry_in: Option<Duration>,
    },
    /// What a resource that has left the graph changed is being undone
    /// ([`Meta::reverse`](crate::resource::Meta::reverse)).
    #[non_exhaustive]
    Undoing {
        /// The resource that has left the graph, in this run or before it.
        id: ResourceId,
    },
    /// What a resource that has left the graph changed was undone.
    #[non_exhaustive]
    Undone {
        /// The resource.
        id: ResourceId,
        /// What was done, in short words. Empty if everything was already as before.
        done: Vec<String>,
    },
    /// Something that a resource changed was not undone, and its record is kept.
    #[non_exhaustive]
    Kept {
        /// The resource.
        id: ResourceId,
        /// Why it was not undone.
        why: String,
        /// The directory of the record, which holds what was there before.
        record: String,
    },
    /// A resource has left the graph, and another one owns the same: it takes over the record of what was there before.
    #[non_exhaustive]
    HandedOver {
        /// The resource that has left the graph.
        from: ResourceId,
        /// The resource that owns the same now.
        to: ResourceId,
    },
    /// A refresh has become owed.
    #[non_exhaustive]
    Owed {
        /// The resource that changed and notifies the other.
        from: ResourceId,
        /// The resource that is owed the refresh.
        to: ResourceId,
    },
    /// New values went to a receiver.
    #[non_exhaustive]
    Sent {
        /// The resource that sends the values.
        from: ResourceId,
        /// The resource that receives them.
        to: ResourceId,
    },
    /// A check, an apply, a refresh or the watch failed.
    #[non_exhaustive]
    Failed {
        /// The resource that failed.
        id: ResourceId,
        /// Why the run that failed began. Empty if the watch failed.
        causes: Causes,
        /// The operation that failed.
        operation: Operation,
        /// The error.
        error: String,
        /// The time until the next try; `None`: no further try until a graph changes the resource (or, with `rewatch`,
        /// until any new graph).
        #[serde(default, with = "seconds::option")]
        retry_in: Option<Duration>,
    },
    /// A check, an apply, a refresh or the watch failed for a cause outside of the graph that can go away: the resource
    /// waits for that without limit, and uses up no try. Reported once, until the operation succeeds or fails for
    /// another cause.
    #[non_exhaustive]
    Waiting {
        /// The resource that waits.
        id: ResourceId,
        /// Why the run that failed began. Empty if the watch failed.
        causes: Causes,
        /// The operation that failed.
        operation: Operation,
        /// The error.
        error: String,
        /// The cause that must go away.
        waits_for: Obstacle,
        /// Whether the watch reports the end of the cause: then the resource is checked at once. If not, it is checked
        /// again after pauses that grow from 0.1 s to 10 s.
        announced: bool,
    },
    /// An ancestor has failed: this resource waits.
    #[non_exhaustive]
    Blocked {
        /// The resource that is blocked.
        id: ResourceId,
        /// The parent through which it is blocked.
        by: ResourceId,
    },
    /// A resource is no longer blocked.
    #[non_exhaustive]
    Unblocked {
        /// The resource that was blocked.
        id: ResourceId,
    },
    /// The repairs of a resource take more than its share of the time, about 5 % of one worker, because something else
    /// changes it too. It is repaired less often while other resources want to work. Reported again only after the
    /// resource has been quiet for as long as its share needs to make up for these repairs.
    #[non_exhaustive]
    Flapping {
        /// The resource that changes again and again.
        id: ResourceId,
        /// The number of repairs within the time `within`.
        repairs: u32,
        /// The time in which these repairs were made. In data a number of seconds, like the two times below.
        #[serde(with = "seconds")]
        within: Duration,
        /// The time of the last repair and its check.
        #[serde(with = "seconds")]
        took: Duration,
        /// The shortest time between two such repairs while other resources want to work.
        #[serde(with = "seconds")]
        every: Duration,
    },
    /// A process changes a resource that is [flapping](EventKind::Flapping): the first one that has changed the path
    /// since then. Reported at most once for each `Flapping`, and only where the system names the process: to root,
    /// from Linux 5.9 on, and not on every file system. What a process changes deeper in a directory is not noticed.
    #[non_exhaustive]
    Culprit {
        /// The resource.
        id: ResourceId,
        /// The path that was changed, or in which an entry was changed.
        path: PathBuf,
        /// The process.
        by: Process,
    },
    /// A new graph is in force.
    #[non_exhaustive]
    Swapped {
        /// The number of the new graph, counted from 1.
        generation: Generation,
        /// How many resources are new.
        added: u32,
        /// How many resources were changed in place.
        changed: u32,
        /// How many resources left the graph.
        removed: u32,
        /// How many resources are the same as before.
        kept: u32,
    },
    /// A new graph was refused: the old one continues.
    #[non_exhaustive]
    Rejected {
        /// What is wrong with the new graph.
        problems: String,
    },
    /// All resources have been settled for the converged timeout. Checks that an event or a poll caused and that found
    /// nothing do not count as activity.
    Converged,
    /// A resource is no longer settled, so the graph is no longer converged. A check that finds nothing does not cause
    /// this.
    Unconverged,
    /// The graph can't converge by itself: some resources have failed for good, wait for a cause
    /// ([`Waiting`](EventKind::Waiting)), or wait for a value that no sender will send; all others that are not settled
    /// wait for these, and none has done anything for the converged timeout. Reported once, until
    /// [`Hopeful`](EventKind::Hopeful).
    Hopeless,
    /// The graph is no longer hopeless: a new graph or an outside change has caused further work.
    Hopeful,
    /// A client has asked that the resource be checked now ([`Ask::Poke`](crate::runtime::control::Ask::Poke)).
    #[non_exhaustive]
    Asked {
        /// The resource.
        id: ResourceId,
    },
    /// A resource requests the end of the program: the engine stops.
    #[non_exhaustive]
    Exit {
        /// The resource, of the kind `exit`.
        id: ResourceId,
        /// The exit code.
        code: u8,
    },
    /// A warning for the user, reported once.
    #[non_exhaustive]
    Warning {
        /// The text of the warning.
        message: String,
    },
    /// The engine has ended.
    Stopped,
    /// An event of a kind that this version does not know: it was read from the data of a later one.
    #[serde(other)]
    Unknown,
}

impl EventKind {
    /// The name of the event, as in its form as data.
    pub fn word(&self) -> &'static str {
        match self {
            EventKind::InSync { .. } => "in_sync",
            EventKind::Drifted { .. } => "drifted",
            EventKind::Applied { .. } => "applied",
            EventKind::Refreshed { .. } => "refreshed",
            EventKind::Left { .. } => "left",
            EventKind::Undoing { .. } => "undoing",
            EventKind::Undone { .. } => "undone",
            EventKind::Kept { .. } => "kept",
            EventKind::HandedOver { .. } => "handed_over",
            EventKind::Owed { .. } => "owed",
            EventKind::Sent { .. } => "sent",
            EventKind::Failed { .. } => "failed",
            EventKind::Waiting { .. } => "waiting",
            EventKind::Blocked { .. } => "blocked",
            EventKind::Unblocked { .. } => "unblocked",
            EventKind::Flapping { .. } => "flapping",
            EventKind::Culprit { .. } => "culprit",
            EventKind::Swapped { .. } => "swapped",
            EventKind::Rejected { .. } => "rejected",
            EventKind::Converged => "converged",
            EventKind::Unconverged => "unconverged",
            EventKind::Hopeless => "hopeless",
            EventKind::Hopeful => "hopeful",
            EventKind::Asked { .. } => "asked",
            EventKind::Exit { .. } => "exit",
            EventKind::Warning { .. } => "warning",
            EventKind::Stopped => "stopped",
            EventKind::Unknown => "unknown",
        }
    }

    /// The resource that the event is about, if there is one.
    pub fn id(&self) -> Option<&ResourceId> {
        match self {
            EventKind::InSync { id, .. }
            | EventKind::Drifted { id, .. }
            | EventKind::Applied { id, .. }
            | EventKind::Refreshed { id, .. }
            | EventKind::Failed { id, .. }
            | EventKind::Waiting { id, .. }
            | EventKind::Left { id, .. }
            | EventKind::Undoing { id }
            | EventKind::Undone { id, .. }
            | EventKind::Kept { id, .. }
            | EventKind::Exit { id, .. }
            | EventKind::Blocked { id, .. }
            | EventKind::Unblocked { id }
            | EventKind::Asked { id }
            | EventKind::Culprit { id, .. }
            | EventKind::Flapping { id, .. } => Some(id),
            EventKind::Owed { to, .. } | EventKind::Sent { to, .. } | EventKind::HandedOver { to, .. } => Some(to),
            _ => None,
        }
    }
}

/// One line of text without colours, as in logs.
fn left_badly(f: &mut fmt::Formatter<'_>, id: &ResourceId, error: &str, retry_in: Option<Duration>) -> fmt::Result {
    write!(f, "{id}: could not leave well: {error}")?;
    retry_in.map_or(Ok(()), |pause| write!(f, " (undone again in {pause:.1?})"))
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventKind::InSync { id, owed: true, .. } => write!(f, "{id}: owed a refresh (noop)"),
            EventKind::InSync { id, .. } => write!(f, "{id}: in sync"),
            EventKind::Drifted { id, changes, alert: true, .. } => {
                write!(f, "{id}: alert: drifted: {}", Short(changes))
            }
            EventKind::Drifted { id, changes, noop, .. } => {
                write!(f, "{id}: drifted: {}{}", Short(changes), if *noop { " (noop)" } else { "" })
            }
            EventKind::Applied { id, changes, changed, refreshed, took, .. } => {
                let what = if *changed { "repaired" } else { "applied, nothing to change" };
                let refreshed = if *changed && *refreshed { ", refreshed" } else { "" };
                write!(f, "{id}: {what}{refreshed} in {took:.1?}: {}", Short(changes))
            }
            EventKind::Refreshed { id, changed: true, took, .. } => write!(f, "{id}: refreshed in {took:.1?}"),
            EventKind::Refreshed { id, .. } => write!(f, "{id}: asked to refresh, with nothing to do"),
            EventKind::Left { id, error: None, .. } => write!(f, "{id}: left"),
            EventKind::Left { id, error: Some(error), retry_in } => left_badly(f, id, error, *retry_in),
            EventKind::Undoing { id } => write!(f, "{id}: is being undone"),
            EventKind::Undone { id, done } if done.is_empty() => write!(f, "{id}: undone: nothing had to be done"),
            EventKind::Undone { id, done } => write!(f, "{id}: undone: {}", in_one_line(&done.join(", "))),
            EventKind::Kept { id, why, record } => {
                write!(f, "{id}: not undone: {} (what was there before is in {record})", in_one_line(why))
            }
            EventKind::HandedOver { from, to } => write!(f, "{to}: has taken over what {from} had recorded"),
            EventKind::Owed { from, to } => write!(f, "{to}: refresh owed, since {from} changed"),
            EventKind::Sent { from, to } => write!(f, "{to}: received from {from}"),
            EventKind::Failed { id, operation, error, retry_in, .. } => {
                write!(f, "{id}: {operation} failed: {error}")?;
                match retry_in {
                    Some(delay) if delay.is_zero() => f.write_str(" (again at once)"),
                    Some(delay) => write!(f, " (again in {delay:.1?})"),
                    None => f.write_str(" (no tries left: it is left alone until a graph changes it)"),
                }
            }
            EventKind::Waiting { id, operation, error, announced, .. } => {
                let when = if *announced { "as soon as that changes" } else { "after pauses, until that changes" };
                write!(f, "{id}: {operation} waits: {error} (again {when})")
            }
            EventKind::Blocked { id, by } => write!(f, "{id}: waits, blocked by {by}"),
            EventKind::Unblocked { id } => write!(f, "{id}: no longer blocked"),
            EventKind::Flapping { id, repairs, within, took, every } => write!(
                f,
                "{id}: flapping: repaired {repairs} times in {within:.1?}, something else changes it too (a repair takes \
                 {took:.1?}: every {every:.1?} at most while other resources have work)"
            ),
            EventKind::Culprit { id, path, by } => {
                write!(f, "{id}: {} was changed by {by}", harmless(&path.to_string_lossy()))
            }
            EventKind::Swapped { generation, added, changed, removed, kept } => {
                write!(f, "graph {generation}: {added} added, {changed} changed, {removed} removed, {kept} kept")
            }
            EventKind::Rejected { problems } => {
                write!(f, "the new graph is refused, the old one continues to run:\n{problems}")
            }
            EventKind::Converged => f.write_str("converged"),
            EventKind::Unconverged => f.write_str("not converged any more"),
            EventKind::Hopeless => {
                f.write_str("the graph can't converge: all resources that are not settled have failed or wait in vain")
            }
            EventKind::Hopeful => f.write_str("the graph may converge again"),
            EventKind::Asked { id } => write!(f, "{id}: a client asks for a check"),
            EventKind::Exit { id, code } => write!(f, "{id}: ends the program with code {code}"),
            EventKind::Warning { message } => write!(f, "warning: {message}"),
            EventKind::Stopped => f.write_str("stopped"),
            EventKind::Unknown => f.write_str("an event that this version does not know"),
        }
    }
}

/// A list of changes in one line.
struct Short<'a>(&'a [Change]);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 4;
        for (n, change) in self.0.iter().take(SHOWN_MAX).enumerate() {
            write!(f, "{}{change}", if n == 0 { "" } else { ", " })?;
        }
        if self.0.len() > SHOWN_MAX {
            write!(f, " and {} more", self.0.len() - SHOWN_MAX)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lengths_of_time_are_numbers_of_seconds_in_data() {
        let (id, took) = (ResourceId::new("noop", "n"), Duration::from_millis(250));
        let kind = EventKind::Refreshed { id, causes: Causes::default(), changed: true, took };
        let event = serde_json::to_value(Event { at: Duration::from_secs(3), kind }).unwrap();
        assert_eq!(
            event,
            json!({ "at": 3, "event": "refreshed", "id": "noop[n]", "causes": [], "changed": true, "took": 0.25 })
        );
    }
}
