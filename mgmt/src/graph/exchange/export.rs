//! A resource that this host exports.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::graph::builder::Graph;
use crate::graph::config::{Link, Vertex};
use crate::resource::AnyResource;

/// A resource that this host exports: it does not run here, unless this host collects it too.
#[derive(Clone, Debug)]
pub struct Export {
    /// The resource.
    pub vertex: Vertex,
    /// The hosts that may collect it; `None`: all.
    pub to: Option<Vec<String>>,
    /// Its fields that receive their values from resources of the graph; `Link::to` is not read. It is published once
    /// all of these are known, and again when one has changed.
    pub links: Vec<Link>,
}

impl Export {
    /// An export whose fields have their values; `to`: the hosts that may collect it, or all.
    pub fn new(vertex: Vertex, to: Option<Vec<String>>) -> Export {
        Export { vertex, to, links: Vec::new() }
    }

    /// The numbers of the fields that receive.
    pub(crate) fn wired(&self) -> Vec<u8> {
        self.links.iter().map(|link| link.field).collect()
    }

    /// The export when its fields have received what this resource has.
    pub(crate) fn with(&self, resource: Arc<dyn AnyResource>) -> Export {
        Export::new(Vertex { resource, ..self.vertex.clone() }, self.to.clone())
    }

    /// The hosts that it is for; `None`: all.
    pub(super) fn addressees(&self) -> impl Iterator<Item = Option<&str>> {
        let all = self.to.is_none().then_some(None);
        all.into_iter().chain(self.to.iter().flatten().map(|host| Some(host.as_str())))
    }

    /// Whether that host may collect it.
    pub(super) fn is_for(&self, host: &str) -> bool {
        self.to.as_ref().is_none_or(|to| to.iter().any(|other| other == host))
    }
}

/// An export that was declared just now; see [`Graph::export`].
pub struct Exporting<'g> {
    pub(in crate::graph) graph: &'g mut Graph,
    pub(in crate::graph) index: usize,
    pub(in crate::graph) _private: PhantomData<()>,
}

impl std::fmt::Debug for Exporting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporting").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Exporting<'_> {
    /// Only these hosts may collect it. At least one; later calls replace earlier ones. Default: all hosts.
    pub fn to(self, hosts: impl IntoIterator<Item = impl Into<String>>) {
        let hosts = hosts.into_iter().map(Into::into).collect();
        if let Some(export) = self.graph.exports_mut().get_mut(self.index) {
            export.to = Some(hosts);
        }
    }
}
