//! Random graphs, and random changes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mgmt::id::{Generation, Node};
use mgmt::scheduler::{Backoff, EdgeSpec, NodeConfig, NodeSpec, PortSet, Swap};

use crate::journal::Edge;
use crate::rng::Rng;

/// The desired state of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Its fields: another version, another desired value.
    pub version: u64,
    pub config: NodeConfig,
    /// Makes its values by chance and can't read them back: only an apply or a refresh gives them.
    pub forgetful: bool,
    /// A refresh of it changes something, like a command that is run again.
    pub changed_by_refresh: bool,
    /// What it owns in the world outside, as a path: never two of one graph.
    pub owns: Option<u32>,
    /// It receives what it owns: only its check knows.
    pub owns_received: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    pub notify: bool,
    pub sends: u32,
}

/// A desired state, whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub nodes: BTreeMap<u32, Desired>,
    pub edges: BTreeMap<Edge, Link>,
    /// Nodes that are checked and applied together.
    pub groups: Vec<BTreeSet<u32>>,
}

/// The sizes of the semaphores: they stay the same throughout.
pub const SEMAPHORES: &[(u32, u32)] = &[(0, 1), (1, 2), (2, 1)];

/// How wild it gets. Each seed has its own mixture.
#[derive(Clone, Debug)]
pub struct Wild {
    pub slots: u32,
    pub edges_percent: u64,
    pub notify_percent: u64,
    pub sends_percent: u64,
    pub noop_percent: u64,
    pub watched_percent: u64,
    pub meta_percent: u64,
    pub leaves_percent: u64,
    pub together_percent: u64,
    pub fault_percent: u64,
}

impl Wild {
    pub fn new(rng: &mut Rng) -> Wild {
        Wild {
            slots: rng.pick(&[2, 3, 4, 6, 10, 16, 16, 30]),
            edges_percent: rng.pick(&[10, 25, 50, 90]),
            notify_percent: rng.pick(&[0, 30, 60, 100]),
            sends_percent: rng.pick(&[0, 0, 20, 50]),
            noop_percent: rng.pick(&[0, 0, 10, 40]),
            watched_percent: rng.pick(&[0, 50, 90, 100]),
            meta_percent: rng.pick(&[0, 10, 40]),
            leaves_percent: rng.pick(&[0, 50, 100]),
            together_percent: rng.pick(&[0, 0, 40, 100]),
            fault_percent: rng.pick(&[0, 2, 10, 25]),
        }
    }

    pub fn graph(&self, rng: &mut Rng) -> Graph {
        let mut graph = Graph::default();
        for node in 0..self.slots {
            if rng.percent(80) {
                let desired = Desired { owns: graph.vacant(rng), ..self.desired(rng) };
                graph.nodes.insert(node, desired);
            }
        }
        let nodes: Vec<u32> = graph.nodes.keys().copied().collect();
        for (at, &from) in nodes.iter().enumerate() {
            for (distance, &to) in nodes[at + 1..].iter().enumerate() {
                // Near ones more often: chains and layers rather than hair balls.
                if rng.percent(self.edges_percent / (1 + distance as u64 / 2)) {
                    graph.edges.insert((from, to), self.link(rng));
                }
            }
        }
        graph
    }

    fn link(&self, rng: &mut Rng) -> Link {
        let sends = if rng.percent(self.sends_percent) { 1 + rng.below(3) as u32 } else { 0 };
        Link { notify: rng.percent(self.notify_percent), sends }
    }

    fn desired(&self, rng: &mut Rng) -> Desired {
        Desired {
            version: rng.next(),
            config: self.config(rng),
            forgetful: rng.percent(15),
            changed_by_refresh: rng.percent(30),
            owns: None,
            owns_received: rng.percent(30),
        }
    }

    fn config(&self, rng: &mut Rng) -> NodeConfig {
        let meta = |rng: &mut Rng| rng.percent(self.meta_percent);
        let watched = rng.percent(self.watched_percent);
        let config = NodeConfig {
            noop: rng.percent(self.noop_percent),
            retry: rng.pick(&[Some(0), Some(1), Some(3), None, None]),
            delay: Duration::from_millis(rng.pick(&[1, 10, 100, 1000])),
            backoff: match rng.below(3) {
                0 => Backoff::Exponential { max: Duration::from_millis(1500), jitter: rng.percent(50) },
                _ => Backoff::Constant,
            },
            poll: meta(rng).then(|| Duration::from_millis(rng.pick(&[200, 1000, 3000]))),
            limit: meta(rng).then(|| rng.pick(&[0.5, 2.0, 20.0])),
            burst: 1 + rng.below(3) as u32,
            timeout: meta(rng).then(|| Duration::from_millis(rng.pick(&[500, 1500]))),
            sema: if meta(rng) { SEMAPHORES.iter().copied().filter(|_| rng.percent(50)).collect() } else { Vec::new() },
            watched,
            ticks: false,
            rewatch: rng.percent(30),
            reset: false,
            converged_timeout: None,
            leaves: rng.percent(self.leaves_percent),
            undoes: false,
            together: rng.percent(self.together_percent).then(|| rng.below(2) as u32),
        };
        // Not drawn: what a seed is otherwise stays the same.
        let ticks = watched && config.burst == 3 && config.delay <= Duration::from_millis(10);
        let undoes = self.leaves_percent > 0 && config.burst == 2;
        let is_patient = config.burst == 2 && config.delay >= Duration::from_millis(100);
        let converged_timeout = is_patient.then(|| 3 * config.delay);
        let reset = config.rewatch && config.burst != 2;
        NodeConfig { ticks, reset, undoes, converged_timeout, ..config }
    }

    /// Another graph that is near this one.
    pub fn mutate(&self, graph: &Graph, rng: &mut Rng) -> Graph {
        let mut graph = graph.clone();
        for _ in 0..1 + rng.below(4) {
            let node = rng.below(u64::from(self.slots)) as u32;
            match rng.below(7) {
                0 | 1 if graph.nodes.remove(&node).is_some() => {
                    graph.edges.retain(|(from, to), _| *from != node && *to != node);
                }
                0 | 1 => {
                    let desired = Desired { owns: graph.vacant(rng), ..self.desired(rng) };
                    graph.nodes.insert(node, desired);
                    self.wire(&mut graph, node, rng);
                }
                2 => {
                    let vacant = graph.vacant(rng);
                    if let Some(desired) = graph.nodes.get_mut(&node) {
                        desired.version = rng.next();
                        desired.owns = if rng.percent(50) { vacant } else { desired.owns };
                    }
                }
                3 => {
                    if let Some(desired) = graph.nodes.get_mut(&node) {
                        match rng.percent(50) {
                            true => desired.config = self.config(rng),
                            false => desired.config.noop ^= self.noop_percent > 0,
                        }
                    }
                }
                4 => self.wire(&mut graph, node, rng),
                5 => graph.edges.retain(|_, _| !rng.percent(10)),
                _ => {
                    if let Some(link) = graph.edges.values_mut().nth(rng.below(8) as usize) {
                        *link = self.link(rng);
                    }
                }
            }
        }
        graph
    }

    /// The same, but another node has taken the place of this one, and owns what it owned.
    pub fn rename(&self, graph: &Graph, node: u32, rng: &mut Rng) -> Graph {
        let mut graph = graph.clone();
        let Some(old) = graph.nodes.remove(&node) else { return graph };
        graph.edges.retain(|(from, to), _| *from != node && *to != node);
        let mut others = (0..self.slots).filter(|other| *other != node && !graph.nodes.contains_key(other));
        if let Some(other) = others.next() {
            graph.nodes.insert(other, Desired { owns: old.owns, ..self.desired(rng) });
            self.wire(&mut graph, other, rng);
        }
        graph
    }

    fn wire(&self, graph: &mut Graph, node: u32, rng: &mut Rng) {
        let others: Vec<u32> = graph.nodes.keys().copied().filter(|other| *other != node).collect();
        if !graph.nodes.contains_key(&node) {
            return;
        }
        for other in others {
            if rng.percent(self.edges_percent / 3) {
                graph.edges.entry((node.min(other), node.max(other))).or_insert_with(|| self.link(rng));
            }
        }
    }
}

impl Graph {
    /// What the runtime hands over when this graph follows `before`. `owes` asks the journal.
    pub fn swap(&self, before: &Graph, generation: u64, also_changed: &[u32], owes: impl Fn(Edge) -> bool) -> Swap {
        let mut configs: Vec<NodeConfig> = Vec::new();
        let mut nodes = Vec::new();
        for (&node, desired) in &self.nodes {
            let config = configs.iter().position(|c| *c == desired.config).unwrap_or_else(|| {
                configs.push(desired.config.clone());
                configs.len() - 1
            });
            let changed = before.nodes.get(&node).is_some_and(|old| {
                let fields = |desired: &Desired| {
                    (
                        desired.version,
                        desired.forgetful,
                        desired.changed_by_refresh,
                        desired.owns,
                        desired.owns_received,
                    )
                };
                fields(old) != fields(desired)
            });
            let rewired = self.inputs(node) != before.inputs(node);
            let changed = changed || rewired || also_changed.contains(&node);
            nodes.push(NodeSpec { node: Node(node), config: config as u32, changed });
        }
        let edges = self.edges.iter().map(|(&(from, to), link)| EdgeSpec {
            from: Node(from),
            to: Node(to),
            notify: link.notify,
            sends: PortSet(link.sends),
            owed: owes((from, to)),
        });
        let groups = self.groups.iter().map(|group| group.iter().copied().map(Node).collect()).collect();
        let (generation, handovers) = (Generation(generation), Vec::new());
        Swap { generation, configs, nodes, edges: edges.collect(), handovers, groups }
    }

    /// Makes groups: of the nodes whose numbers have this remainder, each joins the first group that it may.
    pub fn group(&mut self, classes: u32) {
        self.groups.clear();
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            let is_of_class = |group: &BTreeSet<u32>| group.first().is_some_and(|one| one % classes == node % classes);
            let candidates: Vec<usize> = (0..self.groups.len()).filter(|at| is_of_class(&self.groups[*at])).collect();
            let joined = candidates.into_iter().any(|at| {
                self.groups[at].insert(node);
                let fits = !self.waits_for_itself();
                if !fits {
                    self.groups[at].remove(&node);
                }
                fits
            });
            if !joined {
                self.groups.push(BTreeSet::from([node]));
            }
        }
        self.groups.retain(|group| group.len() > 1);
    }

    /// A group comes before itself.
    fn waits_for_itself(&self) -> bool {
        let node_of = |node: u32| {
            let group = self.groups.iter().find(|group| group.contains(&node));
            group.and_then(|group| group.first().copied()).unwrap_or(node)
        };
        let mut edges: BTreeSet<Edge> = self.edges.keys().map(|(from, to)| (node_of(*from), node_of(*to))).collect();
        // What has no parent left is taken out, until nothing is left, or only cycles.
        loop {
            let before = edges.len();
            let children: BTreeSet<u32> = edges.iter().map(|(_, to)| *to).collect();
            edges.retain(|(from, _)| children.contains(from));
            if edges.len() == before {
                return before > 0;
            }
        }
    }

    /// The others of the node's group.
    pub fn mates(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let group = self.groups.iter().find(|group| group.contains(&node));
        group.into_iter().flatten().copied().filter(move |mate| *mate != node)
    }

    /// Something that none of them owns, or nothing.
    fn vacant(&self, rng: &mut Rng) -> Option<u32> {
        let place = rng.below(4) as u32;
        let taken = self.nodes.values().any(|desired| desired.owns == Some(place));
        (rng.percent(80) && !taken).then_some(place)
    }

    /// The node that owns this.
    pub fn owner(&self, place: u32) -> Option<u32> {
        self.nodes.iter().find(|(_, desired)| desired.owns == Some(place)).map(|(node, _)| *node)
    }

    /// Where a node's received values come from: (sender, ports).
    pub fn inputs(&self, node: u32) -> Vec<(u32, u32)> {
        let edges = self.edges.iter().filter(|((_, to), link)| *to == node && link.sends != 0);
        edges.map(|((from, _), link)| (*from, link.sends)).collect()
    }

    pub fn parents(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        self.edges.keys().filter(move |(_, to)| *to == node).map(|(from, _)| *from)
    }

    pub fn children(&self, node: u32) -> impl Iterator<Item = (u32, Link)> + '_ {
        self.edges.range((node, 0)..=(node, u32::MAX)).map(|((_, to), link)| (*to, *link))
    }
}
