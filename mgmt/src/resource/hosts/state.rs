//! What hosts report of themselves: each engine keeps an entry `/mgmt/states/HOST` under a lease.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{in_one_line, key_part};
use crate::resource::hosts::alive::{AliveHost, all_hosts, living_host};
use crate::resource::world::{Entry, Keys};

const STATES: &str = "/mgmt/states/";
/// A state with more bytes is not read.
const STATE_BYTES_MAX: usize = 64 << 10;

/// What a host reports of its engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct HostState {
    /// The number of the run that this is about, as in [`AliveHost::run`].
    pub run: u64,
    /// The name of the graph in force.
    pub graph: String,
    /// Its number in this run, counted from 1.
    pub generation: u64,
    /// Whether the host follows deploys, and which one is in force there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<FollowedDeploy>,
    /// Whether all resources have been settled for the converged timeout of that engine. Other hosts don't count.
    pub converged: bool,
    /// Whether the graph can't converge by itself.
    pub hopeless: bool,
    /// Since when it has converged, or has not, by the clock of that host, as in `2026-11-30T14:00:05.123Z`.
    pub since: String,
    /// How many resources the graph has.
    pub resources: usize,
    /// How many have failed for good.
    pub failed: usize,
    /// How many wait for a cause outside of the graph.
    pub waiting: usize,
    /// The first few of those that have failed, wait, or are being tried again.
    pub troubles: Vec<HostTrouble>,
}

/// The deploy of a host that follows deploys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct FollowedDeploy {
    /// The ID of the deploy in force there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy: Option<String>,
    /// The deploy that the host has refused last, if it is still the one that the host should have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedDeploy>,
}

/// A deploy that can't run on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RefusedDeploy {
    /// Its ID.
    pub deploy: String,
    /// Why it can't run there.
    pub why: String,
}

/// A resource of a host that has failed, waits, or is being tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct HostTrouble {
    /// Its identity, such as `file[/etc/motd]`.
    pub resource: String,
    /// `failed`, `waiting` or `retrying`.
    pub state: String,
    /// The last error, in one line.
    pub error: String,
}

/// A living host with what it reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClusterHost {
    /// Its name in the world.
    pub name: String,
    /// Its version and labels.
    #[serde(flatten)]
    pub alive: AliveHost,
    /// What this run of it has reported. `None`: nothing yet, so that it counts as not converged.
    pub state: Option<HostState>,
}

impl ClusterHost {
    /// Whether its graph has converged.
    pub fn is_converged(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.converged)
    }

    /// Why it has not converged, in one line. `None`: it has.
    pub fn obstacle(&self) -> Option<String> {
        let name = in_one_line(&self.name);
        let Some(state) = &self.state else { return Some(format!("{name} has not reported its state yet")) };
        if state.converged {
            return None;
        }
        let trouble = state.troubles.first().map(|trouble| {
            let HostTrouble { resource, state, error } = trouble;
            format!(": {} is {}: {}", in_one_line(resource), in_one_line(state), in_one_line(error))
        });
        let what = if state.hopeless { "can't converge" } else { "has not converged" };
        Some(format!("{name} {what}{}", trouble.unwrap_or_default()))
    }
}

/// The key under which a host reports its state.
pub(crate) fn state_key(host: &str) -> String {
    format!("{STATES}{}", key_part(host))
}

/// The keys of all living hosts and their states.
pub(crate) fn cluster_keys() -> Vec<Keys> {
    vec![all_hosts(), Keys::Below(STATES.to_owned())]
}

/// The living hosts of these entries with what they report, in the order of their names. An entry that names no host is
/// none. A state that an earlier run has left, or that can't be read, does not count.
pub(crate) fn cluster_hosts(entries: &BTreeMap<String, Entry>) -> Vec<ClusterHost> {
    let mut hosts: Vec<ClusterHost> = entries
        .iter()
        .filter_map(|(key, entry)| living_host(key, &entry.value)?.ok())
        .map(|alive| {
            let bytes = entries.get(&state_key(&alive.name)).map(|entry| &entry.value);
            let bytes = bytes.filter(|bytes| bytes.len() <= STATE_BYTES_MAX);
            let state = bytes.and_then(|bytes| serde_json::from_slice::<HostState>(bytes).ok());
            let state = state.filter(|state| state.run == alive.run);
            ClusterHost { name: alive.name.clone(), alive, state }
        })
        .collect();
    hosts.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::hosts::alive::alive_key;
    use crate::resource::world::Revision;

    fn entry(bytes: &[u8]) -> Entry {
        Entry { value: bytes.into(), written: Revision(1), lease: None }
    }

    #[test]
    fn a_host_without_a_state_of_its_present_run_has_not_converged() {
        let mut entries = BTreeMap::new();
        for (host, run, state) in [
            ("a", 1, Some(r#"{"run": 1, "converged": true, "newer": [1]}"#)),
            ("b/\n", 2, Some(r#"{"run": 1, "converged": true}"#)),
            ("c", 3, None),
            ("d", 4, Some("junk")),
            (
                "e",
                5,
                Some(
                    r#"{"run": 5, "hopeless": true, "troubles": [{"resource": "file[/x\n]", "state": "failed", "error": "no\u001b"}]}"#,
                ),
            ),
        ] {
            entries.insert(alive_key(host), entry(format!(r#"{{"version": "1", "run": {run}}}"#).as_bytes()));
            state.map(|state| entries.insert(state_key(host), entry(state.as_bytes())));
        }
        // A state of a host that is not alive, and junk, are no hosts.
        entries.insert(state_key("gone"), entry(br#"{"converged": false}"#));
        entries.insert("/mgmt/hosts/%ZZ".to_owned(), entry(b"{}"));
        let large = format!(r#"{{"run": 6, "converged": true, "graph": "{}"}}"#, "x".repeat(STATE_BYTES_MAX));
        entries.insert(alive_key("f"), entry(br#"{"run": 6}"#));
        entries.insert(state_key("f"), entry(large.as_bytes()));
        let hosts = cluster_hosts(&entries);
        let names: Vec<(&str, bool)> = hosts.iter().map(|host| (host.name.as_str(), host.is_converged())).collect();
        assert_eq!(names, [("a", true), ("b/\n", false), ("c", false), ("d", false), ("e", false), ("f", false)]);
        assert_eq!(hosts[0].obstacle(), None);
        assert_eq!(hosts[1].obstacle().unwrap(), "b/\\n has not reported its state yet");
        let why = hosts[4].obstacle().unwrap();
        assert!(why.starts_with("e can't converge: file[/x\\n] is failed: no") && !why.contains('\u{1b}'), "{why}");
        assert!(cluster_keys().iter().any(|keys| keys.contain(&state_key("b/\n"))));
    }
}
