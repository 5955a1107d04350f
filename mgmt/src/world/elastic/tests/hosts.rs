//! A model of hosts that run servers and decide about them, and of what can happen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::etcd::{Etcd, Request};
use super::rng::Rng;
use crate::world::elastic::decide::{MISSING_MAX, Step, elastic_with};
use crate::world::elastic::mutants::Mutant;
use crate::world::elastic::snapshot::{Change, Memory, Snapshot, Volunteer};

/// A host. What it remembers on disk stays when it dies.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) is_alive: bool,
    /// It reaches no other host.
    pub(super) is_cut: bool,
    /// Its server can't start.
    pub(super) is_broken: bool,
    pub(super) is_leaving: bool,
    /// How often it has got another address.
    moves: usize,
    /// The member whose data is on its disk.
    data: Option<u64>,
    /// Its own clock, which may jump.
    clock: Duration,
    memory: Memory,
    /// The revision of its election key, as long as it believes that it is elected.
    elected: Option<u64>,
    seen: Option<Seen>,
}

/// What a host has read, and not acted upon yet.
#[derive(Clone, Debug)]
struct Seen {
    step: Option<Step>,
    election: u64,
    change: Option<u64>,
    /// How many faults there had been.
    faults: usize,
}

/// Everything.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) etcd: Etcd,
    pub(super) hosts: Vec<Host>,
    /// Requests that were sent and have not arrived, each with the number of faults when it was decided.
    late: Vec<(Request, usize)>,
    faults: usize,
    mutant: Option<Mutant>,
    pub(super) story: Vec<String>,
    pub(super) breach: Option<String>,
    pub(super) steps: usize,
}

fn peers(host: &str, moves: usize) -> Vec<String> {
    vec![format!("https://{host}:{}", 2380 + moves)]
}

impl Cluster {
    /// A cluster with one server, and more hosts that are off.
    pub(super) fn new(hosts: usize, ideal: usize, mutant: Option<Mutant>) -> Cluster {
        let host = |n: usize| Host { name: format!("web{n}"), ..Host::default() };
        let mut cluster = Cluster {
            etcd: Etcd { ideal, ..Etcd::default() },
            hosts: (0..hosts).map(host).collect(),
            late: Vec::new(),
            faults: 0,
            mutant,
            story: Vec::new(),
            breach: None,
            steps: 0,
        };
        let id = cluster.etcd.found("web0", peers("web0", 0));
        cluster.hosts[0].is_alive = true;
        cluster.hosts[0].data = Some(id);
        cluster
    }

    fn tell(&mut self, text: impl FnOnce() -> String) {
        let text = text();
        self.story.push(text);
    }

    /// The members that answer the others. Those that have other addresses than the others know connect to those that
    /// have not, and do not find one another.
    fn answering(&self) -> BTreeSet<u64> {
        let running = self.hosts.iter().filter(|host| host.is_alive && !host.is_cut);
        let members = running.filter_map(|host| Some((host.data?, host)));
        let members: Vec<(u64, &Host)> = members.filter(|(id, _)| self.etcd.members.contains_key(id)).collect();
        let is_learner = |id: &u64| self.etcd.members[id].is_learner;
        let stays = |(id, host): &(u64, &Host)| self.etcd.members[id].peers == peers(&host.name, host.moves);
        if members.iter().any(|member| !is_learner(&member.0) && stays(member)) {
            return members.iter().map(|(id, _)| *id).collect();
        }
        let voter = members.iter().find(|(id, _)| !is_learner(id)).map(|(id, _)| *id);
        members.iter().filter(|member| stays(member)).map(|(id, _)| *id).chain(voter).collect()
    }

    pub(super) fn has_quorum(&self) -> bool {
        let answering = self.answering();
        self.etcd.has_quorum(&|id| answering.contains(&id))
    }

    /// A host that is off has another address from now on.
    pub(super) fn relocate(&mut self, n: usize) {
        self.tell(|| format!("web{n} gets another address"));
        self.hosts[n].moves += 1;
        // It was stopped for this, and did not crash: others know at once.
        self.etcd.volunteers.remove(&self.hosts[n].name);
    }

    /// If nothing else helps, a host has the address again that others know.
    pub(super) fn move_back(&mut self, n: usize) {
        let known = self.hosts[n].data.and_then(|id| self.etcd.members.get(&id)).map(|member| member.peers.clone());
        let host = &mut self.hosts[n];
        if let Some(moves) = known.and_then(|known| (0..=host.moves).find(|moves| peers(&host.name, *moves) == known)) {
            host.moves = moves;
        }
    }

    /// Whether others know the addresses of this member.
    pub(super) fn is_known(&self, id: u64) -> bool {
        let host = self.hosts.iter().find(|host| host.data == Some(id));
        host.is_none_or(|host| self.etcd.members[&id].peers == peers(&host.name, host.moves))
    }

    pub(super) fn die(&mut self, n: usize, loses_data: bool) {
        self.faults += 1;
        self.tell(|| format!("web{n} dies{}", if loses_data { " and loses its data" } else { "" }));
        let host = &mut self.hosts[n];
        (host.is_alive, host.is_cut, host.seen, host.elected) = (false, false, None, None);
        host.memory = Memory::default();
        if loses_data {
            host.data = None;
        }
    }

    pub(super) fn start(&mut self, n: usize, is_broken: bool) {
        self.tell(|| format!("web{n} starts{}", if is_broken { ", and its server can't" } else { "" }));
        let host = &mut self.hosts[n];
        (host.is_alive, host.is_leaving, host.is_broken) = (true, false, is_broken && host.data.is_none());
    }

    pub(super) fn cut(&mut self, n: usize, is_cut: bool) {
        self.faults += usize::from(is_cut);
        self.tell(|| format!("web{n} is {}", if is_cut { "cut off" } else { "reached again" }));
        self.hosts[n].is_cut = is_cut;
    }

    pub(super) fn quit(&mut self, n: usize) {
        self.tell(|| format!("web{n} wants to leave"));
        self.hosts[n].is_leaving = true;
    }

    /// The lease of a host that could not renew it ends.
    pub(super) fn expire(&mut self, n: usize) {
        let host = &self.hosts[n];
        if (host.is_alive && !host.is_cut) || !self.has_quorum() {
            return;
        }
        let name = host.name.clone();
        if self.etcd.volunteers.remove(&name).is_some() {
            self.tell(|| format!("the lease of {name} ends"));
        }
        if self.etcd.election.as_ref().is_some_and(|(elected, _)| *elected == name) {
            self.etcd.election = None;
        }
    }

    pub(super) fn pass_time(&mut self, n: usize, by: Duration) {
        self.hosts[n].clock += by;
    }

    /// A host is stopped for so long that its lease ends, and does not notice before it acts.
    pub(super) fn oversleep(&mut self, n: usize) {
        let name = self.hosts[n].name.clone();
        if self.has_quorum() && self.etcd.election.as_ref().is_some_and(|(elected, _)| *elected == name) {
            self.tell(|| format!("{name} sleeps for longer than its lease"));
            self.etcd.election = None;
        }
    }

    /// A request arrives that was sent earlier.
    pub(super) fn deliver(&mut self) {
        if let Some((request, faults)) = self.late.pop() {
            self.carry_out(&request, faults, true);
        }
    }

    /// A host does the next thing that it can do.
    pub(super) fn turn(&mut self, n: usize, rng: &mut Rng) {
        let host = &self.hosts[n];
        if !host.is_alive || host.is_cut || !self.has_quorum() {
            return;
        }
        let answering = self.answering();
        self.etcd.elect(&|id| answering.contains(&id));
        self.serve(n);
        match self.hosts[n].seen.take() {
            Some(seen) => self.act(n, seen, rng),
            None => self.look(n),
        }
    }

    /// Runs a server if the host is nominated, and lets others know.
    fn serve(&mut self, n: usize) {
        let host = &mut self.hosts[n];
        if let Some(id) = host.data
            && !self.etcd.members.contains_key(&id)
        {
            // It was removed: the data is of no use any more.
            host.data = None;
        }
        if let Some((Change::Join { host: nominated, peers }, _)) = &self.etcd.change
            && *nominated == host.name
            && *peers == self::peers(&host.name, host.moves)
            && host.data.is_none()
            && !host.is_broken
            && let Some((id, member)) = self.etcd.members.iter_mut().find(|(_, member)| member.peers == *peers)
            && member.host.is_none()
        {
            member.host = Some(host.name.clone());
            host.data = Some(*id);
        } else if let Some(member) = host.data.and_then(|id| self.etcd.members.get_mut(&id)) {
            member.has_caught_up = true;
        }
        let volunteer = Volunteer { peers: peers(&host.name, host.moves), id: host.data, is_leaving: host.is_leaving };
        let is_over = host.is_leaving && host.data.is_none();
        match is_over {
            true => drop(self.etcd.volunteers.remove(&host.name)),
            false => drop(self.etcd.volunteers.insert(host.name.clone(), volunteer)),
        }
    }

    /// Takes part in the election, and decides what to do.
    fn look(&mut self, n: usize) {
        let mut snapshot = self.snapshot(n);
        if self.etcd.election.is_none() && snapshot.may_decide(&snapshot.me) {
            let revision = self.etcd.next_revision();
            self.etcd.election = Some((snapshot.me.clone(), revision));
        }
        let election = self.etcd.election.clone().filter(|(elected, _)| *elected == snapshot.me);
        snapshot.is_elected = election.is_some();
        let host = &mut self.hosts[n];
        host.elected = election.map(|(_, revision)| revision);
        host.memory.observe(&snapshot, host.clock);
        snapshot.memory = host.memory.clone();
        let step = elastic_with(&snapshot, host.clock, self.mutant);
        host.seen = Some(Seen {
            step,
            election: host.elected.unwrap_or_default(),
            change: self.etcd.change.as_ref().map(|(_, revision)| *revision),
            faults: self.faults,
        });
    }

    fn snapshot(&self, n: usize) -> Snapshot {
        let answering = self.answering();
        Snapshot {
            me: self.hosts[n].name.clone(),
            is_elected: false,
            ideal: self.etcd.ideal,
            volunteers: self.etcd.volunteers.clone(),
            change: self.etcd.change.as_ref().map(|(change, _)| change.clone()),
            servers: self.etcd.servers(&|id| answering.contains(&id)),
            leader: self.etcd.leader,
            missing_max: MISSING_MAX,
            memory: Memory::default(),
        }
    }

    /// Carries out what was decided. Transactions have their conditions; requests to etcd itself have none, but are
    /// sent only if the host still holds the key when it has read it once more.
    fn act(&mut self, n: usize, seen: Seen, rng: &mut Rng) {
        let Some(step) = seen.step else { return };
        let name = self.hosts[n].name.clone();
        let holds =
            self.etcd.election.as_ref().is_some_and(|(host, revision)| *host == name && *revision == seen.election)
                || self.mutant == Some(Mutant::IgnoreElection);
        let is_same = self.etcd.change.as_ref().map(|(_, revision)| *revision) == seen.change;
        let request = match step {
            Step::Wait(_) => return,
            Step::Resign if holds => return self.etcd.election = None,
            Step::Begin(change) if holds && is_same => {
                self.tell(|| format!("{name} begins {change:?}"));
                let revision = self.etcd.next_revision();
                return self.etcd.change = Some((change, revision));
            }
            Step::End if holds && is_same => {
                self.tell(|| format!("{name}: the change has ended"));
                return self.etcd.change = None;
            }
            Step::Begin(_) | Step::End | Step::Resign => return,
            Step::Add { peers } => Request::Add { peers, is_learner: true },
            Step::AddVoter { peers } => Request::Add { peers, is_learner: false },
            Step::Promote { id } => Request::Promote(id),
            Step::Lead { id } => Request::Lead(id),
            Step::Remove { id } => Request::Remove(id),
            Step::Update { id, peers } => Request::Update(id, peers),
        };
        // The host may be stopped between that look and the request, which then arrives at any time. Learners that come
        // late are what is left of a nomination that has ended.
        let late = if matches!(request, Request::Add { .. }) { 50 } else { 10 };
        if (holds && is_same || self.mutant == Some(Mutant::IgnoreElection)) && rng.percent(late) {
            self.tell(|| format!("{name} asks for {request:?}, which is under way for long"));
            self.late.push((request, seen.faults));
        } else if holds && is_same || self.mutant == Some(Mutant::IgnoreElection) {
            self.tell(|| format!("{name} asks for {request:?}"));
            self.carry_out(&request, seen.faults, false);
        }
    }

    fn carry_out(&mut self, request: &Request, faults: usize, is_late: bool) {
        let had_quorum = self.has_quorum();
        let recorded = self.etcd.change.as_ref().map(|(change, _)| change.clone());
        let peers_of: BTreeMap<u64, Vec<String>> =
            self.etcd.members.iter().map(|(id, member)| (*id, member.peers.clone())).collect();
        let answering = self.answering();
        let is_changed = self.etcd.change(request, &|id| answering.contains(&id));
        if !is_changed {
            return;
        }
        self.steps += 1;
        self.tell(|| format!("  done: {request:?}"));
        if had_quorum && !self.has_quorum() && self.faults == faults {
            self.breach(format!("{request:?} has lost the quorum"));
        }
        let is_recorded = match (request, &recorded) {
            (Request::Add { peers, .. }, Some(Change::Join { peers: nominated, .. })) => peers == nominated,
            (Request::Promote(id), Some(Change::Join { peers, .. })) => peers_of.get(id) == Some(peers),
            (Request::Remove(id), Some(Change::Leave { id: leaving })) => id == leaving,
            (Request::Update(id, to), Some(Change::Move { id: moving, peers })) => (id, to) == (moving, peers),
            _ => false,
        };
        if !is_recorded && !is_late {
            self.breach(format!("{request:?} is not the change under way, which is {recorded:?}"));
        }
    }

    fn breach(&mut self, text: String) {
        self.story.push(format!("BREACH: {text}"));
        self.breach.get_or_insert(text);
    }
}

impl Host {
    /// It runs a member.
    pub(super) fn runs(&self, id: u64) -> bool {
        self.is_alive && !self.is_cut && self.data == Some(id)
    }

    pub(super) fn is_member(&self) -> bool {
        self.data.is_some()
    }
}
