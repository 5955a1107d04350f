//! What a run on another host has reported: kept for checks, and shown here with the name of the host.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::id::in_one_line;
use crate::remote::message::Hello;
use crate::remote::queue::Queue;
use crate::remote::run::Report;
use crate::resource::Change;
use crate::runtime::EventKind;

/// The most changes that wait to be reported here; of further ones, only the number is known.
const CHANGES_MAX: usize = 100;

/// What a run has reported so far.
#[derive(Debug)]
pub(super) struct Seen {
    noted: Mutex<Noted>,
    /// Counts what may have changed the state of the run.
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Noted {
    there: Option<Hello>,
    is_started: bool,
    /// What was repaired there since the resource here was applied last.
    changes: Vec<Change>,
    /// How many of these are left out.
    left_out: usize,
    /// How many repairs and refreshes there were since the run began.
    changed: u64,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen { noted: Mutex::default(), news: watch::channel(0).0 }
    }
}

impl Seen {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Whether the engine there runs, so that it answers questions.
    pub(super) fn is_started(&self) -> bool {
        self.noted().is_started
    }

    /// What runs there.
    pub(super) fn there(&self) -> Option<Hello> {
        self.noted().there.clone()
    }

    /// How many repairs and refreshes there were.
    pub(super) fn changed(&self) -> u64 {
        self.noted().changed
    }

    /// What was repaired there and not yet reported here.
    pub(super) fn changes(&self) -> Vec<Change> {
        let noted = self.noted();
        let more = (noted.left_out > 0).then(|| Change::new("more changes", 0, noted.left_out));
        noted.changes.iter().cloned().chain(more).collect()
    }

    /// Takes note that all of it is reported now. Returns whether there was any.
    pub(super) fn take_changes(&self) -> bool {
        let mut noted = self.noted();
        let had = !noted.changes.is_empty() || noted.left_out > 0;
        noted.changes.clear();
        noted.left_out = 0;
        had
    }

    fn note(&self, report: &Report) -> bool {
        let mut noted = self.noted();
        match report {
            Report::Hello(hello) => noted.there = Some(hello.clone()),
            Report::Started => noted.is_started = true,
            Report::Missed(_) => {}
            Report::Event(event) => match &event.kind {
                EventKind::Applied { id, changes, changed: true, .. } => {
                    let of = |change: &Change| Change { field: format!("{id} {}", change.field), ..change.clone() };
                    noted.add(changes.iter().map(of));
                }
                EventKind::Refreshed { id, changed: true, .. } => {
                    noted.add([Change::new(id.to_string(), "notified", "refreshed")]);
                }
                EventKind::Converged | EventKind::Unconverged | EventKind::Hopeless | EventKind::Hopeful => {}
                _ => return false,
            },
            _ => return false,
        }
        true
    }
}

impl Noted {
    fn add(&mut self, changes: impl IntoIterator<Item = Change>) {
        self.changed += 1;
        for change in changes {
            if self.changes.len() < CHANGES_MAX {
                self.changes.push(change);
            } else {
                self.left_out += 1;
            }
        }
    }
}

/// Follows the reports to the end of the run. `wake`: the watch of the resource.
pub(super) async fn follow(host: String, queue: Arc<Queue>, seen: Arc<Seen>, wake: Arc<Notify>) {
    while let Some(report) = queue.next().await {
        show(&host, &report);
        if seen.note(&report) {
            seen.news.send_modify(|count| *count += 1);
            wake.notify_one();
        }
    }
    seen.news.send_modify(|count| *count += 1);
    wake.notify_one();
}

/// Shows what a person who watches this host must know of the other one.
fn show(host: &str, report: &Report) {
    match report {
        Report::Event(event) => match &event.kind {
            EventKind::Applied { changed: true, .. }
            | EventKind::Refreshed { changed: true, .. }
            | EventKind::Undone { .. } => tracing::info!(target: "mgmt", "{host}: {}", one_line(&event.kind)),
            EventKind::Failed { .. }
            | EventKind::Waiting { .. }
            | EventKind::Flapping { .. }
            | EventKind::Kept { .. }
            | EventKind::Drifted { alert: true, .. } => {
                tracing::warn!(target: "mgmt", "{host}: {}", one_line(&event.kind));
            }
            kind => tracing::debug!(target: "mgmt", "{host}: {}", one_line(kind)),
        },
        Report::Warning(note) => tracing::warn!(target: "mgmt", "{host}: {note}"),
        Report::Log(line) => tracing::info!(target: "mgmt", "{host}: | {}", in_one_line(line)),
        Report::Missed(count) => tracing::debug!(target: "mgmt", "{host}: {count} reports were left out"),
        Report::PuttingBack => {
            tracing::warn!(target: "mgmt", "{host}: not confirmed: putting back what the run has changed");
        }
        Report::Hello(_)
        | Report::Left(_)
        | Report::Attached(_)
        | Report::Confirmed
        | Report::Started
        | Report::Progress(_)
        | Report::Hopeless(_) => {}
    }
}

fn one_line(kind: &EventKind) -> String {
    in_one_line(&kind.to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_there_wait_until_they_are_reported_and_are_bounded() {
        let seen = Seen::default();
        assert!(!seen.take_changes());
        for n in 0..CHANGES_MAX + 3 {
            seen.noted().add([Change::new(format!("file[/{n}] content"), "old", "new")]);
        }
        let changes = seen.changes();
        assert_eq!(changes.len(), CHANGES_MAX + 1);
        assert_eq!(changes[CHANGES_MAX].to_string(), "more changes: 0 → 3");
        assert_eq!(seen.changed(), CHANGES_MAX as u64 + 3);
        assert!(seen.take_changes() && !seen.take_changes());
        assert!(seen.changes().is_empty());
    }
}
