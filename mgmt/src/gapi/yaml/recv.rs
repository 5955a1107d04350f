//! `recv:` fields that receive the outputs of other resources.

use std::any::TypeId;
use std::borrow::Cow;

use crate::gapi::yaml::absent::{absent, absent_output};
use crate::gapi::yaml::compat::output;
use crate::gapi::yaml::document::Document;
use crate::gapi::yaml::draft::{Draft, End, Known, Receive, Source};
use crate::gapi::yaml::tree::{Key, Node, Place, Value};
use crate::gapi::yaml::typed::type_in_words;
use crate::graph::{Edge, Link};
use crate::resource::{Format, Sender, Wire, near};

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
            let (list, from) = match &node.value {
                Value::List(nodes) if nodes.is_empty() => {
                    self.complain(node.place, format!("`{}` receives from no resource: name at least one", key.text));
                    (true, None)
                }
                Value::List(nodes) => (true, self.sources(&key.text, nodes)),
                _ => (false, self.sources(&key.text, std::slice::from_ref(node))),
            };
            match from {
                Some(from) => self.drafts.receives.push(Receive {
                    to: (spec.kind.to_owned(), draft.name.clone()),
                    spec,
                    field,
                    from,
                    list,
                    place: key.place,
                }),
                None => draft.doubt(field),
            }
        }
    }

    /// The outputs that a field receives. `None`: one can't be read; all that can't have been reported.
    fn sources(&mut self, field: &str, nodes: &[Node]) -> Option<Vec<Source>> {
        let sources: Vec<_> = nodes.iter().map(|node| self.source(field, node)).collect();
        sources.into_iter().collect()
    }

    /// One of them.
    fn source(&mut self, field: &str, node: &Node) -> Option<Source> {
        let entries = self.some_map(node, &format!("what `{field}` receives"))?;
        let entries = &*self.spelt(entries, "a reference to a resource", &["kind", "name", "key", "as"]);
        let end = self.end(entries, node.place)?;
        let Some((_, output)) = entries.iter().find(|(key, _)| key.text == "key") else {
            self.complain(node.place, "name the value that is received with `key: …`");
            return None;
        };
        let name = match entries.iter().find(|(key, _)| key.text == "as") {
            Some((key, node)) => Some((self.text(node, "`as`")?, key.place)),
            None => None,
        };
        Some(Source { end, key: self.text(output, "`key`")?, key_place: output.place, name })
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
        if self.drafts.collected.contains(&end.kind) {
            return Some(self.graph.config.awaited_at(end.spec, &end.name, &self.quotes.origin(end.place)));
        }
        let compared = self.graph.known.len();
        let has_time = self.comparisons_left >= compared;
        self.comparisons_left -= if has_time { compared } else { 0 };
        let hint = if !has_time {
            String::new()
        } else if self.drafts.exported.contains(&id) {
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
            let exports = self.drafts.exports.get(&receive.to).cloned().unwrap_or_default();
            let what = format!("{}[{}] receives from", receive.to.0, receive.to.1);
            let from: Vec<_> = receive.from.iter().map(|source| self.find(&source.end, &what)).collect();
            // The wire is checked even if one of the resources is missing, so that all mistakes are reported at once.
            let wire = self.wire(&receive);
            let (Some(from), Some((ports, wire))) = (from.into_iter().collect::<Option<Vec<_>>>(), wire) else {
                if let Some(to) = to {
                    self.graph.doubts.entry(to).or_default().fields.push(receive.field);
                }
                continue;
            };
            let sources: Vec<_> = from.into_iter().zip(ports).collect();
            for export in exports {
                let link = Link { to: 0, field: receive.field, sources: sources.clone(), wire: wire.clone() };
                self.graph.config.exports[export].links.push(link);
            }
            if let Some(to) = to {
                self.link(&receive, sources, to, wire);
            }
        }
    }

    /// The outputs that the field receives, and the wire from them, if they exist and fit.
    fn wire(&mut self, receive: &Receive) -> Option<(Vec<u8>, Wire)> {
        let ports: Vec<_> = receive.from.iter().map(|source| self.port(source)).collect();
        let ports = ports.into_iter().collect::<Option<Vec<_>>>()?;
        let (field, origin) = (&receive.spec.fields[usize::from(receive.field)], self.quotes.origin(receive.place));
        let is_absent =
            |source: &Source| absent(source.end.spec.kind).is_some_and(|a| std::ptr::eq(a, source.end.spec));
        if receive.from.iter().any(is_absent) {
            // Whether it fits is not known. It never sends.
            return Some((ports, Wire::from_data(origin, TypeId::of::<String>(), field)));
        }
        if let (Some((_, place)), false) =
            (receive.from.iter().find_map(|s| s.name.as_ref()), field.format == Format::Named)
        {
            let message = format!("`{}` takes a value without a name: leave `as` out", field.name);
            self.complain(*place, message);
            return None;
        }
        let ids: Vec<_> = receive.from.iter().map(|s| format!("{}[{}]", s.end.spec.kind, s.end.name)).collect();
        let numbered = receive.from.iter().enumerate();
        let senders: Vec<_> = numbered
            .map(|(n, source)| Sender {
                id: &ids[n],
                spec: source.end.spec,
                port: ports[n],
                name: source.name.as_ref().map_or(&source.end.name, |(name, _)| name),
            })
            .collect();
        let to = format!("{}[{}]", receive.to.0, receive.to.1);
        let wire = match &senders[..] {
            [sender] if !receive.list => field.wire(sender, &to, origin),
            senders => field.wire_of_several(senders, &to, origin),
        };
        match wire {
            Ok(wire) => Some((ports, wire)),
            Err(mut problem) => {
                // Types of Rust mean nothing to the author of a file.
                let sent = receive.from.iter().zip(&ports).map(|(s, port)| &s.end.spec.outputs[usize::from(*port)]);
                for name in sent.map(|output| output.type_name).chain([field.type_name]) {
                    problem = problem.replace(&format!("`{name}`"), &type_in_words(name));
                }
                self.complain(receive.place, problem);
                None
            }
        }
    }

    /// The output that a field receives, if there is one.
    fn port(&mut self, source: &Source) -> Option<u8> {
        let sender = source.end.spec;
        let from = format!("{}[{}]", sender.kind, source.end.name);
        if absent(sender.kind).is_some_and(|spec| std::ptr::eq(spec, sender)) {
            let (port, is_known) = absent_output(sender, &source.key);
            if !is_known {
                let message = format!(
                    "{from}: whether it sends `{}` is not known: this build has no kind `{}`",
                    source.key, sender.kind
                );
                self.warn(source.key_place, message);
            }
            return Some(port);
        }
        let key = output(sender.kind, &source.key).unwrap_or(&source.key);
        match sender.sends(&from, key) {
            Ok(port) => Some(port),
            Err(problem) => {
                self.complain(source.key_place, problem);
                None
            }
        }
    }

    fn link(&mut self, receive: &Receive, sources: Vec<(u32, u8)>, to: u32, wire: Wire) {
        for (from, _) in sources.iter().copied() {
            if self.graph.pairs.insert((from, to)) {
                let origin = self.quotes.origin(receive.place);
                self.graph.config.edges.push(Edge { from, to, notify: false, name: None, origin });
            }
        }
        self.graph.config.links.push(Link { to, field: receive.field, sources, wire });
    }
}
