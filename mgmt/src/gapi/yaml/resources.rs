//! `resources:` a list of resources for each kind.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::gapi::yaml::absent::{Absent, absent, absent_kinds};
use crate::gapi::yaml::compat;
use crate::gapi::yaml::document::Document;
use crate::gapi::yaml::draft::{Draft, Export, Known};
use crate::gapi::yaml::tree::{Complaint, Key, Node, Place, Value};
use crate::gapi::yaml::typed;
use crate::graph::Vertex;
use crate::resource::{AnyResource, FieldSpec, Format, Meta, hint, near, nearest};

impl Document<'_> {
    pub(crate) fn kind(&mut self, text: &str, place: Place) -> Option<Known> {
        let name = text.to_ascii_lowercase();
        if let Some(kind) = self.options.kinds.get(&name) {
            return Some(Known::Built(*kind));
        }
        if let Some(spec) = absent(&name) {
            return Some(Known::Absent(spec));
        }
        let built = self.built_kinds();
        let near = near(&name, built.iter().copied().chain(absent_kinds().map(|spec| spec.kind)));
        let hint = near.unwrap_or_else(|| hint(&name, built, "there are"));
        self.complain(place, format!("there is no kind `{text}`: {hint}"));
        None
    }

    /// The names of the kinds that this build has.
    fn built_kinds(&self) -> Vec<&'static str> {
        let mut built: Vec<_> = self.options.kinds.iter().map(|kind| kind.spec.kind).collect();
        built.sort_unstable();
        built
    }

    /// The kind whose name resembles a misspelt name most.
    fn meant_kind(&self, text: &str) -> Option<Known> {
        let built = self.built_kinds().into_iter();
        let meant = nearest(&text.to_ascii_lowercase(), built.chain(absent_kinds().map(|spec| spec.kind)))?;
        self.options.kinds.get(meant).map(|kind| Known::Built(*kind)).or_else(|| absent(meant).map(Known::Absent))
    }

    pub(crate) fn resources(&mut self, node: &Node) {
        for (key, node) in self.map(node, "`resources`") {
            // A misspelt kind is read as the one that it resembles most, so that other mistakes are found in the same
            // round.
            let Some(kind) = self.kind(&key.text, key.place).or_else(|| self.meant_kind(&key.text)) else {
                self.spoil(&key.text, node);
                continue;
            };
            for node in self.list(node, &format!("`{}`", key.text)) {
                self.resource(kind, node);
            }
        }
    }

    /// Records resources of an unknown kind as declared, so that edges to them cause no further complaints.
    fn spoil(&mut self, kind: &str, node: &Node) {
        let Value::List(nodes) = &node.value else { return };
        for node in nodes {
            let Value::Map(entries) = &node.value else { continue };
            if let Some((_, name)) = entries.iter().find(|(key, _)| key.text == "name")
                && let Value::Scalar { text, .. } = &name.value
            {
                self.drafts.spoilt.insert((kind.to_ascii_lowercase(), text.clone()));
            }
        }
    }

    fn resource(&mut self, kind: Known, node: &Node) {
        let spec = kind.spec();
        let Some(entries) = self.some_map(node, &format!("a resource of the kind `{}`", spec.kind)) else { return };
        let before = self.complaints.len();
        let entries = &*self.spelt_fields(kind, entries);
        let Some((_, name_node)) = entries.iter().find(|(key, _)| key.text == "name") else {
            return self.complain(node.place, format!("this {} has no name: give it one with `name: …`", spec.kind));
        };
        let Some(name) = self.text(name_node, "`name`") else { return };
        let mut draft = Draft {
            kind,
            name,
            place: name_node.place,
            meta: Meta::default(),
            fields: Map::new(),
            places: Vec::new(),
            wired: Vec::new(),
            misfits: Vec::new(),
        };
        self.entries(&mut draft, entries);
        compat::adapt(self, &mut draft);
        if self.complaints.len() > before {
            // Reports other mistakes of the resource.
            self.made(&draft);
            self.drafts.spoilt.insert((spec.kind.to_owned(), draft.name));
        } else if let Some(name) = draft.name.strip_prefix("@@") {
            draft.name = name.to_owned();
            if draft.name.is_empty() {
                self.complain(draft.place, "`@@` exports a resource, and its name follows: write `@@NAME`");
            }
            if !draft.wired.is_empty() {
                self.complain(draft.place, "an exported resource can't receive: its sender is on this host alone");
            }
            self.drafts.exports.push(Export { draft, collected: false });
        } else {
            self.add(draft);
        }
    }

    /// The entries of a resource with known keys.
    fn spelt_fields<'n>(&mut self, kind: Known, entries: &'n [(Key, Node)]) -> Cow<'n, [(Key, Node)]> {
        let spec = kind.spec();
        let is_known = |key: &Key| {
            matches!(key.text.as_str(), "name" | "meta" | "recv")
                || spec.field(&key.text).is_some()
                || compat::is_old(spec.kind, &key.text)
        };
        if matches!(kind, Known::Absent(_)) || entries.iter().all(|(key, _)| is_known(key)) {
            return Cow::Borrowed(entries);
        }
        let named = entries.iter().find(|(key, _)| key.text == "name").map(|(_, node)| &node.value);
        let owner = match named {
            Some(Value::Scalar { text, .. }) => format!("{}[{text}]", spec.kind),
            _ => format!("this {}", spec.kind),
        };
        let fields = spec.fields.iter().map(|field| field.name).chain(["name", "meta", "recv"]);
        let old = entries.iter().filter(|(key, _)| is_known(key)).map(|(key, _)| key.text.as_str());
        let old = old.filter(|name| compat::is_old(spec.kind, name));
        let known: Vec<&str> = fields.chain(old).collect();
        self.spelt(entries, &owner, &known)
    }

    fn entries(&mut self, draft: &mut Draft, entries: &[(Key, Node)]) {
        let spec = draft.kind.spec();
        let id = format!("{}[{}]", spec.kind, draft.name);
        for (key, node) in entries {
            match key.text.as_str() {
                "name" => {}
                "meta" => draft.meta = self.meta(node),
                "recv" => self.recv(draft, node),
                name if spec.field(name).is_some() || compat::is_old(spec.kind, name) => {
                    // A key without a value counts as not given.
                    if !node.is_null() {
                        self.field(draft, key, node);
                    }
                }
                // Only a kind that this build lacks can still have an unknown key here.
                _ => self.read_over(draft, key),
            }
        }
        for field in &draft.wired {
            let name = spec.fields[usize::from(*field)].name;
            if let Some((_, place, _)) = draft.places.iter().find(|(other, _, _)| other == name) {
                self.complain(*place, format!("{id}: `{name}` is given here and received too: leave one of them out"));
            }
        }
    }

    /// Skips a key of a kind that this build lacks: not all fields of such a kind are known, and another build may
    /// accept the key.
    pub(crate) fn read_over(&mut self, draft: &Draft, key: &Key) {
        let spec = draft.kind.spec();
        let near = near(&key.text, spec.fields.iter().map(|field| field.name));
        let hint = near.map_or(String::new(), |near| format!("; {near}"));
        let what = format!("{}[{}]: `{}` is not known here", spec.kind, draft.name, key.text);
        self.warn(key.place, format!("{what}: this build has no kind `{}`{hint}", spec.kind));
    }

    fn field(&mut self, draft: &mut Draft, key: &Key, node: &Node) {
        let spec = draft.kind.spec();
        let field = spec.field(&key.text).map(|field| &spec.fields[usize::from(field)]);
        if field.is_some_and(|field| field.secret) {
            self.quotes.hide(node);
        } else if field.is_some_and(FieldSpec::keeps_secrets) {
            // The content of a file, for example, is not quoted, whether it is a secret or not.
            self.quotes.mask(node);
        } else if let (Some(Format::Table), Value::Map(entries)) = (field.map(|field| field.format), &node.value) {
            // A variable that is a secret is a map.
            let maps = entries.iter().filter(|(_, value)| matches!(value.value, Value::Map(_)));
            maps.for_each(|(_, value)| self.quotes.mask(value));
        }
        let json = match field {
            Some(field) => typed::field(node, field, &mut self.schemas),
            None => typed::typed(node, &Json::Bool(true)),
        };
        match json {
            Ok(json) => {
                draft.fields.insert(key.text.clone(), json);
                draft.places.push((key.text.clone(), key.place, node.place));
            }
            Err(misfit) => {
                let secret = field.filter(|field| field.secret);
                let problem = secret.map_or(format!(": {}", misfit.problem), FieldSpec::misfit);
                let message = format!("{}[{}]: `{}`{problem}", spec.kind, draft.name, key.text);
                let place = if secret.is_some() { node.place } else { misfit.node.place };
                if matches!(draft.kind, Known::Absent(_)) {
                    // The resource fails at run time, whatever its fields are.
                    return self.warn(place, message);
                }
                self.complaints.push(Complaint { secret: secret.is_some(), ..Complaint::new(place, message) });
                draft.misfits.push(key.text.clone());
            }
        }
    }

    /// Makes the resource. `None`: it can't be made, and the reason has been reported.
    fn made(&mut self, draft: &Draft) -> Option<Arc<dyn AnyResource>> {
        let spec = draft.kind.spec();
        let mut problems = Vec::new();
        let resource = match draft.kind {
            Known::Built(kind) => kind.read(&draft.name, &mut draft.fields.clone(), &draft.wired, &mut problems),
            Known::Absent(spec) => {
                let absent = Absent { spec, name: draft.name.clone(), fields: draft.fields.clone() };
                Some(Arc::new(absent) as Arc<dyn AnyResource>)
            }
        };
        for mut problem in problems.into_iter().filter(|problem| !draft.misfits.contains(&problem.field)) {
            let place = draft.places.iter().find(|(name, _, _)| *name == problem.field);
            let place = place.map_or(draft.place, |(_, key, value)| if problem.key { *key } else { *value });
            let id = format!("{}[{}]", spec.kind, draft.name);
            if !problem.key {
                problem.problem = format!(": {}", typed::for_people(problem.problem.trim_start_matches(": ")));
            }
            let field = spec.field(&problem.field).map(|field| &spec.fields[usize::from(field)]);
            let secret = !problem.key && field.is_some_and(|field| field.secret);
            self.complaints.push(Complaint { secret, ..Complaint::new(place, format!("{id}: {problem}")) });
        }
        resource
    }

    /// Makes the resource and puts it into the graph.
    pub(crate) fn add(&mut self, draft: Draft) {
        let spec = draft.kind.spec();
        let Some(resource) = self.made(&draft) else {
            self.drafts.spoilt.insert((spec.kind.to_owned(), draft.name));
            return;
        };
        let meta = (draft.meta != Meta::default()).then(|| Arc::new(draft.meta));
        let id = (spec.kind.to_owned(), draft.name);
        if let Some(place) = self.graph.known.get(&id)
            && let Some(first) = self.graph.config.vertices.get(*place as usize)
            && draft.wired.is_empty()
            && (first.resource.same(&*resource) && first.meta == meta)
        {
            let message = format!("{} is declared twice, each time the same: once is enough", first.id());
            return self.warn(draft.place, message);
        }
        // If two different resources have one name, it does not matter which of them is found: the graph's validation
        // refuses both.
        let place = u32::try_from(self.graph.config.vertices.len()).unwrap_or(u32::MAX);
        self.graph.known.entry(id).or_insert(place);
        self.graph.widths.insert((draft.place.line, draft.place.column), draft.place.width);
        self.graph.config.vertices.push(Vertex { resource, meta, origin: self.quotes.origin(draft.place) });
    }
}
