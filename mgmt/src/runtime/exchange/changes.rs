//! What must be written so that the world has the exports of a host: a pure function of what it has and what it must
//! have.
//!
//! If it fits into one transaction, it is one. Otherwise exports are written under the next number, which does not
//! count yet; then the numbers up to which they count, in one transaction if there are not very many places; then what
//! no longer holds is removed. Each transaction requires that no other program has published meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::graph::{ExportKey, ExportPlace, export_key, export_number, exporter_key, exports_of, number_key};
use crate::resource::{Condition, Entry, Keys, LeaseId, Limits, Revision, Snapshot, Transaction, Write};

/// What a host keeps in the world about its exports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Exporter {
    /// The lease that holds them.
    pub(super) lease: u64,
    /// Where they are, or may be.
    pub(super) places: BTreeSet<ExportPlace>,
}

/// The exports that a host must have, by their places and names.
pub(super) type Wanted = BTreeMap<ExportPlace, BTreeMap<String, Arc<[u8]>>>;

/// What the world has of a host in one place.
#[derive(Debug, Default)]
struct Held {
    /// The entry with the number, and the number.
    number: Option<(Entry, u64)>,
    /// By name and number.
    exports: BTreeMap<String, BTreeMap<u64, Entry>>,
}

impl Held {
    fn counts(&self) -> u64 {
        self.number.as_ref().map_or(0, |(_, number)| *number)
    }

    fn last(&self) -> u64 {
        let last = self.exports.values().filter_map(|all| all.last_key_value()).map(|(number, _)| *number).max();
        last.unwrap_or_default().max(self.counts())
    }
}

/// What the world has of a host.
#[derive(Debug)]
pub(super) struct Published {
    host: String,
    /// When the entry about its exports was written, and what is in it.
    exporter: Option<(Revision, Exporter)>,
    held: BTreeMap<ExportPlace, Held>,
}

/// Transactions, to carry out one after the other. The condition is added to each: the entry about the exports is as it
/// was.
#[derive(Debug, Default)]
pub(super) struct Changes(pub(super) Vec<BTreeMap<String, Write>>);

impl Published {
    /// The keys that must be read, if the host has or wants exports in these places.
    pub(super) fn keys(host: &str, places: &BTreeSet<ExportPlace>) -> Vec<Keys> {
        let mut keys = exports_of(host, places);
        keys.push(Keys::One(exporter_key(host)));
        keys
    }

    pub(super) fn of(host: &str, state: &Snapshot) -> Published {
        let mut published = Published { host: host.to_owned(), exporter: None, held: BTreeMap::new() };
        for (key, entry) in &state.entries {
            match ExportKey::of(key) {
                Some(ExportKey::Number { place, host }) if host == published.host => {
                    let number = (entry.clone(), export_number(&entry.value));
                    published.held.entry(place).or_default().number = Some(number);
                }
                Some(ExportKey::Export { place, host, name, number }) if host == published.host => {
                    let held = published.held.entry(place).or_default();
                    held.exports.entry(name).or_default().insert(number, entry.clone());
                }
                // One that can't be read is replaced.
                _ if *key == exporter_key(host) => {
                    let exporter = serde_json::from_slice(&entry.value).unwrap_or_default();
                    published.exporter = Some((entry.written, exporter));
                }
                _ => {}
            }
        }
        published
    }

    pub(super) fn exporter(&self) -> Option<&Exporter> {
        self.exporter.as_ref().map(|(_, exporter)| exporter)
    }

    /// What counts in a place under a name.
    pub(super) fn counting(&self, place: &ExportPlace, name: &str) -> Option<&Arc<[u8]>> {
        let held = self.held.get(place)?;
        let (_, entry) = held.exports.get(name)?.range(..=held.counts()).next_back()?;
        (!entry.value.is_empty()).then_some(&entry.value)
    }

    /// The condition of the first transaction: no other program has published since.
    pub(super) fn condition(&self) -> Condition {
        Condition { key: exporter_key(&self.host), written: self.exporter.as_ref().map(|(written, _)| *written) }
    }

    /// The changes that make the exports what is `wanted`, held by this lease. Without a lease nothing is wanted.
    pub(super) fn changes(&self, wanted: &Wanted, lease: Option<LeaseId>, limits: Limits) -> Changes {
        let mut parts = Parts::default();
        let next = self.held.values().map(Held::last).max().unwrap_or_default().saturating_add(1);
        let no_held = Held::default();
        let places: BTreeSet<&ExportPlace> = self.held.keys().chain(wanted.keys()).collect();
        for place in places {
            let (held, key) = (self.held.get(place).unwrap_or(&no_held), number_key(place, &self.host));
            let Some(names) = wanted.get(place).filter(|names| !names.is_empty()) else {
                // Without a number none counts.
                parts.numbers.extend(held.number.is_some().then_some((key, Write::Remove)));
                parts.old.extend(self.keys_in(place, held));
                continue;
            };
            let is_changed = self.place(place, held, names, lease, next, &mut parts);
            let counts = if is_changed { next } else { held.counts() };
            let value = counts.to_string().into_bytes();
            if held.number.as_ref().is_none_or(|(entry, _)| *entry.value != *value || entry.lease != lease) {
                parts.numbers.push((key, Write::Put(value.into(), lease)));
            }
        }
        let about = lease.map(|lease| Exporter { lease: lease.0, places: wanted.keys().cloned().collect() });
        parts.transactions(self, about.as_ref(), limits)
    }

    fn keys_in(&self, place: &ExportPlace, held: &Held) -> Vec<(u64, String)> {
        let key = |name: &str, number: u64| (number, export_key(place, &self.host, name, number));
        held.exports.iter().flat_map(|(name, all)| all.keys().map(move |number| key(name, *number))).collect()
    }

    /// The parts for one place. Returns whether something in it changes.
    fn place(
        &self,
        place: &ExportPlace,
        held: &Held,
        names: &BTreeMap<String, Arc<[u8]>>,
        lease: Option<LeaseId>,
        next: u64,
        parts: &mut Parts,
    ) -> bool {
        let mut is_changed = false;
        let no_exports = BTreeMap::new();
        let all: BTreeSet<&String> = held.exports.keys().chain(names.keys()).collect();
        for name in all {
            let exports = held.exports.get(name).unwrap_or(&no_exports);
            let key = |number: u64| export_key(place, &self.host, name, number);
            let counting = exports.range(..=held.counts()).next_back();
            let is_as_wanted = match (names.get(name), counting) {
                (Some(value), Some((_, entry))) => entry.value == *value && entry.lease == lease,
                (None, counting) => counting.is_none_or(|(_, entry)| entry.value.is_empty()),
                (Some(_), None) => false,
            };
            for number in exports.keys() {
                match counting {
                    Some((counting, _)) if is_as_wanted && number == counting && names.contains_key(name) => {}
                    _ if *number > held.counts() => parts.stale.push(key(*number)),
                    _ => parts.old.push((*number, key(*number))),
                }
            }
            if is_as_wanted {
                continue;
            }
            is_changed = true;
            match names.get(name) {
                Some(value) => parts.puts.push((key(next), Write::Put(Arc::clone(value), lease))),
                None => parts.removals.push((next, key(next))),
            }
        }
        is_changed
    }
}

/// What must be written, by when it may be.
#[derive(Debug, Default)]
struct Parts {
    /// What an interrupted publishing has left: it must not count later.
    stale: Vec<String>,
    /// What will count.
    puts: Vec<(String, Write)>,
    /// Empty exports that will count, if the removals are not in the same transaction.
    removals: Vec<(u64, String)>,
    /// The numbers up to which exports count.
    numbers: Vec<(String, Write)>,
    /// What no longer counts then, with its number.
    old: Vec<(u64, String)>,
}

impl Parts {
    fn transactions(mut self, published: &Published, about: Option<&Exporter>, limits: Limits) -> Changes {
        let key = exporter_key(&published.host);
        let is_as_wanted = published.exporter() == about;
        let exporter = |exporter: Option<&Exporter>, lease: Option<LeaseId>| match exporter {
            // Texts and numbers have a form as JSON.
            Some(exporter) => Write::Put(serde_json::to_vec(exporter).unwrap_or_default().into(), lease),
            None => Write::Remove,
        };
        let lease = about.map(|about| LeaseId(about.lease));
        let remove = |key: &String| (key.clone(), Write::Remove);
        let mut at_once: BTreeMap<String, Write> = self.stale.iter().map(remove).collect();
        at_once.extend(self.old.iter().map(|(_, key)| remove(key)));
        at_once.extend(self.puts.iter().chain(&self.numbers).cloned());
        if at_once.is_empty() && is_as_wanted {
            return Changes::default();
        }
        at_once.insert(key.clone(), exporter(about, lease));
        if fits(&key, &at_once, limits) {
            return Changes(vec![at_once]);
        }
        // Until all is done, also where they were.
        let mut meanwhile = published.exporter().cloned().unwrap_or_default();
        meanwhile.places.extend(about.into_iter().flat_map(|about| about.places.iter().cloned()));
        meanwhile.lease = lease.map_or(meanwhile.lease, |lease| lease.0);
        let mut changes = vec![BTreeMap::from([(key.clone(), exporter(Some(&meanwhile), lease))])];
        let empty = |(_, key): &(u64, String)| (key.clone(), Write::Put(Arc::new([]), lease));
        let first = self.stale.iter().map(remove).chain(self.puts).chain(self.removals.iter().map(empty));
        changes.extend(batches(&key, first, limits));
        changes.extend(batches(&key, self.numbers.into_iter(), limits));
        // A removal holds until all before it are gone.
        self.old.extend(self.removals);
        self.old.sort();
        changes.extend(batches(&key, self.old.iter().map(|(_, key)| remove(key)), limits));
        changes.push(BTreeMap::from([(key, exporter(about, lease))]));
        Changes(changes)
    }
}

/// Whether these writes are one transaction, with the condition on that key.
fn fits(key: &str, writes: &BTreeMap<String, Write>, limits: Limits) -> bool {
    let condition = Condition { key: key.to_owned(), written: None };
    let is = Transaction { conditions: vec![condition], writes: writes.clone() }.size();
    is.operations <= limits.operations && is.bytes <= limits.bytes
}

/// The writes in their order, in as few transactions as possible.
fn batches(key: &str, writes: impl Iterator<Item = (String, Write)>, limits: Limits) -> Vec<BTreeMap<String, Write>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), BTreeMap::new(), key.len());
    for (written, write) in writes {
        let more =
            Transaction { conditions: Vec::new(), writes: BTreeMap::from([(written.clone(), write.clone())]) }.size();
        if !batch.is_empty() && (batch.len() + 2 > limits.operations || bytes + more.bytes > limits.bytes) {
            batches.push(std::mem::take(&mut batch));
            bytes = key.len();
        }
        bytes += more.bytes;
        batch.insert(written, write);
    }
    batches.extend((!batch.is_empty()).then_some(batch));
    batches
}
