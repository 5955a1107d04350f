//! `collect:` and names that begin with `@@`: resources that hosts give one another.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::gapi::yaml::compat;
use crate::gapi::yaml::document::Document;
use crate::gapi::yaml::draft::{Draft, Known};
use crate::gapi::yaml::tree::{Node, Value};
use crate::graph::{Collect, Export, Vertex};
use crate::resource::Meta;

/// The keys of a rule.
const KEYS: [&str; 5] = ["kind", "from", "named", "pattern", "trust"];
/// What stands for all hosts among the hosts that a resource is exported to.
const ALL: &str = "*";

impl Document<'_> {
    /// Exports a resource, to the hosts of `meta: {export: …}` or to all. `declared`: its name in the file.
    pub(crate) fn export(&mut self, declared: &str, mut draft: Draft) {
        if draft.name.is_empty() {
            return self.complain(draft.place, "`@@` exports a resource, and its name follows: write `@@NAME`");
        }
        if let Known::Absent(spec) = draft.kind {
            let what = format!("{}[{}]", spec.kind, draft.name);
            return self.warn(draft.place, format!("{what} is not exported: this build has no kind `{}`", spec.kind));
        }
        let Some(resource) = self.made(&mut draft) else {
            self.drafts.spoilt.insert((draft.kind.spec().kind.to_owned(), draft.name));
            return;
        };
        // Whether it is hidden is a matter of this host.
        let meta = Meta { hidden: false, ..draft.meta };
        let meta: Option<Arc<Meta>> = (meta != Meta::default()).then(|| Arc::new(meta));
        let to = draft.export.filter(|to| !to.iter().any(|host| host == ALL));
        let is_same = |other: &Export| {
            let same = other.vertex.resource.same(&*resource) && other.vertex.meta == meta;
            same && other.vertex.resource.name() == draft.name && other.to == to && other.sealed == draft.sealed
        };
        let id = (draft.kind.spec().kind.to_owned(), draft.name.clone());
        if draft.wired.is_empty() && self.drafts.exported.contains(&id) && self.graph.config.exports.iter().any(is_same)
        {
            let message = format!(
                "{}[{}] is declared twice, each time the same: once is enough",
                draft.kind.spec().kind,
                draft.name
            );
            return self.warn(draft.place, message);
        }
        self.drafts.exported.insert(id);
        self.graph.widths.insert((draft.place.line, draft.place.column), draft.place.width);
        let declared = (draft.kind.spec().kind.to_owned(), declared.to_owned());
        self.drafts.exports.entry(declared).or_default().push(self.graph.config.exports.len());
        let vertex = Vertex::new(resource, meta, self.quotes.origin(draft.place));
        self.graph.config.exports.push(Export { sealed: draft.sealed, ..Export::new(vertex, to) });
    }

    pub(crate) fn collect(&mut self, node: &Node) {
        for node in self.list(node, "`collect`") {
            self.rule(node);
        }
    }

    fn rule(&mut self, node: &Node) {
        let Some(entries) = self.some_map(node, "what is collected") else { return };
        let (mut kind, mut pattern, mut trust) = (None, None, false);
        let (mut from, mut named) = (Vec::new(), Vec::new());
        for (key, node) in &*self.spelt(entries, "a rule of `collect`", &KEYS) {
            match key.text.as_str() {
                "kind" => {
                    let Some(text) = self.text(node, "`kind`") else { return };
                    let Some(found) = self.kind(&text, node.place) else { return };
                    kind = Some(found);
                }
                "pattern" => match &node.value {
                    Value::Scalar { text, .. } if text.is_empty() || node.is_null() => {}
                    _ => pattern = self.text(node, "`pattern`").map(|text| (text, node.place)),
                },
                "from" if !node.is_null() => from = self.texts(node, "`from`", "a host of `from`"),
                "named" if !node.is_null() => named = self.texts(node, "`named`", "a name of `named`"),
                "trust" => trust = self.truth(node, "`trust`").unwrap_or_default(),
                _ => {}
            }
        }
        let Some(kind) = kind else {
            return self.complain(node.place, "name what is collected with `kind: …`");
        };
        let spec = kind.spec();
        self.drafts.collected.insert(spec.kind.to_owned());
        let Known::Built(kind) = kind else {
            let message = format!("nothing is collected of the kind `{}`, which this build lacks", spec.kind);
            return self.warn(node.place, message);
        };
        let mut rule = Collect::new(kind, self.quotes.origin(node.place));
        (rule.from, rule.named, rule.trust) = (from, named, trust);
        if let (Some((text, place)), Some(field)) = (pattern, compat::pattern_field(spec.kind)) {
            if !(text.starts_with('/') && text.ends_with('/')) {
                let message = format!(
                    "`pattern` is the directory that collected files go to: it begins and ends with `/`, {text} does \
                     not"
                );
                return self.complain(place, message);
            }
            rule.fields.insert(field.to_owned(), Json::String(text));
        }
        self.graph.config.collects.push(rule);
    }
}
