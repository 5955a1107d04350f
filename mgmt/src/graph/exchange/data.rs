//! Exports, rules and their edges as plain data.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::graph::config::GraphConfig;
use crate::graph::data::{Kinds, SendData, VertexData, origin_text, vertex_data};
use crate::graph::exchange::collect::{AwaitedEdge, Collect, End};
use crate::graph::problem::Problem;
use crate::id::ResourceId;
use crate::resource::Origin;

/// An export as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportData {
    /// The resource.
    pub resource: VertexData,
    /// The hosts that may collect it. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<String>>,
    /// Whether it is sealed for the keys of these hosts, so that it may have secrets. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// The values that it receives from resources of the graph. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sends: Vec<SendData>,
}

/// A rule that collects, as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectData {
    /// The kind of the resources, for example `file`.
    pub kind: String,
    /// Patterns of the names of hosts (`*`: any text, `?`: any character). Default: all hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Patterns of the names of resources. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<String>,
    /// Fields that are set on each resource. Default: none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Json>,
    /// Whether the exporting hosts are trusted with a kind that requires it. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trust: bool,
    /// Whether a function of a program (`map` in Rust) changes the resources: such a rule can't leave that program, and
    /// is refused when the graph is read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closure: bool,
    /// Where it was declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// An edge of which an end is collected, as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitedData {
    /// The end that must be settled first.
    pub from: EndData,
    /// The end that waits.
    pub to: EndData,
    /// Whether `to` is refreshed when `from` has changed. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub notify: bool,
    /// The name of the edge, for people. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it was declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// An end of such an edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EndData {
    /// A resource, which need not be in the graph: it may be collected.
    Resource(ResourceId),
    /// All resources that a rule collects.
    Rule {
        /// The number of the rule, from 0.
        collected: u32,
    },
}

/// The parts of a graph that have to do with other hosts.
type Parts = (Vec<ExportData>, Vec<CollectData>, Vec<AwaitedData>);

/// These parts of a graph as data. Its edges and links must be checked.
pub(in crate::graph) fn exchange_data(config: &GraphConfig, problems: &mut Vec<Problem>) -> Parts {
    let mut exports = Vec::new();
    for export in &config.exports {
        let sends = export.links.iter().map(|link| config.send_data(link, &export.vertex)).collect();
        match vertex_data(&export.vertex, &export.wired()) {
            Ok(resource) => exports.push(ExportData { resource, to: export.to.clone(), sealed: export.sealed, sends }),
            Err(problem) => problems.push(problem),
        }
    }
    let rule = |rule: &Collect| CollectData {
        kind: rule.kind.spec.kind.to_owned(),
        from: rule.from.clone(),
        named: rule.named.clone(),
        fields: rule.fields.clone(),
        trust: rule.trust,
        closure: rule.change.is_some(),
        origin: origin_text(&rule.origin),
    };
    let end = |end: &End| match end {
        End::Vertex(place) => config.vertices.get(*place as usize).map(|vertex| EndData::Resource(vertex.id())),
        End::Collected(rule) => Some(EndData::Rule { collected: *rule }),
        End::Named(id) => Some(EndData::Resource(id.clone())),
    };
    let edge = |edge: &AwaitedEdge| {
        let (name, origin) = (edge.name.as_deref().cloned(), origin_text(&edge.origin));
        Some(AwaitedData { from: end(&edge.from)?, to: end(&edge.to)?, notify: edge.notify, name, origin })
    };
    let edges = config.awaited.iter().filter_map(edge).collect();
    (exports, config.collects.iter().map(rule).collect(), edges)
}

impl CollectData {
    /// The rule, or what is wrong with it.
    pub(in crate::graph) fn bind(&self, kinds: &Kinds, origin: Origin) -> Result<Collect, String> {
        let kind = *kinds.find(&self.kind)?;
        if self.closure {
            return Err(format!(
                "what is collected of the kind {} is changed by a Rust closure (`map`), which can't leave the program \
                 that it is compiled into: run the graph there, or set `fields`",
                self.kind
            ));
        }
        let (from, named, fields) = (self.from.clone(), self.named.clone(), self.fields.clone());
        Ok(Collect { from, named, fields, trust: self.trust, ..Collect::new(kind, origin) })
    }
}

impl AwaitedData {
    /// The edge. `place`: the index of a resource of the graph.
    pub(in crate::graph) fn bind(&self, place: impl Fn(&ResourceId) -> Option<u32>, origin: Origin) -> AwaitedEdge {
        let end = |end: &EndData| match end {
            EndData::Resource(id) => place(id).map_or_else(|| End::Named(id.clone()), End::Vertex),
            EndData::Rule { collected } => End::Collected(*collected),
        };
        let name = self.name.clone().map(Arc::new);
        AwaitedEdge { from: end(&self.from), to: end(&self.to), notify: self.notify, name, origin }
    }
}
