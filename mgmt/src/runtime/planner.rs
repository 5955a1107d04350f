//! Makes a plan: every resource is checked once, by the very check that would run before an apply, and nothing is applied.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::dag::topo;
use crate::gapi::{Gapi, GapiData, warn_of};
use crate::graph::{GraphConfig, Prepared};
use crate::id::{Node, ResourceId};
use crate::journal::Journal;
use crate::plan::{Outcome, Plan, PlanEntry};
use crate::resource::{AnyDrift, AnyResource, CheckCx, Error, Operation, PrivateDirs, Result, Sent};
use crate::runtime::core::Core;
use crate::runtime::ended::lost_value;
use crate::runtime::engine::{Builder, Settings, assemble, has_runtime};
use crate::runtime::error::EngineError;
use crate::runtime::follow::{close, first_graph};
use crate::runtime::operate::{CANCELLED, outdated_pauses};
use crate::runtime::prefix::Prefix;
use crate::runtime::values::Resolved;
use crate::sys::task::caught_async;

/// So many checks run at once.
const RUNNING_MAX: usize = 16;

type Checked = (u32, Arc<Operation>, Result<Option<AnyDrift>>);

impl<G: Gapi> Builder<G> {
    /// What the graph would do now. Changes nothing, neither on the system nor below the prefix.
    ///
    /// # Errors
    /// There is no graph, or it is wrong.
    pub async fn plan(mut self) -> Result<Plan, EngineError> {
        let prefix = Prefix::new(self.options.prefix.as_deref())?;
        let config = self.only_graph(prefix.path()).await?;
        let journal = Journal::glance(prefix.path())?;
        let prepared = self.options.preparing.here(config).await?;
        tell_warnings(&prepared);
        let planner = Planner::new(prepared, &self.options, prefix.path(), journal);
        let connections = planner.core.services.connections.clone();
        let plan = planner.run().await;
        if self.options.doors.is_none() {
            connections.close().await;
        }
        Ok(plan)
    }

    /// The graph, ready to run, but not run. This host is not looked at: the graph may be for another one.
    ///
    /// # Errors
    /// There is none, or it is wrong.
    pub async fn check(mut self) -> Result<Prepared, EngineError> {
        let prefix = Prefix::new(self.options.prefix.as_deref())?;
        let config = self.only_graph(prefix.path()).await?;
        let prepared = self.options.preparing.anywhere(config).await?;
        tell_warnings(&prepared);
        Ok(prepared)
    }

    /// Nobody is going to ask for more.
    async fn only_graph(&mut self, prefix: &Path) -> Result<GraphConfig, EngineError> {
        has_runtime()?;
        let data = GapiData {
            name: self.options.name.clone(),
            hostname: self.options.hostname.clone(),
            prefix: prefix.to_owned(),
            noop: self.options.preparing.settings.is_noop(),
            no_watch: true,
        };
        let config = first_graph(&mut self.gapi, data).await;
        close(&mut self.gapi).await;
        config
    }
}

/// No engine runs that could send events.
fn tell_warnings(prepared: &Prepared) {
    let config = prepared.config();
    warn_of(&config.name, &[&config.warnings(), prepared.warnings()].concat());
}

struct Planner {
    core: Core,
    /// Of each node; with whether they notify it.
    parents: Vec<Vec<(u32, bool)>>,
    children: Vec<Vec<u32>>,
    /// Parents without an outcome.
    waits: Vec<usize>,
    order: Vec<u32>,
    /// Its place in the order.
    place: Vec<u32>,
    /// Who can be looked at, by place.
    ready: BTreeSet<u32>,
    outcomes: HashMap<u32, Outcome>,
    refreshed_by: HashMap<u32, Vec<ResourceId>>,
    /// Who would make its values anew, and for whom.
    asked_by: HashMap<u32, Vec<ResourceId>>,
}

/// One check, as it would run before an apply.
async fn look(
    resource: &Arc<dyn AnyResource>,
    operation: &Arc<Operation>,
    timeout: Option<Duration>,
) -> Result<Option<AnyDrift>> {
    let mut pauses = outdated_pauses();
    loop {
        let check = caught_async(Arc::clone(resource).check(CheckCx::new(Arc::clone(operation))));
        let ended = match timeout {
            Some(timeout) => tokio::time::timeout(timeout, check).await.unwrap_or_else(|_| Err(CANCELLED.to_owned())),
            None => check.await,
        };
        let found = ended.unwrap_or_else(|why| Err(Error::new(why)));
        let again = pauses.next().filter(|_| found.as_ref().is_err_and(Error::is_outdated));
        let Some(pause) = again else { return found };
        tokio::time::sleep(pause).await;
        // It says it again.
        operation.take_sent();
    }
}

impl Planner {
    fn new(prepared: Prepared, options: &Settings, prefix: &Path, journal: Journal) -> Planner {
        let config = prepared.config();
        let count = config.vertices.len();
        let mut edges: Vec<_> = config.edges.iter().map(|edge| (edge.from, edge.to, config.refreshes(edge))).collect();
        edges.extend(config.links.iter().flat_map(|link| link.sources.iter().map(|(from, _)| (*from, link.to, false))));
        let pairs: Vec<_> = edges.iter().map(|(from, to, _)| (*from, *to)).collect();
        let order = topo::order(count, &pairs).unwrap_or_default();
        let (mut parents, mut children) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        for (from, to, notify) in edges {
            parents[to as usize].push((from, notify));
            children[from as usize].push(to);
        }
        let mut place = vec![0; count];
        (0u32..).zip(&order).for_each(|(at, node)| place[*node as usize] = at);
        let waits: Vec<_> = parents.iter().map(Vec::len).collect();
        let free = (0u32..).zip(&waits).filter(|(_, waits)| **waits == 0);
        let ready = free.map(|(node, _)| place[node as usize]).collect();
        let (dirs, _) = PrivateDirs::open(prefix, false);
        let (mut core, ..) = assemble(options, prefix.to_owned(), dirs, journal);
        // In a fresh core every vertex has the slot of its own number.
        core.place(prepared);
        let (outcomes, refreshed_by, asked_by) = (HashMap::new(), HashMap::new(), HashMap::new());
        Planner { core, parents, children, waits, order, place, ready, outcomes, refreshed_by, asked_by }
    }

    async fn run(mut self) -> Plan {
        let mut tasks: JoinSet<Checked> = JoinSet::new();
        loop {
            while tasks.len() < RUNNING_MAX
                && let Some(at) = self.ready.pop_first()
            {
                self.begin(self.order[at as usize], &mut tasks);
            }
            match tasks.join_next().await {
                Some(Ok((node, operation, found))) => self.end(node, &operation, found),
                Some(Err(_)) => unreachable!("checks are caught when they panic, and never aborted"),
                None => return self.finish(),
            }
        }
    }

    /// It is known what would be done with this one: who waits for it waits no longer.
    fn decide(&mut self, node: u32, outcome: Outcome) {
        self.outcomes.insert(node, outcome);
        for child in &self.children[node as usize] {
            let waits = &mut self.waits[*child as usize];
            *waits -= 1;
            if *waits == 0 {
                self.ready.insert(self.place[*child as usize]);
            }
        }
    }

    fn begin(&mut self, node: u32, tasks: &mut JoinSet<Checked>) {
        let blocked: Vec<_> =
            self.parents_where(node, |outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Blocked { .. }));
        if !blocked.is_empty() {
            return self.decide(node, Outcome::Blocked { by: blocked });
        }
        let vertex = &self.core.running.config.vertices[node as usize];
        let base = Arc::clone(&vertex.resource);
        let resource = match self.core.slots.resolve(Node(node), &base, &self.core.store) {
            Resolved::Ready { resource, .. } => resource,
            Resolved::Missing(senders) => {
                let outcome = self.missing(node, senders);
                return self.decide(node, outcome);
            }
            Resolved::Mismatch(error) => return self.decide(node, Outcome::Failed { error }),
        };
        let mut operation = self.core.operation(Node(node), &resource);
        operation.refresh = self.owed(node);
        let operation = Arc::new(operation);
        let timeout = vertex.meta.as_ref().and_then(|meta| meta.timeout);
        tasks.spawn(async move {
            let found = look(&resource, &operation, timeout).await;
            (node, operation, found)
        });
    }

    fn owed(&self, node: u32) -> bool {
        let id = self.core.running.id(Node(node));
        self.parents[node as usize]
            .iter()
            .any(|(parent, notify)| *notify && self.core.store.is_owed(&self.core.running.id(Node(*parent)), &id))
    }

    fn end(&mut self, node: u32, operation: &Operation, found: Result<Option<AnyDrift>>) {
        let sent: Vec<Sent> = operation.take_sent();
        let outputs = self.resource(node).spec().outputs;
        let (values, running, store) = (&mut self.core.slots, &self.core.running, &self.core.store);
        values.sent(Node(node), || running.id(Node(node)), outputs, sent, store);
        let outcome = match found {
            Ok(None) => Outcome::InSync,
            Ok(Some(drift)) => Outcome::Drifted { changes: drift.changes, noop: operation.noop },
            Err(error) if error.is_needs_value() => {
                let senders = self.core.slots.forget(Node(node));
                self.missing(node, senders)
            }
            Err(error) => match self.changing_above(node) {
                until if until.is_empty() => Outcome::Failed { error: error.to_string() },
                until => Outcome::Unknown { until, now: Some(error.to_string()) },
            },
        };
        let id = self.core.running.id(Node(node));
        for (parent, notify) in self.parents[node as usize].clone() {
            let parent_id = self.core.running.id(Node(parent));
            let owed = self.core.store.is_owed(&parent_id, &id);
            if notify && !operation.noop && (owed || self.would_change(parent)) {
                self.refreshed_by.entry(node).or_default().push(parent_id);
            }
        }
        self.decide(node, outcome);
    }

    /// It needs values of these. Who has sent no more than a digest would have to make its values anew, unless one of the two is in noop.
    fn missing(&mut self, node: u32, senders: Vec<Node>) -> Outcome {
        let is_noop = |node: u32| self.core.running.is_noop(Node(node));
        let is_lost = |sender: &Node| self.core.slots.is_lost(*sender);
        if is_noop(node) && senders.iter().all(is_lost) {
            return Outcome::Drifted { changes: vec![lost_value()], noop: true };
        }
        let asked: Vec<_> = senders.iter().filter(|sender| is_lost(sender) && !is_noop(sender.0)).collect();
        for sender in asked {
            self.asked_by.entry(sender.0).or_default().push(self.core.running.id(Node(node)));
        }
        Outcome::Unknown { until: senders.into_iter().map(|sender| self.core.running.id(sender)).collect(), now: None }
    }

    fn resource(&self, node: u32) -> &Arc<dyn AnyResource> {
        &self.core.running.config.vertices[node as usize].resource
    }

    /// New values reach also those who were looked at with the old ones: what will be done with them is not known yet.
    fn follow_new_values(&mut self) {
        if self.asked_by.is_empty() {
            return;
        }
        let mut receives: HashMap<u32, Vec<u32>> = HashMap::new();
        for link in &self.core.running.config.links {
            receives.entry(link.to).or_default().extend(link.sources.iter().map(|(from, _)| *from));
        }
        let mut new: BTreeSet<u32> = self.asked_by.keys().copied().collect();
        for node in self.order.clone() {
            let id = |node: &u32| self.core.running.id(Node(*node));
            let outcome = self.outcomes.get(&node);
            if matches!(
                outcome,
                Some(Outcome::Drifted { noop: true, .. } | Outcome::Blocked { .. } | Outcome::Failed { .. })
            ) {
                continue;
            }
            let mut until: Vec<u32> =
                receives.get(&node).into_iter().flatten().copied().filter(|s| new.contains(s)).collect();
            until.dedup();
            if !until.is_empty() && !matches!(outcome, Some(Outcome::Unknown { .. })) {
                let until = until.iter().map(id).collect();
                self.outcomes.insert(node, Outcome::Unknown { until, now: None });
                new.insert(node);
            }
            let told = self.parents[node as usize].iter().filter(|(parent, notify)| *notify && new.contains(parent));
            let told: Vec<_> = told.map(|(parent, _)| id(parent)).collect();
            if !told.is_empty() {
                let known = self.refreshed_by.entry(node).or_default();
                known.extend(told);
                let mut seen = BTreeSet::new();
                known.retain(|id| seen.insert(id.clone()));
                new.insert(node);
            }
        }
    }

    fn would_change(&self, node: u32) -> bool {
        let refreshed = self.refreshed_by.contains_key(&node);
        matches!(self.outcomes.get(&node), Some(Outcome::Drifted { noop: false, .. } | Outcome::Unknown { .. }))
            || refreshed
    }

    /// Its nearest ancestors that would change: what its check misses may come from them.
    fn changing_above(&self, node: u32) -> Vec<ResourceId> {
        let (mut changing, mut seen, mut looked) = (BTreeSet::new(), BTreeSet::new(), vec![node]);
        while let Some(node) = looked.pop() {
            for (parent, _) in &self.parents[node as usize] {
                if self.would_change(*parent) {
                    changing.insert(self.place[*parent as usize]);
                } else if seen.insert(*parent) {
                    looked.push(*parent);
                }
            }
        }
        changing.into_iter().map(|at| self.core.running.id(Node(self.order[at as usize]))).collect()
    }

    fn parents_where(&self, node: u32, which: fn(&Outcome) -> bool) -> Vec<ResourceId> {
        let parents =
            self.parents[node as usize].iter().filter(|(parent, _)| self.outcomes.get(parent).is_some_and(which));
        let mut ids: Vec<_> = parents.map(|(parent, _)| self.core.running.id(Node(*parent))).collect();
        ids.dedup();
        ids
    }

    fn finish(mut self) -> Plan {
        self.follow_new_values();
        let mut entries = Vec::with_capacity(self.order.len());
        for node in &self.order {
            let vertex = &self.core.running.config.vertices[*node as usize];
            let mut refreshed_by = self.refreshed_by.remove(node).unwrap_or_default();
            refreshed_by.dedup();
            entries.push(PlanEntry {
                id: vertex.id(),
                origin: vertex.origin.to_string(),
                outcome: self.outcomes.remove(node).unwrap_or(Outcome::InSync),
                refreshed_by,
                asked_by: self.asked_by.remove(node).unwrap_or_default(),
            });
        }
        Plan::new(self.core.running.config.name.clone(), entries)
    }
}
