//! What is known of the servers of a cluster at the moment when the next step is decided. Pure data.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The size towards which a cluster grows if no other one is set.
pub(crate) const IDEAL_SIZE: usize = 5;

/// A host that offers to run a server. The record is held by the lease of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volunteer {
    /// Where its server is reached by other servers.
    pub(crate) peers: Vec<String>,
    /// The member whose data it has, and which it therefore runs; `None`: it has no data.
    pub(crate) id: Option<u64>,
    /// It wants to stop being a server.
    pub(crate) is_leaving: bool,
}

/// A member of the cluster, as etcd lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) id: u64,
    /// The host, which is the name of the member; `None`: it has not started yet.
    pub(crate) host: Option<String>,
    pub(crate) peers: Vec<String>,
    /// It has no vote, and does not count for the quorum.
    pub(crate) is_learner: bool,
    /// It has answered just now.
    pub(crate) is_healthy: bool,
}

/// A change of the membership. It is recorded before it is made, so that another host can complete it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The host is nominated: it becomes a learner, and has a vote when it has caught up.
    Join { host: String, peers: Vec<String> },
    /// The member is removed. The number of a member is never used again, so this can be asked for any number of times.
    Leave { id: u64 },
    /// The member is reached by others at these addresses from now on.
    Move { id: u64, peers: Vec<String> },
}

/// All that the decision depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The host that decides.
    pub(crate) me: String,
    /// Whether it holds the election key.
    pub(crate) is_elected: bool,
    /// How many servers there should be, at least one.
    pub(crate) ideal: usize,
    pub(crate) volunteers: BTreeMap<String, Volunteer>,
    /// The change that is under way.
    pub(crate) change: Option<Change>,
    pub(crate) servers: Vec<Server>,
    /// The member that leads the others.
    pub(crate) leader: Option<u64>,
    /// How long a member stays that no host runs. (The lease of its host has ended before.)
    pub(crate) missing_max: Duration,
    pub(crate) memory: Memory,
}

impl Server {
    /// Whether others know it at exactly these addresses. etcd lists them in an order of its own.
    pub(crate) fn is_at(&self, peers: &[String]) -> bool {
        let set = |peers: &[String]| peers.iter().cloned().collect::<BTreeSet<String>>();
        set(&self.peers) == set(peers)
    }
}

impl Snapshot {
    pub(crate) fn voters(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| !server.is_learner)
    }

    /// The host that runs this member, as far as it is known.
    pub(crate) fn runs(&self, id: u64) -> Option<(&str, &Volunteer)> {
        let found = self.volunteers.iter().find(|(_, volunteer)| volunteer.id == Some(id));
        found.map(|(host, volunteer)| (host.as_str(), volunteer))
    }

    /// The member with one of these addresses.
    pub(crate) fn at(&self, peers: &[String]) -> Option<&Server> {
        self.servers.iter().find(|server| server.peers.iter().any(|peer| peers.contains(peer)))
    }

    /// Whether the server of this member listens at other addresses than others know. It reaches those that have not
    /// moved, and two that have moved do not reach one another.
    pub(crate) fn has_moved(&self, server: &Server) -> bool {
        self.runs(server.id).is_some_and(|(_, volunteer)| !server.is_at(&volunteer.peers))
    }

    /// Whether no other member than this one has one of these addresses.
    pub(crate) fn are_free(&self, peers: &[String], id: u64) -> bool {
        let others = self.servers.iter().filter(|server| server.id != id);
        !others.flat_map(|server| &server.peers).any(|peer| peers.contains(peer))
    }

    /// The member that this host runs with a vote.
    pub(crate) fn voter_of(&self, host: &str) -> Option<&Server> {
        let id = self.volunteers.get(host)?.id?;
        self.voters().find(|server| server.id == id)
    }

    /// Whether this host may take part in the election: those that stay are preferred to those that leave.
    pub(crate) fn may_decide(&self, host: &str) -> bool {
        let is_leaving = |host: &str| self.volunteers.get(host).is_some_and(|volunteer| volunteer.is_leaving);
        let stays = |host: &str| !is_leaving(host) && self.voter_of(host).is_some_and(|server| server.is_healthy);
        match is_leaving(host) {
            false => self.voter_of(host).is_some(),
            true => self.voter_of(host).is_some() && !self.volunteers.keys().any(|other| stays(other)),
        }
    }
}

/// Since when the deciding host sees what it sees, by its own clock: no clock of another host matters, and one that
/// jumps makes a time limit shorter or longer, which does no harm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The change, and since when it is under way.
    pub(crate) change: Option<(Change, Duration)>,
    /// The members that no host runs.
    pub(crate) missing: BTreeMap<u64, Duration>,
    /// The hosts that were nominated and did not join, and those whose addresses could not be changed.
    pub(crate) failed: BTreeMap<String, Duration>,
}

impl Memory {
    /// Learns from a snapshot (its own memory is not read).
    pub(crate) fn observe(&mut self, seen: &Snapshot, now: Duration) {
        let before = self.change.take();
        if let Some((Change::Join { host, peers }, _)) = &before
            && !matches!(&seen.change, Some(Change::Join { host: other, .. }) if other == host)
            && seen.at(peers).is_none_or(|server| server.is_learner)
        {
            self.failed.insert(host.clone(), now);
        }
        if let Some((Change::Move { id, peers }, _)) = &before
            && seen.change.is_none()
            && let Some((host, _)) = seen.runs(*id).filter(|(_, volunteer)| volunteer.peers == *peers)
            && !seen.servers.iter().any(|server| server.id == *id && server.is_at(peers))
        {
            self.failed.insert(host.to_owned(), now);
        }
        self.change = seen.change.as_ref().map(|change| match before {
            Some((same, since)) if same == *change => (same, since),
            _ => (change.clone(), now),
        });
        let missing = seen.servers.iter().filter(|server| seen.runs(server.id).is_none());
        self.missing = missing.map(|server| (server.id, *self.missing.get(&server.id).unwrap_or(&now))).collect();
        self.failed.retain(|host, _| seen.volunteers.contains_key(host));
    }
}
