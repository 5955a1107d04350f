//! `edges:` which resource comes before which, and which refreshes which.

use std::sync::Arc;

use crate::gapi::yaml::document::Document;
use crate::gapi::yaml::draft::End;
use crate::gapi::yaml::tree::{Node, Value};
use crate::graph::{AwaitedEdge, Edge, End as GraphEnd};
use crate::id::ResourceId;

const KEYS: [&str; 4] = ["name", "from", "to", "notify"];

fn label(node: &Node) -> Option<Arc<String>> {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() && !text.is_empty() => Some(Arc::new(text.clone())),
        _ => None,
    }
}

impl Document<'_> {
    pub(crate) fn edges(&mut self, node: &Node) {
        for node in self.list(node, "`edges`") {
            self.edge(node);
        }
    }

    fn edge(&mut self, node: &Node) {
        let Some(entries) = self.some_map(node, "an edge") else { return };
        let (mut from, mut to, mut notify, mut name) = (None, None, false, None);
        for (key, node) in &*self.spelt(entries, "an edge", &KEYS) {
            match key.text.as_str() {
                "from" => from = Some(self.edge_end(node)),
                "to" => to = Some(self.edge_end(node)),
                // A label without a meaning: whatever older files have there is accepted.
                "name" => name = label(node),
                "notify" => notify = self.truth(node, "`notify`").unwrap_or_default(),
                _ => {}
            }
        }
        for (what, end) in [("from", &from), ("to", &to)] {
            if end.is_none() {
                self.complain(node.place, format!("this edge has no `{what}`: write `{what}: {{kind: …, name: …}}`"));
            }
        }
        // Both ends are looked up, so that all mistakes are reported at once.
        let from = from.flatten().and_then(|end| self.found(&end, "an edge from"));
        let to = to.flatten().and_then(|end| self.found(&end, "an edge to"));
        let origin = self.quotes.origin(node.place);
        match (from, to) {
            (Some(GraphEnd::Vertex(from)), Some(GraphEnd::Vertex(to))) => {
                self.graph.pairs.insert((from, to));
                self.graph.config.edges.push(Edge { from, to, notify, name, origin });
            }
            (Some(from), Some(to)) => {
                self.graph.config.awaited.push(AwaitedEdge { from, to, notify, name, origin });
            }
            _ => {}
        }
    }

    /// The resource, which is in the graph or may be collected. `None`: it is neither, which has been reported.
    fn found(&mut self, end: &End, what: &str) -> Option<GraphEnd> {
        let id = (end.kind.clone(), end.name.clone());
        let is_here = self.graph.known.contains_key(&id) || self.drafts.spoilt.contains(&id);
        if !is_here && !end.name.starts_with("@@") && self.drafts.collected.contains(&end.kind) {
            return Some(GraphEnd::Named(ResourceId::new(&end.kind, end.name.clone())));
        }
        self.find(end, what).map(GraphEnd::Vertex)
    }

    fn edge_end(&mut self, node: &Node) -> Option<End> {
        let entries = self.some_map(node, "an end of an edge")?;
        let entries = &*self.spelt(entries, "a reference to a resource", &["kind", "name"]);
        self.end(entries, node.place)
    }
}
