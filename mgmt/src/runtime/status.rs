//! The status of an engine: what it reports when asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{Generation, Node, ResourceId};
use crate::resource::{Change, Obstacle, seconds};
use crate::runtime::core::Core;
use crate::scheduler::{Causes, State};

/// The most resources that [`Status::notable`] lists.
const TOLD_MAX: usize = 1000;

/// The state of an engine at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The number of the graph in force, counted from 1.
    pub generation: Generation,
    /// The name of the graph.
    pub graph: String,
    /// How many resources the graph has.
    pub resources: usize,
    /// How many of them are settled.
    pub settled: usize,
    /// How many have failed for good.
    pub failed: usize,
    /// Whether all resources have been settled for the converged timeout; and those of all other hosts, if they count.
    pub converged: bool,
    /// Whether the graph can't converge by itself: for the converged timeout, every resource that is not settled has
    /// failed for good, has waited for a cause or for a value that no sender will send, or has waited for such a
    /// resource.
    pub hopeless: bool,
    /// Why the other hosts have not converged, if they count
    /// ([`Builder::converged_cluster`](crate::runtime::Builder::converged_cluster)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// How many have drifted and are alerts.
    pub alerts: usize,
    /// The resources that are not settled, and those in noop and the alerts that have drifted: the first 1000.
    pub notable: Vec<ResourceStatus>,
    /// The operations that are under way.
    pub running: Vec<RunningStatus>,
    /// The refreshes that are owed, as pairs: the resource that notifies, and the one that is notified.
    pub owed: Vec<(ResourceId, ResourceId)>,
    /// How many bytes the engine holds besides the graph.
    pub memory: usize,
}

/// How far an engine has got: quick to compute, whatever the size of the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// How many resources the graph has.
    pub resources: usize,
    /// How many of them are settled.
    pub settled: usize,
    /// How many have failed for good.
    pub failed: usize,
    /// How many wait for a resource that has failed for good.
    pub blocked: usize,
    /// How many operations are under way.
    pub running: usize,
    /// The operation that has been under way for longest.
    pub longest: Option<RunningStatus>,
}

/// The state of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResourceStatus {
    /// The resource.
    pub id: ResourceId,
    /// What the resource does or waits for.
    #[serde(flatten)]
    pub standing: Standing,
    /// What the last check found wrong.
    pub changes: Vec<Change>,
    /// The last error.
    pub error: Option<String>,
    /// The cause that the resource waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Obstacle>,
}

/// What a resource does or waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "by", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// The resource has nothing to do.
    Settled,
    /// Drifted, and not repaired because the resource is noop.
    Noop,
    /// Drifted, and not repaired because its drift is an alert ([`Meta::alert`](crate::resource::Meta::alert)).
    Alert,
    /// Not run, because it is hidden ([`Meta::hidden`](crate::resource::Meta::hidden)).
    Hidden,
    /// Waits until its watch listens.
    WaitingForWatch,
    /// Waits for these parents.
    WaitingForParents(Vec<ResourceId>),
    /// Waits for a value from these senders.
    WaitingForValue(Vec<ResourceId>),
    /// Blocked, because these ancestors have failed.
    Blocked(Vec<ResourceId>),
    /// Waits for resources that owned the same thing and have left the graph or changed, until their last operation has
    /// ended and they have left.
    WaitingForPredecessor(Vec<ResourceId>),
    /// Waits for these resources of its group, which have parents that are not settled, or runs under way.
    WaitingForGroup(Vec<ResourceId>),
    /// Ready to run; waits for a free place.
    Ready,
    /// Changes again and again, and costs more than its share: waits until the share allows a further check, or until
    /// no other resource wants to work.
    Spaced,
    /// An operation is under way.
    Running,
    /// Failed, and will be tried again.
    Retrying,
    /// Failed for a cause outside of the graph that can go away: waits for that ([`ResourceStatus::waits_for`]), and
    /// uses up no try.
    Waiting,
    /// Failed, and has no tries left.
    Failed,
}

impl Standing {
    /// The word of the state, as in data.
    pub fn word(&self) -> &'static str {
        match self {
            Standing::Settled => "settled",
            Standing::Noop => "noop",
            Standing::Alert => "alert",
            Standing::Hidden => "hidden",
            Standing::WaitingForWatch => "waiting_for_watch",
            Standing::WaitingForParents(_) => "waiting_for_parents",
            Standing::WaitingForValue(_) => "waiting_for_value",
            Standing::Blocked(_) => "blocked",
            Standing::WaitingForPredecessor(_) => "waiting_for_predecessor",
            Standing::WaitingForGroup(_) => "waiting_for_group",
            Standing::Ready => "ready",
            Standing::Spaced => "spaced",
            Standing::Running => "running",
            Standing::Retrying => "retrying",
            Standing::Waiting => "waiting",
            Standing::Failed => "failed",
        }
    }

    /// The resources that the state is about: the first few of those that are waited for.
    pub fn by(&self) -> &[ResourceId] {
        match self {
            Standing::WaitingForParents(ids)
            | Standing::WaitingForValue(ids)
            | Standing::Blocked(ids)
            | Standing::WaitingForPredecessor(ids)
            | Standing::WaitingForGroup(ids) => ids,
            _ => &[],
        }
    }
}

/// One operation that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningStatus {
    /// The resource.
    pub id: ResourceId,
    /// `check`, `apply`, `refresh` or `leave`; `watch`: a check that begins when its watch listens; `wait`: a check
    /// that begins again in a moment.
    pub operation: String,
    /// The time since the operation began; in data, a number of seconds.
    #[serde(with = "seconds")]
    pub elapsed: Duration,
    /// Why the run began.
    pub causes: Causes,
}

impl Core {
    pub(crate) fn standing(&self, node: Node) -> Standing {
        let ids = |nodes: Vec<Node>| nodes.into_iter().map(|node| self.running.id(node)).collect();
        match self.scheduler.state(node) {
            State::Settled { .. } if self.running.is_hidden(node) => Standing::Hidden,
            State::Settled { drifted: false } => Standing::Settled,
            State::Settled { drifted: true } if self.running.is_alert(node) => Standing::Alert,
            State::Settled { drifted: true } => Standing::Noop,
            State::WaitingForWatch => Standing::WaitingForWatch,
            State::WaitingForParents(nodes) => Standing::WaitingForParents(ids(nodes)),
            State::WaitingForValue(nodes) => Standing::WaitingForValue(ids(nodes)),
            State::Blocked(nodes) => Standing::Blocked(ids(nodes)),
            State::WaitingForPredecessor(nodes) => Standing::WaitingForPredecessor(ids(nodes)),
            State::WaitingForGroup(nodes) => Standing::WaitingForGroup(ids(nodes)),
            State::Ready => Standing::Ready,
            State::Spaced => Standing::Spaced,
            State::Running => Standing::Running,
            State::Retrying => Standing::Retrying,
            State::Waiting => Standing::Waiting,
            State::Failed => Standing::Failed,
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        let (resources, failed) = (self.running.len(), self.scheduler.failed());
        Progress {
            resources,
            settled: resources.saturating_sub(self.scheduler.unsettled()),
            failed,
            blocked: if failed > 0 { self.scheduler.blocked() } else { 0 },
            running: self.scheduler.running(),
            longest: self.under_way().max_by_key(|running| running.elapsed),
        }
    }

    fn under_way(&self) -> impl Iterator<Item = RunningStatus> + '_ {
        let now = self.clock.now();
        self.slots.busy().filter_map(move |(node, activity)| {
            let (operation, began, causes) = activity.under_way()?;
            let (id, operation) = (self.running.id(node), operation.to_owned());
            Some(RunningStatus { id, operation, elapsed: now.since(began), causes })
        })
    }

    pub(crate) fn status(&self) -> Status {
        let (mut notable, mut alerts) = (Vec::new(), 0);
        let unsettled = self.scheduler.unsettled();
        if unsettled > 0 || self.slots.iter().any(|(_, slot)| slot.found.is_some()) {
            for node in self.running.nodes() {
                let standing = self.standing(node);
                alerts += usize::from(standing == Standing::Alert);
                if standing != Standing::Settled && notable.len() < TOLD_MAX {
                    notable.push(self.resource_status(node, standing));
                }
            }
        }
        Status {
            generation: self.running.generation,
            graph: self.running.config.name.clone(),
            resources: self.running.len(),
            settled: self.running.len().saturating_sub(unsettled),
            failed: self.scheduler.failed(),
            converged: self.is_converged(),
            hopeless: self.is_hopeless(),
            cluster: self.outlook.obstacle().map(str::to_owned),
            alerts,
            notable,
            running: self.under_way().collect(),
            owed: self
                .scheduler
                .owed()
                .take(TOLD_MAX)
                .map(|(from, to)| (self.running.id(from), self.running.id(to)))
                .collect(),
            memory: self.memory(),
        }
    }

    /// The state of the resource with this name, if it is in the graph.
    pub(crate) fn status_of(&self, id: &ResourceId) -> Option<ResourceStatus> {
        let node = self.running.find(id)?;
        Some(self.resource_status(node, self.standing(node)))
    }

    pub(crate) fn resource_status(&self, node: Node, standing: Standing) -> ResourceStatus {
        let slot = self.slots.get(node);
        let trouble = slot.and_then(|slot| slot.trouble.as_deref());
        let error = trouble.and_then(|trouble| trouble.error.as_ref().or(trouble.watch_error.as_ref())).cloned();
        let waits = standing == Standing::Waiting;
        ResourceStatus {
            id: self.running.id(node),
            standing,
            changes: self.slots.found(node).map(|found| found.changes.clone()).unwrap_or_default(),
            error: error.or_else(|| self.journal_problem.clone().filter(|_| waits)),
            waits_for: self.awaited(node).map(|awaited| awaited.obstacle.clone()),
        }
    }

    /// Bytes held, without the graph itself.
    fn memory(&self) -> usize {
        let history = self.history.as_ref().map_or(0, |history| history.borrow().memory());
        self.scheduler.memory() + self.running.memory() + self.slots.memory() + history
    }
}
