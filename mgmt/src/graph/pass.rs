//! Passes: functions on a graph that add the edges that follow from the graph's resources.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::dag::Growing;
use crate::graph::coming::coming;
use crate::graph::config::{Edge, GraphConfig, Link, Vertex};
use crate::graph::cycle::story_of;
use crate::graph::host::Host;
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
    seen: Seen<'a>,
    pass: &'static str,
    grown: &'a mut Grown,
}

/// The graph before the passes.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) config: &'a GraphConfig,
    pub(super) index: &'a Index,
    /// Whether passes may add edges at all.
    pub(super) is_open: bool,
    pub(super) host: &'a dyn Host,
}

impl fmt::Debug for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

/// What all passes together have added to a graph, and indexes for all of them, each computed at the first use.
#[derive(Debug, Default)]
pub(super) struct Grown {
    pub(super) edges: Vec<Edge>,
    pub(super) warnings: Vec<Problem>,
    edges_known: Option<EdgesKnown>,
    /// The resources that provide each UID, in the order in which they were declared.
    providers: Option<HashMap<Uid, Vec<u32>>>,
    /// The fields of each resource that will be received.
    coming: Option<HashMap<u32, Vec<u8>>>,
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
    fn of(config: &GraphConfig, grown: &[Edge]) -> EdgesKnown {
        let mut pairs = HashMap::with_capacity(config.edges.len() + grown.len());
        for edge in config.edges.iter().chain(grown) {
            *pairs.entry((edge.from, edge.to)).or_insert(false) |= edge.notify;
        }
        for link in &config.links {
            for (from, _) in &link.sources {
                pairs.entry((*from, link.to)).or_insert(false);
            }
        }
        let ends = config.edges.iter().chain(grown).map(|edge| (edge.from, edge.to));
        let sends = config.links.iter().flat_map(|link| link.sources.iter().map(|(from, _)| (*from, link.to)));
        let all: Vec<(u32, u32)> = ends.chain(sends).collect();
        let order = Growing::new(config.vertices.len(), &all).expect("passes run on valid graphs, which have no cycle");
        EdgesKnown { pairs, order }
    }
}

/// At most this many edges of a cycle are reported with their places.
const STEPS_MAX: usize = 20;

/// What is known about the fields of a resource before the graph runs.
pub(super) fn known<'a>(vertex: &Vertex, at: u32, coming: &'a HashMap<u32, Vec<u8>>) -> Known<'a> {
    Known::all_but_numbers(vertex.resource.spec(), coming.get(&at).map_or(&[][..], Vec::as_slice))
}

impl Grown {
    /// No edges yet; the findings and warnings come from before the passes.
    pub(super) fn new(findings: HashMap<u32, Findings>, warnings: Vec<Problem>) -> Grown {
        Grown { findings, warnings, ..Grown::default() }
    }

    /// Runs one pass on a valid graph, to which earlier passes may have added edges.
    pub(super) fn run(&mut self, pass: &dyn Pass, seen: Seen<'_>) {
        let name = pass.name();
        self.coming.get_or_insert_with(|| coming(seen.config));
        if let Err(panic) = caught(|| pass.run(&mut PassGraph { seen, pass: name, grown: self })) {
            let message = format!("the pass {name} {panic}: the edges that it would have added after that are missing");
            self.warnings.push(Problem::new(message, Origin::Unknown));
        }
    }
}

impl<'a> PassGraph<'a> {
    /// The resources, in the order in which they were declared, with the metaparameters that are in force.
    pub fn vertices(&self) -> &'a [Vertex] {
        &self.seen.config.vertices
    }

    /// The edges: the declared ones, those of sends, and those that passes have added so far.
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        self.seen.config.edges.iter().chain(&self.grown.edges)
    }

    /// The indices of the resources of a kind.
    pub fn of_kind(&self, kind: &str) -> Vec<u32> {
        let places = (0u32..).zip(&self.seen.config.vertices);
        places.filter(|(_, vertex)| vertex.resource.spec().kind == kind).map(|(at, _)| at).collect()
    }

    /// The index of the resource with that identity; `None` if there is none.
    pub fn find(&self, id: &ResourceId) -> Option<u32> {
        self.seen.index.find_id(&self.seen.config.vertices, id)
    }

    /// The index of the resource that owns this; `None` if none does, or if that depends on a field that will be
    /// received.
    pub fn owner(&self, uid: &Uid) -> Option<u32> {
        self.seen.index.owner(uid)
    }

    /// The indices of the resources that provide this without owning it, in the order in which they were declared. They
    /// follow from the fields of the resources and from what the resources have [found](crate::resource::Prepare) on
    /// the system.
    pub fn providers(&mut self, uid: &Uid) -> &[u32] {
        if self.grown.providers.is_none() {
            self.grown.providers = Some(self.all_providers());
        }
        self.grown.providers.iter().find_map(|all| all.get(uid)).map_or(&[], Vec::as_slice)
    }

    /// The needs of the resource at that index. They follow from its fields and from what it has
    /// [found](crate::resource::Prepare) on the system.
    pub fn needs(&self, at: u32) -> Vec<Need> {
        let Some(vertex) = self.seen.config.vertices.get(at as usize) else { return Vec::new() };
        let mut needs = vertex.resource.needs(&known(vertex, at, self.coming()));
        needs.extend(self.grown.findings.get(&at).into_iter().flat_map(|found| found.needs.iter().cloned()));
        needs
    }

    fn all_providers(&self) -> HashMap<Uid, Vec<u32>> {
        let mut providers: HashMap<Uid, Vec<u32>> = HashMap::new();
        for at in self.related() {
            for uid in self.provided_by(at) {
                let all = providers.entry(uid).or_default();
                if all.last() != Some(&at) {
                    all.push(at);
                }
            }
        }
        providers
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
        self.vertices().get(at as usize).is_some_and(Vertex::may_have_edges)
    }

    /// Whether the resource at that index may be grouped with others: its metaparameter `autogroup`.
    pub fn may_be_grouped(&self, at: u32) -> bool {
        self.vertices().get(at as usize).is_some_and(Vertex::may_be_grouped)
    }

    fn add(&mut self, from: u32, to: u32, notify: bool, why: String) -> bool {
        if from == to || !self.may_have_edges(from) || !self.may_have_edges(to) {
            return false;
        }
        let notify = notify && self.vertices()[to as usize].resource.spec().abilities.refresh.is_some();
        let Grown { edges_known, edges, .. } = &mut *self.grown;
        let known = edges_known.get_or_insert_with(|| EdgesKnown::of(self.seen.config, edges));
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
        self.grown.edges.push(Edge { from, to, notify, name: None, origin });
        true
    }

    /// The warning about an edge that would close a cycle; `way` leads from the end of the edge to its beginning.
    pub(super) fn left_out(&self, from: u32, to: u32, way: &[u32], origin: Origin) -> Problem {
        let id = |at: u32| self.vertices()[at as usize].id();
        let message = format!(
            "the edge {} before {} is left out, since it would close a cycle: {}",
            id(from),
            id(to),
            story_of(self.vertices(), way)
        );
        let mut problem = Problem::new(message, origin);
        for step in way.windows(2).take(STEPS_MAX) {
            problem = problem.also(format!("{} before {}", id(step[0]), id(step[1])), self.origin_of(step[0], step[1]));
        }
        problem
    }

    fn origin_of(&self, from: u32, to: u32) -> Origin {
        let edge = self.edges().find(|edge| edge.from == from && edge.to == to).map(|edge| &edge.origin);
        let sends = |link: &&Link| link.to == to && link.sources.iter().any(|(at, _)| *at == from);
        let send = || self.seen.config.links.iter().find(sends).map(|link| &link.wire.origin);
        edge.or_else(send).cloned().unwrap_or(Origin::Unknown)
    }
}

/// For the passes of this module.
impl<'a> PassGraph<'a> {
    /// Whether edges may be added at all.
    pub(super) fn is_open(&self) -> bool {
        self.seen.is_open
    }

    pub(super) fn pass_name(&self) -> &'static str {
        self.pass
    }

    pub(super) fn index(&self) -> &'a Index {
        self.seen.index
    }

    pub(super) fn host(&self) -> &'a dyn Host {
        self.seen.host
    }

    pub(super) fn links(&self) -> &'a [Link] {
        &self.seen.config.links
    }

    /// What resources have found on the system, by index.
    pub(super) fn findings(&self) -> &HashMap<u32, Findings> {
        &self.grown.findings
    }

    /// The fields of each resource that will be received.
    pub(super) fn coming(&self) -> &HashMap<u32, Vec<u8>> {
        self.grown.coming.as_ref().expect("they are found before the first pass runs")
    }

    /// The indices of the resources that may provide or need something, sorted.
    pub(super) fn related(&self) -> Vec<u32> {
        let mut related = self.seen.index.related().to_vec();
        if !self.grown.findings.is_empty() {
            related.extend(self.grown.findings.keys());
            related.sort_unstable();
            related.dedup();
        }
        related
    }

    /// What the resource at that index provides, as its fields and its findings show.
    pub(super) fn provided_by(&self, at: u32) -> Vec<Uid> {
        let vertex = &self.vertices()[at as usize];
        let mut provided = vertex.resource.provides(&known(vertex, at, self.coming()));
        provided.extend(self.grown.findings.get(&at).into_iter().flat_map(|found| found.provides.iter().cloned()));
        provided
    }

    /// The edges that passes have added so far.
    pub(super) fn grown_edges(&self) -> &[Edge] {
        &self.grown.edges
    }

    /// Adds edges that are known to be new and to close no cycle.
    pub(super) fn push(&mut self, edges: impl Iterator<Item = Edge>) {
        self.grown.edges.extend(edges);
        self.grown.edges_known = None;
    }

    /// Keeps only these of the edges that passes have added.
    pub(super) fn retain(&mut self, is_kept: impl FnMut(&Edge) -> bool) {
        self.grown.edges.retain(is_kept);
        self.grown.edges_known = None;
    }

    pub(super) fn warn(&mut self, warnings: impl IntoIterator<Item = Problem>) {
        self.grown.warnings.extend(warnings);
    }
}
