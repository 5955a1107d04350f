//! `GraphConfig`: the one data structure that every front end makes and the engine runs.

use std::sync::Arc;

use crate::id::ResourceId;
use crate::resource::{AnyResource, Meta, Origin, Wire};

/// A resource in a graph: the one vertex type, from front end to engine.
#[derive(Clone, Debug)]
pub struct Vertex {
    /// The resource.
    pub resource: Arc<dyn AnyResource>,
    /// Its metaparameters; `None`: the defaults.
    pub meta: Option<Arc<Meta>>,
    /// Who made it.
    pub origin: Origin,
}

impl Vertex {
    /// Its identity.
    pub fn id(&self) -> ResourceId {
        ResourceId::new(self.resource.spec().kind, self.resource.name())
    }

    /// What its kind watches is listened to.
    pub fn is_watched(&self) -> bool {
        self.resource.spec().watched && self.meta.as_ref().is_none_or(|meta| meta.watch)
    }

    /// Same kind, name and fields.
    pub(crate) fn is_same(&self, other: &Vertex) -> bool {
        Arc::ptr_eq(&self.resource, &other.resource) || self.resource.same(&*other.resource)
    }

    /// Its metaparameters.
    pub fn meta(&self) -> Meta {
        self.meta.as_deref().cloned().unwrap_or_default()
    }
}

/// An edge. Ends are places in `GraphConfig::vertices`.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Settles first.
    pub from: u32,
    /// Waits.
    pub to: u32,
    /// If `from` changes, `to` is refreshed.
    pub notify: bool,
    /// Who made it.
    pub origin: Origin,
}

/// A field that receives.
#[derive(Clone, Debug)]
pub struct Link {
    /// The receiver.
    pub to: u32,
    /// The number of its field.
    pub field: u8,
    /// Senders (places in `GraphConfig::vertices`) and the numbers of their outputs, in the order that the wire wants.
    pub sources: Vec<(u32, u8)>,
    /// What makes the field's value of theirs.
    pub wire: Wire,
}

/// Desired state as data: resources, edges, sends. Made by a [`Graph`](crate::graph::Graph), read from a file, received over a channel; run by an engine.
#[derive(Clone, Debug, Default)]
pub struct GraphConfig {
    /// Its name, for people.
    pub name: String,
    /// Its resources, in the order in which they were declared.
    pub vertices: Vec<Vertex>,
    /// Its edges, those of sends included.
    pub edges: Vec<Edge>,
    /// Its sends.
    pub links: Vec<Link>,
}

impl GraphConfig {
    /// The resources of a kind, in order.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Vertex> + 'a {
        self.vertices.iter().filter(move |vertex| vertex.resource.spec().kind == kind)
    }

    /// The resource of that identity.
    pub fn get(&self, id: &ResourceId) -> Option<&Vertex> {
        self.vertices
            .iter()
            .find(|vertex| vertex.resource.spec().kind == id.kind.as_str() && vertex.resource.name() == id.name)
    }

    /// The fields that `vertex` receives.
    pub fn wired(&self, vertex: u32) -> Vec<u8> {
        self.links.iter().filter(|link| link.to == vertex).map(|link| link.field).collect()
    }
}
