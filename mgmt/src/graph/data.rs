//! A graph as plain data, to be written and read with serde; and back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value as Json};

use crate::graph::config::{Edge, GraphConfig, Link, Vertex};
use crate::graph::problem::{Problem, Problems};
use crate::id::ResourceId;
use crate::resource::{Converge, FieldProblem, Kind, Meta, Origin, SECRET_PLACEHOLDER, Span, Wire, nearest};

/// A graph as plain data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphData {
    /// Its name.
    pub graph: String,
    /// Its resources.
    #[serde(default)]
    pub resources: Vec<VertexData>,
    /// Its edges. Those that sends need are added by themselves.
    #[serde(default)]
    pub edges: Vec<EdgeData>,
    /// Its sends.
    #[serde(default)]
    pub sends: Vec<SendData>,
}

/// A resource as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VertexData {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its fields; those at their defaults are left out.
    #[serde(default)]
    pub fields: Map<String, Json>,
    /// Its metaparameters.
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
    /// Settles first.
    pub from: ResourceId,
    /// Waits.
    pub to: ResourceId,
    /// Refreshes.
    #[serde(default)]
    pub notify: bool,
    /// Where it was declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// A send as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendData {
    /// The senders and their outputs, more than one only if `closure`.
    pub from: Vec<(ResourceId, String)>,
    /// The receiver.
    pub to: ResourceId,
    /// Its field.
    pub field: String,
    /// The value is made by a Rust closure (`map`, `zip`): it can't leave the program that it is compiled into.
    #[serde(default)]
    pub closure: bool,
    /// Where it was declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// The kinds that graphs given as data may use.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    by_name: BTreeMap<&'static str, Kind>,
}

impl Kinds {
    /// No kind.
    pub fn none() -> Kinds {
        Kinds::default()
    }

    /// These and one more.
    #[must_use]
    pub fn with<R: Converge>(mut self) -> Kinds {
        self.by_name.insert(R::spec().kind, Kind::of::<R>());
        self
    }

    /// The kind of that name.
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.by_name.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.by_name.values()
    }

    /// The kind, or what to say about it.
    ///
    /// # Errors
    /// There is no such kind; the text says which is meant.
    pub fn find(&self, name: &str) -> Result<&Kind, String> {
        self.get(&name.to_ascii_lowercase()).ok_or_else(|| match nearest(name, self.by_name.keys().copied()) {
            Some(near) => format!("there is no kind `{name}`: did you mean `{near}`?"),
            None => {
                let all: Vec<_> = self.by_name.keys().map(|kind| format!("`{kind}`")).collect();
                format!("there is no kind `{name}`: there are {}", all.join(", "))
            }
        })
    }
}

fn origin_text(origin: &Origin) -> Option<String> {
    (!matches!(origin, Origin::Unknown)).then(|| origin.to_string())
}

fn origin_from(text: Option<&String>) -> Origin {
    let Some(text) = text else { return Origin::Unknown };
    let (file, line) = text.rsplit_once(':').unwrap_or((text, "0"));
    Origin::File(Arc::new(Span { file: file.to_owned(), line: line.parse().unwrap_or(0), column: 1 }))
}

impl GraphConfig {
    /// The graph as plain data. What can't travel is marked in it (closures, secrets) and refused by [`GraphData::bind`].
    ///
    /// # Errors
    /// A field that has no form as data.
    pub fn to_data(&self) -> Result<GraphData, Problems> {
        let mut problems = Vec::new();
        let mut wired: HashMap<u32, Vec<u8>> = HashMap::new();
        for link in &self.links {
            wired.entry(link.to).or_default().push(link.field);
        }
        let id = |n: u32| self.vertices[n as usize].id();
        let mut resources = Vec::with_capacity(self.vertices.len());
        for (n, vertex) in (0u32..).zip(&self.vertices) {
            match vertex.resource.to_data(wired.get(&n).map_or(&[], Vec::as_slice)) {
                Ok(fields) => resources.push(VertexData {
                    kind: vertex.resource.spec().kind.to_owned(),
                    name: vertex.resource.name().to_owned(),
                    fields,
                    meta: vertex.meta.as_deref().cloned(),
                    origin: origin_text(&vertex.origin),
                }),
                Err(problem) => {
                    problems.push(Problem::new(format!("{}: {problem}", vertex.id()), vertex.origin.clone()))
                }
            }
        }
        Problems(problems).into_result()?;
        let edges = self.edges.iter().map(|edge| EdgeData {
            from: id(edge.from),
            to: id(edge.to),
            notify: edge.notify,
            origin: origin_text(&edge.origin),
        });
        let sends = self.links.iter().map(|link| SendData {
            from: link
                .sources
                .iter()
                .map(|(from, port)| {
                    (
                        id(*from),
                        self.vertices[*from as usize].resource.spec().outputs[usize::from(*port)].name.to_owned(),
                    )
                })
                .collect(),
            to: id(link.to),
            field: self.vertices[link.to as usize].resource.spec().fields[usize::from(link.field)].name.to_owned(),
            closure: link.wire.closure,
            origin: origin_text(&link.wire.origin),
        });
        Ok(GraphData { graph: self.name.clone(), resources, edges: edges.collect(), sends: sends.collect() })
    }
}

impl Serialize for GraphConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_data().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl GraphData {
    /// The graph that the data means.
    ///
    /// # Errors
    /// Everything that is wrong: unknown kinds, fields, resources; types that don't fit; closures and secrets, which did not travel.
    pub fn bind(&self, kinds: &Kinds) -> Result<GraphConfig, Problems> {
        let places: HashMap<(&str, &str), u32> = (0u32..)
            .zip(&self.resources)
            .map(|(n, vertex)| ((vertex.kind.as_str(), vertex.name.as_str()), n))
            .collect();
        let mut binder = Binder {
            data: self,
            kinds,
            places,
            problems: Vec::new(),
            config: GraphConfig { name: self.graph.clone(), ..GraphConfig::default() },
        };
        let mut wired: HashMap<&ResourceId, Vec<u8>> = HashMap::new();
        for send in &self.sends {
            if let Some(field) = kinds.get(send.to.kind.as_str()).and_then(|kind| kind.spec.field(&send.field)) {
                wired.entry(&send.to).or_default().push(field);
            }
        }
        for vertex in &self.resources {
            let id = ResourceId::new(&vertex.kind, vertex.name.clone());
            binder.vertex(vertex, wired.get(&id).map_or(&[], Vec::as_slice));
        }
        Problems(std::mem::take(&mut binder.problems)).into_result()?;
        self.edges.iter().for_each(|edge| binder.edge(edge));
        self.sends.iter().for_each(|send| binder.send(send));
        Problems(binder.problems).into_result()?;
        Ok(binder.config)
    }
}

struct Binder<'a> {
    data: &'a GraphData,
    kinds: &'a Kinds,
    places: HashMap<(&'a str, &'a str), u32>,
    problems: Vec<Problem>,
    config: GraphConfig,
}

impl Binder<'_> {
    fn say(&mut self, message: impl Into<String>, origin: &Origin) {
        self.problems.push(Problem::new(message, origin.clone()));
    }

    fn vertex(&mut self, data: &VertexData, wired: &[u8]) {
        let origin = origin_from(data.origin.as_ref());
        let kind = match self.kinds.find(&data.kind) {
            Ok(kind) => *kind,
            Err(problem) => return self.say(problem, &origin),
        };
        let secrets: Vec<_> =
            data.fields.iter().filter(|(_, value)| holds_secret(value)).map(|(key, _)| key.clone()).collect();
        for key in secrets {
            self.say(
                format!(
                    "{}[{}]: `{key}` was a secret, which does not travel in a graph: send it from a resource",
                    data.kind, data.name
                ),
                &origin,
            );
        }
        let mut problems: Vec<FieldProblem> = Vec::new();
        let resource = kind.read(&data.name, &mut data.fields.clone(), wired, &mut problems);
        for problem in problems {
            self.say(format!("{}[{}]: `{}`: {}", data.kind, data.name, problem.field, problem.problem), &origin);
        }
        if let Some(resource) = resource {
            self.config.vertices.push(Vertex { resource, meta: data.meta.clone().map(Arc::new), origin });
        }
    }

    fn place(&mut self, id: &ResourceId, what: &str, origin: &Origin) -> Option<u32> {
        let place = self.places.get(&(id.kind.as_str(), id.name.as_str())).copied();
        if place.is_none() {
            let names: Vec<String> = self
                .data
                .resources
                .iter()
                .filter(|vertex| vertex.kind == id.kind.as_str())
                .map(|vertex| vertex.name.clone())
                .collect();
            let hint = nearest(&id.name, names.iter().map(String::as_str))
                .map_or(String::new(), |near| format!(": did you mean `{}[{near}]`?", id.kind));
            self.say(format!("{what} {id}, which is not in the graph{hint}"), origin);
        }
        place
    }

    fn edge(&mut self, data: &EdgeData) {
        let origin = origin_from(data.origin.as_ref());
        let from = self.place(&data.from, "an edge from", &origin);
        let to = self.place(&data.to, "an edge to", &origin);
        if let (Some(from), Some(to)) = (from, to) {
            self.config.edges.push(Edge { from, to, notify: data.notify, origin });
        }
    }

    fn send(&mut self, data: &SendData) {
        let origin = origin_from(data.origin.as_ref());
        let Some(to) = self.place(&data.to, "a send to", &origin) else { return };
        let [(from_id, output)] = data.from.as_slice() else {
            return self.say(closure_text(data), &origin);
        };
        if data.closure {
            return self.say(closure_text(data), &origin);
        }
        let Some(from) = self.place(from_id, "a send from", &origin) else { return };
        let sender = self.config.vertices[from as usize].resource.spec();
        let receiver = self.config.vertices[to as usize].resource.spec();
        let Some(port) = sender.output(output) else {
            let near = nearest(output, sender.outputs.iter().map(|output| output.name));
            let hint = near.map_or_else(
                || format!("`{}` sends nothing of that name", sender.kind),
                |near| format!("did you mean `{near}`?"),
            );
            return self.say(format!("{from_id} has no output `{output}`: {hint}"), &origin);
        };
        let Some(field) = receiver.field(&data.field) else {
            let near = nearest(&data.field, receiver.fields.iter().map(|field| field.name));
            let hint = near.map_or(String::new(), |near| format!(": did you mean `{near}`?"));
            return self.say(format!("{} has no field `{}`{hint}", data.to, data.field), &origin);
        };
        let (spec, sent) = (&receiver.fields[usize::from(field)], &sender.outputs[usize::from(port)]);
        if !(spec.takes)((sent.type_id)()) {
            let message = format!(
                "{from_id} sends `{output}` as `{}`, and `{}` of {} takes `{}`",
                sent.type_name, data.field, data.to, spec.type_name
            );
            return self.say(message, &origin);
        }
        let wire = Wire::from_data(origin.clone(), spec.convert, spec.recall);
        self.config.links.push(Link { to, field, sources: vec![(from, port)], wire });
        if !self.config.edges.iter().any(|edge| edge.from == from && edge.to == to) {
            self.config.edges.push(Edge { from, to, notify: false, origin });
        }
    }
}

fn closure_text(data: &SendData) -> String {
    format!(
        "what `{}` of {} receives is made by a Rust closure (`map`, `zip`), which can't leave the program that it is compiled into: run the graph there, or send a value as it is",
        data.field, data.to
    )
}

fn holds_secret(value: &Json) -> bool {
    match value {
        Json::String(text) => text == SECRET_PLACEHOLDER,
        Json::Array(values) => values.iter().any(holds_secret),
        Json::Object(values) => values.values().any(holds_secret),
        _ => false,
    }
}
