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
    /// Whether it is sealed for the keys of these hosts, so that it may have secrets.
    pub sealed: bool,
    /// Its fields that receive their values from resources of the graph; `Link::to` is not read. It is published once
    /// all of these are known, and again when one has changed.
    pub links: Vec<Link>,
}

impl Export {
    /// An export whose fields have their values; `to`: the hosts that may collect it, or all.
    pub fn new(vertex: Vertex, to: Option<Vec<String>>) -> Export {
        Export { vertex, to, sealed: false, links: Vec::new() }
    }

    /// The numbers of the fields that receive.
    pub(crate) fn wired(&self) -> Vec<u8> {
        self.links.iter().map(|link| link.field).collect()
    }

    /// The export when its fields have received what this resource has.
    pub(crate) fn with(&self, resource: Arc<dyn AnyResource>) -> Export {
        let vertex = Vertex { resource, ..self.vertex.clone() };
        Export { sealed: self.sealed, ..Export::new(vertex, self.to.clone()) }
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
        self.set(hosts, false);
    }

    /// Only these hosts may collect it, and only they can read it: each gets it sealed for its own key. So it may have
    /// secrets, which all others see as little as the store does. A host has a key once it has run with a graph that
    /// collects; until then, what is for it is not published. Needs the feature `etcd`.
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// # let mut g = Graph::new("db");
    /// let password = g.add(Password::new("app").length(24));
    /// g.export(File::new("/etc/app/password").content(password.password()).mode(0o600)).sealed_to(["web1", "web2"]);
    /// ```
    pub fn sealed_to(self, hosts: impl IntoIterator<Item = impl Into<String>>) {
        self.set(hosts, true);
    }

    fn set(self, hosts: impl IntoIterator<Item = impl Into<String>>, sealed: bool) {
        let hosts = hosts.into_iter().map(Into::into).collect();
        if let Some(export) = self.graph.exports_mut().get_mut(self.index) {
            (export.to, export.sealed) = (Some(hosts), sealed);
        }
    }
}
