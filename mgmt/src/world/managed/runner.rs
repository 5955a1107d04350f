//! The part of this host in the cluster: keeps its server running, lets others know, and decides when it is elected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::id::{key_part, text_of_key_part};
use crate::resource::{
    Attempts, Condition, Entry, Fed, Feed, Keys, LeaseId, Member, Revision, Snapshot, Transaction, Why, World,
    WorldError, Write, part_of,
};
use crate::world::elastic::{Change, Memory, Volunteer};
use crate::world::etcd::{Etcd, Listed, Members};
use crate::world::managed::child::Child;
use crate::world::managed::error::ManagedError;
use crate::world::managed::kept::{Directory, Initial};
use crate::world::managed::records::{PREFIX, Records, SIZE, volunteer_bytes, volunteer_key};
use crate::world::managed::settings::Managed;
use crate::world::managed::space::Space;
use crate::world::managed::trusted::ServerIdentity;
use crate::world::managed::url::Addresses;

/// How long others wait for this host when it is cut off or has died.
const LEASE: Duration = Duration::from_secs(15);
/// How often the lease is renewed.
const RENEWED: Duration = Duration::from_secs(4);
/// The pause between two turns: while something changes, of a server, of a host that is ready to be one, and of one
/// that only follows the servers.
const SOON: Duration = Duration::from_millis(300);
const SERVING: Duration = Duration::from_secs(2);
const READY: Duration = Duration::from_secs(5);
const FOLLOWING: Duration = Duration::from_secs(120);
/// A host that only follows the servers looks at most this often, and a part later, so that not all look at once.
const FOLLOWED: Duration = Duration::from_secs(1);
/// The pause of a server after something went wrong.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the end may take to be made known to others.
const REVOKED_MAX: Duration = Duration::from_secs(2);
/// What the program wants of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Serve,
    /// To stop, and to leave before if too few servers would be left; within this time.
    Stop(Duration),
    /// To leave and stop, within this time.
    Leave(Duration),
}

/// The lease of this host, and when it was renewed for the last time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) id: LeaseId,
    renewed: Instant,
}

impl Lease {
    /// Whether it holds for that long, certainly.
    pub(super) fn holds(&self, time: Duration) -> bool {
        self.renewed.elapsed() + time < LEASE
    }
}

/// All of the cluster that this host has read.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) entries: BTreeMap<String, Entry>,
    /// The revision of these entries.
    revision: Revision,
    pub(super) records: Records,
    pub(super) members: Members,
}

/// The state of this host.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) settings: Managed,
    pub(super) dir: Directory,
    pub(super) world: Etcd,
    /// The world of the program, which may have fewer rights.
    clients: Etcd,
    /// What its server shows others, if this host has joined.
    pub(super) server: Option<ServerIdentity>,
    pub(super) member: Arc<dyn Member>,
    wishes: watch::Receiver<Wish>,
    /// Where the servers are, for the program.
    pub(super) servers: watch::Sender<Vec<String>>,
    pub(super) child: Option<Child>,
    /// When the server may be started again, and the pause before the next start after that.
    pub(super) again: (Instant, Duration),
    pub(super) failing_since: Option<Instant>,
    pub(super) is_leaving: bool,
    pub(super) lease: Option<Lease>,
    /// The lease with which this host is known to others.
    volunteered: Option<LeaseId>,
    pub(super) memory: Memory,
    pub(super) space: Space,
    pub(super) began: Instant,
    /// Something is under way.
    pub(super) is_busy: bool,
    /// What is wrong, as it was reported.
    trouble: Option<String>,
    /// Why no step was possible, as it was reported.
    pub(super) refused: Option<String>,
    /// The revision at which this host has looked at the servers, if that is all that it does.
    looked: Option<Revision>,
}

impl Runner {
    pub(super) fn new(
        settings: Managed,
        dir: Directory,
        world: Etcd,
        clients: Etcd,
        server: Option<ServerIdentity>,
        wishes: watch::Receiver<Wish>,
    ) -> Runner {
        let (member, now) = (world.member(&settings.host), Instant::now());
        let servers = watch::Sender::new(world.addresses());
        Runner {
            settings,
            dir,
            world,
            clients,
            server,
            member,
            wishes,
            servers,
            child: None,
            again: (now, Duration::from_secs(1)),
            failing_since: None,
            is_leaving: false,
            lease: None,
            volunteered: None,
            memory: Memory::default(),
            space: Space::new(),
            began: now,
            is_busy: false,
            trouble: None,
            refused: None,
            looked: None,
        }
    }

    /// The addresses of the server of this host, if it may have one.
    pub(super) fn own(&self) -> Option<&Addresses> {
        self.dir.kept().addresses.as_ref().filter(|_| !self.settings.wanted.server.is_empty())
    }

    pub(super) fn name(&self) -> String {
        key_part(&self.settings.host)
    }

    /// Runs until the program wants it to end.
    pub(super) async fn run(mut self) {
        let all = vec![Keys::Below(PREFIX.to_owned())];
        let mut news = Feed::new(Arc::clone(&self.member), all, Attempts::unreported());
        loop {
            let wish = *self.wishes.borrow_and_update();
            if let Wish::Stop(time) | Wish::Leave(time) = wish {
                if self.own().is_some() && (matches!(wish, Wish::Leave(_)) || self.is_needed().await) {
                    self.leave(time).await;
                }
                break;
            }
            let turn = self.turn().await;
            let pause = match &turn {
                Ok(()) if self.own().is_none() => FOLLOWING,
                Ok(()) if self.is_busy => SOON,
                Ok(()) if self.dir.kept().initial.is_none() => READY,
                Ok(()) => SERVING,
                Err(_) if self.own().is_none() => READY,
                Err(_) => AGAIN,
            };
            self.report(turn.err());
            if !self.rest(pause, &mut news).await {
                break;
            }
        }
        if let Some(lease) = self.lease {
            // Others need not wait for its end. (Its server counts as missing from now on.)
            let _ = timeout(REVOKED_MAX, self.member.revoke(lease.id)).await;
        }
        if let Some(child) = self.child.take() {
            child.stop().await;
        }
    }

    /// Waits for the next turn: for that long, or until the servers have changed. False: the program is gone.
    async fn rest(&mut self, pause: Duration, news: &mut Feed) -> bool {
        if let Some(looked) = self.looked.take().filter(|_| !news.is_listening()) {
            news.listen(looked);
        }
        let is_listening = news.is_listening();
        let changed = async {
            if let Fed::Failed(pause) = news.next().await {
                sleep(pause).await;
            }
            sleep(FOLLOWED + part_of(FOLLOWED)).await;
        };
        tokio::select! {
            () = sleep(pause) => true,
            () = changed, if is_listening => true,
            changed = self.wishes.changed() => changed.is_ok(),
        }
    }

    /// Reports what is wrong once, and its end. That the servers do not answer is reported by the engines that use
    /// them.
    fn report(&mut self, trouble: Option<Why>) {
        let own = match trouble {
            Some(Why::Own(why)) => Some(why),
            Some(Why::Shared(why)) => {
                tracing::debug!(target: "mgmt", "the servers of etcd: {why}");
                return;
            }
            None => None,
        };
        match (&self.trouble, &own) {
            (None, Some(why)) => tracing::warn!(target: "mgmt", "the servers of etcd: {why}"),
            (Some(_), None) => tracing::info!(target: "mgmt", "the servers of etcd: all is well again"),
            _ => {}
        }
        self.trouble = own;
    }

    async fn turn(&mut self) -> Result<(), Why> {
        let own = |why: String| Why::Own(why);
        if self.own().is_some() {
            self.keep_running().await.map_err(|error| own(error.to_string()))?;
        }
        let seen = self.look().await?;
        self.follow(&seen).await.map_err(|error| own(error.to_string()))?;
        if self.own().is_none() {
            self.looked = Some(seen.revision);
            return Ok(());
        }
        self.keep_space(&seen.members.all).await;
        if self.settings.is_local {
            // No other host can be one.
            return self.close_sockets().map_err(|error| own(error.to_string()));
        }
        let lease = self.keep_lease().await.map_err(|error| Why::from(&error))?;
        if let Some(other) = self.has_namesake(&seen, lease) {
            return Err(own(other));
        }
        self.volunteer(&seen, lease).await.map_err(|error| Why::from(&error))?;
        self.decide(&seen, lease).await.map_err(own)
    }

    /// Reads the keys and then the members, which are no older.
    async fn look(&self) -> Result<Seen, Why> {
        let snapshot =
            self.member.get(vec![Keys::Below(PREFIX.to_owned())]).await.map_err(|error| Why::from(&error))?;
        let mut members = self.world.listed().await.map_err(Why::Shared)?;
        if let Some(own) = self.own().filter(|_| self.settings.is_local) {
            // Clients know the whole path.
            members.all.iter_mut().for_each(|member| member.clients.clone_from(&own.advertise_client));
        }
        let Snapshot { revision, entries } = snapshot;
        Ok(Seen { records: Records::of(&entries), entries, revision, members })
    }

    /// Remembers where the servers are; starts a server if this host is nominated, and ends it if it was removed.
    async fn follow(&mut self, seen: &Seen) -> Result<(), ManagedError> {
        let members = &seen.members;
        let kept = self.dir.kept();
        if kept.initial.is_some() && kept.cluster.is_some_and(|cluster| cluster != members.cluster) {
            let why = "the servers that answer are of another cluster than the data here: name the right ones, or move \
                       the directory away";
            return Err(ManagedError::File { path: self.dir.path().to_owned(), why: why.to_owned() });
        }
        // One without a vote answers no questions.
        let voters = members.all.iter().filter(|member| !member.is_learner);
        let known: Vec<String> =
            voters.flat_map(|member| &member.clients).filter(|url| self.world.accepts(url)).cloned().collect();
        self.dir.keep(|kept| {
            kept.cluster = Some(members.cluster);
            kept.servers = known.iter().cloned().collect();
        })?;
        self.servers.send_if_modified(|servers| {
            let is_news = *servers != known;
            known.clone_into(servers);
            is_news
        });
        let seeds = self.settings.seeds.iter().filter(|seed| !known.contains(seed)).cloned();
        let all: Vec<String> = known.iter().cloned().chain(seeds).collect();
        if !all.is_empty() {
            self.world.follow(all.clone()).await;
            self.clients.follow(all).await;
        }
        let Some(own) = self.own().cloned() else { return Ok(()) };
        if self.dir.kept().initial.is_some() {
            return self.stay_or_go(&members.all, &own).await;
        }
        let nominated = match &seen.records.change {
            Some((Change::Join { host, peers }, _)) if *host == self.settings.host => peers == &own.advertise_server,
            _ => false,
        };
        let place =
            members.all.iter().find(|member| member.peers.iter().any(|peer| own.advertise_server.contains(peer)));
        if let (true, Some(place)) = (nominated, place.filter(|place| place.name.is_empty() && place.is_learner)) {
            tracing::info!(target: "mgmt", "this host becomes a server of etcd");
            let started = members.all.iter().filter(|member| !member.name.is_empty());
            let mut parts: Vec<String> = started.map(|member| initial(&member.name, &member.peers)).collect();
            parts.push(initial(&self.name(), &own.advertise_server));
            let (id, cluster) = (place.id, parts.join(","));
            self.dir.keep(|kept| {
                (kept.initial, kept.member) = (Some(Initial { cluster, is_new: false }), Some(id));
            })?;
            self.start_child().await?;
        }
        Ok(())
    }

    /// There is a server: looks which member it is, and whether it still is one.
    async fn stay_or_go(&mut self, members: &[Listed], own: &Addresses) -> Result<(), ManagedError> {
        let Some(id) = self.dir.kept().member else {
            if let Some(health) = self.world.health(&own.advertise_client).await {
                self.dir.keep(|kept| kept.member = Some(health.id))?;
            }
            return Ok(());
        };
        if members.iter().all(|member| member.id != id) {
            tracing::info!(target: "mgmt", "this host is no server of etcd any more");
            if let Some(child) = self.child.take() {
                child.stop().await;
            }
            self.dir.put_data_aside()?;
        }
        Ok(())
    }

    async fn keep_lease(&mut self) -> Result<Lease, WorldError> {
        // The time counts from before the question.
        let renewed = Instant::now();
        match self.lease {
            Some(lease) if lease.renewed.elapsed() < RENEWED => return Ok(lease),
            Some(lease) => match self.member.renew(lease.id).await {
                Ok(()) => self.lease = Some(Lease { renewed, ..lease }),
                Err(error) => {
                    if let WorldError::NoLease(_) = error {
                        self.lease = None;
                    }
                    return Err(error);
                }
            },
            None => self.lease = Some(Lease { id: self.member.lease(LEASE).await?, renewed }),
        }
        self.lease.ok_or_else(|| WorldError::Unreachable("no lease".to_owned()))
    }

    /// Whether another host has taken the place of this one since it became known to others.
    fn has_namesake(&self, seen: &Seen, lease: Lease) -> Option<String> {
        let taken = seen.entries.get(&volunteer_key(&self.settings.host))?.lease != Some(lease.id);
        (taken && self.volunteered == Some(lease.id))
            .then(|| format!("another host has the name {}, too: give each one a name of its own", self.settings.host))
    }

    /// Lets others know what this host offers.
    async fn volunteer(&mut self, seen: &Seen, lease: Lease) -> Result<(), WorldError> {
        self.publish(seen, lease).await?;
        self.volunteered = Some(lease.id);
        Ok(())
    }

    async fn publish(&self, seen: &Seen, lease: Lease) -> Result<(), WorldError> {
        let Some(own) = self.own() else { return Ok(()) };
        let (key, kept) = (volunteer_key(&self.settings.host), self.dir.kept());
        // A server that does not start for so long has lost its data, or can't use it.
        let is_failing = self.fails();
        let id = kept.member.filter(|_| kept.initial.is_some() && !is_failing);
        let volunteer = Volunteer { peers: own.advertise_server.clone(), id, is_leaving: self.is_leaving };
        let value: Arc<[u8]> = volunteer_bytes(&volunteer).into();
        let entry = seen.entries.get(&key);
        let mut transaction = Transaction::default();
        if self.is_leaving && id.is_none() {
            transaction.writes.extend(entry.map(|_| (key.clone(), Write::Remove)));
        } else if entry.is_none_or(|entry| entry.value != value || entry.lease != Some(lease.id)) {
            transaction.writes.insert(key, Write::Put(value, Some(lease.id)));
        }
        let is_first = kept.initial.as_ref().is_some_and(|initial| initial.is_new);
        if is_first && !seen.entries.contains_key(SIZE) {
            let size = self.settings.size.to_string().into_bytes();
            let condition = Condition { key: SIZE.to_owned(), written: None };
            let writes = BTreeMap::from([(SIZE.to_owned(), Write::Put(size.into(), None))]);
            self.member.commit(Transaction { conditions: vec![condition], writes }).await?;
        }
        match transaction.writes.is_empty() {
            true => Ok(()),
            false => self.member.commit(transaction).await.map(drop),
        }
    }

    /// Whether the other servers could not continue without this one, but can let it leave.
    async fn is_needed(&mut self) -> bool {
        let Some(id) = self.dir.kept().member else { return false };
        let Ok(seen) = self.look().await else { return false };
        let voters: Vec<&Listed> = seen.members.all.iter().filter(|member| !member.is_learner).collect();
        let mut others = 0;
        for other in voters.iter().filter(|member| member.id != id) {
            others += usize::from(self.world.health(&other.clients).await.is_some());
        }
        others > 0 && others <= voters.len() / 2
    }

    async fn leave(&mut self, time_max: Duration) {
        self.is_leaving = true;
        let began = Instant::now();
        while began.elapsed() < time_max {
            let turn = self.turn().await;
            let is_last = self.look().await.is_ok_and(|seen| seen.members.all.len() == 1);
            if self.dir.kept().initial.is_none() || is_last {
                return;
            }
            self.report(turn.err());
            sleep(SOON).await;
        }
        tracing::warn!(
            target: "mgmt",
            "this host is still a server of etcd: it could not leave within {} s", time_max.as_secs()
        );
    }
}

/// A member with its addresses, in the form of etcd.
pub(super) fn initial(name: &str, peers: &[String]) -> String {
    peers.iter().map(|peer| format!("{name}={peer}")).collect::<Vec<_>>().join(",")
}

/// The host with that name of a member.
pub(super) fn host_of(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| text_of_key_part(name).unwrap_or_else(|| name.to_owned()))
}
