//! Which hosts are alive: each engine keeps an entry `/mgmt/hosts/HOST` under a lease.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{in_one_line, key_part, text_of_key_part};
use crate::resource::world::Keys;

const HOSTS: &str = "/mgmt/hosts/";

/// A host whose engine runs and reaches the world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AliveHost {
    /// Its name in the world.
    #[serde(skip)]
    pub name: String,
    /// The version of mgmt that runs there.
    #[serde(default)]
    pub version: String,
    /// The labels of the host, see [`Builder::label`](crate::runtime::Builder::label).
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When its engine started, by the clock of that host, as in `2026-11-30T14:00:05.123Z`.
    #[serde(default)]
    pub started: String,
    /// A random number of this run of its engine, so that what an earlier run has left is not taken for its state.
    #[serde(default)]
    pub run: u64,
}

/// The key under which a host is alive.
pub(crate) fn alive_key(host: &str) -> String {
    format!("{HOSTS}{}", key_part(host))
}

/// All hosts.
pub(crate) fn all_hosts() -> Keys {
    Keys::Below(HOSTS.to_owned())
}

/// The living host of this entry, or why it can't be read. `None`: the key is none of a host.
pub(super) fn living_host(key: &str, bytes: &[u8]) -> Option<Result<AliveHost, String>> {
    let part = key.strip_prefix(HOSTS)?;
    Some(text_of_key_part(part).ok_or_else(|| "the key names no host".to_owned()).and_then(|name| {
        let host: AliveHost = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        Ok(AliveHost { name, ..host })
    }))
}

/// The living hosts of these entries, in the order of their names. Each bad entry spoils only itself.
pub(crate) fn living<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<AliveHost> {
    let mut hosts = Vec::new();
    for (key, bytes) in entries {
        match living_host(key, bytes) {
            None => {}
            Some(Ok(host)) => hosts.push(host),
            Some(Err(why)) => {
                let key = in_one_line(key);
                tracing::warn!(target: "mgmt", "the entry {key} of the world is left out of the living hosts: {why}");
            }
        }
    }
    hosts.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_in_the_order_of_their_names_and_a_bad_entry_spoils_only_itself() {
        let entry = br#"{"version": "1", "labels": {"role": "web"}, "started": "now", "newer": [1]}"#;
        let keys = ["web-1", "web/1", "ä", "B"].map(alive_key);
        let bad = ["/mgmt/hosts/%ZZ", "/mgmt/hosts/a/b", "/mgmt/other/x"];
        let mut entries: Vec<(&str, &[u8])> = keys.iter().map(|key| (key.as_str(), &entry[..])).collect();
        entries.extend(bad.map(|key| (key, &entry[..])));
        entries.push(("/mgmt/hosts/junk", b"\xff"));
        let found = living(entries);
        let names: Vec<&str> = found.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(names, ["B", "web-1", "web/1", "ä"]);
        assert!(found.iter().all(|host| host.labels["role"] == "web" && host.version == "1"));
        assert!(keys.iter().all(|key| all_hosts().contain(key)));
    }
}
