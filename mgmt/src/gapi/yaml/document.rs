//! The file as a whole: its keys, and what its parts have in common.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::gapi::yaml::draft::Receive;
use crate::gapi::yaml::excerpt::Quotes;
use crate::gapi::yaml::options::YamlOptions;
use crate::gapi::yaml::read::RemoteAddress;
use crate::gapi::yaml::tree::{Complaint, Key, Node, Place, Value};
use crate::gapi::yaml::typed;
use crate::graph::{Doubts, GraphConfig};
use crate::resource::{Secret, hint, nearest};
use crate::sys::facts::check_hostname;

const KEYS: [&str; 7] = ["graph", "comment", "hostname", "remote", "resources", "edges", "collect"];

/// A limit on comparisons with misspelt names: a file with very many mistakes must be refused in a short time.
const COMPARISONS_MAX: usize = 1_000_000;

/// Whether a value under such a key is most likely a secret.
pub(crate) fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "pw", "credential", "auth"].iter().any(|word| key.contains(word))
}

/// A file on its way to a graph: from a tree of keys and values, through drafts of resources.
pub(crate) struct Document<'a> {
    pub(crate) options: &'a YamlOptions,
    pub(crate) quotes: &'a Quotes<'a>,
    pub(crate) complaints: Vec<Complaint>,
    pub(crate) warnings: Vec<Complaint>,
    pub(crate) schemas: typed::Schemas,
    /// The places of keys that occur again in their map: which of the values was meant is not known.
    pub(crate) doubled: HashSet<(usize, usize)>,
    /// How many more comparisons with misspelt names are allowed.
    pub(crate) comparisons_left: usize,
    /// The second phase.
    pub(crate) drafts: Drafts,
    /// The third phase.
    pub(crate) graph: Built,
}

/// What has been read but is not in the graph yet.
#[derive(Default)]
pub(crate) struct Drafts {
    /// Resources that were declared, but could not be made: edges to them cause no further complaints.
    pub(crate) spoilt: HashSet<(String, String)>,
    /// Fields that receive. Their senders are looked up when all resources are in the graph.
    pub(crate) receives: Vec<Receive>,
    /// The indices of exports, by the kind and the name of the resource in the file.
    pub(crate) exports: HashMap<(String, String), Vec<usize>>,
    /// Resources that are exported, by kind and name.
    pub(crate) exported: HashSet<(String, String)>,
    /// Kinds that are collected.
    pub(crate) collected: HashSet<String>,
}

/// The graph as built so far, with indexes for lookups.
#[derive(Default)]
pub(crate) struct Built {
    pub(crate) config: GraphConfig,
    /// The host that the file names.
    pub(crate) hostname: Option<String>,
    /// The address of the host for which the graph is meant.
    pub(crate) remote: Option<RemoteAddress>,
    /// The index of each resource in the graph, by kind and name.
    pub(crate) known: HashMap<(String, String), u32>,
    /// The widths of the names of resources, by line and column.
    pub(crate) widths: HashMap<(usize, usize), usize>,
    /// What is not known about resources with mistakes, by index.
    pub(crate) doubts: Doubts,
    /// The pairs of resources, by index, that an edge joins.
    pub(crate) pairs: HashSet<(u32, u32)>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(options: &'a YamlOptions, quotes: &'a Quotes<'a>, complaints: Vec<Complaint>) -> Document<'a> {
        let doubled = complaints.iter().filter_map(|complaint| complaint.doubles.as_ref());
        let doubled = doubled.map(|doubled| (doubled.first.line, doubled.first.column)).collect();
        Document {
            options,
            quotes,
            complaints,
            doubled,
            warnings: Vec::new(),
            schemas: typed::Schemas::new(),
            comparisons_left: COMPARISONS_MAX,
            drafts: Drafts::default(),
            graph: Built::default(),
        }
    }

    pub(crate) fn complain(&mut self, place: Place, message: impl Into<String>) {
        self.complaints.push(Complaint::new(place, message));
    }

    pub(crate) fn warn(&mut self, place: Place, message: impl Into<String>) {
        self.warnings.push(Complaint::new(place, message));
    }

    /// The entries with known keys. A misspelt key of `owner` is an error, and is read as the key that it resembles
    /// most, unless that key is present too: so the other mistakes are found in the same round.
    pub(crate) fn spelt<'n>(
        &mut self,
        entries: &'n [(Key, Node)],
        owner: &str,
        known: &[&str],
    ) -> Cow<'n, [(Key, Node)]> {
        if entries.iter().all(|(key, _)| known.contains(&key.text.as_str())) {
            return Cow::Borrowed(entries);
        }
        let mut spelt: Vec<(Key, Node)> = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            if known.contains(&key.text.as_str()) {
                spelt.push((key.clone(), node.clone()));
                continue;
            }
            if sounds_secret(&key.text) {
                self.quotes.mask(node);
            }
            self.unknown(key, owner, known.iter().copied());
            let meant = nearest(&key.text, known.iter().copied()).filter(|_| !self.options.allow_unknown);
            if let Some(meant) = meant
                && !entries.iter().chain(&spelt).any(|(other, _)| other.text == meant)
            {
                spelt.push((Key { text: meant.to_owned(), ..*key }, node.clone()));
            }
        }
        Cow::Owned(spelt)
    }

    /// Reports a key that `owner` lacks.
    pub(crate) fn unknown<'n>(&mut self, key: &Key, owner: &str, known: impl Iterator<Item = &'n str> + Clone) {
        let hint = hint(&key.text, known, "there are");
        let message = format!("{owner} has no key `{}`: {hint}", key.text);
        if self.options.allow_unknown { self.warn(key.place, message) } else { self.complain(key.place, message) }
    }

    /// The entries of a map; a null is an empty map.
    pub(crate) fn map<'n>(&mut self, node: &'n Node, what: &str) -> &'n [(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            _ if node.is_null() => &[],
            _ => {
                self.complain(node.place, format!("{what} must be a map; this is {}", node.sort()));
                &[]
            }
        }
    }

    /// The entries of a map. `None`: the node is not a map, which has been reported.
    pub(crate) fn some_map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        let is_map = matches!(node.value, Value::Map(_)) || node.is_null();
        let entries = self.map(node, what);
        is_map.then_some(entries)
    }

    /// The entries of a list; a null is an empty list.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::List(nodes) => nodes,
            _ if node.is_null() => &[],
            _ => {
                self.complain(
                    node.place,
                    format!("{what} must be a list; this is {}: begin each entry with `- `", node.sort()),
                );
                &[]
            }
        }
    }

    /// A text that is not empty. `None`: the node is something else, which has been reported.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() && !text.is_empty() => return Some(text.clone()),
            Value::Scalar { .. } => self.complain(node.place, format!("{what} is empty")),
            _ => self.complain(node.place, format!("{what} must be a text; this is {}", node.sort())),
        }
        None
    }

    pub(crate) fn truth(&mut self, node: &Node, what: &str) -> Option<bool> {
        let truth = match &node.value {
            Value::Scalar { text, plain: true } => typed::truth(text),
            _ => None,
        };
        if truth.is_none() {
            self.complain(node.place, format!("{what} must be `true` or `false`"));
        }
        truth
    }

    /// The entries of the top level with known keys. Old names are errors, and are read as the new ones.
    fn spelt_root<'n>(&mut self, entries: &'n [(Key, Node)]) -> Cow<'n, [(Key, Node)]> {
        let is_old = |key: &Key| matches!(key.text.as_str(), "types" | "res");
        let mut entries = Cow::Borrowed(entries);
        if entries.iter().any(|(key, _)| is_old(key)) {
            let has_new = entries.iter().any(|(key, _)| key.text == "resources");
            for (key, _) in entries.to_mut().iter_mut().filter(|(key, _)| is_old(key)) {
                self.complain(key.place, format!("`{}` is an old name: write `resources`", key.text));
                key.text = if has_new { "comment" } else { "resources" }.to_owned();
            }
        }
        match entries {
            Cow::Borrowed(entries) => self.spelt(entries, "a graph", &KEYS),
            Cow::Owned(entries) => Cow::Owned(self.spelt(&entries, "a graph", &KEYS).into_owned()),
        }
    }

    /// The address of the host for which the graph is meant.
    fn remote(&mut self, key: Place, node: &Node) {
        if !self.options.for_remote {
            self.warn(key, "`remote` has no effect: the graph runs on this host; `run --remote FILE` (feature `ssh`) runs it there");
        } else if let Some(url) = self.text(node, "`remote`, the address of a host,") {
            let remote = RemoteAddress { url: Secret::new(url), origin: self.quotes.origin(node.place) };
            self.graph.remote = Some(remote);
        }
    }

    pub(crate) fn read(&mut self, root: &Node) {
        let entries = self.map(root, "a graph");
        if entries.is_empty() {
            if !matches!(root.value, Value::Map(_)) && !root.is_null() {
                return;
            }
            return self.complain(root.place, "there is nothing here: a graph begins with `graph: NAME`");
        }
        let entries = &*self.spelt_root(entries);
        let get = |name: &str| entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node);
        match get("graph") {
            Some(node) => self.graph.config.name = self.text(node, "`graph`, the graph's name,").unwrap_or_default(),
            None => {
                let place = entries.first().map_or(root.place, |(key, _)| key.place);
                self.complain(place, "the graph has no name: give it one with `graph: NAME`");
            }
        }
        for (key, node) in entries {
            match key.text.as_str() {
                "hostname" => {
                    self.graph.hostname = self.text(node, "`hostname`");
                    if let Some(problem) = self.graph.hostname.as_deref().and_then(|name| check_hostname(name).err()) {
                        self.complain(node.place, problem);
                    }
                }
                "remote" => {
                    // The addresses may contain passwords.
                    self.quotes.hide(node);
                    self.remote(key.place, node);
                }
                _ => {}
            }
        }
        if self.options.for_remote && get("remote").is_none() {
            let place = entries.first().map_or(root.place, |(key, _)| key.place);
            self.complain(place, "the graph names no host: add `remote: ssh://USER@HOST`");
        }
        if let Some(node) = get("resources") {
            self.resources(node);
        }
        if let Some(node) = get("collect") {
            self.collect(node);
        }
        if let Some(node) = get("edges") {
            self.edges(node);
        }
        self.receive();
    }
}
