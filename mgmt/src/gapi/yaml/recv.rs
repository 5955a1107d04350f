//! `recv:` fields that receive the outputs of other resources.

use std::borrow::Cow;

use crate::gapi::yaml::absent::{absent, absent_output};
use crate::gapi::yaml::compat::output;
use crate::gapi::yaml::document::Document;
use crate::gapi::yaml::draft::{Draft, End, Export, Known, Receive};
use crate::gapi::yaml::tree::{Key, Node, Place};
use crate::gapi::yaml::typed::type_in_words;
use crate::graph::{Edge, Link};
use crate::resource::{Wire, near};

impl Document<'_> {
    pub(crate) fn recv(&mut self, draft: &mut Draft, node: &Node) {
        let spec = draft.kind.spec();
        let all = self.map(node, "`recv`");
        let mut entries = Cow::Borrowed(all);
        if matches!(draft.kind, Known::Built(_)) {
            let fields: Vec<&str> = spec.fields.iter().map(|field| field.name).collect();
            entries = self.spelt(all, &format!("{}[{}]", spec.kind, draft.name), &fields);
            draft.has_unknown |= entries.len() < all.len() && !self.options.allow_unknown;
        }
        for (key, node) in &*entries {
            let Some(field) = spec.field(&key.text) else {
                self.read_over(draft, key, node);
                continue;
            };
            draft.wired.push(field);
            match self.sender(&key.text, node) {
                Some((from, output, key_place)) => self.drafts.receives.push(Receive {
                    to: (spec.kind.to_owned(), draft.name.clone()),
                    spec,
                    field,
                    from,
                    key: output,
                    key_place,
                    place: key.place,
                }),
                None => draft.doubt(field),
            }
        }
    }

    /// The resource that sends to a field, and the output with its place. `None`: they can't be read, which has been
    /// reported.
    fn sender(&mut self, field: &str, node: &Node) -> Option<(End, String, Place)> {
        let entries = self.some_map(node, &format!("what `{field}` receives"))?;
        let entries = &*self.spelt(entries, "a reference to a resource", &["kind", "name", "key"]);
        let from = self.end(entries, node.place)?;
        let Some((_, output)) = entries.iter().find(|(key, _)| key.text == "key") else {
            self.complain(node.place, "name the value that is received with `key: …`");
            return None;
        };
        Some((from, self.text(output, "`key`")?, output.place))
    }

    /// Reads a reference to a resource: kind and name.
    pub(crate) fn end(&mut self, entries: &[(Key, Node)], place: Place) -> Option<End> {
        let get = |name: &str| entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node);
        let (Some(kind), Some(name)) = (get("kind"), get("name")) else {
            self.complain(place, "a resource is named by its kind and its name: `{kind: …, name: …}`");
            return None;
        };
        let (kind_text, name_text) = (self.text(kind, "`kind`")?, self.text(name, "`name`")?);
        let spec = self.kind(&kind_text, kind.place)?.spec();
        Some(End { kind: spec.kind.to_owned(), spec, name: name_text, place: name.place })
    }

    /// The index of that resource in the graph. `None`: the resource is not in the graph, which has been reported where
    /// it is a mistake.
    pub(crate) fn find(&mut self, end: &End, what: &str) -> Option<u32> {
        let id = (end.kind.clone(), end.name.clone());
        if let Some(place) = self.graph.known.get(&id) {
            return Some(*place);
        }
        if self.drafts.spoilt.contains(&id) {
            return None;
        }
        if let Some(name) = end.name.strip_prefix("@@") {
            let message =
                format!("{what} {}[{}]: once collected, it is named without `@@`: {name}", end.kind, end.name);
            self.complain(end.place, message);
            return None;
        }
        let own = |export: &Export| export.is(&end.kind, &end.name);
        if self.options.noop && self.drafts.exports.iter().any(own) {
            // Nothing is exported in noop.
            return None;
        }
        if self.drafts.collected.contains(&end.kind) {
            // The resource may be exported later, or by another host.
            self.warn(
                end.place,
                format!(
                    "{what} {}[{}], which no resource has exported yet: it is left out until then",
                    end.kind, end.name
                ),
            );
            return None;
        }
        let compared = self.drafts.exports.len() + self.graph.known.len();
        let has_time = self.comparisons_left >= compared;
        self.comparisons_left -= if has_time { compared } else { 0 };
        let is_exported =
            |document: &Self| document.drafts.exports.iter().any(|export| export.is(&end.kind, &end.name));
        let hint = if !has_time {
            String::new()
        } else if is_exported(self) {
            ", but exported: without `collect` it is not in this graph".to_owned()
        } else {
            let names = self.graph.known.keys().filter(|(kind, _)| *kind == end.kind).map(|(_, name)| name.as_str());
            let mut names: Vec<_> = names.collect();
            names.sort_unstable();
            near(&end.name, names).map_or(String::new(), |near| format!(": {near}"))
        };
        let message = format!("{what} {}[{}], which is not in the graph{hint}", end.kind, end.name);
        self.complain(end.place, message);
        None
    }

    pub(crate) fn receive(&mut self) {
        for receive in std::mem::take(&mut self.drafts.receives) {
            let to = self.graph.known.get(&receive.to).copied();
            let from = self.find(&receive.from, &format!("{}[{}] receives from", receive.to.0, receive.to.1));
            // The port is checked even if one of the two resources is missing, so that all mistakes are reported at
            // once.
            let port = self.port(&receive);
            match (from, to, port) {
                (Some(from), Some(to), Some(port)) => self.link(&receive, from, port, to),
                (_, Some(to), _) => self.graph.doubts.entry(to).or_default().fields.push(receive.field),
                (_, None, _) => {}
            }
        }
    }

    /// The output that the field receives, if there is one and it fits.
    fn port(&mut self, receive: &Receive) -> Option<u8> {
        let (sender, receiver) = (receive.from.spec, receive.spec);
        let from = format!("{}[{}]", sender.kind, receive.from.name);
        if absent(sender.kind).is_some_and(|spec| std::ptr::eq(spec, sender)) {
            let (port, is_known) = absent_output(sender, &receive.key);
            if !is_known {
                let message = format!(
                    "{from}: whether it sends `{}` is not known: this build has no kind `{}`",
                    receive.key, sender.kind
                );
                self.warn(receive.key_place, message);
            }
            return Some(port);
        }
        let key = output(sender.kind, &receive.key).unwrap_or(&receive.key);
        let port = match sender.sends(&from, key) {
            Ok(port) => port,
            Err(problem) => {
                self.complain(receive.key_place, problem);
                return None;
            }
        };
        let to = format!("{}[{}]", receive.to.0, receive.to.1);
        match sender.fits(&from, port, &to, &receiver.fields[usize::from(receive.field)]) {
            Ok(()) => Some(port),
            Err(mut problem) => {
                // Types of Rust mean nothing to the author of a file.
                let field = &receiver.fields[usize::from(receive.field)];
                for name in [sender.outputs[usize::from(port)].type_name, field.type_name] {
                    problem = problem.replace(&format!("`{name}`"), &type_in_words(name));
                }
                self.complain(receive.place, problem);
                None
            }
        }
    }

    fn link(&mut self, receive: &Receive, from: u32, port: u8, to: u32) {
        let output = &receive.from.spec.outputs[usize::from(port)];
        let field = &receive.spec.fields[usize::from(receive.field)];
        let origin = self.quotes.origin(receive.place);
        let wire = Wire::from_data(origin.clone(), (output.type_id)(), field.convert, field.recall);
        self.graph.config.links.push(Link { to, field: receive.field, sources: vec![(from, port)], wire });
        if self.graph.pairs.insert((from, to)) {
            self.graph.config.edges.push(Edge { from, to, notify: false, name: None, origin });
        }
    }
}
