//! Makes a plan: the scheduler runs the graph as for an engine, but its commands are only simulated. Every check is
//! real; an apply or a refresh does nothing, and is answered as if it had changed something.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::dag::topo;
use crate::gapi::Gapi;
use crate::graph::Prepared;
use crate::id::{Node, ResourceId};
use crate::journal::Journal;
use crate::plan::{Outcome, Plan, PlanEntry};
use crate::resource::{AnyResource, Known, Operation, Planning, PrivateDirs, Result, Sent, Uid};
use crate::runtime::builder::{Builder, Settings};
use crate::runtime::core::Core;
use crate::runtime::ended::lost_value;
use crate::runtime::engine::assemble;
use crate::runtime::error::EngineError;
use crate::runtime::once::tell_warnings;
use crate::runtime::owned::Claim;
use crate::runtime::plan_check::{Found, plan_check};
use crate::runtime::store::glance;
use crate::runtime::values::Resolved;
use crate::scheduler::{ApplyOutcome, CheckOutcome, Command, Event, Input, NodeConfig, Op, PortSet, State};

/// At most this many checks run at once.
const RUNNING_MAX: usize = 16;

type Checked = (Op, Arc<Operation>, Found);

impl<G: Gapi> Builder<G> {
    /// What the graph would do now. Changes nothing, neither on the system nor below the prefix.
    ///
    /// # Errors
    /// There is no graph, or it is wrong.
    pub async fn plan(mut self) -> Result<Plan, EngineError> {
        let prefix = self.options.prefix()?;
        // First of all: if another user could have planted the remembered state, the source is not asked for a graph.
        let journal = glance(prefix.path())?;
        let config = self.only_graph(prefix.path()).await?;
        let prepared = self.options.preparing.here(config).await?;
        tell_warnings(&prepared, &self.options.warnings);
        let planner = Planner::new(prepared, self.options.clone(), prefix.path(), journal);
        let connections = planner.core.services.connections.clone();
        let found = Core::recorded(planner.core.services.records.clone()).await;
        let undo = planner.core.foresee_undo(found, &self.options);
        let plan = planner.run().await.with_undo(undo);
        if self.options.doors.is_none() {
            connections.close().await;
        }
        Ok(plan)
    }

    /// The graph, prepared to run, without running it. This host is not examined, since the graph may be for another
    /// one.
    ///
    /// # Errors
    /// There is none, or it is wrong.
    pub async fn check(mut self) -> Result<Prepared, EngineError> {
        let prefix = self.options.prefix()?;
        let config = self.only_graph(prefix.path()).await?;
        let prepared = self.options.preparing.anywhere(config).await?;
        tell_warnings(&prepared, &self.options.warnings);
        Ok(prepared)
    }
}

/// The scheduler with simulated commands, and what it has found so far about each node.
struct Planner {
    core: Core,
    /// The parents of each node, in the order of their edges.
    parents: Vec<Vec<Node>>,
    /// The senders of each receiver, in the order of its wires.
    sources: HashMap<Node, Vec<Node>>,
    /// All nodes, parents first.
    order: Vec<Node>,
    /// The place of each node in `order`.
    places: Vec<usize>,
    outcomes: HashMap<Node, Outcome>,
    /// Why drifted nodes can't be repaired now.
    obstacles: HashMap<Node, String>,
    /// Nodes that would change something, by an apply or a refresh.
    changing: BTreeSet<Node>,
    /// Nodes that make their values again, and the receivers that need them.
    asked_by: HashMap<Node, Vec<Node>>,
    /// Senders of new values that will only be known when they have run.
    remade: BTreeSet<Node>,
    /// Outputs that the scheduler counts as sent.
    sent: HashMap<Node, PortSet>,
    /// The parents that owe a node a refresh.
    owed: HashMap<Node, BTreeSet<Node>>,
    refreshed_by: HashMap<Node, BTreeSet<Node>>,
}

/// The settings of a node without those that take time or ask for another try: a plan checks once.
fn at_once(config: NodeConfig) -> NodeConfig {
    NodeConfig { retry: Some(0), poll: None, limit: None, timeout: None, watched: false, ..config }
}

/// The outcome of a resource that cannot be checked.
fn failed(error: String) -> Outcome {
    Outcome::Failed { error, waits_for: None }
}

impl Planner {
    fn new(prepared: Prepared, mut options: Settings, prefix: &Path, journal: Journal) -> Planner {
        let config = prepared.config();
        let count = config.vertices.len();
        let mut edges: Vec<_> = config.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        edges.extend(config.links.iter().flat_map(|link| link.sources.iter().map(|(from, _)| (*from, link.to))));
        let order: Vec<_> = topo::order(count, &edges).unwrap_or_default().into_iter().map(Node).collect();
        let mut sources: HashMap<Node, Vec<Node>> = HashMap::new();
        for link in &config.links {
            let of = sources.entry(Node(link.to)).or_default();
            of.extend(link.sources.iter().map(|(from, _)| Node(*from)));
            of.dedup();
        }
        let (mut parents, mut pairs) = (vec![Vec::new(); count], HashSet::new());
        for (from, to) in edges {
            if pairs.insert((from, to)) {
                parents[to as usize].push(Node(from));
            }
        }
        let mut places = vec![0; count];
        order.iter().enumerate().for_each(|(place, node)| places[node.index()] = place);
        options.running_max = RUNNING_MAX;
        let mut provisions = options.preparing.settings.provided();
        provisions.insert_own(Planning);
        options.preparing.settings = options.preparing.settings.provisions(provisions);
        let (dirs, _) = PrivateDirs::open(prefix, false);
        let (mut core, ..) = assemble(&options, prefix.to_owned(), dirs, journal);
        // In a new core every vertex has the node of its own number.
        let (mut swap, _) = core.place(prepared);
        swap.configs = swap.configs.into_iter().map(at_once).collect();
        let mut owed: HashMap<Node, BTreeSet<Node>> = HashMap::new();
        for edge in swap.edges.iter().filter(|edge| edge.owed) {
            owed.entry(edge.to).or_default().insert(edge.from);
        }
        core.handle(Input::Swap(swap));
        Planner {
            core,
            parents,
            sources,
            order,
            places,
            outcomes: HashMap::new(),
            obstacles: HashMap::new(),
            changing: BTreeSet::new(),
            asked_by: HashMap::new(),
            remade: BTreeSet::new(),
            sent: HashMap::new(),
            owed,
            refreshed_by: HashMap::new(),
        }
    }

    async fn run(mut self) -> Plan {
        let mut tasks: JoinSet<Checked> = JoinSet::new();
        loop {
            while let Some(command) = self.core.scheduler.poll() {
                self.carry_out(command, &mut tasks);
            }
            match tasks.join_next().await {
                Some(Ok((op, operation, found))) => self.end(op, &operation, found),
                Some(Err(_)) => unreachable!("checks are caught when they panic, and never aborted"),
                None => return self.finish(),
            }
        }
    }

    fn carry_out(&mut self, command: Command, tasks: &mut JoinSet<Checked>) {
        match command {
            Command::Check { op, .. } => self.check(op, tasks),
            Command::Apply { op, refresh, .. } => self.pretend(op, refresh),
            Command::Refresh { op, .. } => self.pretend(op, true),
            Command::Journal { ticket: Some(ticket), .. } => self.core.handle(Input::Committed(ticket)),
            Command::Look(look) => self.core.handle(Input::Looked(look)),
            Command::Event(Event::Owed { from, to }) => drop(self.owed.entry(to).or_default().insert(from)),
            // Nothing is watched, cancelled, removed or written, and in one graph nothing leaves.
            Command::Watch(_)
            | Command::Unwatch(_)
            | Command::Withdraw { .. }
            | Command::Cancel(_)
            | Command::Leave(_)
            | Command::Undo(_)
            | Command::Journal { ticket: None, .. }
            | Command::Removed(_)
            | Command::Event(_)
            | Command::Stopped => {}
        }
    }

    /// An apply or a refresh would change something and send values, which are not known.
    fn pretend(&mut self, op: Op, refresh: bool) {
        let node = op.node;
        self.changing.insert(node);
        if self.asked_by.contains_key(&node) {
            self.remade.insert(node);
        }
        if refresh && let Some(owed) = self.owed.remove(&node) {
            self.refreshed_by.entry(node).or_default().extend(owed);
        }
        let sent = self.all_outputs(node);
        self.core.handle(Input::Applied { op, outcome: ApplyOutcome::Changed, sent, again: PortSet(0) });
    }

    /// All outputs: they count as sent from now on, so that their receivers run.
    fn all_outputs(&mut self, node: Node) -> PortSet {
        let outputs = self.resource(node).spec().outputs.len();
        let all = PortSet((0..outputs).fold(0, |all, port| all | 1 << port));
        self.sent.insert(node, all);
        all
    }

    fn answer(&mut self, op: Op, outcome: CheckOutcome, new: PortSet) {
        let known = self.sent.get(&op.node).copied().unwrap_or(PortSet(0));
        // A sender with nothing to do sends no more than this: its receivers are checked all the same.
        let (sent, again) = match outcome {
            CheckOutcome::InSync | CheckOutcome::Drifted => {
                (PortSet(new.0 | (self.all_outputs(op.node).0 & !known.0)), known)
            }
            _ => (new, PortSet(0)),
        };
        self.core.handle(Input::Checked { op, outcome, sent, again });
    }

    /// Sets the outcome of a check, known without running it or from its run.
    fn decide(&mut self, op: Op, outcome: Outcome, new: PortSet) {
        let answer = match &outcome {
            Outcome::InSync | Outcome::Hidden => CheckOutcome::InSync,
            Outcome::Failed { .. } => CheckOutcome::Failed,
            _ => CheckOutcome::Drifted,
        };
        self.outcomes.insert(op.node, outcome);
        self.answer(op, answer, new);
    }

    fn check(&mut self, op: Op, tasks: &mut JoinSet<Checked>) {
        let node = op.node;
        if self.core.running.is_hidden(node) {
            return self.decide(op, Outcome::Hidden, PortSet(0));
        }
        let sources = self.sources.get(&node).into_iter().flatten().copied();
        let until: Vec<_> = sources.filter(|source| self.remade.contains(source)).collect();
        if !until.is_empty() {
            return self.look_at_new_values(op, &until);
        }
        let base = Arc::clone(self.resource(node));
        let resource = match self.core.slots.resolve(node, &base, &self.core.store) {
            Resolved::Ready { resource, .. } => match self.core.claim(node, &resource) {
                Claim::Refused(error) => return self.decide(op, failed(error), PortSet(0)),
                // Nothing that has left is under way.
                Claim::Granted | Claim::Occupied(_) => resource,
            },
            Resolved::Missing(senders) => return self.missing(op, senders, PortSet(0)),
            Resolved::Mismatch(error) => return self.decide(op, failed(error), PortSet(0)),
        };
        let refresh = self.owed.contains_key(&node);
        let operation = self.core.operation(node, Arc::clone(&resource), |operation| operation.refresh = refresh);
        let timeout = self.core.running.vertex(node).and_then(|vertex| vertex.meta.as_ref()?.timeout);
        let grace = self.core.grace;
        tasks.spawn(async move {
            let found = plan_check(&resource, &operation, timeout, grace).await;
            (op, operation, found)
        });
    }

    fn end(&mut self, op: Op, operation: &Operation, found: Found) {
        let sent: Vec<Sent> = operation.take_sent();
        let (node, outputs) = (op.node, self.resource(op.node).spec().outputs);
        let (values, running, store) = (&mut self.core.slots, &self.core.running, &self.core.store);
        let new = values.sent(node, || running.id(node), outputs, sent, (store, true)).new;
        let outcome = match found {
            Ok(ref drift) if !operation.noop && !self.is_foreseen(node, drift.is_some()) => {
                Outcome::Unknown { until: self.ids(self.changing_above(node)), now: None }
            }
            Ok(None) => Outcome::InSync,
            Ok(Some((changes, obstacle))) => {
                // What is missing may come from a resource before this one.
                if let Some(obstacle) = obstacle.filter(|_| self.changing_above(node).is_empty()) {
                    self.obstacles.insert(node, obstacle.to_string());
                }
                let alert = operation.noop && self.core.running.is_alert(node);
                Outcome::Drifted { changes, noop: operation.noop, alert }
            }
            Err(error) if error.is_needs_value() => {
                let senders = self.core.slots.forget(node);
                return self.missing(op, senders, new);
            }
            Err(error) => match self.changing_above(node) {
                until if until.is_empty() => Outcome::Failed { error: error.to_string(), waits_for: error.obstacle() },
                until => Outcome::Unknown { until: self.ids(until), now: Some(error.to_string()) },
            },
        };
        self.decide(op, outcome, new);
    }

    /// The resource needs values of these senders. A sender of which only a digest is known would have to make its
    /// values again, unless sender or receiver is noop.
    fn missing(&mut self, op: Op, senders: Vec<Node>, new: PortSet) {
        let (node, slots, running) = (op.node, &self.core.slots, &self.core.running);
        let is_noop = running.is_noop(node);
        if is_noop && senders.iter().all(|sender| slots.is_lost(*sender)) {
            return self.decide(
                op,
                Outcome::Drifted { changes: vec![lost_value()], noop: true, alert: self.core.running.is_alert(node) },
                new,
            );
        }
        let asked = senders.iter().copied().filter(|sender| slots.is_lost(*sender) && !running.is_noop(*sender));
        let asked: Vec<_> = asked.filter(|sender| !self.remade.contains(sender)).collect();
        self.outcomes.insert(node, Outcome::Unknown { until: self.ids(senders.iter().copied()), now: None });
        for sender in &asked {
            let askers = self.asked_by.entry(*sender).or_default();
            if !askers.contains(&node) {
                askers.push(node);
            }
        }
        if !asked.is_empty() {
            self.answer(op, CheckOutcome::Missing(asked), new);
        } else if senders.iter().all(|sender| self.changing.contains(sender)) {
            self.answer(op, CheckOutcome::Drifted, new);
        } else {
            // One of the senders would send nothing, so the receiver would never run; its children are checked all the
            // same.
            self.answer(op, CheckOutcome::InSync, new);
        }
    }

    /// New values also go to nodes that were checked with the old ones: their outcome is not known yet.
    fn look_at_new_values(&mut self, op: Op, until: &[Node]) {
        let outcome = match self.outcomes.remove(&op.node) {
            Some(known @ (Outcome::Drifted { noop: true, .. } | Outcome::Failed { .. } | Outcome::Unknown { .. })) => {
                known
            }
            _ => Outcome::Unknown { until: self.ids(until.iter().copied()), now: None },
        };
        self.decide(op, outcome, PortSet(0));
    }

    fn resource(&self, node: Node) -> &Arc<dyn AnyResource> {
        &self.core.running.config.vertices[node.index()].resource
    }

    fn ids(&self, nodes: impl IntoIterator<Item = Node>) -> Vec<ResourceId> {
        nodes.into_iter().map(|node| self.core.running.id(node)).collect()
    }

    /// The nearest ancestors of a node that would change or may change: what its check lacks may come from them.
    fn changing_above(&self, node: Node) -> Vec<Node> {
        let (mut changing, mut seen, mut looked) = (BTreeSet::new(), BTreeSet::new(), vec![node]);
        while let Some(node) = looked.pop() {
            for parent in &self.parents[node.index()] {
                let is_unknown = matches!(self.outcomes.get(parent), Some(Outcome::Unknown { .. }));
                if is_unknown || self.changing.contains(parent) {
                    changing.insert(self.places[parent.index()]);
                } else if seen.insert(*parent) {
                    looked.push(*parent);
                }
            }
        }
        changing.into_iter().map(|place| self.order[place]).collect()
    }

    /// The check will find the same after its ancestors have changed.
    fn is_foreseen(&self, node: Node, drifted: bool) -> bool {
        if self.changing_above(node).is_empty() {
            return true;
        }
        let resource = self.resource(node);
        let known = Known::all(resource.spec());
        // What a command `creates` may be there then. A copy of a file is not right for what that file will hold.
        let is_touched = if drifted {
            let provided = resource.provides(&known);
            !provided.is_empty() && self.is_made_above(node, |uid| provided.contains(uid))
        } else {
            let copied = resource.copies(&known);
            let is_copied = |path: &Path| copied.iter().any(|copy| path.starts_with(copy));
            !copied.is_empty() && self.is_made_above(node, |uid| uid.as_path().is_some_and(is_copied))
        };
        resource.is_foreseeable(drifted) && !is_touched
    }

    /// Whether an ancestor that would change owns something of this sort.
    fn is_made_above(&self, node: Node, matters: impl Fn(&Uid) -> bool) -> bool {
        let (mut seen, mut looked) = (BTreeSet::new(), vec![node]);
        while let Some(node) = looked.pop() {
            for parent in &self.parents[node.index()] {
                if !seen.insert(*parent) {
                    continue;
                }
                looked.push(*parent);
                let resource = self.resource(*parent);
                let owned = || resource.uids(&Known::all(resource.spec()));
                if self.changing.contains(parent) && owned().iter().any(&matters) {
                    return true;
                }
            }
        }
        false
    }

    /// The outcome of a node that the scheduler never checked.
    fn unchecked(&self, node: Node) -> Outcome {
        let parents = self.parents[node.index()].iter().copied();
        match self.core.scheduler.state(node) {
            State::Blocked(_) => {
                let is_bad =
                    |parent: &Node| matches!(self.core.scheduler.state(*parent), State::Failed | State::Blocked(_));
                Outcome::Blocked { by: self.ids(parents.filter(is_bad)) }
            }
            _ => Outcome::Unknown { until: self.ids(parents), now: None },
        }
    }

    fn finish(mut self) -> Plan {
        let mut entries = Vec::with_capacity(self.order.len());
        let mut automatic = self.core.running.placed_by_passes();
        for node in self.order.clone() {
            let vertex = &self.core.running.config.vertices[node.index()];
            let (id, origin) = (vertex.id(), vertex.origin.to_string());
            let exported_by = vertex.origin.exporter().map(str::to_owned);
            let after = automatic.remove(&node).unwrap_or_default();
            let refreshed_by = self.refreshed_by.remove(&node).unwrap_or_default();
            let parents = self.parents[node.index()].iter().copied().filter(|parent| refreshed_by.contains(parent));
            // What would not change now has changed before.
            let (now, before): (Vec<_>, Vec<_>) = parents.partition(|parent| self.changing.contains(parent));
            let (refreshed_by, refresh_owed_by) = (self.ids(now), self.ids(before));
            let asked_by = self.asked_by.remove(&node).map(|nodes| self.ids(nodes)).unwrap_or_default();
            let outcome = self.outcomes.remove(&node).unwrap_or_else(|| self.unchecked(node));
            // A refresh that the node gets is owed no more.
            let owed_by = self.owed.remove(&node).filter(|_| self.core.running.is_noop(node)).unwrap_or_default();
            let owed_by =
                self.ids(self.parents[node.index()].iter().copied().filter(|parent| owed_by.contains(parent)));
            let ignored = vertex.meta.iter().filter(|meta| !meta.ignore.is_empty());
            let ignored = ignored.map(|meta| format!("not compared and not repaired: {}", meta.ignore.join(", ")));
            let remarks = self.resource(node).remarks().into_iter().chain(ignored).collect();
            let obstacle = self.obstacles.remove(&node).filter(|_| matches!(outcome, Outcome::Drifted { .. }));
            let mut entry = PlanEntry {
                id,
                origin,
                exported_by,
                after,
                outcome,
                obstacle,
                refreshed_by,
                refresh_owed_by,
                asked_by,
                owed_by,
                irreversible: None,
                remarks,
            };
            if entry.is_pending() && !self.core.running.is_noop(node) {
                entry.irreversible = self.resource(node).irreversible();
            }
            entries.push(entry);
        }
        Plan::new(self.core.running.config.name.clone(), entries)
    }
}
