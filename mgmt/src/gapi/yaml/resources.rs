//! `resources:` a list of resources for each kind.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::gapi::yaml::absent::{Absent, absent, absent_kinds};
use crate::gapi::yaml::compat;
use crate::gapi::yaml::document::{Document, sounds_secret};
use crate::gapi::yaml::draft::{Draft, Known};
use crate::gapi::yaml::elsewhere::feature_of;
use crate::gapi::yaml::tree::{Complaint, Key, Node, Place, Value};
use crate::gapi::yaml::typed;
use crate::graph::Vertex;
use crate::resource::{AnyResource, FieldSpec, Format, KindSpec, Meta, hint, near, nearest};

impl Document<'_> {
    pub(crate) fn kind(&mut self, text: &str, place: Place) -> Option<Known> {
        let name = text.to_ascii_lowercase();
        if let Some(kind) = self.options.kinds.get(&name) {
            return Some(Known::Built(*kind));
        }
        if let Some(spec) = absent(&name) {
            return Some(Known::Absent(spec));
        }
        if let Some(feature) = feature_of(&name) {
            let why = "which this build lacks: build it with that feature";
            self.complain(place, format!("the kind `{text}` needs the feature `{feature}` of the library, {why}"));
            return None;
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
        let name = text.to_ascii_lowercase();
        if feature_of(&name).is_some() {
            return None;
        }
        let built = self.built_kinds().into_iter();
        let meant = nearest(&name, built.chain(absent_kinds().map(|spec| spec.kind)))?;
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
            // What the fields mean is unknown, so each of them may be a secret.
            entries.iter().filter(|(key, _)| key.text != "name").for_each(|(_, node)| self.quotes.mask(node));
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
        let (before, count) = (self.complaints.len(), entries.len());
        let entries = &*self.spelt_fields(kind, entries);
        let Some((_, name_node)) = entries.iter().find(|(key, _)| key.text == "name") else {
            return self.complain(
                node.place,
                format!("a resource of the kind `{}` has no name: give it one with `name: …`", spec.kind),
            );
        };
        let Some(name) = self.text(name_node, "`name`") else { return };
        let mut draft = Draft {
            kind,
            name,
            place: name_node.place,
            meta: Meta::default(),
            export: None,
            sealed: false,
            fields: Map::new(),
            places: Vec::new(),
            wired: Vec::new(),
            misfits: Vec::new(),
            has_unknown: entries.len() < count && !self.options.allow_unknown,
        };
        self.entries(&mut draft, entries);
        compat::adapt(self, &mut draft);
        let is_wrong = self.complaints.len() > before;
        if is_wrong && draft.name.starts_with("@@") {
            // Reports other mistakes of the resource.
            self.made(&mut draft);
            self.drafts.spoilt.insert((spec.kind.to_owned(), draft.name));
        } else if is_wrong {
            self.add_wrong(draft);
        } else if let Some(name) = draft.name.strip_prefix("@@") {
            let name = name.to_owned();
            let declared = std::mem::replace(&mut draft.name, name);
            self.export(&declared, draft);
        } else {
            // It runs here, too.
            if draft.export.is_some() {
                self.export(&draft.name, draft.clone());
            } else if draft.sealed {
                let message = "`sealed: true` is for what is exported: name the hosts with `export`";
                return self.complain(draft.place, message);
            }
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
            _ => format!("a resource of the kind `{}`", spec.kind),
        };
        let fields = spec.fields.iter().map(|field| field.name).chain(["name", "meta", "recv"]);
        let old = entries.iter().filter(|(key, _)| is_known(key)).map(|(key, _)| key.text.as_str());
        let old = old.filter(|name| compat::is_old(spec.kind, name));
        let known: Vec<&str> = fields.chain(old).collect();
        let spelt = self.spelt(entries, &owner, &known);
        // A key that was not read as another one can have been meant for a field that keeps secrets.
        if may_hold_secrets(spec) {
            let is_read = |node: &Node| spelt.iter().any(|(_, read)| read.place == node.place);
            entries.iter().filter(|(_, node)| !is_read(node)).for_each(|(_, node)| self.quotes.mask(node));
        }
        spelt
    }

    fn entries(&mut self, draft: &mut Draft, entries: &[(Key, Node)]) {
        let spec = draft.kind.spec();
        let id = format!("{}[{}]", spec.kind, draft.name);
        for (key, node) in entries {
            match key.text.as_str() {
                "name" => {}
                "meta" => self.meta(draft, &id, node),
                "recv" => self.recv(draft, node),
                name if spec.field(name).is_some() || compat::is_old(spec.kind, name) => {
                    // A key without a value counts as not given.
                    if !node.is_null() {
                        self.field(draft, key, node);
                    }
                }
                // Only a kind that this build lacks can still have an unknown key here.
                _ => self.read_over(draft, key, node),
            }
            if let Some(field) = spec.field(&key.text)
                && self.doubled.contains(&(key.place.line, key.place.column))
            {
                draft.doubt(field);
            }
        }
        for field in draft.wired.clone() {
            let name = spec.fields[usize::from(field)].name;
            if let Some((_, place, _)) = draft.places.iter().find(|(other, _, _)| other == name) {
                self.complain(*place, format!("{id}: `{name}` is given here and received too: leave one of them out"));
                draft.doubt(field);
            }
        }
    }

    /// Skips a key of a kind that this build lacks: not all fields of such a kind are known, and another build may
    /// accept the key.
    pub(crate) fn read_over(&mut self, draft: &Draft, key: &Key, node: &Node) {
        let spec = draft.kind.spec();
        if may_hold_secrets(spec) || sounds_secret(&key.text) {
            self.quotes.mask(node);
        }
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
                let problem = secret.map_or(format!(": {}", misfit.problem), secret_misfit);
                let message = format!("{}[{}]: `{}`{problem}", spec.kind, draft.name, key.text);
                let place = if secret.is_some() { node.place } else { misfit.node.place };
                if matches!(draft.kind, Known::Absent(_)) {
                    // The resource fails at run time, whatever its fields are.
                    return self.warn(place, message);
                }
                self.complaints.push(Complaint { secret: secret.is_some(), ..Complaint::new(place, message) });
                match spec.field(&key.text) {
                    Some(field) => draft.doubt(field),
                    None => draft.has_unknown = true,
                }
            }
        }
    }

    /// Makes the resource. `None`: it can't be made, and the reason has been reported.
    pub(crate) fn made(&mut self, draft: &mut Draft) -> Option<Arc<dyn AnyResource>> {
        let spec = draft.kind.spec();
        let kind = match draft.kind {
            Known::Built(kind) => kind,
            Known::Absent(spec) => {
                let absent = Absent { spec, name: draft.name.clone(), fields: draft.fields.clone() };
                return Some(Arc::new(absent) as Arc<dyn AnyResource>);
            }
        };
        let mut problems = Vec::new();
        let unread: Vec<u8> = draft.wired.iter().chain(&draft.misfits).copied().collect();
        let resource = kind.read(&draft.name, &mut draft.fields.clone(), &unread, &mut problems);
        for mut problem in problems {
            let place = draft.places.iter().find(|(name, _, _)| *name == problem.field);
            let place = place.map_or(draft.place, |(_, key, value)| if problem.key { *key } else { *value });
            let id = format!("{}[{}]", spec.kind, draft.name);
            let number = spec.field(&problem.field);
            let field = number.map(|field| &spec.fields[usize::from(field)]);
            if let (Some(field), false) = (field.filter(|field| field.secret), problem.key) {
                problem.problem = secret_misfit(field);
            } else if !problem.key {
                problem.problem = format!(": {}", typed::for_people(problem.problem.trim_start_matches(": ")));
            }
            let secret = !problem.key && field.is_some_and(|field| field.secret);
            // What an unknown key was meant for is not missing.
            if !(draft.has_unknown && problem.key) {
                self.complaints.push(Complaint { secret, ..Complaint::new(place, format!("{id}: {problem}")) });
            }
            number.into_iter().for_each(|field| draft.doubt(field));
        }
        resource
    }

    /// Puts a resource with mistakes into the graph, if it can be made without the wrong fields: mistakes of the graph
    /// as a whole are then found in the same round.
    fn add_wrong(&mut self, mut draft: Draft) {
        match self.made(&mut draft) {
            Some(resource) => self.add_doubtful(draft, Some(resource)),
            None => self.add_unmade(draft),
        }
    }

    /// The same for a resource that could not be made, whose wrong fields have been reported just now.
    fn add_unmade(&mut self, mut draft: Draft) {
        let before = self.complaints.len();
        let resource = self.made(&mut draft);
        self.complaints.truncate(before);
        self.add_doubtful(draft, resource);
    }

    fn add_doubtful(&mut self, mut draft: Draft, resource: Option<Arc<dyn AnyResource>>) {
        let id = (draft.kind.spec().kind.to_owned(), draft.name.clone());
        let Some(resource) = resource.filter(|_| !self.graph.known.contains_key(&id)) else {
            self.drafts.spoilt.insert(id);
            return;
        };
        if !draft.meta.problems().is_empty() {
            draft.meta = Meta::default();
        }
        let at = self.push(id, draft.place, resource, (draft.meta != Meta::default()).then(|| draft.meta.clone()));
        self.graph.doubts.insert(at, draft.doubts());
    }

    /// Puts a resource into the graph. Returns its index.
    fn push(&mut self, id: (String, String), place: Place, resource: Arc<dyn AnyResource>, meta: Option<Meta>) -> u32 {
        // If two different resources have one name, it does not matter which of them is found: the graph's validation
        // refuses both.
        let at = u32::try_from(self.graph.config.vertices.len()).unwrap_or(u32::MAX);
        self.graph.known.entry(id).or_insert(at);
        self.graph.widths.insert((place.line, place.column), place.width);
        let (meta, origin) = (meta.map(Arc::new), self.quotes.origin(place));
        self.graph.config.vertices.push(Vertex::new(resource, meta, origin));
        at
    }

    /// Makes the resource and puts it into the graph.
    pub(crate) fn add(&mut self, mut draft: Draft) {
        let Some(resource) = self.made(&mut draft) else { return self.add_unmade(draft) };
        let id = (draft.kind.spec().kind.to_owned(), draft.name);
        let meta = (draft.meta != Meta::default()).then_some(draft.meta);
        if let Some(at) = self.graph.known.get(&id) {
            if self.graph.doubts.contains_key(at) {
                // What is known of the first one is too little to compare.
                return;
            }
            let first = &self.graph.config.vertices[*at as usize];
            if draft.wired.is_empty() && first.resource.same(&*resource) && first.meta.as_deref() == meta.as_ref() {
                let message = format!("{} is declared twice, each time the same: once is enough", first.id());
                return self.warn(draft.place, message);
            }
        }
        self.push(id, draft.place, resource, meta);
    }
}

/// The message for the value of a secret field that is not of its type, without the value.
fn secret_misfit(field: &FieldSpec) -> String {
    format!(": the value, which is secret, is not {}", typed::type_in_words(field.type_name).replace("secret ", ""))
}

/// Whether values of this kind may be secrets.
fn may_hold_secrets(spec: &KindSpec) -> bool {
    let keeps = |field: &FieldSpec| field.secret || field.keeps_secrets() || field.format == Format::Table;
    spec.fields.iter().any(keeps) || spec.outputs.iter().any(|output| output.secret)
}
