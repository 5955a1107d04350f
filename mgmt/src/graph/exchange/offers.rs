//! What a host knows of the exports that it may collect.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::graph::config::GraphConfig;
use crate::graph::exchange::collect::Collect;
use crate::graph::exchange::entry::written;
use crate::graph::exchange::export::Export;
use crate::graph::exchange::keys::ExportKey;
use crate::id::is_like;

/// One export: in the order in which resources are collected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OfferKey {
    pub(crate) kind: String,
    /// The host that exports it.
    pub(crate) host: String,
    pub(crate) name: String,
}

/// The exports that a host may collect.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Offers {
    all: BTreeMap<OfferKey, Arc<[u8]>>,
    /// Keys that have no meaning.
    pub(super) senseless: Vec<String>,
}

/// What the rules of a graph take: the index of the rule, and the export. Two equal lists give the same graph.
pub(crate) type Taken = Vec<(u32, OfferKey, Arc<[u8]>)>;

impl Offers {
    /// From the keys and values of a world, as far as a host has read them.
    pub(crate) fn of<'a>(entries: impl IntoIterator<Item = (&'a str, &'a Arc<[u8]>)>) -> Offers {
        let mut offers = Offers::default();
        let (mut numbers, mut exports) = (HashMap::new(), Vec::new());
        for (key, value) in entries {
            match ExportKey::of(key) {
                Some(ExportKey::Number { place, host }) => drop(numbers.insert((place, host), number(value))),
                Some(ExportKey::Export { place, host, name, number }) => {
                    exports.push(((place, host), name, number, value))
                }
                None => offers.senseless.push(key.to_owned()),
            }
        }
        let mut last = BTreeMap::new();
        for (of_host, name, number, value) in exports {
            if numbers.get(&of_host).is_some_and(|counts| number <= *counts) {
                let place = last.entry((of_host, name)).or_insert((number, value));
                *place = (number, value).max(*place);
            }
        }
        // What is for this host alone comes later, and takes the place of what the same host has for all.
        for ((((_, kind), host), name), (_, value)) in last {
            if !value.is_empty() {
                offers.all.insert(OfferKey { kind, host, name }, Arc::clone(value));
            }
        }
        offers
    }

    /// With what this host exports now, which the world may not have yet, of the kinds that it collects. `known`: the
    /// resource of an export of which fields receive, with what they have received; until then the world's holds.
    pub(crate) fn with_own(
        mut self,
        host: &str,
        declared: &GraphConfig,
        known: impl Fn(&Export) -> Option<Export>,
    ) -> Offers {
        let kinds: HashSet<&str> = declared.collects.iter().map(|rule| rule.kind.spec.kind).collect();
        let is_offered = |export: &&Export| kinds.contains(export.vertex.resource.spec().kind) && export.is_for(host);
        let key = |export: &Export| OfferKey {
            kind: export.vertex.resource.spec().kind.to_owned(),
            host: host.to_owned(),
            name: export.vertex.resource.name().to_owned(),
        };
        let mut own = Vec::new();
        let mut held_back = HashSet::new();
        for export in declared.exports.iter().filter(is_offered) {
            match known(export) {
                _ if export.links.is_empty() => own.push((key(export), Cow::Borrowed(export))),
                Some(known) => own.push((key(export), Cow::Owned(known))),
                None => drop(held_back.insert(key(export))),
            }
        }
        self.all.retain(|offer, _| offer.host != host || held_back.contains(offer));
        for (offer, export) in own {
            // What can't be written is refused before.
            let Ok(bytes) = export.bytes() else { continue };
            if export.to.is_some() {
                self.all.insert(offer, bytes);
            } else {
                self.all.entry(offer).or_insert(bytes);
            }
        }
        self
    }

    /// What these rules take, in the order of the kinds, hosts and names: the first rule that fits takes it. The second
    /// part: for each rule that would have taken something too, the first of that, and how many more there are.
    pub(crate) fn taken(&self, rules: &[Collect]) -> (Taken, BTreeMap<u32, (OfferKey, usize)>) {
        let (mut taken, mut twice) = (Vec::new(), BTreeMap::new());
        for (offer, bytes) in &self.all {
            let fits = |(_, rule): &(u32, &Collect)| {
                rule.kind.spec.kind == offer.kind
                    && is_like_any(&rule.from, &offer.host)
                    && is_like_any(&rule.named, &offer.name)
            };
            let mut fitting = (0u32..).zip(rules).filter(fits).map(|(n, _)| n);
            taken.extend(fitting.next().map(|rule| (rule, offer.clone(), Arc::clone(bytes))));
            for rule in fitting {
                twice.entry(rule).and_modify(|(_, more)| *more += 1).or_insert_with(|| (offer.clone(), 0));
            }
        }
        (taken, twice)
    }
}

/// Whether a text fits one of the patterns; without patterns, any text does.
fn is_like_any(patterns: &[String], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| is_like(pattern, text))
}

/// The number up to which exports count. One that can't be read lets none count.
pub(crate) fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

impl Export {
    /// The bytes that other hosts read, or why there are none. No field may receive. They are not sealed yet: if the
    /// export is, they hold its secrets.
    pub(crate) fn bytes(&self) -> Result<Arc<[u8]>, String> {
        written(&self.vertex, &[], self.sealed)
    }
}
