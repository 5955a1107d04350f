//! The content of the journal in memory: queries are answered from it, and commits are made from it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::id::{JournalOp, ResourceId};

use super::entry::{Entry, Owed};
use super::facts::Facts;

/// The state of an edge. An edge with neither flag is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Edge {
    debt: bool,
    intent: bool,
}

/// The section of a fact about a resource. The number is the one on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Section {
    Mark = 0,
    Sent = 1,
    Value = 2,
    Absent = 3,
}

pub(super) const SECTIONS: [Section; 4] = [Section::Mark, Section::Sent, Section::Value, Section::Absent];

/// The key of one value on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Edge(ResourceId, ResourceId),
    Fact(ResourceId, Section, String),
    Counted,
}

/// The most days that are kept as counted. It is more than the days until a resource is forgotten, so that no absence
/// counts a day twice.
const DAYS_MAX: usize = 64;

/// The whole content of the journal.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    edges: HashMap<ResourceId, BTreeMap<ResourceId, Edge>>,
    facts: HashMap<ResourceId, Facts>,
    /// The resources that have a fact in the section `Absent`.
    absent: BTreeSet<ResourceId>,
    /// The days on which absences were counted, at most [`DAYS_MAX`] of them, the last one at the end.
    counted: Vec<u64>,
}

impl Mirror {
    /// Applies an entry; keys whose values have changed are added to `dirty`.
    pub(super) fn apply(&mut self, entry: Entry, dirty: &mut BTreeSet<Key>) {
        match entry {
            Entry::Edge(JournalOp::Intent { from, to }) => self.edge(from, to, dirty, |edge| edge.intent = true),
            Entry::Edge(JournalOp::Drop { from, to }) => self.edge(from, to, dirty, |edge| edge.intent = false),
            Entry::Edge(JournalOp::Debt { from, to }) => {
                self.edge(from, to, dirty, |edge| *edge = Edge { debt: true, intent: false });
            }
            Entry::Edge(JournalOp::Paid { from, to }) => self.edge(from, to, dirty, |edge| *edge = Edge::default()),
            Entry::Mark { of, mark } => {
                for port in self.keys_of(&of, Section::Sent) {
                    self.fact(of.clone(), Section::Sent, port, None, dirty);
                }
                self.fact(of, Section::Mark, String::new(), mark, dirty);
            }
            Entry::Sent { of, port, digest } => self.fact(of, Section::Sent, port, digest.map(Vec::from), dirty),
            Entry::Value { of, key, value } => self.fact(of, Section::Value, key, value, dirty),
            Entry::Absent { of, days } => {
                self.fact(of, Section::Absent, String::new(), days.map(|days| days.to_le_bytes().to_vec()), dirty);
            }
            Entry::Counted(day) => {
                if self.counted.last() != Some(&day) {
                    self.counted.retain(|counted| *counted != day);
                    self.counted.push(day);
                    let too_many = self.counted.len().saturating_sub(DAYS_MAX);
                    self.counted.drain(..too_many);
                    dirty.insert(Key::Counted);
                }
            }
            Entry::Forget { of } => self.forget(&of, dirty),
        }
    }

    fn edge(&mut self, from: ResourceId, to: ResourceId, dirty: &mut BTreeSet<Key>, change: impl FnOnce(&mut Edge)) {
        let old = self.edges.get(&from).and_then(|tos| tos.get(&to)).copied().unwrap_or_default();
        let mut new = old;
        change(&mut new);
        if new == old {
            return;
        }
        dirty.insert(Key::Edge(from.clone(), to.clone()));
        self.set_edge(from, to, new);
    }

    fn set_edge(&mut self, from: ResourceId, to: ResourceId, edge: Edge) {
        if edge != Edge::default() {
            self.edges.entry(from).or_default().insert(to, edge);
        } else if let Some(tos) = self.edges.get_mut(&from) {
            tos.remove(&to);
            if tos.is_empty() {
                self.edges.remove(&from);
            }
        }
    }

    fn fact(
        &mut self,
        of: ResourceId,
        section: Section,
        key: String,
        value: Option<Vec<u8>>,
        dirty: &mut BTreeSet<Key>,
    ) {
        if self.get(&of, section, &key) == value.as_deref() {
            return;
        }
        dirty.insert(Key::Fact(of.clone(), section, key.clone()));
        if section == Section::Absent {
            if value.is_some() {
                self.absent.insert(of.clone())
            } else {
                self.absent.remove(&of)
            };
        }
        match value {
            Some(value) => {
                self.facts.entry(of).or_default().insert(section, &key, value);
            }
            None => {
                if let Some(facts) = self.facts.get_mut(&of) {
                    facts.remove(section, &key);
                    if facts.is_empty() {
                        self.facts.remove(&of);
                    }
                }
            }
        }
    }

    fn forget(&mut self, of: &ResourceId, dirty: &mut BTreeSet<Key>) {
        self.absent.remove(of);
        let tos = self.edges.remove(of).into_iter().flatten().map(|(to, _)| Key::Edge(of.clone(), to));
        dirty.extend(tos);
        self.edges.retain(|from, tos| {
            if tos.remove(of).is_some() {
                dirty.insert(Key::Edge(from.clone(), of.clone()));
            }
            !tos.is_empty()
        });
        let facts = self.facts.remove(of).unwrap_or_default().take();
        dirty.extend(facts.into_iter().map(|(section, key, _)| Key::Fact(of.clone(), section, key.into())));
    }

    /// A fact about a resource.
    pub(super) fn get(&self, of: &ResourceId, section: Section, key: &str) -> Option<&[u8]> {
        self.facts.get(of)?.get(section, key)
    }

    /// The keys of the facts of a section about a resource.
    fn keys_of(&self, of: &ResourceId, section: Section) -> Vec<String> {
        self.facts.get(of).map_or_else(Vec::new, |facts| facts.keys(section))
    }

    /// A fact about a resource.
    pub(super) fn absent(&self, of: &ResourceId) -> Option<u16> {
        self.get(of, Section::Absent, "")?.try_into().ok().map(u16::from_le_bytes)
    }

    /// All resources that are counted as absent.
    pub(super) fn all_absent(&self) -> Vec<ResourceId> {
        self.absent.iter().cloned().collect()
    }

    /// The days on which absences were counted, the last one at the end.
    pub(super) fn counted(&self) -> &[u64] {
        &self.counted
    }

    /// The debt or intent of an edge.
    pub(super) fn owed(&self, from: &ResourceId, to: &ResourceId) -> Option<Owed> {
        self.edges.get(from)?.get(to).map(|edge| edge.owed())
    }

    /// All debts and intents, sorted by name.
    pub(super) fn all_owed(&self) -> Vec<(ResourceId, ResourceId, Owed)> {
        let pairs = |(from, tos): (&ResourceId, &BTreeMap<ResourceId, Edge>)| {
            let from = from.clone();
            tos.iter().map(move |(to, edge)| (from.clone(), to.clone(), edge.owed())).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.edges.iter().flat_map(pairs).collect();
        all.sort_unstable_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        all
    }

    /// Everything but the counts of days, one line for each thing, sorted.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn lines(&self) -> Vec<String> {
        let owed = self.all_owed().into_iter().map(|(from, to, owed)| format!("{from} {to} {owed:?}"));
        let facts = self.facts.iter().flat_map(|(of, facts)| {
            let all = facts.clone().take().into_iter().filter(|(section, ..)| *section != Section::Absent);
            all.map(move |(section, key, value)| format!("{of} {section:?} {key} {value:?}"))
        });
        let mut lines: Vec<String> = owed.chain(facts).collect();
        lines.sort_unstable();
        lines
    }

    /// Whether there is a fact about this resource.
    pub(super) fn is_known(&self, of: &ResourceId) -> bool {
        self.facts.contains_key(of)
    }

    /// All resources with a fact, a debt or an intent, sorted by name.
    pub(super) fn resources(&self) -> BTreeSet<ResourceId> {
        let ends = self.edges.iter().flat_map(|(from, tos)| tos.keys().chain([from]));
        self.facts.keys().chain(ends).cloned().collect()
    }

    /// All keys that have a value.
    pub(super) fn keys(&self) -> BTreeSet<Key> {
        let edges = self.edges.iter().flat_map(|(from, tos)| tos.keys().map(|to| Key::Edge(from.clone(), to.clone())));
        let facts = self.facts.iter().flat_map(|(of, facts)| {
            let keys =
                move |section| facts.keys(section).into_iter().map(move |key| Key::Fact(of.clone(), section, key));
            SECTIONS.into_iter().flat_map(keys)
        });
        edges.chain(facts).chain((!self.counted.is_empty()).then_some(Key::Counted)).collect()
    }

    /// The value of a key in its form on disk; `None` if there is none.
    pub(super) fn bytes(&self, key: &Key) -> Option<Vec<u8>> {
        match key {
            Key::Edge(from, to) => self.edges.get(from)?.get(to).map(|edge| vec![edge.byte()]),
            Key::Fact(of, section, key) => self.get(of, *section, key).map(<[u8]>::to_vec),
            Key::Counted => {
                let days = self.counted.iter().flat_map(|day| day.to_le_bytes());
                (!self.counted.is_empty()).then(|| days.collect())
            }
        }
    }

    /// Adds an edge that was found on disk. Returns false if its value is invalid; the edge is then left out.
    pub(super) fn load_edge(&mut self, from: ResourceId, to: ResourceId, byte: u8) -> bool {
        let edge = Edge { debt: byte & 1 != 0, intent: byte & 2 != 0 };
        let known = edge.byte() == byte && edge != Edge::default();
        if known {
            self.set_edge(from, to, edge);
        }
        known
    }

    /// Adds a fact that was found on disk. Returns false if its section is unknown; the fact is then left out.
    pub(super) fn load_fact(&mut self, of: ResourceId, section: u8, key: &str, value: &[u8]) -> bool {
        let section = SECTIONS.get(usize::from(section));
        if let Some(section) = section {
            if *section == Section::Absent {
                self.absent.insert(of.clone());
            }
            self.facts.entry(of).or_default().insert(*section, key, value.to_vec());
        }
        section.is_some()
    }

    /// Sets the counted days to those found on disk.
    pub(super) fn load_counted(&mut self, bytes: &[u8]) {
        self.counted = bytes.as_chunks().0.iter().map(|day| u64::from_le_bytes(*day)).collect();
    }

    /// Renames the keys of all facts; a fact for which `rename` returns `None` is dropped. Returns the number of
    /// dropped facts.
    pub(super) fn rename(&mut self, rename: impl Fn(&ResourceId, Section, &str) -> Option<String>) -> usize {
        let mut dropped = 0;
        for (of, facts) in &mut self.facts {
            for (section, key, value) in facts.take() {
                match rename(of, section, &key) {
                    Some(name) => facts.insert(section, &name, value.into()),
                    None => dropped += 1,
                }
            }
        }
        self.facts.retain(|_, facts| !facts.is_empty());
        dropped
    }
}

impl Edge {
    fn owed(self) -> Owed {
        if self.debt { Owed::Debt } else { Owed::Intent }
    }

    fn byte(self) -> u8 {
        u8::from(self.debt) | u8::from(self.intent) << 1
    }
}
