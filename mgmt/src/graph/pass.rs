//! Passes: functions on a graph that add the edges that follow from the graph's resources.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::dag::Growing;
use crate::graph::coming::coming;
use crate::graph::config::{Edge, GraphConfig, Vertex};
use crate::graph::cycle::story_of;
use crate::graph::index::Index;
use crate::graph::problem::Problem;
use crate::id::ResourceId;
use crate::resource::{Findings, Known, Need, Origin, Reason, Uid, caught};

/// A function on graphs. It is called for each graph before the graph is run, planned or drawn.
///
/// A pass can add edges. Each one carries the pass and the reason as its [origin](Origin::Pass), which drawings,
/// problems and cycles show. The declared parts of the graph stay the same.
///
/// ```
/// use mgmt::graph::{Pass, PassGraph};
/// use mgmt::prelude::*;
///
/// /// Every directory is made before all noops.
/// #[derive(Debug)]
/// struct DirectoriesFirst;
///
/// impl Pass for DirectoriesFirst {
///     fn name(&self) -> &'static str {
///         "directories-first"
///     }
///
///     fn run(&self, graph: &mut PassGraph<'_>) {
///         for directory in graph.of_kind("file") {
///             for noop in graph.of_kind("noop") {
///                 graph.before(directory, noop, "noops come last");
///             }
///         }
///     }
/// }
///
/// let mut g = Graph::new("demo");
/// g.add(Noop::new("last"));
/// g.add(File::new("/tmp/").mode(0o755));
/// let settings = mgmt::graph::Settings::default().pass(DirectoriesFirst);
/// let prepared = mgmt::graph::prepare(g.finish().unwrap(), &settings).unwrap();
/// assert_eq!(prepared.config().edges[0].origin.to_string(), "directories-first: noops come last");
/// assert!(prepared.source().edges.is_empty());
/// ```
pub trait Pass: fmt::Debug + Send + Sync + 'static {
    /// The name of the pass, a word for messages and drawings.
    fn name(&self) -> &'static str;

    /// Adds edges. Must be deterministic: the same graph gives the same edges. A panic becomes a warning; the edges
    /// added before it stay.
    fn run(&self, graph: &mut PassGraph<'_>);
}

/// A graph as a pass sees it. Resources are identified by their index in [`PassGraph::vertices`].
#[derive(Debug)]
pub struct PassGraph<'a> {
    config: &'a GraphConfig,
    index: &'a Index,
    pass: &'static str,
    grown: &'a mut Grown,
}

/// What all passes together have added to a graph, and indexes for all of them, each computed at the first use.
#[derive(Debug, Default)]
pub(super) struct Grown {
    pub(super) edges: Vec<Edge>,
    pub(super) warnings: Vec<Problem>,
    edges_known: Option<EdgesKnown>,
    uids: Option<Uids>,
    /// What resources have found on the system, by index.
    findings: HashMap<u32, Findings>,
}

/// What is looked up for each edge that is added.
#[derive(Debug)]
struct EdgesKnown {
    /// The pairs that an edge joins, and whether one of the pair's edges notifies.
    pairs: HashMap<(u32, u32), bool>,
    order: Growing,
}

impl EdgesKnown {
    fn of(config: &GraphConfig) -> EdgesKnown {
        let mut pairs = HashMap::with_capacity(config.edges.len());
        for edge in &config.edges {
            *pairs.entry((edge.from, edge.to)).or_insert(false) |= edge.notify;
        }
        for link in &config.links {
            for (from, _) in &link.sources {
                pairs.entry((*from, link.to)).or_insert(false);
            }
        }
        let ends = config.edges.iter().map(|edge| (edge.from, edge.to));
        let sends = config.links.iter().flat_map(|link| link.sources.iter().map(|(from, _)| (*from, link.to)));
        let all: Vec<(u32, u32)> = ends.chain(sends).collect();
        let order = Growing::new(config.vertices.len(), &all).expect("passes run on valid graphs, which have no cycle");
        EdgesKnown { pairs, order }
    }
}

/// The owner and the providers of each UID.
#[derive(Debug)]
struct Uids {
    by_uid: HashMap<Uid, Found>,
    /// The fields of each resource that will be received.
    coming: HashMap<u32, Vec<u8>>,
}

#[derive(Debug, Default)]
struct Found {
    owner: Option<u32>,
    /// The resources that provide it, in the order in which they were declared.
    providers: Vec<u32>,
}

impl Uids {
    fn of(config: &GraphConfig, findings: &HashMap<u32, Findings>) -> Uids {
        let coming = coming(config);
        let mut by_uid: HashMap<Uid, Found> = HashMap::new();
        for (at, vertex) in (0u32..).zip(&config.vertices) {
            let known = known(vertex, at, &coming);
            for uid in vertex.resource.uids(&known) {
                by_uid.entry(uid).or_default().owner = Some(at);
            }
            let found = findings.get(&at).into_iter().flat_map(|found| found.provides.iter().cloned());
            for uid in vertex.resource.provides(&known).into_iter().chain(found) {
                let providers = &mut by_uid.entry(uid).or_default().providers;
                if providers.last() != Some(&at) {
                    providers.push(at);
                }
            }
        }
        Uids { by_uid, coming }
    }
}

fn known<'a>(vertex: &Vertex, at: u32, coming: &'a HashMap<u32, Vec<u8>>) -> Known<'a> {
    Known::all_but_numbers(vertex.resource.spec(), coming.get(&at).map_or(&[][..], Vec::as_slice))
}

impl Grown {
    /// No edges yet; the findings and warnings come from before the passes.
    pub(super) fn new(findings: HashMap<u32, Findings>, warnings: Vec<Problem>) -> Grown {
        Grown { findings, warnings, ..Grown::default() }
    }

    /// Runs one pass on a valid graph, to which earlier passes may have added edges.
    pub(super) fn run(&mut self, pass: &dyn Pass, config: &GraphConfig, index: &Index) {
        let name = pass.name();
        if let Err(panic) = caught(|| pass.run(&mut PassGraph { config, index, pass: name, grown: self })) {
            let message = format!("the pass {name} {panic}: the edges that it would have added after that are missing");
            self.warnings.push(Problem::new(message, Origin::Unknown));
        }
    }
}

impl<'a> PassGraph<'a> {
    /// The resources, in the order in which they were declared, with the metaparameters that are in force.
    pub fn vertices(&self) -> &'a [Vertex] {
        &self.config.vertices
    }

    /// The edges: the declared ones, those of sends, and those that passes have added so far.
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        self.config.edges.iter().chain(&self.grown.edges)
    }

    /// The indices of the resources of a kind.
    pub fn of_kind(&self, kind: &str) -> Vec<u32> {
        let places = (0u32..).zip(&self.config.vertices);
        places.filter(|(_, vertex)| vertex.resource.spec().kind == kind).map(|(at, _)| at).collect()
    }

    /// The index of the resource with that identity; `None` if there is none.
    pub fn find(&self, id: &ResourceId) -> Option<u32> {
        self.index.find_id(&self.config.vertices, id)
    }

    /// The index of the resource that owns this; `None` if none does, or if that depends on a field that will be
    /// received.
    pub fn owner(&mut self, uid: &Uid) -> Option<u32> {
        self.uids().by_uid.get(uid)?.owner
    }

    /// The indices of the resources that provide this without owning it, in the order in which they were declared. They
    /// follow from the fields of the resources and from what the resources have [found](crate::resource::Prepare) on
    /// the system.
    pub fn providers(&mut self, uid: &Uid) -> &[u32] {
        self.uids().by_uid.get(uid).map_or(&[], |found| found.providers.as_slice())
    }

    /// The needs of the resource at that index. They follow from its fields and from what it has
    /// [found](crate::resource::Prepare) on the system.
    pub fn needs(&mut self, at: u32) -> Vec<Need> {
        let Some(vertex) = self.config.vertices.get(at as usize) else { return Vec::new() };
        let mut needs = vertex.resource.needs(&known(vertex, at, &self.uids().coming));
        needs.extend(self.grown.findings.get(&at).into_iter().flat_map(|found| found.needs.iter().cloned()));
        needs
    }

    /// Computed at the first use, for all passes: every resource must be queried.
    fn uids(&mut self) -> &Uids {
        let Grown { uids, findings, .. } = &mut *self.grown;
        uids.get_or_insert_with(|| Uids::of(self.config, findings))
    }

    /// Makes the resource at `second` wait for the one at `first`, for the reason `why` (words that follow the name of
    /// the pass). Returns whether an edge was added.
    ///
    /// No edge is added if the graph has it already, if the metaparameter `autoedge` of one of the two is off, or if
    /// both are the same resource. An edge that would close a cycle is left out too, with a warning that lists the
    /// cycle.
    pub fn before(&mut self, first: u32, second: u32, why: impl Into<String>) -> bool {
        self.add(first, second, false, why.into())
    }

    /// Like [`before`](PassGraph::before); the resource at `second` is also refreshed when the one at `first` has
    /// changed, if its kind can be refreshed.
    pub fn notify(&mut self, first: u32, second: u32, why: impl Into<String>) -> bool {
        self.add(first, second, true, why.into())
    }

    /// Whether passes may add edges to the resource at that index: its metaparameter `autoedge`.
    pub fn may_have_edges(&self, at: u32) -> bool {
        self.vertices().get(at as usize).is_some_and(|vertex| vertex.meta.as_ref().is_none_or(|meta| meta.autoedge))
    }

    /// Whether the resource at that index may be grouped with others: its metaparameter `autogroup`.
    pub fn may_be_grouped(&self, at: u32) -> bool {
        self.vertices().get(at as usize).is_some_and(|vertex| vertex.meta.as_ref().is_none_or(|meta| meta.autogroup))
    }

    fn add(&mut self, from: u32, to: u32, notify: bool, why: String) -> bool {
        if from == to || !self.may_have_edges(from) || !self.may_have_edges(to) {
            return false;
        }
        let notify = notify && self.vertices()[to as usize].resource.spec().abilities.refresh.is_some();
        let known = self.grown.edges_known.get_or_insert_with(|| EdgesKnown::of(self.config));
        if known.pairs.get(&(from, to)).is_some_and(|notifies| *notifies || !notify) {
            return false;
        }
        let origin = Origin::Pass(Arc::new(Reason { pass: self.pass, why }));
        // If the pair has an edge already, a notifying one does not change the order.
        if !known.pairs.contains_key(&(from, to))
            && let Err(way) = known.order.add(from, to)
        {
            let warning = self.left_out(from, to, &way, origin);
            self.grown.warnings.push(warning);
            return false;
        }
        *known.pairs.entry((from, to)).or_insert(false) |= notify;
        self.grown.edges.push(Edge { from, to, notify, origin });
        true
    }

    /// The warning about an edge that would close a cycle; `way` leads from the end of the edge to its beginning.
    fn left_out(&self, from: u32, to: u32, way: &[u32], origin: Origin) -> Problem {
        let id = |at: u32| self.vertices()[at as usize].id();
        let message = format!(
            "the edge {} before {} is left out, since it would close a cycle: {}",
            id(from),
            id(to),
            story_of(self.vertices(), way)
        );
        let mut problem = Problem::new(message, origin);
        for step in way.windows(2) {
            problem = problem.also(format!("{} before {}", id(step[0]), id(step[1])), self.origin_of(step[0], step[1]));
        }
        problem
    }

    fn origin_of(&self, from: u32, to: u32) -> Origin {
        let edge = self.edges().find(|edge| edge.from == from && edge.to == to).map(|edge| &edge.origin);
        let sends =
            |link: &&crate::graph::config::Link| link.to == to && link.sources.iter().any(|(at, _)| *at == from);
        let send = || self.config.links.iter().find(sends).map(|link| &link.wire.origin);
        edge.or_else(send).cloned().unwrap_or(Origin::Unknown)
    }
}
