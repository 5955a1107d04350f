//! Translates the scheduler's events about nodes into events about resources, for users.

use crate::id::{Node, Time};
use crate::resource::{Obstacle, ObstacleKind};
use crate::runtime::core::Core;
use crate::runtime::event::{EventKind, Operation};
use crate::runtime::waiting::Trouble;
use crate::scheduler::{Event, Failing};

impl Core {
    pub(crate) fn publish(&mut self, event: Event) {
        self.note_outlook(&event);
        match event {
            Event::Converged | Event::Unconverged | Event::Hopeless | Event::Hopeful => {}
            Event::Swapped { generation, added, changed, removed, kept } => {
                self.emit(EventKind::Swapped { generation, added, changed, removed, kept });
            }
            Event::Flapping { node, .. } => {
                self.publish_of_node(event);
                self.search_culprit(node);
            }
            event => self.publish_of_node(event),
        }
    }

    /// A caller that has swapped the graph and then waits for convergence must not see the convergence of the old
    /// graph.
    pub(crate) fn publish_convergence(&self) {
        if !self.scheduler.is_converged() {
            self.converged.send_replace(false);
        }
    }

    fn publish_of_node(&self, event: Event) {
        if let (Some(history), Event::InSync { node, causes, owed: false }) = (&self.history, &event)
            && !(self.running.has_ghosts() && self.running.is_ghost(*node))
        {
            history.borrow_mut().note_look(self.now(), *node, *causes);
        }
        let is_look = matches!(event, Event::InSync { owed: false, .. });
        if (is_look || self.history.is_none()) && !self.events.is_read() {
            return;
        }
        if let Some(kind) = self.kind_of(event) {
            self.emit(kind);
        }
    }

    /// What an event of the scheduler about a node means for users.
    fn kind_of(&self, event: Event) -> Option<EventKind> {
        let id = |node: Node| self.running.id(node);
        let changes = |node: Node| self.slots.found(node).map(|found| found.changes.clone()).unwrap_or_default();
        let began = |node: Node| self.slots.found(node).map_or(Time(0), |found| found.began);
        let took = |node: Node| self.clock.now().since(began(node));
        Some(match event {
            Event::InSync { node, causes, owed } => EventKind::InSync { id: id(node), causes, owed },
            Event::Drifted { node, causes, noop } => {
                let alert = noop && self.running.is_alert(node);
                EventKind::Drifted { id: id(node), causes, changes: changes(node), noop, alert }
            }
            Event::Applied { node, causes, changed, refreshed } => {
                let (changes, took) = (changes(node), took(node));
                EventKind::Applied { id: id(node), causes, changes, changed, refreshed, took }
            }
            Event::Refreshed { node, causes, changed } => {
                EventKind::Refreshed { id: id(node), causes, changed, took: took(node) }
            }
            Event::Left { node, well, retry_in } => {
                let error = self.trouble(node).and_then(|trouble| trouble.error.clone());
                let error = (!well).then(|| error.unwrap_or_else(|| "it was cancelled".to_owned()));
                EventKind::Left { id: id(node), error, retry_in }
            }
            Event::Owed { from, to } => EventKind::Owed { from: id(from), to: id(to) },
            Event::Sent { from, to } => EventKind::Sent { from: id(from), to: id(to) },
            Event::Failed { node, causes, what, retry_in } => {
                let (operation, error) = (operation(what), self.problem(node, what));
                EventKind::Failed { id: id(node), causes, operation, error, retry_in }
            }
            Event::Waits { node, causes, what } => {
                let awaited = self.trouble(node).and_then(|trouble| match what {
                    Failing::Watch => trouble.watch.as_ref(),
                    _ => trouble.op.as_ref(),
                });
                let announced = awaited.is_some_and(|awaited| awaited.announced);
                // If no operation has reported a cause, it is the journal.
                let waits_for = awaited.map(|awaited| awaited.obstacle.clone());
                let waits_for = waits_for.unwrap_or_else(|| Obstacle::new(ObstacleKind::NoSpace));
                let (operation, error) = (operation(what), self.problem(node, what));
                EventKind::Waiting { id: id(node), causes, operation, error, waits_for, announced }
            }
            Event::Blocked { node, by } => EventKind::Blocked { id: id(node), by: id(by) },
            Event::Unblocked(node) => EventKind::Unblocked { id: id(node) },
            Event::Flapping { node, repairs, within, took, every } => {
                EventKind::Flapping { id: id(node), repairs, within, took, every }
            }
            Event::Converged | Event::Unconverged | Event::Hopeless | Event::Hopeful | Event::Swapped { .. } => {
                return None;
            }
        })
    }

    fn trouble(&self, node: Node) -> Option<&Trouble> {
        self.slots.get(node)?.trouble.as_deref()
    }

    /// The last error of an operation, or of the watch.
    fn problem(&self, node: Node, what: Failing) -> String {
        let error = self.trouble(node).and_then(|trouble| match what {
            Failing::Watch => trouble.watch_error.clone(),
            _ => trouble.error.clone(),
        });
        error.or_else(|| self.journal_problem.clone()).unwrap_or_else(|| "without a reason".to_owned())
    }
}

fn operation(what: Failing) -> Operation {
    match what {
        Failing::Check => Operation::Check,
        Failing::Apply => Operation::Apply,
        Failing::Refresh => Operation::Refresh,
        Failing::Watch => Operation::Watch,
    }
}
