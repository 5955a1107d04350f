//! A schedule chooses some of the hosts that take part in it. A pure function makes the next list of chosen hosts of
//! what the world has, so all hosts agree on it, and any of them can write it:
//!
//! - `/mgmt/schedules/NAME/candidates/HOST`: the host takes part, on these terms. It is held by a lease.
//! - `/mgmt/schedules/NAME/chosen`: the list. It is replaced only on the condition that it is as it was read.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{in_one_line, key_part, text_of_key_part};
use crate::resource::facts::{Format, TypeFacts};
use crate::resource::world::{Entry, Keys, Revision};

const SCHEDULES: &str = "/mgmt/schedules/";
const CANDIDATES: &str = "candidates/";
const CHOSEN: &str = "chosen";

/// In which order hosts are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PickOrder {
    /// In an order that differs from schedule to schedule, so that several schedules spread evenly over all hosts.
    #[default]
    Spread,
    /// In the order of their names.
    Alphabetical,
}

impl TypeFacts for PickOrder {
    const FORMAT: Format = Format::Choice;
}

/// The terms on which a host takes part in a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) candidate: Candidate,
    /// How long the host stays chosen after it has died or was cut off.
    pub(crate) ttl: Duration,
    /// The host stays chosen for that time after the end of its engine, too.
    pub(crate) persist: bool,
}

/// The default of [`Terms::ttl`], and the shortest one.
pub(crate) const SCHEDULE_TTL: Duration = Duration::from_secs(30);
pub(crate) const SCHEDULE_TTL_MIN: Duration = Duration::from_secs(1);

impl Default for Terms {
    fn default() -> Terms {
        Terms { candidate: Candidate::default(), ttl: SCHEDULE_TTL, persist: false }
    }
}

/// The part of the terms that other hosts see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Candidate {
    /// At most this many hosts are chosen.
    pub(crate) max: u32,
    #[serde(default)]
    pub(crate) strategy: PickOrder,
    /// Only hosts with all of these labels are chosen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) only: BTreeMap<String, String>,
    /// Hosts with all of these labels are chosen before others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) prefer: BTreeMap<String, String>,
    /// The labels of this host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    /// What other hosts need to know of this one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) data: String,
}

impl Default for Candidate {
    fn default() -> Candidate {
        Candidate {
            max: 1,
            strategy: PickOrder::default(),
            only: BTreeMap::new(),
            prefer: BTreeMap::new(),
            labels: BTreeMap::new(),
            data: String::new(),
        }
    }
}

impl Candidate {
    fn has(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(name) == Some(value))
    }

    fn has_terms_of(&self, other: &Candidate) -> bool {
        let Candidate { max, strategy, only, prefer, labels: _, data: _ } = self;
        *max == other.max && *strategy == other.strategy && *only == other.only && *prefer == other.prefer
    }
}

fn prefix(schedule: &str) -> String {
    format!("{SCHEDULES}{}/", key_part(schedule))
}

/// All keys of a schedule.
pub(crate) fn schedule_keys(schedule: &str) -> Keys {
    Keys::Below(prefix(schedule))
}

/// The key of a host that takes part.
pub(crate) fn candidate_key(schedule: &str, host: &str) -> String {
    format!("{}{CANDIDATES}{}", prefix(schedule), key_part(host))
}

/// The key of the list.
pub(crate) fn chosen_key(schedule: &str) -> String {
    prefix(schedule) + CHOSEN
}

/// A schedule as the world has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) name: String,
    /// The hosts that take part.
    pub(crate) candidates: BTreeMap<String, Candidate>,
    /// The list, in the order of names.
    pub(crate) chosen: Vec<String>,
    /// When the list was written.
    pub(crate) written: Option<Revision>,
}

impl Schedule {
    /// The schedule of these entries. A candidate that can't be read does not take part; a list that can't be read is
    /// empty.
    pub(crate) fn of(name: &str, entries: &BTreeMap<String, Entry>) -> Schedule {
        let prefix = prefix(name);
        let mut schedule = Schedule { name: name.to_owned(), ..Schedule::default() };
        for (key, entry) in entries.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix)) {
            schedule.set(key, Some(entry));
        }
        schedule
    }

    /// This key has that entry now. Keys of other schedules have no effect.
    pub(crate) fn set(&mut self, key: &str, entry: Option<&Entry>) {
        let Some(part) = key.strip_prefix(&prefix(&self.name)) else { return };
        if part == CHOSEN {
            self.written = entry.map(|entry| entry.written);
            self.chosen = entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()).unwrap_or_default();
            self.chosen.sort_unstable();
            self.chosen.dedup();
            return;
        }
        let host = part.strip_prefix(CANDIDATES).and_then(text_of_key_part);
        let candidate = entry.map(|entry| serde_json::from_slice(&entry.value));
        match (host, candidate) {
            (Some(host), Some(Ok(candidate))) => _ = self.candidates.insert(host, candidate),
            (host, candidate) => {
                host.map(|host| self.candidates.remove(&host));
                if candidate.is_some() {
                    tracing::debug!(target: "mgmt", "no candidate of a schedule: {}", in_one_line(key));
                }
            }
        }
    }

    /// The list that must take the place of the present one; `None`: that is right.
    ///
    /// Hosts that are chosen and still take part stay, whatever others there are. If the candidates disagree on the
    /// terms, the smallest number counts, and otherwise the terms of the first host by name.
    pub(crate) fn next(&self) -> Option<Vec<String>> {
        let max = self.max();
        if self.chosen.len() == max && self.chosen.iter().all(|host| self.can_be_chosen(host)) {
            return None;
        }
        let mut hosts = self.kept();
        for host in self.ranked() {
            if hosts.len() >= max {
                break;
            }
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        let mut hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        hosts.sort_unstable();
        (hosts != self.chosen).then_some(hosts)
    }

    fn can_be_chosen(&self, host: &str) -> bool {
        let terms = self.candidates.values().next();
        let candidate = self.candidates.get(host);
        terms.zip(candidate).is_some_and(|(terms, candidate)| candidate.has(&terms.only))
    }

    /// The number of hosts on which the candidates agree.
    pub(crate) fn max(&self) -> usize {
        let max = self.candidates.values().map(|candidate| candidate.max).min().unwrap_or_default();
        usize::try_from(max).unwrap_or(usize::MAX)
    }

    /// Two hosts that take part on different terms, if there are any.
    pub(crate) fn disagreeing(&self) -> Option<(&str, &str)> {
        let (first, one) = self.candidates.first_key_value()?;
        let other = self.candidates.iter().find(|(_, other)| !one.has_terms_of(other));
        other.map(|(other, _)| (first.as_str(), other.as_str()))
    }

    /// The chosen hosts that can stay, the first of them if these are too many.
    fn kept(&self) -> Vec<&str> {
        let ranked = self.ranked().into_iter();
        ranked.filter(|host| self.is_in_list(host)).take(self.max()).collect()
    }

    /// The hosts that can be chosen, in the order in which they are.
    fn ranked(&self) -> Vec<&str> {
        let Some(terms) = self.candidates.values().next() else { return Vec::new() };
        let rank = |(host, candidate): (&'_ String, &Candidate)| {
            let place = match terms.strategy {
                PickOrder::Spread => mixed(&self.name, host),
                PickOrder::Alphabetical => 0,
            };
            (!candidate.has(&terms.prefer), place)
        };
        let mut ranked: Vec<_> = self
            .candidates
            .iter()
            .filter(|(_, candidate)| candidate.has(&terms.only))
            .map(|(host, candidate)| (rank((host, candidate)), host.as_str()))
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, host)| host).collect()
    }

    fn is_in_list(&self, host: &str) -> bool {
        self.chosen.binary_search_by(|chosen| chosen.as_str().cmp(host)).is_ok()
    }

    /// Whether the host is chosen and takes part.
    pub(crate) fn is_chosen(&self, host: &str) -> bool {
        self.is_in_list(host) && self.candidates.contains_key(host)
    }

    /// What the chosen hosts give others to know, in the order of their names.
    pub(crate) fn data(&self) -> Vec<String> {
        let of = |host: &String| self.candidates.get(host).map(|candidate| candidate.data.clone()).unwrap_or_default();
        self.chosen.iter().map(of).collect()
    }
}

/// A number that schedule and host determine, the same on all hosts and in all versions. (FNV-1a, then mixed so that
/// all bits depend on all characters.)
fn mixed(schedule: &str, host: &str) -> u64 {
    let text = format!("{}/{}", key_part(schedule), key_part(host));
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
