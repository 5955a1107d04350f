//! Makes a plan: every resource is checked once, by the very check that would run before an apply, and nothing is applied.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::dag::topo;
use crate::gapi::{Gapi, GapiData};
use crate::graph::{GraphConfig, validate};
use crate::id::{Node, ResourceId};
use crate::journal::Journal;
use crate::plan::{Outcome, Plan, PlanEntry};
use crate::resource::{AnyDrift, CheckCx, Operation, Result, Sent};
use crate::runtime::core::Core;
use crate::runtime::engine::{Builder, EngineError, Prefix, Settings, assemble};
use crate::runtime::values::Resolved;

/// So many checks run at once.
const RUNNING_MAX: usize = 16;

type Checked = (u32, Arc<Operation>, Result<Option<AnyDrift>>);

impl<G: Gapi> Builder<G> {
    /// What the graph would do now. Changes nothing, neither on the system nor below the prefix.
    ///
    /// # Errors
    /// There is no graph, or it is wrong.
    pub async fn plan(mut self) -> Result<Plan, EngineError> {
        let prefix = Prefix::new(self.options.prefix.clone())?;
        let config = self.first_graph(&prefix.path).await?;
        // Nobody is waiting for more.
        self.gapi.close().await;
        let journal = Journal::glance(&prefix.path)?;
        let planner = Planner::new(config, &self.options, &prefix.path, journal)?;
        Ok(planner.run().await)
    }

    /// The graph, checked but not run.
    ///
    /// # Errors
    /// There is none, or it is wrong.
    pub async fn check(mut self) -> Result<GraphConfig, EngineError> {
        let prefix = Prefix::new(self.options.prefix.clone())?;
        let config = self.first_graph(&prefix.path).await?;
        self.gapi.close().await;
        validate(&config)?;
        Ok(config)
    }

    async fn first_graph(&mut self, prefix: &Path) -> Result<GraphConfig, EngineError> {
        let data = GapiData {
            hostname: self.options.hostname.clone(),
            prefix: prefix.to_owned(),
            noop: self.options.noop,
            no_watch: true,
        };
        self.gapi.init(data).await?;
        let config = self.gapi.graph().await?;
        Ok(if self.options.noop { config.all_noop() } else { config })
    }
}

struct Planner {
    core: Core,
    parents: Vec<Vec<(u32, bool)>>,
    order: Vec<u32>,
    outcomes: HashMap<u32, Outcome>,
    refreshed_by: HashMap<u32, Vec<ResourceId>>,
}

impl Planner {
    fn new(config: GraphConfig, options: &Settings, prefix: &Path, journal: Journal) -> Result<Planner, EngineError> {
        let index = validate(&config)?;
        let mut edges: Vec<(u32, u32)> = config.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        edges.extend(config.links.iter().flat_map(|link| link.sources.iter().map(|(from, _)| (*from, link.to))));
        let order = topo::order(config.vertices.len(), &edges).unwrap_or_default();
        let mut parents = vec![Vec::new(); config.vertices.len()];
        for edge in &config.edges {
            parents[edge.to as usize].push((edge.from, edge.notify));
        }
        let (mut core, ..) = assemble(options, prefix.to_owned(), journal);
        // In a fresh core every vertex has the slot of its own number.
        core.place(config, index);
        Ok(Planner { core, parents, order, outcomes: HashMap::new(), refreshed_by: HashMap::new() })
    }

    async fn run(mut self) -> Plan {
        let mut tasks: JoinSet<Checked> = JoinSet::new();
        let mut waiting: Vec<u32> = self.order.clone();
        while !waiting.is_empty() || !tasks.is_empty() {
            let mut left = Vec::with_capacity(waiting.len());
            for node in std::mem::take(&mut waiting) {
                let ready = self.parents[node as usize].iter().all(|(parent, _)| self.outcomes.contains_key(parent));
                if ready && tasks.len() < RUNNING_MAX {
                    self.begin(node, &mut tasks);
                } else {
                    left.push(node);
                }
            }
            waiting = left;
            match tasks.join_next().await {
                Some(Ok((node, operation, found))) => self.end(node, &operation, found),
                Some(Err(_)) => unreachable!("checks are caught when they panic, and never aborted"),
                None => {}
            }
        }
        self.finish()
    }

    fn begin(&mut self, node: u32, tasks: &mut JoinSet<Checked>) {
        let blocked: Vec<_> =
            self.parents_where(node, |outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Blocked { .. }));
        if !blocked.is_empty() {
            self.outcomes.insert(node, Outcome::Blocked { by: blocked });
            return;
        }
        let vertex = &self.core.running.config.vertices[node as usize];
        let base = Arc::clone(&vertex.resource);
        let resource = match self.core.values.resolve(Node(node), &base, &self.core.store) {
            Resolved::Ready { resource, .. } => resource,
            Resolved::Missing(senders) => {
                let until = senders.into_iter().map(|sender| self.core.running.id(sender)).collect();
                self.outcomes.insert(node, Outcome::Unknown { until });
                return;
            }
            Resolved::Mismatch(error) => {
                self.outcomes.insert(node, Outcome::Failed { error });
                return;
            }
        };
        let mut operation = self.core.operation(Node(node), Arc::clone(&resource));
        operation.refresh = self.owed(node);
        let operation = Arc::new(operation);
        let check = resource.check(CheckCx::new(Arc::clone(&operation)));
        tasks.spawn(async move {
            let found = tokio::spawn(check).await;
            let found =
                found.unwrap_or_else(|error| Err(crate::resource::Error::new(format!("its check panicked: {error}"))));
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
        let (values, running, store) = (&mut self.core.values, &self.core.running, &self.core.store);
        values.sent(Node(node), || running.id(Node(node)), sent, store);
        let outcome = match found {
            Ok(None) => Outcome::InSync,
            Ok(Some(drift)) => Outcome::Drifted { changes: drift.changes, noop: operation.noop },
            Err(error) if error.is_needs_value() => {
                let senders = self.core.values.forget(Node(node)).into_iter();
                Outcome::Unknown { until: senders.map(|sender| self.core.running.id(sender)).collect() }
            }
            Err(error) => Outcome::Failed { error: error.to_string() },
        };
        self.outcomes.insert(node, outcome);
        let id = self.core.running.id(Node(node));
        for (parent, notify) in self.parents[node as usize].clone() {
            let parent_id = self.core.running.id(Node(parent));
            let owed = self.core.store.is_owed(&parent_id, &id);
            if notify && !operation.noop && (owed || self.would_change(parent)) {
                self.refreshed_by.entry(node).or_default().push(parent_id);
            }
        }
    }

    fn would_change(&self, node: u32) -> bool {
        let refreshed = self.refreshed_by.contains_key(&node);
        matches!(self.outcomes.get(&node), Some(Outcome::Drifted { noop: false, .. } | Outcome::Unknown { .. }))
            || refreshed
    }

    fn parents_where(&self, node: u32, which: fn(&Outcome) -> bool) -> Vec<ResourceId> {
        let parents =
            self.parents[node as usize].iter().filter(|(parent, _)| self.outcomes.get(parent).is_some_and(which));
        let mut ids: Vec<_> = parents.map(|(parent, _)| self.core.running.id(Node(*parent))).collect();
        ids.dedup();
        ids
    }

    fn finish(mut self) -> Plan {
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
            });
        }
        Plan::new(self.core.running.config.name.clone(), entries)
    }
}
