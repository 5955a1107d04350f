//! Decides as the host that is elected, and carries out what was decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::resource::{Condition, Keys, Revision, Transaction, Write};
use crate::world::elastic::{Change, Server, Snapshot, Step, elastic};
use crate::world::etcd::{CHANGE_MAX, Health, Listed};
use crate::world::managed::records::{CHANGE, ELECTION, change_bytes};
use crate::world::managed::runner::{Lease, Runner, Seen, host_of};

fn written(key: &str, written: Option<Revision>) -> Condition {
    Condition { key: key.to_owned(), written }
}

impl Runner {
    /// Takes part in the election, and does the next step if this host is elected.
    pub(super) async fn decide(&mut self, seen: &Seen, lease: Lease) -> Result<(), String> {
        let records = &seen.records;
        let is_nominated =
            matches!(&records.change, Some((Change::Join { host, .. }, _)) if *host == self.settings.host);
        self.is_busy = self.is_leaving || is_nominated || records.election.is_none();
        if records.is_strange {
            return Err("a newer program is changing the servers: this one waits".to_owned());
        }
        let mut snapshot = Snapshot {
            me: self.settings.host.clone(),
            is_elected: false,
            ideal: records.ideal,
            volunteers: records.volunteers.clone(),
            change: records.change.as_ref().map(|(change, _)| change.clone()),
            servers: seen.members.all.iter().map(server).collect(),
            leader: None,
            missing_max: self.settings.missing_max,
            memory: Default::default(),
        };
        let runs: Vec<bool> = snapshot.servers.iter().map(|server| snapshot.runs(server.id).is_some()).collect();
        snapshot.servers.iter_mut().zip(runs).for_each(|(server, runs)| server.is_healthy = runs);
        let now = self.began.elapsed();
        self.memory.observe(&snapshot, now);
        let election = match &records.election {
            None if snapshot.may_decide(&snapshot.me) => self.stand_for_election(lease).await?,
            Some(elected) if elected.host == snapshot.me && elected.lease == Some(lease.id) => Some(elected.written),
            _ => None,
        };
        let Some(election) = election else { return Ok(()) };
        self.is_busy |= records.change.is_some();
        let health = self.healths(&seen.members.all).await;
        for server in &mut snapshot.servers {
            server.is_healthy = health.contains_key(&server.id);
        }
        snapshot.leader = health.values().map(|health| health.leader).find(|leader| *leader != 0);
        (snapshot.is_elected, snapshot.memory) = (true, self.memory.clone());
        let Some(step) = elastic(&snapshot, now) else {
            self.refused = None;
            return Ok(());
        };
        if let Step::Wait(reason) = &step {
            let reason = reason.to_string();
            if self.refused.as_ref() != Some(&reason) {
                tracing::info!(target: "mgmt", "the servers of etcd: {reason}");
                self.refused = Some(reason);
            }
            return Ok(());
        }
        self.is_busy = true;
        tracing::debug!(target: "mgmt", "the servers of etcd: {step:?}");
        self.carry_out(step, seen, election, lease).await
    }

    async fn stand_for_election(&self, lease: Lease) -> Result<Option<Revision>, String> {
        let value: Arc<[u8]> = self.settings.host.as_bytes().into();
        let writes = BTreeMap::from([(ELECTION.to_owned(), Write::Put(value, Some(lease.id)))]);
        let transaction = Transaction { conditions: vec![written(ELECTION, None)], writes };
        self.member.commit(transaction).await.map_err(|error| error.to_string())
    }

    /// The members that answer, by number.
    async fn healths(&self, members: &[Listed]) -> BTreeMap<u64, Health> {
        let mut asked = JoinSet::new();
        for member in members.iter().filter(|member| !member.clients.is_empty()) {
            let (world, id, clients) = (self.world.clone(), member.id, member.clients.clone());
            asked.spawn(async move { world.health(&clients).await.filter(|health| health.id == id) });
        }
        asked.join_all().await.into_iter().flatten().map(|health| (health.id, health)).collect()
    }

    async fn carry_out(&mut self, step: Step, seen: &Seen, election: Revision, lease: Lease) -> Result<(), String> {
        let change = seen.records.change.as_ref().map(|(_, revision)| *revision);
        let mut transaction =
            Transaction { conditions: vec![written(ELECTION, Some(election))], writes: BTreeMap::new() };
        let write = match &step {
            Step::Begin(change) => (CHANGE, Write::Put(change_bytes(change).into(), None)),
            Step::End => (CHANGE, Write::Remove),
            Step::Resign => (ELECTION, Write::Remove),
            _ => {
                return self
                    .request(step, seen, [written(ELECTION, Some(election)), written(CHANGE, change)], lease)
                    .await;
            }
        };
        if write.0 == CHANGE {
            transaction.conditions.push(written(CHANGE, change));
        }
        transaction.writes.insert(write.0.to_owned(), write.1);
        // If a condition does not hold, another host decides, or decides next.
        self.member.commit(transaction).await.map(drop).map_err(|error| error.to_string())
    }

    /// Asks etcd to change the members. That can't have conditions: they are checked just before, and the lease of this
    /// host lasts longer than the request.
    async fn request(&self, step: Step, seen: &Seen, conditions: [Condition; 2], lease: Lease) -> Result<(), String> {
        let keys = conditions.iter().map(|condition| Keys::One(condition.key.clone())).collect();
        let now = self.member.get(keys).await.map_err(|error| error.to_string())?;
        let holds =
            |condition: &Condition| now.entries.get(&condition.key).map(|entry| entry.written) == condition.written;
        if !conditions.iter().all(holds) || !lease.holds(CHANGE_MAX) {
            return Ok(());
        }
        let done = match &step {
            Step::Add { peers } => self.world.add_learner(peers.clone()).await,
            Step::Promote { id } => self.world.promote(*id).await,
            Step::Remove { id } => self.world.remove(*id).await,
            Step::Update { id, peers } => self.world.relocate(*id, peers.clone()).await,
            Step::Lead { id } => {
                let leader = self.leader(seen).await;
                self.world.lead(&leader, *id).await
            }
            _ => Ok(()),
        };
        match done {
            Ok(()) => tracing::info!(target: "mgmt", "the servers of etcd: {}", in_words(&step, &seen.members.all)),
            // It is tried again: etcd refuses changes for some seconds after another one, or until data has arrived.
            Err(error) => tracing::debug!(target: "mgmt", "the servers of etcd: {step:?}: {error}"),
        }
        Ok(())
    }

    /// The addresses of the member that leads.
    async fn leader(&self, seen: &Seen) -> Vec<String> {
        let health = self.healths(&seen.members.all).await;
        let leader = health.values().map(|health| health.leader).find(|leader| *leader != 0);
        let member = seen.members.all.iter().find(|member| Some(member.id) == leader);
        member.map(|member| member.clients.clone()).unwrap_or_default()
    }
}

fn server(member: &Listed) -> Server {
    Server {
        id: member.id,
        host: host_of(&member.name),
        peers: member.peers.clone(),
        is_learner: member.is_learner,
        is_healthy: false,
    }
}

/// What was done, for people.
fn in_words(step: &Step, members: &[Listed]) -> String {
    let name = |id: &u64| {
        let member = members.iter().find(|member| member.id == *id);
        member.and_then(|member| host_of(&member.name)).unwrap_or_else(|| format!("{id:x}"))
    };
    match step {
        Step::Add { peers } => format!("{} joins", peers.join(", ")),
        Step::Promote { id } => format!("{} has joined", name(id)),
        Step::Remove { id } => format!("{} has left", name(id)),
        Step::Lead { id } => format!("{} leads", name(id)),
        Step::Update { id, peers } => format!("{} is at {} now", name(id), peers.join(", ")),
        other => format!("{other:?}"),
    }
}
