//! A model of etcd: members, learners, the quorum, and the rules by which it accepts a change of its members.

use std::collections::BTreeMap;

use crate::world::elastic::snapshot::{Change, Server, Volunteer};

/// A member of the model.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) peers: Vec<String>,
    pub(super) is_learner: bool,
    /// The name that it has given when it started.
    pub(super) host: Option<String>,
    /// It has the data of the others.
    pub(super) has_caught_up: bool,
}

/// What a request changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Add { peers: Vec<String>, is_learner: bool },
    Promote(u64),
    Remove(u64),
    Lead(u64),
    Update(u64, Vec<String>),
}

/// Members and keys. Which members answer is given by the hosts.
#[derive(Clone, Debug, Default)]
pub(super) struct Etcd {
    pub(super) members: BTreeMap<u64, Member>,
    pub(super) leader: Option<u64>,
    pub(super) ideal: usize,
    /// By host; each is held by the lease of its host.
    pub(super) volunteers: BTreeMap<String, Volunteer>,
    /// The host that is elected, and the revision that wrote the key. The key is held by the lease of the host.
    pub(super) election: Option<(String, u64)>,
    pub(super) change: Option<(Change, u64)>,
    pub(super) revision: u64,
    pub(super) last: u64,
}

impl Etcd {
    /// Whether the members with a vote that answer are enough.
    pub(super) fn has_quorum(&self, answers: &dyn Fn(u64) -> bool) -> bool {
        let (voters, answering) = self.voters(answers);
        answering > voters / 2
    }

    fn voters(&self, answers: &dyn Fn(u64) -> bool) -> (usize, usize) {
        let voters: Vec<u64> = self.members.iter().filter(|(_, m)| !m.is_learner).map(|(id, _)| *id).collect();
        (voters.len(), voters.iter().filter(|id| answers(**id)).count())
    }

    /// Carries out a request as etcd does, which refuses some. Returns whether the members have changed.
    pub(super) fn change(&mut self, request: &Request, answers: &dyn Fn(u64) -> bool) -> bool {
        let (voters, answering) = self.voters(answers);
        if answering <= voters / 2 {
            return false;
        }
        match request {
            Request::Add { peers, is_learner } => {
                let is_known = self.members.values().any(|member| member.peers == *peers);
                let has_learner = self.members.values().any(|member| member.is_learner);
                // A member joins only while all others with a vote are connected, and there is one learner at most.
                if is_known || answering < voters || *is_learner && has_learner {
                    return false;
                }
                self.last += 1;
                let member = Member { peers: peers.clone(), is_learner: *is_learner, host: None, has_caught_up: false };
                self.members.insert(self.last, member);
                true
            }
            Request::Promote(id) => {
                let Some(member) = self.members.get_mut(id) else { return false };
                // Whether it has caught up is what its leader knows: it may have died since.
                let is_ready = member.is_learner && member.host.is_some() && member.has_caught_up;
                member.is_learner &= !is_ready;
                is_ready
            }
            Request::Remove(id) => {
                let Some(member) = self.members.get(id) else { return false };
                // etcd's own check is left out: the decision must not depend on it. But it never removes all.
                if !member.is_learner && voters == 1 {
                    return false;
                }
                self.members.remove(id);
                true
            }
            Request::Update(id, peers) => {
                let is_known = self.members.iter().any(|(other, member)| other != id && member.peers == *peers);
                let Some(member) = self.members.get_mut(id).filter(|_| !is_known) else { return false };
                let is_news = member.peers != *peers;
                member.peers.clone_from(peers);
                is_news
            }
            Request::Lead(id) => {
                if self.members.get(id).is_some_and(|member| !member.is_learner) && answers(*id) {
                    self.leader = Some(*id);
                }
                false
            }
        }
    }

    /// A leader that does not answer, or has left, is replaced.
    pub(super) fn elect(&mut self, answers: &dyn Fn(u64) -> bool) {
        let can_lead = |id: u64, member: &Member| !member.is_learner && answers(id);
        let leads = self.leader.filter(|id| self.members.get(id).is_some_and(|member| can_lead(*id, member)));
        let next = || self.members.iter().find(|(id, member)| can_lead(**id, member)).map(|(id, _)| *id);
        self.leader = leads.or_else(next);
    }

    pub(super) fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// The list of members, with which of them answer.
    pub(super) fn servers(&self, answers: &dyn Fn(u64) -> bool) -> Vec<Server> {
        let server = |(id, member): (&u64, &Member)| Server {
            id: *id,
            host: member.host.clone(),
            peers: member.peers.clone(),
            is_learner: member.is_learner,
            is_healthy: answers(*id),
        };
        self.members.iter().map(server).collect()
    }

    /// The first server, of this host.
    pub(super) fn found(&mut self, host: &str, peers: Vec<String>) -> u64 {
        self.last += 1;
        let member = Member { peers, is_learner: false, host: Some(host.to_owned()), has_caught_up: true };
        self.members.insert(self.last, member);
        self.last
    }
}
