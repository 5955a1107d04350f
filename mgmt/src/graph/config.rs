//! `GraphConfig`: the one data structure that every front end makes and the engine runs.

use std::sync::Arc;

use crate::graph::exchange::{AwaitedEdge, Collect, Export};
use crate::id::ResourceId;
use crate::resource::{AnyResource, Meta, Origin, Wire};

/// A resource in a graph: the one vertex type, from front end to engine.
#[derive(Clone, Debug)]
pub struct Vertex {
    /// The resource itself.
    pub resource: Arc<dyn AnyResource>,
    /// Its metaparameters; `None`: the defaults.
    pub meta: Option<Arc<Meta>>,
    /// Where the resource was declared.
    pub origin: Origin,
}

impl Vertex {
    /// A resource with its metaparameters. Fields that these ignore are set to their defaults.
    pub fn new(resource: Arc<dyn AnyResource>, meta: Option<Arc<Meta>>, origin: Origin) -> Vertex {
        let resource = match &meta {
            Some(meta) => meta.reduced(resource),
            None => resource,
        };
        Vertex { resource, meta, origin }
    }

    /// The kind and name of the resource.
    pub fn id(&self) -> ResourceId {
        ResourceId::new(self.resource.spec().kind, self.resource.name())
    }

    /// Whether the engine listens to what the kind watches.
    pub fn is_watched(&self) -> bool {
        self.resource.spec().watched && self.meta.as_ref().is_none_or(|meta| meta.watch)
    }

    /// Whether groups of its kind are operations. Those of other kinds are only shown.
    pub(crate) fn is_operated_in_groups(&self) -> bool {
        let abilities = &self.resource.spec().abilities;
        abilities.group.is_some() && abilities.many.is_some()
    }

    /// Whether kind, name and fields are the same, and also what decides about the meaning of a check: whether the
    /// resource is hidden, and whether its drift is an alert.
    pub(crate) fn is_same(&self, other: &Vertex) -> bool {
        let same = Arc::ptr_eq(&self.resource, &other.resource) || self.resource.same(&*other.resource);
        let meaning = |vertex: &Vertex| vertex.meta.as_ref().map_or((false, false), |meta| (meta.hidden, meta.alert));
        same && meaning(self) == meaning(other)
    }

    /// Whether the resource is in the graph and is not run: its metaparameter `hidden`.
    pub(crate) fn is_hidden(&self) -> bool {
        self.meta.as_ref().is_some_and(|meta| meta.hidden)
    }

    /// Whether passes may add edges to the resource.
    pub(crate) fn may_have_edges(&self) -> bool {
        self.meta.as_ref().is_none_or(|meta| meta.autoedge && !meta.hidden)
    }

    /// Whether the resource may be grouped with others.
    pub(crate) fn may_be_grouped(&self) -> bool {
        self.meta.as_ref().is_none_or(|meta| meta.autogroup && !meta.hidden)
    }

    /// The metaparameters of the resource.
    pub fn meta(&self) -> Meta {
        self.meta.as_deref().cloned().unwrap_or_default()
    }
}

/// An edge. Both ends are indices into `GraphConfig::vertices`.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The index of the resource that must be settled first.
    pub from: u32,
    /// The index of the resource that waits.
    pub to: u32,
    /// Whether `to` is refreshed when `from` has changed.
    pub notify: bool,
    /// The name of the edge, for people, if it was declared with one.
    pub name: Option<Arc<String>>,
    /// Where the edge was declared, or which pass added it and why.
    pub origin: Origin,
}

/// A field that receives its value from other resources.
#[derive(Clone, Debug)]
pub struct Link {
    /// The index of the resource that receives.
    pub to: u32,
    /// The index of the field that receives, in the order of its struct.
    pub field: u8,
    /// The senders (indices into `GraphConfig::vertices`) and the indices of their outputs, in the order of the wire's
    /// arguments.
    pub sources: Vec<(u32, u8)>,
    /// The function that makes the field's value from theirs.
    pub wire: Wire,
}

/// A declared state as data: resources, edges, sends. A [`Graph`](crate::graph::Graph) makes one, or it is read from a
/// file or received over a channel; an engine runs it.
#[derive(Clone, Debug, Default)]
pub struct GraphConfig {
    /// The name of the graph, for people.
    pub name: String,
    /// The resources, in the order in which they were declared.
    pub vertices: Vec<Vertex>,
    /// The edges, including those that sends need.
    pub edges: Vec<Edge>,
    /// The fields that receive their values from other resources.
    pub links: Vec<Link>,
    /// The resources that this host exports. They are not among the vertices.
    pub exports: Vec<Export>,
    /// The rules by which this host collects what hosts export. An engine replaces them by what they collect.
    pub collects: Vec<Collect>,
    /// The edges of which an end is collected.
    pub awaited: Vec<AwaitedEdge>,
}

impl GraphConfig {
    /// Whether the graph depends on other hosts, or they on it.
    pub(crate) fn is_shared(&self) -> bool {
        !(self.exports.is_empty() && self.collects.is_empty() && self.awaited.is_empty())
    }

    /// All links, each with what receives: a resource of the graph or an export. `None`: it is not in the graph.
    pub(crate) fn all_links(&self) -> impl Iterator<Item = (&Link, Option<&Vertex>)> {
        let of_exports =
            self.exports.iter().flat_map(|export| export.links.iter().zip(std::iter::repeat(&export.vertex)));
        let own = self.links.iter().map(|link| (link, self.vertices.get(link.to as usize)));
        own.chain(of_exports.map(|(link, vertex)| (link, Some(vertex))))
    }

    /// The resources of a kind, in the order in which they were declared.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Vertex> + 'a {
        self.vertices.iter().filter(move |vertex| vertex.resource.spec().kind == kind)
    }

    /// The resource with that identity.
    pub fn get(&self, id: &ResourceId) -> Option<&Vertex> {
        self.vertices
            .iter()
            .find(|vertex| vertex.resource.spec().kind == id.kind.as_str() && vertex.resource.name() == id.name)
    }

    /// The indices of the fields that the resource with the index `vertex` receives.
    pub fn wired(&self, vertex: u32) -> Vec<u8> {
        self.links.iter().filter(|link| link.to == vertex).map(|link| link.field).collect()
    }
}
