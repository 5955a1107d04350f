//! A graph as plain data for serde, and back.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value as Json};

use crate::graph::config::{GraphConfig, Link, Vertex};
use crate::graph::exchange::{Awaited, AwaitedData, CollectData, ExportData, exchange_data};
use crate::graph::problem::{Problem, Problems};
use crate::graph::validate::places_exist;
use crate::id::ResourceId;
use crate::resource::{Converge, Join, Kind, Meta, Origin, hint};

/// A graph as plain data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphData {
    /// The name of the graph, for people.
    pub graph: String,
    /// The resources of the graph.
    #[serde(default)]
    pub resources: Vec<VertexData>,
    /// The edges between resources. Those that sends need are added automatically.
    #[serde(default)]
    pub edges: Vec<EdgeData>,
    /// The values that resources send to one another.
    #[serde(default)]
    pub sends: Vec<SendData>,
    /// The resources that belong together, as an engine has found. Not read: the groups of a graph are found whenever
    /// it is made ready to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Vec<ResourceId>>,
    /// The resources that hosts with this graph export.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<ExportData>,
    /// The rules by which hosts with this graph collect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collects: Vec<CollectData>,
    /// The edges of which an end is collected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaited: Vec<AwaitedData>,
}

/// A resource as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VertexData {
    /// The kind of the resource, for example `file`.
    pub kind: String,
    /// The name of the resource, unique within its kind.
    pub name: String,
    /// The fields of the resource. Those with their default values may be left out.
    #[serde(default)]
    pub fields: Map<String, Json>,
    /// Settings that every kind has. Default: each at its own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
    /// Where it was declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// An edge as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeData {
    /// The resource that must be settled first.
    pub from: ResourceId,
    /// The resource that waits.
    pub to: ResourceId,
    /// Whether `to` is refreshed when `from` has changed. Default: false.
    #[serde(default)]
    pub notify: bool,
    /// The name of the edge, for people. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it was declared, or which pass added it and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Whether a pass added it. Such an edge is left out when the graph is read: the passes over that graph add it.
    /// Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
}

/// A value that is sent from one resource to another, as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendData {
    /// The resources that send, each with the name of its output. More than one only with `closure`, `list` or `names`.
    pub from: Vec<(ResourceId, String)>,
    /// Whether the field receives a list of the values. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub list: bool,
    /// The names of the values, in the order of `from`: for fields that receive values with names. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The resource that receives the value.
    pub to: ResourceId,
    /// The name of the field that receives the value.
    pub field: String,
    /// Whether a function of a program (`map`, `zip` in Rust) makes the value: such a send can't leave that program,
    /// and is refused when the graph is read.
    #[serde(default)]
    pub closure: bool,
    /// Where it was declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// The kinds that a graph given as data may use. Two types must not have the same kind: what uses the set then fails
/// with both names.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    by_name: BTreeMap<&'static str, Kind>,
    /// Types whose kind another type in the set has.
    surplus: Vec<Kind>,
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Kinds {
        kinds.into_iter().fold(Kinds::default(), Kinds::and)
    }
}

impl Kinds {
    /// An empty set of kinds.
    pub fn none() -> Kinds {
        Kinds::default()
    }

    /// Adds the kind `R`.
    #[must_use]
    pub fn with<R: Converge>(self) -> Kinds {
        self.and(Kind::of::<R>())
    }

    fn and(mut self, kind: Kind) -> Kinds {
        match self.by_name.get(kind.spec.kind) {
            Some(known) if !std::ptr::eq(known.spec, kind.spec) => self.surplus.push(kind),
            _ => drop(self.by_name.insert(kind.spec.kind, kind)),
        }
        self
    }

    /// The problem of each type whose kind another type in the set has.
    pub fn clashes(&self) -> Vec<String> {
        let clash = |kind: &Kind| {
            let known = self.get(kind.spec.kind)?;
            Some(two_types(kind.spec.kind, (known.type_name)(), (kind.type_name)()))
        };
        self.surplus.iter().filter_map(clash).collect()
    }

    /// The kind with that name.
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.by_name.get(name)
    }

    /// All kinds, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.by_name.values()
    }

    /// The kind with that name, or a message for the user.
    ///
    /// # Errors
    /// There is no such kind; the text names the one that was probably meant.
    pub fn find(&self, name: &str) -> Result<&Kind, String> {
        self.get(&name.to_ascii_lowercase()).ok_or_else(|| {
            format!("there is no kind `{name}`: {}", hint(name, self.by_name.keys().copied(), "there are"))
        })
    }
}

/// The message about two types that have the same kind.
pub(super) fn two_types(kind: &str, one: &str, other: &str) -> String {
    format!("two types have the kind `{kind}`, {one} and {other}: give one of them another kind")
}

/// The resource as data. `wired`: the fields that it receives.
pub(super) fn vertex_data(vertex: &Vertex, wired: &[u8]) -> Result<VertexData, Problem> {
    let failed = |problem| Problem::new(format!("{}: {problem}", vertex.id()), vertex.origin.clone());
    Ok(VertexData {
        kind: vertex.resource.spec().kind.to_owned(),
        name: vertex.resource.name().to_owned(),
        fields: vertex.resource.to_data(wired).map_err(failed)?,
        meta: vertex.meta.as_deref().cloned(),
        origin: origin_text(&vertex.origin),
    })
}

pub(super) fn origin_text(origin: &Origin) -> Option<String> {
    (!matches!(origin, Origin::Unknown)).then(|| origin.to_string())
}

impl GraphConfig {
    /// The graph as plain data. What can't be written as data (closures, secrets) is marked in it, and refused by
    /// [`GraphData::bind`].
    ///
    /// # Errors
    /// Fields that have no form as data; edges and sends whose ends are not in the graph.
    pub fn to_data(&self) -> Result<GraphData, Problems> {
        let mut problems = Vec::new();
        let mut wired: HashMap<u32, Vec<u8>> = HashMap::new();
        for link in &self.links {
            wired.entry(link.to).or_default().push(link.field);
        }
        let is_placed = places_exist(self, &mut problems);
        let mut resources = Vec::with_capacity(self.vertices.len());
        let is_awaited = |n: u32| self.vertices.get(n as usize).is_some_and(|vertex| Awaited::of(vertex).is_some());
        for (n, vertex) in (0u32..).zip(&self.vertices).filter(|(n, _)| !is_awaited(*n)) {
            match vertex_data(vertex, wired.get(&n).map_or(&[], Vec::as_slice)) {
                Ok(data) => resources.push(data),
                Err(problem) => problems.push(problem),
            }
        }
        let (exports, collects, awaited) = match is_placed {
            true => exchange_data(self, &mut problems),
            false => Default::default(),
        };
        Problems(problems).into_result()?;
        let id = |n: u32| self.vertices[n as usize].id();
        let edges = self.edges.iter().filter(|edge| !is_awaited(edge.from)).map(|edge| EdgeData {
            from: id(edge.from),
            to: id(edge.to),
            notify: edge.notify,
            name: edge.name.as_deref().cloned(),
            origin: origin_text(&edge.origin),
            automatic: matches!(edge.origin, Origin::Pass(_)),
        });
        let sends = self.links.iter().map(|link| self.send_data(link, &self.vertices[link.to as usize]));
        let (edges, sends, groups) = (edges.collect(), sends.collect(), Vec::new());
        Ok(GraphData { graph: self.name.clone(), resources, edges, sends, groups, exports, collects, awaited })
    }
}

impl GraphConfig {
    /// What this resource receives, as data. The ends exist.
    pub(super) fn send_data(&self, link: &Link, to: &Vertex) -> SendData {
        let output = |(from, port): &(u32, u8)| {
            let from = &self.vertices[*from as usize];
            let id = Awaited::of(from).cloned().unwrap_or_else(|| from.id());
            (id, from.resource.spec().outputs[usize::from(*port)].name.to_owned())
        };
        SendData {
            from: link.sources.iter().map(output).collect(),
            to: to.id(),
            field: to.resource.spec().fields[usize::from(link.field)].name.to_owned(),
            closure: link.wire.closure,
            list: link.wire.join == Join::List,
            names: match &link.wire.join {
                Join::Named(names) => names.to_vec(),
                _ => Vec::new(),
            },
            origin: origin_text(&link.wire.origin),
        }
    }
}

impl Serialize for GraphConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_data().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}
