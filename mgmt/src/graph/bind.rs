//! From plain data to a graph: names become indices, fields become values.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::graph::config::{Edge, GraphConfig, Link, Vertex};
use crate::graph::data::{EdgeData, GraphData, Kinds, SendData, VertexData};
use crate::graph::exchange::{CollectData, Export, ExportData};
use crate::graph::problem::{Problem, Problems};
use crate::id::ResourceId;
use crate::resource::{KindSpec, Origin, SECRET_PLACEHOLDER, Sender, Span, Wire, hint, near};

impl GraphData {
    /// The graph that the data describes.
    ///
    /// # Errors
    /// All mistakes: unknown kinds, fields and resources; types that don't fit; closures and secrets, which data can't
    /// contain.
    pub fn bind(&self, kinds: &Kinds) -> Result<GraphConfig, Problems> {
        #[cfg(feature = "ssh")]
        return crate::graph::within::reading_with(kinds, || self.bound(kinds));
        #[cfg(not(feature = "ssh"))]
        self.bound(kinds)
    }

    fn bound(&self, kinds: &Kinds) -> Result<GraphConfig, Problems> {
        let mut wired: HashMap<&ResourceId, Vec<u8>> = HashMap::new();
        for send in &self.sends {
            if let Some(field) = kinds.get(send.to.kind.as_str()).and_then(|kind| kind.spec.field(&send.field)) {
                wired.entry(&send.to).or_default().push(field);
            }
        }
        let mut binder = Binder {
            kinds,
            places: HashMap::with_capacity(self.resources.len()),
            problems: kinds.clashes().into_iter().map(|clash| Problem::new(clash, Origin::Unknown)).collect(),
            config: GraphConfig { name: self.graph.clone(), ..GraphConfig::default() },
            pairs: HashSet::new(),
        };
        for vertex in &self.resources {
            let id = ResourceId::new(&vertex.kind, vertex.name.clone());
            let place = binder.vertex(&id, vertex, wired.get(&id).map_or(&[], Vec::as_slice));
            binder.places.insert(id, place);
        }
        self.collects.iter().for_each(|rule| binder.rule(rule));
        self.exports.iter().for_each(|export| binder.export(export));
        for edge in &self.awaited {
            let place = |id: &ResourceId| binder.places.get(id).copied().flatten();
            binder.config.awaited.push(edge.bind(place, origin_from(edge.origin.as_ref())));
        }
        // Edges and sends are read even if a resource is wrong, so that all mistakes are reported at once.
        self.edges.iter().filter(|edge| !edge.automatic).for_each(|edge| binder.edge(edge));
        self.sends.iter().for_each(|send| binder.send(send));
        Problems(binder.problems).into_result()?;
        Ok(binder.config)
    }
}

struct Binder<'a> {
    kinds: &'a Kinds,
    /// `None`: the resource is in the data, but has a mistake, which has been reported.
    places: HashMap<ResourceId, Option<u32>>,
    problems: Vec<Problem>,
    config: GraphConfig,
    /// The ends of the edges read so far.
    pairs: HashSet<(u32, u32)>,
}

impl Binder<'_> {
    fn say(&mut self, message: impl Into<String>, origin: &Origin) {
        self.problems.push(Problem::new(message, origin.clone()));
    }

    fn vertex(&mut self, id: &ResourceId, data: &VertexData, wired: &[u8]) -> Option<u32> {
        let vertex = self.made(id, data, wired)?;
        let place = u32::try_from(self.config.vertices.len()).ok()?;
        self.config.vertices.push(vertex);
        Some(place)
    }

    fn export(&mut self, data: &ExportData) {
        let id = ResourceId::new(&data.resource.kind, data.resource.name.clone());
        let field = |send: &SendData| self.kinds.get(&data.resource.kind)?.spec.field(&send.field);
        let wired: Vec<u8> = data.sends.iter().filter_map(field).collect();
        let vertex = self.made(&id, &data.resource, &wired);
        let mut links = Vec::new();
        for send in &data.sends {
            if send.to != id {
                let message = format!("a send to {} among those of {id}, which is exported", send.to);
                self.say(message, &origin_from(send.origin.as_ref()));
            } else {
                links.extend(self.received(send));
            }
        }
        let Some(vertex) = vertex else { return };
        self.config.exports.push(Export { links, sealed: data.sealed, ..Export::new(vertex, data.to.clone()) });
    }

    fn rule(&mut self, data: &CollectData) {
        let origin = origin_from(data.origin.as_ref());
        match data.bind(self.kinds, origin.clone()) {
            Ok(rule) => self.config.collects.push(rule),
            Err(problem) => self.say(problem, &origin),
        }
    }

    fn made(&mut self, id: &ResourceId, data: &VertexData, wired: &[u8]) -> Option<Vertex> {
        let origin = origin_from(data.origin.as_ref());
        let kind = match self.kinds.find(&data.kind) {
            Ok(kind) => *kind,
            Err(problem) => {
                self.say(problem, &origin);
                return None;
            }
        };
        let before = self.problems.len();
        for key in data.fields.iter().filter(|(_, value)| holds_secret(value)).map(|(key, _)| key) {
            let message =
                format!("{id}: `{key}` was a secret, which does not travel in a graph: send it from a resource");
            self.say(message, &origin);
        }
        for field in wired.iter().map(|field| kind.spec.fields[usize::from(*field)].name) {
            if data.fields.contains_key(field) {
                self.say(format!("{id}: `{field}` is both given and received: leave it to one of them"), &origin);
            }
        }
        let mut problems = Vec::new();
        let resource = kind.read(&data.name, &mut data.fields.clone(), wired, &mut problems);
        for problem in problems {
            self.say(format!("{id}: {problem}"), &origin);
        }
        let resource = resource.filter(|_| self.problems.len() == before)?;
        Some(Vertex::new(resource, data.meta.clone().map(Arc::new), origin))
    }

    /// The index of the resource. The outer `None`: the resource is not in the data, which is reported here.
    fn place(&mut self, id: &ResourceId, what: &str, origin: &Origin) -> Option<Option<u32>> {
        let place = self.places.get(id).copied();
        if place.is_none() {
            let names = self.places.keys().filter(|other| other.kind == id.kind).map(|other| other.name.as_str());
            let mut names: Vec<_> = names.collect();
            names.sort_unstable();
            let hint = near(&id.name, names).map_or(String::new(), |near| format!(": {near}"));
            self.say(format!("{what} {id}, which is not in the graph{hint}"), origin);
        }
        place
    }

    /// The same for a sender, which may be collected.
    fn sender(&mut self, id: &ResourceId, origin: &Origin) -> Option<Option<u32>> {
        let rules = &self.config.collects;
        let rule = rules.iter().find(|rule| rule.kind.spec.kind == id.kind.as_str());
        match rule.filter(|_| !self.places.contains_key(id)).map(|rule| rule.kind.spec) {
            Some(spec) => Some(Some(self.config.awaited_at(spec, &id.name, origin))),
            None => self.place(id, "a send from", origin),
        }
    }

    fn edge(&mut self, data: &EdgeData) {
        let origin = origin_from(data.origin.as_ref());
        let from = self.place(&data.from, "an edge from", &origin);
        let to = self.place(&data.to, "an edge to", &origin);
        if let (Some(Some(from)), Some(Some(to))) = (from, to) {
            self.pairs.insert((from, to));
            self.config.edges.push(Edge {
                from,
                to,
                notify: data.notify,
                name: data.name.clone().map(Arc::new),
                origin,
            });
        }
    }

    fn send(&mut self, data: &SendData) {
        let origin = origin_from(data.origin.as_ref());
        let to = self.place(&data.to, "a send to", &origin);
        let link = self.received(data);
        let (Some(Some(to)), Some(link)) = (to, link) else { return };
        for (from, _) in &link.sources {
            if self.pairs.insert((*from, to)) {
                let origin = origin.clone();
                self.config.edges.push(Edge { from: *from, to, notify: false, name: None, origin });
            }
        }
        self.config.links.push(Link { to, ..link });
    }

    /// The link, without the resource that it leads to. `None`: something is wrong, which has been reported.
    fn received(&mut self, data: &SendData) -> Option<Link> {
        let origin = origin_from(data.origin.as_ref());
        let has_names = data.names.len() == data.from.len();
        let wrong = match data.from.len() {
            _ if data.closure => Some(closure_text(data)),
            0 => Some(format!("a send to `{}` of {} without a sender", data.field, data.to)),
            1 => None,
            _ if !data.list && !has_names => Some(closure_text(data)),
            _ => None,
        };
        if let Some(wrong) = wrong {
            self.say(wrong, &origin);
            return None;
        }
        let from: Vec<_> = data.from.iter().map(|(id, _)| self.sender(id, &origin)).collect();
        let spec_of = |id: &ResourceId| self.kinds.get(id.kind.as_str()).map(|kind| kind.spec);
        let from = from.into_iter().collect::<Option<Vec<_>>>()?;
        let specs = data.from.iter().map(|(id, _)| spec_of(id)).collect::<Option<Vec<_>>>()?;
        match wired(&specs, spec_of(&data.to)?, data, origin.clone()) {
            Ok((ports, field, wire)) => {
                let from = from.into_iter().collect::<Option<Vec<_>>>()?;
                Some(Link { to: 0, field, sources: from.into_iter().zip(ports).collect(), wire })
            }
            Err(message) => {
                self.say(message, &origin);
                None
            }
        }
    }
}

/// The numbers of the outputs and of the field, and the wire between them; or the reason why they do not fit.
fn wired(
    senders: &[&'static KindSpec],
    receiver: &'static KindSpec,
    data: &SendData,
    origin: Origin,
) -> Result<(Vec<u8>, u8, Wire), String> {
    let numbered = senders.iter().zip(&data.from).map(|(spec, (id, output))| spec.sends(id, output));
    let ports = numbered.collect::<Result<Vec<_>, _>>()?;
    let Some(number) = receiver.field(&data.field) else {
        let hint = hint(&data.field, receiver.fields.iter().map(|field| field.name), "its fields are");
        return Err(format!("{} has no field `{}`: {hint}", data.to, data.field));
    };
    let field = &receiver.fields[usize::from(number)];
    let name = |n: usize| data.names.get(n).map_or(data.from[n].0.name.as_str(), String::as_str);
    let sender = |(n, port): (usize, &u8)| Sender { id: &data.from[n].0, spec: senders[n], port: *port, name: name(n) };
    let senders: Vec<Sender<'_>> = ports.iter().enumerate().map(sender).collect();
    let wire = match &senders[..] {
        [sender] if !data.list => field.wire(sender, &data.to, origin)?,
        senders => field.wire_of_several(senders, &data.to, origin)?,
    };
    Ok((ports, number, wire))
}

/// Reads an origin of the form `file:line:column`; line and column may be missing.
fn origin_from(text: Option<&String>) -> Origin {
    let Some(text) = text else { return Origin::Unknown };
    let number_at_end = |text: &str| text.rsplit_once(':').and_then(|(rest, n)| Some((rest.len(), n.parse().ok()?)));
    let (file, line, column) = match number_at_end(text) {
        None => (text.as_str(), 0, 0),
        Some((end, last)) => match number_at_end(&text[..end]) {
            None => (&text[..end], last, 0),
            Some((start, line)) => (&text[..start], line, last),
        },
    };
    Origin::File(Arc::new(Span { file: file.to_owned(), line, column }))
}

fn closure_text(data: &SendData) -> String {
    format!(
        "what `{}` of {} receives is made by a Rust closure (`map`, `zip`), which can't leave the program that it is compiled into: run the graph there, or send a value as it is",
        data.field, data.to
    )
}

pub(super) fn holds_secret(value: &Json) -> bool {
    match value {
        Json::String(text) => text == SECRET_PLACEHOLDER,
        Json::Array(values) => values.iter().any(holds_secret),
        Json::Object(values) => values.values().any(holds_secret),
        _ => false,
    }
}
