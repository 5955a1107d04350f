//! Decides what happens next to the servers of a cluster. A pure function of what is known; it never decides a step by
//! which a cluster that can work would stop working.
//!
//! One change is under way at a time. It is recorded first (`Begin`), then made by etcd (`Add`, `Promote`, `Remove`),
//! and then struck out (`End`), each by the host that holds the election key. If that host dies in between, the next
//! one reads the record and completes the change. A request that etcd gets late, from a host that was elected before,
//! is one that was recorded: to remove a member that is gone already does nothing, and so does to promote one; one more
//! learner has no vote, and is removed; addresses that a server does not have (any more) are replaced.

use std::fmt;
use std::time::Duration;

use super::mutants::Mutant;
use super::snapshot::{Change, Server, Snapshot, Volunteer};

/// How long a nominated host may take until its server has started. Then it loses the nomination.
pub(crate) const START_MAX: Duration = Duration::from_secs(60);
/// How long a new server may take in all until it has the data of the others.
pub(crate) const CATCH_UP_MAX: Duration = Duration::from_secs(1800);
/// The default of `Snapshot::missing_max`: the time of a restart.
pub(crate) const MISSING_MAX: Duration = Duration::from_secs(60);
/// How long a host that failed to join is not nominated again.
pub(crate) const FAILED_PAUSE: Duration = Duration::from_secs(300);

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The change is recorded, in place of the one that is under way.
    Begin(Change),
    /// A member without a vote is added.
    Add { peers: Vec<String> },
    /// A member with a vote is added: only a mutant does that.
    #[cfg(test)]
    AddVoter { peers: Vec<String> },
    /// The member gets a vote.
    Promote { id: u64 },
    /// This member leads from now on.
    Lead { id: u64 },
    /// The member is removed.
    Remove { id: u64 },
    /// Others reach the member at these addresses.
    Update { id: u64, peers: Vec<String> },
    /// The record of the change is removed.
    End,
    /// This host gives the election key back.
    Resign,
    /// Nothing, for this reason.
    Wait(Reason),
}

/// Why nothing happens now although something should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Too few servers answer to change anything.
    NoQuorum { healthy: usize, voters: usize },
    /// Without this member, too few of the others would answer.
    WouldLoseQuorum { id: u64, host: Option<String>, healthy: usize, voters: usize },
    /// A server joins only while all others answer.
    Unhealthy { id: u64, host: Option<String> },
    /// A new server starts, or receives the data.
    Joining { host: String },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |id: &u64, host: &Option<String>| host.clone().unwrap_or_else(|| format!("{id:x}"));
        match self {
            Reason::NoQuorum { healthy, voters } => {
                write!(f, "{healthy} of {voters} servers answer: no server can join or leave until most of them do")
            }
            Reason::WouldLoseQuorum { id, host, healthy, voters } => write!(
                f,
                "server {} stays: without it, {healthy} of {voters} servers would answer, which are too few",
                name(id, host)
            ),
            Reason::Unhealthy { id, host } => {
                write!(f, "no server joins while server {} does not answer", name(id, host))
            }
            Reason::Joining { host } => write!(f, "server {host} is joining"),
        }
    }
}

/// The next step; `None`: the servers are as they should be, or it is not for this host to decide.
pub(crate) fn elastic(snapshot: &Snapshot, now: Duration) -> Option<Step> {
    Decision { snapshot, now, mutant: None }.step()
}

/// The same with one rule broken.
#[cfg(test)]
pub(crate) fn elastic_with(snapshot: &Snapshot, now: Duration, mutant: Option<Mutant>) -> Option<Step> {
    Decision { snapshot, now, mutant }.step()
}

struct Decision<'a> {
    snapshot: &'a Snapshot,
    now: Duration,
    mutant: Option<Mutant>,
}

/// How many of these must answer.
fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

impl<'a> Decision<'a> {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn step(&self) -> Option<Step> {
        let snapshot = self.snapshot;
        if !snapshot.is_elected && !self.is(Mutant::IgnoreElection) {
            return None;
        }
        if snapshot.me_leaves() && !snapshot.may_decide(&snapshot.me) {
            return Some(Step::Resign);
        }
        let (healthy, voters) = (self.healthy(), snapshot.voters().count());
        if healthy < quorum(voters) {
            return Some(Step::Wait(Reason::NoQuorum { healthy, voters }));
        }
        match &snapshot.change {
            Some(Change::Join { host, peers }) if !self.is(Mutant::IgnoreChange) => self.join(host, peers),
            Some(Change::Leave { id }) if !self.is(Mutant::IgnoreChange) => self.leave(*id),
            Some(Change::Move { id, peers }) if !self.is(Mutant::IgnoreChange) => self.relocate(*id, peers),
            _ => self.next(),
        }
    }

    /// How many members with a vote answer.
    fn healthy(&self) -> usize {
        self.snapshot.voters().filter(|server| server.is_healthy).count()
    }

    /// A host was nominated.
    fn join(&self, host: &str, peers: &[String]) -> Option<Step> {
        let volunteer = self.snapshot.volunteers.get(host);
        let is_valid = volunteer.is_some_and(|volunteer| !volunteer.is_leaving && volunteer.peers == peers);
        let time = self.time();
        let joining = || Some(Step::Wait(Reason::Joining { host: host.to_owned() }));
        let Some(server) = self.snapshot.at(peers) else {
            let add = if self.is(Mutant::AddVoters) { Self::add_voter } else { Self::add };
            return Some(if is_valid && time <= START_MAX { add(peers) } else { Step::End });
        };
        let runs = volunteer.is_some_and(|volunteer| volunteer.id == Some(server.id));
        if !server.is_learner {
            // It is one of the servers; whether it is run is looked at like that of any other one from now on.
            return if runs || !is_valid || time > START_MAX { Some(Step::End) } else { joining() };
        }
        let time_max = if server.host.is_some() && runs { CATCH_UP_MAX } else { START_MAX };
        if !is_valid || time > time_max {
            return Some(Step::Begin(Change::Leave { id: server.id }));
        }
        let is_ready = runs && server.is_healthy && server.host.is_some();
        match is_ready || self.is(Mutant::PromoteUnready) {
            true => Some(Step::Promote { id: server.id }),
            false => joining(),
        }
    }

    /// For how long the change has been under way.
    fn time(&self) -> Duration {
        match &self.snapshot.memory.change {
            Some((_, since)) if !self.is(Mutant::NoTimeLimit) => self.now.saturating_sub(*since),
            _ => Duration::ZERO,
        }
    }

    /// A server listens at these addresses, as others must know.
    fn relocate(&self, id: u64, peers: &[String]) -> Option<Step> {
        let is_listed = |server: &Server| server.id == id && !server.is_at(peers);
        let is_wanted = self.snapshot.servers.iter().any(is_listed)
            && self.snapshot.runs(id).is_some_and(|(_, volunteer)| volunteer.peers == peers)
            && self.snapshot.are_free(peers, id)
            && self.time() <= START_MAX;
        Some(if is_wanted { Step::Update { id, peers: peers.to_vec() } } else { Step::End })
    }

    /// The first server that others do not know where it is.
    fn moved(&self) -> Option<Change> {
        if self.is(Mutant::KeepAddresses) {
            return None;
        }
        let change = |server: &Server| {
            let (host, volunteer) = self.snapshot.runs(server.id)?;
            let can_move = self.snapshot.has_moved(server)
                && self.snapshot.are_free(&volunteer.peers, server.id)
                && !self.has_failed(host);
            can_move.then(|| Change::Move { id: server.id, peers: volunteer.peers.clone() })
        };
        self.snapshot.voters().find_map(change)
    }

    fn has_failed(&self, host: &str) -> bool {
        let failed = self.snapshot.memory.failed.get(host);
        failed.is_some_and(|at| self.now.saturating_sub(*at) < FAILED_PAUSE)
    }

    fn add(peers: &[String]) -> Step {
        Step::Add { peers: peers.to_vec() }
    }

    #[cfg(test)]
    fn add_voter(peers: &[String]) -> Step {
        Step::AddVoter { peers: peers.to_vec() }
    }

    #[cfg(not(test))]
    fn add_voter(peers: &[String]) -> Step {
        Self::add(peers)
    }

    /// A member must leave.
    fn leave(&self, id: u64) -> Option<Step> {
        let Some(server) = self.snapshot.servers.iter().find(|server| server.id == id) else {
            return Some(Step::End);
        };
        if let Some(reason) = self.refuses(server) {
            // A dead one may have to leave before this one can.
            let dead = self.dead().into_iter().find(|dead| dead.id != id && self.refuses(dead).is_none());
            let first = dead.map(|dead| Change::Leave { id: dead.id }).or_else(|| self.moved());
            return Some(first.map_or(Step::Wait(reason), Step::Begin));
        }
        if self.snapshot.leader == Some(id)
            && let Some(next) = self.snapshot.voters().find(|other| other.is_healthy && other.id != id)
        {
            return Some(Step::Lead { id: next.id });
        }
        Some(Step::Remove { id })
    }

    /// Why this member can't be removed now.
    fn refuses(&self, server: &Server) -> Option<Reason> {
        if server.is_learner || self.is(Mutant::IgnoreQuorum) {
            return None;
        }
        let left = || self.snapshot.voters().filter(|other| other.id != server.id);
        let mut healthy = left().filter(|other| other.is_healthy).count();
        // Those that have moved are held together by those that have not, which must have reported where they are.
        let stays = |other: &Server| self.snapshot.runs(other.id).is_some_and(|(_, at)| other.is_at(&at.peers));
        let holds = |other: &Server| other.is_healthy && stays(other);
        if !left().any(holds) && !self.is(Mutant::ForgetMoves) {
            healthy = healthy.min(1);
        }
        let voters = left().count();
        (healthy < quorum(voters)).then(|| Reason::WouldLoseQuorum {
            id: server.id,
            host: server.host.clone(),
            healthy,
            voters,
        })
    }

    /// The members that no host runs any more.
    fn dead(&self) -> Vec<&'a Server> {
        let is_dead = |server: &&Server| {
            let time = self.snapshot.memory.missing.get(&server.id).map(|since| self.now.saturating_sub(*since));
            // Its host is there, and has lost its data.
            let is_replaced = server.host.as_ref().is_some_and(|host| self.snapshot.volunteers.contains_key(host));
            let is_late = time.is_some_and(|time| time > self.snapshot.missing_max);
            self.snapshot.runs(server.id).is_none() && (is_replaced || is_late)
        };
        if self.is(Mutant::KeepDead) {
            return Vec::new();
        }
        let mut dead: Vec<&Server> = self.snapshot.servers.iter().filter(is_dead).collect();
        dead.sort_by_key(|server| (&server.host, server.id));
        dead
    }

    /// No change is under way.
    fn next(&self) -> Option<Step> {
        let snapshot = self.snapshot;
        let begin = |server: &Server| Some(Step::Begin(Change::Leave { id: server.id }));
        // One that was added and is not nominated (any more).
        if let Some(server) = snapshot.servers.iter().find(|server| server.is_learner)
            && !self.is(Mutant::KeepLearners)
        {
            return begin(server);
        }
        let mut refused = None;
        for dead in self.dead() {
            match self.refuses(dead) {
                None => return begin(dead),
                Some(reason) => refused = refused.or(Some(Step::Wait(reason))),
            }
        }
        let moved = self.moved().map(Step::Begin);
        if moved.is_some() && !self.is(Mutant::ForgetMoves) {
            return moved;
        }
        let leaving = |server: &&Server| snapshot.runs(server.id).is_some_and(|(_, host)| host.is_leaving);
        let staying = snapshot.voters().filter(|server| !leaving(server)).count();
        if staying < snapshot.ideal
            && let Some((host, volunteer)) = self.candidate()
        {
            let unhealthy = snapshot.voters().find(|server| !server.is_healthy);
            return Some(match unhealthy {
                Some(Server { id, host, .. }) => Step::Wait(Reason::Unhealthy { id: *id, host: host.clone() }),
                None => Step::Begin(Change::Join { host: host.to_owned(), peers: volunteer.peers.clone() }),
            });
        }
        // The one that decides stays; the last one just stops.
        let can_leave = |server: &&Server| snapshot.runs(server.id).is_none_or(|(host, _)| host != snapshot.me);
        let mut leavers: Vec<&Server> = snapshot.voters().filter(leaving).filter(can_leave).collect();
        if leavers.is_empty() && snapshot.voters().count() > snapshot.ideal.max(1) {
            leavers = snapshot.voters().filter(can_leave).collect();
            // Those that do not answer first, the one that leads last, and otherwise the last by name.
            leavers.sort_by_key(|server| (server.is_healthy, snapshot.leader == Some(server.id)));
            leavers.truncate(1 + self.equal_ranks(&leavers));
            leavers.sort_by(|one, other| other.host.cmp(&one.host));
        } else {
            leavers.sort_by_key(|server| &server.host);
        }
        let Some(leaver) = leavers.first() else { return moved.or(refused) };
        match self.refuses(leaver) {
            None => begin(leaver),
            Some(reason) => Some(Step::Wait(reason)),
        }
    }

    /// How many after the first one are as good to leave.
    fn equal_ranks(&self, leavers: &[&Server]) -> usize {
        let rank = |server: &Server| (server.is_healthy, self.snapshot.leader == Some(server.id));
        let Some((first, others)) = leavers.split_first() else { return 0 };
        others.iter().take_while(|server| rank(server) == rank(first)).count()
    }

    /// The first host that could join.
    fn candidate(&self) -> Option<(&'a str, &'a Volunteer)> {
        let snapshot = self.snapshot;
        let can_join = |(host, volunteer): &(&String, &Volunteer)| {
            let is_member = volunteer.id.is_some_and(|id| snapshot.servers.iter().any(|server| server.id == id));
            !volunteer.is_leaving && !is_member && !self.has_failed(host) && snapshot.at(&volunteer.peers).is_none()
        };
        let mut candidates = snapshot.volunteers.iter().filter(can_join);
        candidates.next().map(|(host, volunteer)| (host.as_str(), volunteer))
    }
}

impl Snapshot {
    fn me_leaves(&self) -> bool {
        self.volunteers.get(&self.me).is_none_or(|volunteer| volunteer.is_leaving)
    }
}
