//! What clients of the control socket ask the loop: reports about resources, a few at a time, so that no answer keeps
//! the loop.

use std::sync::Arc;
use std::time::Duration;

use crate::graph::GraphConfig;
use crate::id::{Node, ResourceId, Time};
use crate::resource::Obstacle;
use crate::runtime::control::{EngineReport, ResourceReport};
use crate::runtime::core::Core;
use crate::runtime::event::EventKind;
use crate::runtime::events::Events;
use crate::runtime::history::{Remembered, shorten_changes, shortened};
use crate::runtime::status::Standing;
use crate::scheduler::{Input, State};

/// What the loop knows of the engine as a whole.
#[derive(Debug)]
pub(crate) struct Overview {
    pub(crate) report: EngineReport,
    /// The graph in force.
    pub(crate) config: Arc<GraphConfig>,
}

/// What the loop remembers.
#[derive(Debug)]
pub(crate) struct Recalled {
    pub(crate) events: Vec<Remembered>,
    /// The events that follow, if the client wants them.
    pub(crate) more: Option<Events>,
}

/// What is owed to a resource and by it: at most [`OWED_MAX`] each.
#[derive(Debug)]
pub(crate) struct Debts {
    pub(crate) by: Vec<ResourceId>,
    pub(crate) to: Vec<ResourceId>,
}

/// At most this many resources are named.
pub(crate) const OWED_MAX: usize = 200;

impl Core {
    pub(crate) fn overview(&self) -> Overview {
        let progress = self.progress();
        let mut report = EngineReport::default();
        report.graph.clone_from(&self.running.config.name);
        report.generation = self.running.generation.0;
        report.pid = std::process::id();
        report.up = self.clock.now().since(Time(0));
        (report.resources, report.settled) = (progress.resources, progress.settled);
        (report.failed, report.running) = (progress.failed, progress.running);
        report.converged = self.is_converged();
        report.hopeless = self.is_hopeless();
        report.cluster = self.outlook.obstacle().map(str::to_owned);
        report.paused = self.scheduler.is_paused();
        Overview { report, config: Arc::clone(&self.running.config) }
    }

    /// The states of these resources, in their order, without those that are not in the graph. `failed`: only of those
    /// in trouble.
    pub(crate) fn inspect(&self, ids: &[ResourceId], failed: bool) -> Vec<ResourceReport> {
        let nodes = ids.iter().filter_map(|id| self.running.find(id));
        nodes.filter(|node| !failed || self.is_in_trouble(*node)).map(|node| self.report(node)).collect()
    }

    /// The resource has failed, even if it is being tried again, or waits for a cause outside of the graph.
    fn is_in_trouble(&self, node: Node) -> bool {
        let has_error = || {
            let trouble = self.slots.get(node).and_then(|slot| slot.trouble.as_deref());
            trouble.is_some_and(|trouble| trouble.error.is_some() || trouble.watch_error.is_some())
        };
        matches!(self.scheduler.state(node), State::Failed | State::Retrying | State::Waiting) || has_error()
    }

    fn report(&self, node: Node) -> ResourceReport {
        let now = self.clock.now();
        let status = self.resource_status(node, self.standing(node));
        let running = self.slots.get(node).and_then(|slot| slot.activity.under_way());
        let (mut changes, mut error) = (status.changes, status.error);
        shorten_changes(&mut changes);
        error.iter_mut().for_each(shortened);
        let left = |at: Option<Time>| at.map(|at| at.since(now));
        ResourceReport {
            id: status.id,
            state: status.standing.word().to_owned(),
            by: status.standing.by().to_vec(),
            since: running.map(|(_, began, _)| now.since(began)),
            operation: running.map(|(operation, ..)| operation.to_owned()),
            changes,
            error,
            waits_for: status.waits_for.as_ref().map(obstacle),
            next_try: left(self.scheduler.next_try(node)),
            next_poll: left(self.scheduler.next_poll(node)),
            dir: None,
            at: self.running.vertex(node).map(|vertex| vertex.origin.to_string()).unwrap_or_default(),
        }
    }

    /// All that is remembered. With `follow`, also a reader of all that comes after it.
    pub(crate) fn recall(&self, follow: bool) -> Recalled {
        let events = self.history.as_ref().map(|history| history.borrow().recall(|node| self.running.id(node)));
        Recalled { events: events.unwrap_or_default(), more: follow.then(|| self.events.subscribe()) }
    }

    pub(crate) fn debts(&self, id: &ResourceId) -> Debts {
        let Some(node) = self.running.find(id) else { return Debts { by: Vec::new(), to: Vec::new() } };
        let named = |nodes: Vec<Node>| nodes.into_iter().map(|node| self.running.id(node)).collect();
        Debts { by: named(self.scheduler.owed_by(node, OWED_MAX)), to: named(self.scheduler.owed_to(node, OWED_MAX)) }
    }

    /// Checks these resources as soon as possible. Those that have failed or wait are tried again at once. Returns how
    /// many of them are in the graph.
    pub(crate) fn check_again(&mut self, ids: &[ResourceId]) -> usize {
        let nodes: Vec<Node> = ids.iter().filter_map(|id| self.running.find(id)).collect();
        for node in &nodes {
            self.emit(EventKind::Asked { id: self.running.id(*node) });
            self.handle(match self.scheduler.state(*node) {
                State::Failed | State::Retrying | State::Waiting => Input::Recovered(*node),
                _ => Input::Changed(*node),
            });
        }
        nodes.len()
    }
}

fn obstacle(obstacle: &Obstacle) -> String {
    match &obstacle.path {
        Some(path) => format!("{}: {}", obstacle.kind.word(), path.display()),
        None => obstacle.kind.word().to_owned(),
    }
}

/// For how long a resource has been in the state that `standing` is the word of, by its events: the time since the last
/// of them that led to it.
pub(crate) fn since<'a>(
    standing: &str,
    events: impl DoubleEndedIterator<Item = &'a Remembered>,
    now: Duration,
) -> Option<Duration> {
    let mut since = None;
    for event in events.rev() {
        match leads_to(&event.kind) {
            Some(word) if word == standing => since = Some(now.saturating_sub(event.at)),
            Some(_) => break,
            None => {}
        }
    }
    since
}

/// The state after an event of the resource, if the event determines it.
fn leads_to(kind: &EventKind) -> Option<&'static str> {
    match kind {
        EventKind::InSync { owed: false, .. } | EventKind::Applied { .. } | EventKind::Refreshed { .. } => {
            Some(Standing::Settled.word())
        }
        EventKind::Drifted { alert: true, .. } => Some(Standing::Alert.word()),
        EventKind::InSync { .. } | EventKind::Drifted { noop: true, .. } => Some(Standing::Noop.word()),
        EventKind::Drifted { .. } => Some(Standing::Running.word()),
        EventKind::Failed { retry_in: Some(_), .. } => Some(Standing::Retrying.word()),
        EventKind::Failed { .. } => Some(Standing::Failed.word()),
        EventKind::Waiting { .. } => Some(Standing::Waiting.word()),
        EventKind::Blocked { .. } => Some("blocked"),
        EventKind::Unblocked { .. } => Some("unblocked"),
        _ => None,
    }
}
