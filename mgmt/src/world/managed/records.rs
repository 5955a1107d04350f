//! The keys by which hosts agree on the servers:
//!
//! - `/mgmt/servers/size`: how many servers there should be. A text that is no number is ignored.
//! - `/mgmt/servers/volunteers/HOST`: the host offers to run a server, or runs one; held by its lease.
//! - `/mgmt/servers/election`: the host that decides; held by its lease.
//! - `/mgmt/servers/change`: the change of the members that is under way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{in_one_line, key_part, text_of_key_part};
use crate::resource::{Entry, LeaseId, Revision};
use crate::world::elastic::{Change, IDEAL_SIZE, Volunteer};
use crate::world::managed::url::is_sound;

/// All keys.
pub(super) const PREFIX: &str = "/mgmt/servers/";
pub(super) const SIZE: &str = "/mgmt/servers/size";
pub(super) const ELECTION: &str = "/mgmt/servers/election";
pub(super) const CHANGE: &str = "/mgmt/servers/change";
const VOLUNTEERS: &str = "/mgmt/servers/volunteers/";
/// The most addresses of a host.
const PEERS_MAX: usize = 8;

pub(super) fn volunteer_key(host: &str) -> String {
    format!("{VOLUNTEERS}{}", key_part(host))
}

#[derive(Serialize, Deserialize)]
struct VolunteerRecord {
    peers: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    leaving: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChangeRecord {
    Join { host: String, peers: Vec<String> },
    Leave { id: u64 },
    Move { id: u64, peers: Vec<String> },
}

/// What the keys hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) ideal: usize,
    pub(super) volunteers: BTreeMap<String, Volunteer>,
    pub(super) election: Option<Elected>,
    pub(super) change: Option<(Change, Revision)>,
    /// There is a change that can't be read: one of a newer program.
    pub(super) is_strange: bool,
}

/// The host that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elected {
    pub(super) host: String,
    pub(super) written: Revision,
    pub(super) lease: Option<LeaseId>,
}

impl Records {
    pub(super) fn of(entries: &BTreeMap<String, Entry>) -> Records {
        let mut records = Records { ideal: IDEAL_SIZE, ..Records::default() };
        if let Some(size) = entries.get(SIZE).and_then(|entry| size(&entry.value)) {
            records.ideal = size;
        }
        records.election = entries.get(ELECTION).map(|entry| Elected {
            host: String::from_utf8_lossy(&entry.value).into_owned(),
            written: entry.written,
            lease: entry.lease,
        });
        if let Some(entry) = entries.get(CHANGE) {
            records.change = change(&entry.value).map(|change| (change, entry.written));
            records.is_strange = records.change.is_none();
        }
        for (key, entry) in entries.range(VOLUNTEERS.to_owned()..) {
            let Some(part) = key.strip_prefix(VOLUNTEERS) else { break };
            match (text_of_key_part(part), volunteer(&entry.value)) {
                (Some(host), Some(volunteer)) => _ = records.volunteers.insert(host, volunteer),
                _ => tracing::debug!(target: "mgmt", "no host that volunteers: {}", in_one_line(key)),
            }
        }
        records
    }
}

fn size(bytes: &[u8]) -> Option<usize> {
    let size = std::str::from_utf8(bytes).ok()?.trim().parse::<u16>().ok()?;
    (size > 0).then_some(size.into())
}

/// Addresses come from other hosts, and go into options of etcd.
fn are_sound(peers: &[String]) -> bool {
    !peers.is_empty() && peers.len() <= PEERS_MAX && peers.iter().all(|peer| is_sound(peer))
}

fn volunteer(bytes: &[u8]) -> Option<Volunteer> {
    let VolunteerRecord { peers, id, leaving } = serde_json::from_slice(bytes).ok()?;
    are_sound(&peers).then_some(Volunteer { peers, id, is_leaving: leaving })
}

fn change(bytes: &[u8]) -> Option<Change> {
    match serde_json::from_slice(bytes).ok()? {
        ChangeRecord::Join { host, peers } => are_sound(&peers).then_some(Change::Join { host, peers }),
        ChangeRecord::Leave { id } => Some(Change::Leave { id }),
        ChangeRecord::Move { id, peers } => are_sound(&peers).then_some(Change::Move { id, peers }),
    }
}

/// The record of a host.
pub(super) fn volunteer_bytes(volunteer: &Volunteer) -> Vec<u8> {
    let Volunteer { peers, id, is_leaving } = volunteer.clone();
    // Texts and numbers have a form as JSON.
    serde_json::to_vec(&VolunteerRecord { peers, id, leaving: is_leaving }).unwrap_or_default()
}

/// The record of a change.
pub(super) fn change_bytes(change: &Change) -> Vec<u8> {
    let record = match change.clone() {
        Change::Join { host, peers } => ChangeRecord::Join { host, peers },
        Change::Leave { id } => ChangeRecord::Leave { id },
        Change::Move { id, peers } => ChangeRecord::Move { id, peers },
    };
    serde_json::to_vec(&record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn entries(all: &[(&str, &[u8])]) -> BTreeMap<String, Entry> {
        let entry = |bytes: &[u8]| Entry { value: Arc::from(bytes), written: Revision(7), lease: None };
        all.iter().map(|(key, bytes)| ((*key).to_owned(), entry(bytes))).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let volunteer = Volunteer { peers: vec!["https://a:1".to_owned()], id: Some(u64::MAX), is_leaving: true };
        let change = Change::Join { host: "a/b\n".to_owned(), peers: volunteer.peers.clone() };
        let key = volunteer_key("a/b\n");
        let records = Records::of(&entries(&[
            (&key, &volunteer_bytes(&volunteer)),
            (CHANGE, &change_bytes(&change)),
            (SIZE, b"3"),
            (ELECTION, b"a"),
        ]));
        assert_eq!(records.volunteers, BTreeMap::from([("a/b\n".to_owned(), volunteer)]));
        assert_eq!(records.change, Some((change, Revision(7))));
        assert_eq!((records.ideal, records.election.unwrap().host.as_str()), (3, "a"));
    }

    #[test]
    fn what_can_t_be_read_or_would_do_harm_does_not_count() {
        for junk in ["0", "-1", "x", "", "99999999"] {
            assert_eq!(Records::of(&entries(&[(SIZE, junk.as_bytes())])).ideal, IDEAL_SIZE, "{junk}");
        }
        let (web, bad_name) = (volunteer_key("web"), format!("{VOLUNTEERS}%zz"));
        for record in [
            r#"{"peers":["https://a:1,evil=https://b:1"]}"#,
            r#"{"peers":["http://10.0.0.1:1"]}"#,
            r#"{"peers":[]}"#,
            "{}",
            "[",
        ] {
            assert!(Records::of(&entries(&[(&web, record.as_bytes())])).volunteers.is_empty(), "{record}");
        }
        let sound = volunteer_bytes(&Volunteer { peers: vec!["https://a:1".to_owned()], id: None, is_leaving: false });
        assert!(Records::of(&entries(&[(&bad_name, &sound)])).volunteers.is_empty());
        let records = Records::of(&entries(&[(CHANGE, br#"{"split":{}}"#)]));
        assert!(records.is_strange && records.change.is_none());
    }
}
