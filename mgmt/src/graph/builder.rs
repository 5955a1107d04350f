//! `Graph`: the builder in which a program declares its resources.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::graph::config::{Edge, GraphConfig, Link, Vertex};
use crate::graph::exchange::{AwaitedEdge, Collect, Collected, End, Export, Exporting};
use crate::graph::problem::{Problem, Problems};
use crate::graph::validate::validate;
use crate::id::ResourceId;
use crate::resource::{
    AnyResource as _, Converge, Declare, Handle, IntoNodes, Kind, Meta, NodeRef, NodeSort, Origin, Wire,
};

/// A graph under construction: resources are added, and their references to one another become edges.
///
/// ```
/// use mgmt::prelude::*;
/// let mut g = Graph::new("demo");
/// let first = g.add(Noop::new("first"));
/// g.add(Noop::new("second").after(&first));
/// let config = g.finish().unwrap();
/// assert_eq!((config.vertices.len(), config.edges.len()), (2, 1));
/// ```
#[derive(Debug)]
pub struct Graph {
    /// Distinguishes this graph from others, whose handles are refused here.
    number: u64,
    config: GraphConfig,
    problems: Vec<Problem>,
    /// The rules, which their handles can still change.
    rules: Vec<Arc<Mutex<Collect>>>,
    default_meta: Meta,
    prefix: PathBuf,
    hostname: String,
}

impl Graph {
    /// An empty graph of that name.
    pub fn new(name: impl Into<String>) -> Graph {
        // Compared for equality only: no state is shared through it.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Graph {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            config: GraphConfig { name: name.into(), ..GraphConfig::default() },
            problems: Vec::new(),
            rules: Vec::new(),
            default_meta: Meta::default(),
            prefix: PathBuf::new(),
            hostname: String::new(),
        }
    }

    /// Adds a resource. The handle that it returns names the resource in edges and gives its outputs.
    pub fn add<D: Declare>(&mut self, declared: D) -> D::Handle {
        let (resource, draft) = declared.finish();
        let index = self.next_index(&draft.origin);
        let meta = (draft.meta != self.default_meta).then(|| Arc::new(draft.meta));
        self.config.vertices.push(Vertex::new(resource.erased(), meta, draft.origin));
        for edge in draft.edges {
            let this = NodeRef { graph: self.number, index, sort: NodeSort::Resource };
            let (from, to) = if edge.other_first { (edge.other, this) } else { (this, edge.other) };
            self.edge(from, to, edge.notify, edge.origin);
        }
        let links = self.links(index, draft.wires);
        self.config.links.extend(links);
        D::handle(NodeRef { graph: self.number, index, sort: NodeSort::Resource })
    }

    /// The links of a resource's fields that receive.
    fn links(&mut self, to: u32, wires: Vec<(u8, Wire)>) -> Vec<Link> {
        let mut links = Vec::with_capacity(wires.len());
        for (field, wire) in wires {
            let sources: Option<Vec<_>> = wire
                .sources
                .iter()
                .map(|source| Some((self.sender(source.node, &wire.origin)?, source.port)))
                .collect();
            links.extend(sources.map(|sources| Link { to, field, sources, wire }));
        }
        links
    }

    fn next_index(&mut self, origin: &Origin) -> u32 {
        u32::try_from(self.config.vertices.len()).unwrap_or_else(|_| {
            self.problems.push(Problem::new("more resources than a graph can hold (4 294 967 295)", origin.clone()));
            0
        })
    }

    fn has_node(&mut self, node: NodeRef, origin: &Origin) -> bool {
        if node.graph != self.number {
            let message = "a handle of another graph: handles are good only in the graph whose `add` returned them";
            self.problems.push(Problem::new(message, origin.clone()));
        }
        node.graph == self.number
    }

    /// The index of the sender in the graph.
    fn sender(&mut self, node: NodeRef, origin: &Origin) -> Option<u32> {
        if !self.has_node(node, origin) {
            return None;
        }
        let NodeSort::One(name) = node.sort else { return Some(node.index) };
        let rule = self.rules[node.index as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let (spec, name) = (rule.kind.spec, rule.ones[name as usize].clone());
        drop(rule);
        Some(self.config.awaited_at(spec, &name, origin))
    }

    /// `first` before `second`: the second waits until the first is settled. The same as `.after(&first)` on the
    /// builder of the second, for resources that are both in the graph already.
    #[track_caller]
    pub fn before(&mut self, first: impl IntoNodes, second: impl IntoNodes) {
        self.edges(first, second, false);
    }

    /// `first` notifies `second`: the second waits until the first is settled, and is refreshed if the first changed.
    /// The same as `.subscribe(&first)` on the builder of the second, for resources that are both in the graph already.
    #[track_caller]
    pub fn notify(&mut self, first: impl IntoNodes, second: impl IntoNodes) {
        self.edges(first, second, true);
    }

    #[track_caller]
    fn edges(&mut self, first: impl IntoNodes, second: impl IntoNodes, notify: bool) {
        let origin = Origin::here();
        let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
        first.each(&mut |node| firsts.push(node));
        second.each(&mut |node| seconds.push(node));
        for from in &firsts {
            for to in &seconds {
                self.edge(*from, *to, notify, origin.clone());
            }
        }
    }

    fn edge(&mut self, from: NodeRef, to: NodeRef, notify: bool, origin: Origin) {
        let is_resource = |node: NodeRef| node.sort == NodeSort::Resource;
        if !(self.has_node(from, &origin) && self.has_node(to, &origin)) {
            return;
        }
        if is_resource(from) && is_resource(to) {
            self.config.edges.push(Edge { from: from.index, to: to.index, notify, name: None, origin });
        } else {
            let (from, to) = (self.end(from), self.end(to));
            self.config.awaited.push(AwaitedEdge { from, to, notify, name: None, origin });
        }
    }

    fn end(&self, node: NodeRef) -> End {
        let rule = || self.rules[node.index as usize].lock().unwrap_or_else(PoisonError::into_inner);
        match node.sort {
            NodeSort::Resource => End::Vertex(node.index),
            NodeSort::Collected => End::Collected(node.index),
            NodeSort::One(name) => {
                let rule = rule();
                End::Named(ResourceId::new(rule.kind.spec.kind, rule.ones[name as usize].clone()))
            }
        }
    }

    /// Exports a resource: other hosts can [`collect`](Graph::collect) it. It does not run here, unless this host
    /// collects it too. With `.to(["web1"])` only that host can; otherwise all can.
    ///
    /// A field can receive its value from a resource of this graph: the export is then published once that is known,
    /// and again when it changes. A secret travels only in an export
    /// that is [sealed](Exporting::sealed_to); any other such graph is refused. What is exported stays exported
    /// when the program ends, until it runs with a graph that no longer exports it, or until
    /// [`export_ttl`](crate::runtime::Builder::export_ttl) has passed.
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// # let mut g = Graph::new("web");
    /// g.export(Line::new("10.0.0.1 web1", "/etc/hosts"));
    /// g.export(File::new("/etc/monitor.d/web1").content("port 80\n")).to(["monitor1", "monitor2"]);
    /// let key = g.add(Exec::new("key").cmd("cat /etc/ssh/ssh_host_ed25519_key.pub"));
    /// g.export(File::new("/etc/keys.d/web1").content(key.stdout()));
    /// ```
    pub fn export<D: Declare>(&mut self, declared: D) -> Exporting<'_> {
        let (resource, draft) = declared.finish();
        let id = ResourceId::new(resource.spec().kind, resource.name());
        if !draft.edges.is_empty() {
            let message = format!(
                "{id}, which is exported, has edges: it does not run here; the host that collects it orders it"
            );
            self.problems.push(Problem::new(message, draft.origin.clone()));
        }
        let meta = (draft.meta != self.default_meta).then(|| Arc::new(draft.meta));
        let vertex = Vertex::new(resource.erased(), meta, draft.origin);
        let (index, links) = (self.config.exports.len(), self.links(0, draft.wires));
        self.config.exports.push(Export { links, ..Export::new(vertex, None) });
        Exporting { graph: self, index, _private: PhantomData }
    }

    pub(in crate::graph) fn exports_mut(&mut self) -> &mut Vec<Export> {
        &mut self.config.exports
    }

    /// Collects the resources of a kind that hosts export for all or for this host, and runs them here. Which ones
    /// there are is found where the graph runs, and each time that changes the engine puts another graph in force.
    /// The setters of the handle limit which, and change them to fit this host.
    ///
    /// What is collected is the wish of another host, with the rights of this engine: a collector trusts the exporting
    /// hosts with all that the kind can do. An export that can't be used is left out, with a warning that names the
    /// host; an export never makes a graph wrong.
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// # let mut g = Graph::new("monitor");
    /// let dir = g.add(File::new("/etc/monitor.d/"));
    /// let checks = g.collect::<File>().from("web*").named("/etc/monitor.d/*").map(|file| file.mode(0o644));
    /// g.before(&dir, &checks);
    /// g.add(Exec::new("reload").cmd("pkill -HUP monitor").subscribe(&checks));
    /// ```
    #[track_caller]
    pub fn collect<R: Converge>(&mut self) -> Collected<R> {
        let index = u32::try_from(self.rules.len()).unwrap_or(u32::MAX);
        let rule = Arc::new(Mutex::new(Collect::new(Kind::of::<R>(), Origin::here())));
        self.rules.push(Arc::clone(&rule));
        Collected::new(NodeRef { graph: self.number, index, sort: NodeSort::Collected }, rule)
    }

    /// The working directory of the engine that asks for this graph; empty if none does.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The name of the host that the graph is for; empty if no engine asks for it.
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// Sets where the graph will run, for the code that declares it.
    pub(crate) fn set_place(&mut self, prefix: PathBuf, hostname: String) {
        (self.prefix, self.hostname) = (prefix, hostname);
    }

    /// How many resources the graph has.
    pub fn len(&self) -> usize {
        self.config.vertices.len()
    }

    /// Whether the graph has no resources.
    pub fn is_empty(&self) -> bool {
        self.config.vertices.is_empty()
    }

    /// Reports a problem that the program itself has found, to be shown with all others.
    #[track_caller]
    pub fn problem(&mut self, message: impl Into<String>) {
        self.problems.push(Problem::new(message, Origin::here()));
    }

    /// The finished graph, as data for an engine. Each send has become an edge too.
    ///
    /// # Errors
    /// The mistakes made while the graph was built, together with all other problems of the graph. Without such a
    /// mistake the graph is returned, and may still be refused by [`validate`](crate::graph::validate).
    pub fn finish(mut self) -> Result<GraphConfig, Problems> {
        for link in &self.config.links {
            for (from, _) in &link.sources {
                let origin = link.wire.origin.clone();
                self.config.edges.push(Edge { from: *from, to: link.to, notify: false, name: None, origin });
            }
        }
        let rule = |rule: &Arc<Mutex<Collect>>| rule.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.config.collects = self.rules.iter().map(rule).collect();
        if self.problems.is_empty() {
            return Ok(self.config);
        }
        // This graph never reaches `validate`; all problems are reported at once.
        let rest = validate(&self.config).err().unwrap_or_default();
        Err(Problems([self.problems, rest.0].concat()))
    }
}

impl Graph {
    /// Whether the handle belongs to this graph.
    pub fn has(&self, handle: &impl Handle) -> bool {
        handle.node().graph == self.number
    }
}
