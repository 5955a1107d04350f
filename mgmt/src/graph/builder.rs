//! `Graph`: the builder in which a program declares its resources.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::graph::config::{Edge, GraphConfig, Link, Vertex};
use crate::graph::problem::{Problem, Problems};
use crate::graph::validate::validate;
use crate::resource::{AnyResource as _, Declare, Handle, IntoNodes, Meta, NodeRef, Origin};

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
            if let Some(other) = self.own(edge.other, &edge.origin) {
                let (from, to) = if edge.other_first { (other, index) } else { (index, other) };
                self.config.edges.push(Edge { from, to, notify: edge.notify, name: None, origin: edge.origin });
            }
        }
        for (field, wire) in draft.wires {
            let sources: Option<Vec<_>> =
                wire.sources.iter().map(|source| Some((self.own(source.node, &wire.origin)?, source.port))).collect();
            if let Some(sources) = sources {
                self.config.links.push(Link { to: index, field, sources, wire });
            }
        }
        D::handle(NodeRef { graph: self.number, index })
    }

    fn next_index(&mut self, origin: &Origin) -> u32 {
        u32::try_from(self.config.vertices.len()).unwrap_or_else(|_| {
            self.problems.push(Problem::new("more resources than a graph can hold (4 294 967 295)", origin.clone()));
            0
        })
    }

    fn own(&mut self, node: NodeRef, origin: &Origin) -> Option<u32> {
        if node.graph == self.number {
            return Some(node.index);
        }
        let message = "a handle of another graph: handles are good only in the graph whose `add` returned them";
        self.problems.push(Problem::new(message, origin.clone()));
        None
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
                if let (Some(from), Some(to)) = (self.own(*from, &origin), self.own(*to, &origin)) {
                    self.config.edges.push(Edge { from, to, notify, name: None, origin: origin.clone() });
                }
            }
        }
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
