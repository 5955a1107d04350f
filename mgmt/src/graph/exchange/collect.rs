//! The rules by which this host collects what hosts export.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::id::ResourceId;
use crate::resource::{
    AnyResource, Converge, Declare, IntoNodes, Kind, Meta, NodeRef, NodeSort, Origin, Rebuild, caught,
};

/// What a program makes of a collected resource and its metaparameters, or why it can't be used.
#[derive(Clone)]
pub(crate) struct ChangeFn(pub(crate) Arc<Made>);

type Pair = (Arc<dyn AnyResource>, Meta);
type Made = dyn Fn(Arc<dyn AnyResource>, Meta) -> Result<Pair, String> + Send + Sync;

impl fmt::Debug for ChangeFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangeFn")
    }
}

/// A rule: resources of one kind that hosts export become resources of this graph.
#[derive(Clone, Debug)]
pub struct Collect {
    /// The kind.
    pub kind: Kind,
    /// Patterns of the names of the hosts that export them (`*`: any text, `?`: any character); empty: all hosts.
    pub from: Vec<String>,
    /// Patterns of the names of the resources; empty: all.
    pub named: Vec<String>,
    /// Fields that are set on each, in place of what the exporting host has set.
    pub fields: Map<String, Json>,
    /// Whether the exporting hosts are trusted with a kind that requires it, see
    /// [`Converge::COLLECTED_ON_TRUST`].
    pub trust: bool,
    /// Where the rule was declared.
    pub origin: Origin,
    pub(crate) change: Option<ChangeFn>,
    /// Names of resources that handles refer to, see [`Collected::one`].
    pub(crate) ones: Vec<String>,
}

impl Collect {
    /// A rule for all resources of that kind.
    pub fn new(kind: Kind, origin: Origin) -> Collect {
        let (from, named, fields) = (Vec::new(), Vec::new(), Map::new());
        Collect { kind, from, named, fields, trust: false, origin, change: None, ones: Vec::new() }
    }
}

/// An edge of which at least one end is collected.
#[derive(Clone, Debug)]
pub struct AwaitedEdge {
    /// The end that must be settled first.
    pub from: End,
    /// The end that waits.
    pub to: End,
    /// Whether `to` is refreshed when `from` has changed.
    pub notify: bool,
    /// The name of the edge, for people, if it was declared with one.
    pub name: Option<Arc<String>>,
    /// Where the edge was declared.
    pub origin: Origin,
}

/// An end of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A resource of the graph, by its index.
    Vertex(u32),
    /// All resources that a rule has collected, by the index of the rule.
    Collected(u32),
    /// One resource, which may not be exported yet.
    Named(ResourceId),
}

/// The resources of one kind that this host collects: a handle of all of them. Returned by
/// [`Graph::collect`](crate::graph::Graph::collect).
///
/// In edges it stands for all that there are, also if these are none: `.after(&files)`, `g.notify(&files, &nginx)`.
pub struct Collected<R> {
    node: NodeRef,
    rule: Arc<Mutex<Collect>>,
    kind: PhantomData<fn() -> R>,
}

impl<R> Clone for Collected<R> {
    fn clone(&self) -> Self {
        Collected { node: self.node, rule: Arc::clone(&self.rule), kind: PhantomData }
    }
}

impl<R> fmt::Debug for Collected<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected").field("node", &self.node).finish_non_exhaustive()
    }
}

impl<R: Converge> Collected<R> {
    pub(in crate::graph) fn new(node: NodeRef, rule: Arc<Mutex<Collect>>) -> Collected<R> {
        Collected { node, rule, kind: PhantomData }
    }

    fn with(self, set: impl FnOnce(&mut Collect)) -> Self {
        set(&mut self.rule.lock().unwrap_or_else(PoisonError::into_inner));
        self
    }

    /// Only from hosts whose name matches this pattern, or one of earlier calls: `*` is any text, `?` any character.
    /// Default: from all hosts, including this one.
    pub fn from(self, hosts: impl Into<String>) -> Self {
        self.with(|rule| rule.from.push(hosts.into()))
    }

    /// Only resources whose name matches this pattern, or one of earlier calls: `*` is any text, also with `/` in it,
    /// `?` any character. Default: all.
    pub fn named(self, names: impl Into<String>) -> Self {
        self.with(|rule| rule.named.push(names.into()))
    }

    /// Sets a field on each resource, in place of what the exporting host has set: as data, so that the graph can be
    /// written as data, unlike with [`map`](Collected::map). A field that the kind lacks, or a value of another type,
    /// is an error of the graph. Default: they are as they were exported.
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// # let mut g = Graph::new("monitor");
    /// g.collect::<File>().set("mode", "0644");
    /// ```
    pub fn set(self, field: &str, value: impl Serialize) -> Self {
        // What has no form as data is of another type than any field.
        let value = serde_json::to_value(value).unwrap_or_default();
        self.with(|rule| drop(rule.fields.insert(field.to_owned(), value)))
    }

    /// Changes each resource to fit this host. A later call replaces an earlier one. The closure sets fields and
    /// metaparameters; edges are declared with the handle, and a resource that it gives edges or received values is
    /// left out, with a warning. Such a graph can't be written as data. Default: they are as they were exported.
    pub fn map(self, change: impl Fn(R::Builder) -> R::Builder + Send + Sync + 'static) -> Self
    where
        R: Rebuild,
    {
        let made = move |resource: Arc<dyn AnyResource>, meta| changed::<R>(&*resource, meta, &change);
        self.with(|rule| rule.change = Some(ChangeFn(Arc::new(made))))
    }

    /// Trusts the exporting hosts with a kind that requires it, such as `exec`: what they export runs here, with the
    /// rights of this engine. Default: such a rule is refused.
    pub fn trust(self) -> Self {
        self.with(|rule| rule.trust = true)
    }

    /// The one with that name: its handle, like that of a resource of the graph. As long as it is not collected, its
    /// edges are left out, with a warning; what receives a value from it waits.
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// # let mut g = Graph::new("balancer");
    /// let values = g.collect::<Value>().from("db1");
    /// let port = values.one("port");
    /// g.add(File::new("/etc/app/port").content(port.value()));
    /// ```
    pub fn one(&self, name: impl Into<String>) -> <R::Builder as Declare>::Handle
    where
        R: Rebuild,
    {
        let ones = &mut self.rule.lock().unwrap_or_else(PoisonError::into_inner).ones;
        ones.push(name.into());
        let sort = NodeSort::One(u32::try_from(ones.len() - 1).unwrap_or(u32::MAX));
        R::Builder::handle(NodeRef { sort, ..self.node })
    }
}

fn changed<R: Rebuild + AnyResource>(
    resource: &dyn AnyResource,
    meta: Meta,
    change: &dyn Fn(R::Builder) -> R::Builder,
) -> Result<Pair, String> {
    let resource = resource.as_any().downcast_ref::<R>().ok_or("it is of another type")?.copy();
    let made = caught(|| change(resource.rebuild().meta(meta)).finish());
    let (resource, draft) = made.map_err(|panic| format!("the closure of `map` {panic}"))?;
    if !draft.edges.is_empty() || !draft.wires.is_empty() {
        let remedy = "declare edges with the handle of what is collected, and leave received values out";
        return Err(format!("the closure of `map` gives it edges or values of other resources: {remedy}"));
    }
    Ok((resource.erased(), draft.meta))
}

impl<R> IntoNodes for &Collected<R> {
    fn each(self, each: &mut dyn FnMut(NodeRef)) {
        each(self.node);
    }
}
