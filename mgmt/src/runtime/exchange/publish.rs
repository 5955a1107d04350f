//! Publishes what the graph in force exports, and withdraws what it no longer exports: in one transaction, and only if
//! something differs.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::graph::{Export, exporter_key, exports_of};
use crate::resource::{
    Condition, Keys, LeaseId, Member, Revision, Snapshot, Transaction, WorldError, WorldEvent, WorldWatch, Write,
};
use crate::runtime::exchange::pause::Attempts;
use crate::runtime::exchange::settings::InForce;

/// How often a transaction that another one has overtaken is made again at once.
const RACES_MAX: usize = 16;

/// The longest time between two renewals of the lease, and the longest time that the end of an engine waits until its
/// exports are published.
const RENEWAL_MAX: Duration = Duration::from_secs(600);
const END_MAX: Duration = Duration::from_secs(2);

/// Runs until the engine `quits`, and then until the exports of its last graph are published, or that has failed.
pub(crate) async fn publish_exports(
    member: Arc<dyn Member>,
    ttl: Duration,
    in_force: watch::Receiver<InForce>,
    mut quits: watch::Receiver<Option<()>>,
) {
    let to_quit = quits.clone();
    let overdue = async {
        // An error means that the engine has ended.
        let _ = quits.wait_for(Option::is_some).await;
        tokio::time::sleep(END_MAX).await;
    };
    tokio::select! {
        () = publish_until(member, ttl, in_force, to_quit) => {}
        () = overdue => tracing::warn!(
            target: "mgmt",
            "the world has not answered within {END_MAX:?}: what this host exports may not be published",
        ),
    }
}

async fn publish_until(
    member: Arc<dyn Member>,
    ttl: Duration,
    mut in_force: watch::Receiver<InForce>,
    mut quits: watch::Receiver<Option<()>>,
) {
    let mut publisher = Publisher { member, ttl, lease: None };
    let mut attempts = Attempts::new("publishing what this host exports");
    let mut contested = Attempts::new("keeping what this host exports");
    let mut rest = None;
    loop {
        if let Some(rest) = rest.take() {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                _ = quits.wait_for(Option::is_some) => if !in_force.has_changed().unwrap_or(false) { return },
            }
        }
        let exchanged = in_force.borrow_and_update().clone();
        let exports = exchanged.as_ref().map_or(&[][..], |exchanged| &exchanged.declared.exports);
        let published = publisher.publish(exports).await;
        let (pause, mut watch) = match &published {
            Ok(None) => (None, None),
            // A third of its time, so that two renewals can fail.
            Ok(Some(at)) => (Some((publisher.ttl / 3).min(RENEWAL_MAX)), Some(publisher.watch(*at))),
            Err(error) => (Some(attempts.failed(error)), None),
        };
        if published.is_ok() {
            attempts.succeeded();
        }
        let again = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = in_force.changed() => if changed.is_err() { return },
            // A renewal is done by publishing.
            () = again => if published.is_ok() { contested.succeeded() },
            why = contest(&mut watch) => rest = Some(contested.failed(&why)),
            _ = quits.wait_for(Option::is_some) => if !in_force.has_changed().unwrap_or(false) { return },
        }
    }
}

/// Waits until something else than this publisher has changed what the host exports, or that may have been missed.
async fn contest(watch: &mut Option<WorldWatch>) -> String {
    let Some(watch) = watch else { return std::future::pending().await };
    match poll_fn(|cx| watch.as_mut().poll_next(cx)).await {
        Some(WorldEvent::Changed(changes)) if changes.entries.iter().any(|(_, entry)| entry.is_some()) => {
            "another program has published under the name of this host: give each host its own name".to_owned()
        }
        Some(WorldEvent::Changed(_)) => "they were withdrawn by another program, or their lease has ended".to_owned(),
        Some(WorldEvent::Lost(why)) => why,
        None => "the watch has ended".to_owned(),
    }
}

struct Publisher {
    member: Arc<dyn Member>,
    ttl: Duration,
    lease: Option<LeaseId>,
}

/// What a host keeps in the world about its exports.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Exporter {
    /// The lease that holds them.
    lease: u64,
    /// The addressees (`null`: all hosts) and kinds of its exports.
    places: BTreeSet<(Option<String>, String)>,
}

/// Why exports are not published.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    World(#[from] WorldError),
    #[error("other programs change the exports of this host all the time: is there another host with this name?")]
    Raced,
}

impl Publisher {
    /// Makes the exports of this host in the world what they are here. Returns the revision that has them; `None`: there
    /// are none.
    async fn publish(&mut self, exports: &[Export]) -> Result<Option<Revision>, PublishError> {
        let host = self.member.host().to_owned();
        let (mut wanted, mut places) = (BTreeMap::new(), BTreeSet::new());
        for export in exports {
            // What can't be written is refused before a graph comes into force.
            let Ok(bytes) = export.bytes() else { continue };
            wanted.extend(export.keys(&host).map(|key| (key, Arc::clone(&bytes))));
            places.extend(export.places());
        }
        for _ in 0..RACES_MAX {
            let (state, exporter) = self.read(&places).await?;
            if wanted.is_empty() && exporter.is_none() {
                self.lease = None;
                return Ok(None);
            }
            let lease = match wanted.is_empty() {
                true => None,
                false => Some(self.lease(exporter.as_ref()).await?),
            };
            let transaction = difference(&exporter_key(&host), &state, lease, &wanted, &places);
            let (is, max) = (transaction.size(), self.member.limits());
            if is.operations > max.operations || is.bytes > max.bytes {
                return Err(WorldError::TooLarge { is, max }.into());
            }
            self.lease = lease;
            let at = match transaction.writes.is_empty() {
                true => Some(state.revision),
                false => self.member.commit(transaction).await?,
            };
            if let Some(at) = at {
                return Ok(lease.map(|_| at));
            }
        }
        Err(PublishError::Raced)
    }

    /// Watches the key that all publishers for this host write, after that revision.
    fn watch(&self, after: Revision) -> WorldWatch {
        self.member.watch(vec![Keys::One(exporter_key(self.member.host()))], after)
    }

    /// The exports of this host as the world has them, in all places where they were and will be.
    async fn read(
        &self,
        places: &BTreeSet<(Option<String>, String)>,
    ) -> Result<(Snapshot, Option<Exporter>), WorldError> {
        let (host, mut all) = (self.member.host(), places.clone());
        loop {
            let mut keys = exports_of(host, &all);
            keys.push(Keys::One(exporter_key(host)));
            let state = self.member.get(keys).await?;
            let exporter = state.entries.get(&exporter_key(host));
            // One that can't be read is replaced.
            let exporter = exporter.map(|entry| serde_json::from_slice(&entry.value).unwrap_or_default());
            let before = all.len();
            all.extend(exporter.iter().flat_map(|exporter: &Exporter| exporter.places.iter().cloned()));
            if all.len() == before {
                return Ok((state, exporter));
            }
        }
    }

    /// The lease of the exports, with its full time: the one that they have, so that a restart writes nothing.
    async fn lease(&self, exporter: Option<&Exporter>) -> Result<LeaseId, WorldError> {
        if let Some(lease) = exporter.map(|exporter| LeaseId(exporter.lease)) {
            match self.member.renew(lease).await {
                Ok(()) => return Ok(lease),
                Err(WorldError::NoLease(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.member.lease(self.ttl).await
    }
}

/// The transaction that makes the exports of a host what is `wanted`. Without a lease nothing is.
fn difference(
    exporter: &str,
    state: &Snapshot,
    lease: Option<LeaseId>,
    wanted: &BTreeMap<String, Arc<[u8]>>,
    places: &BTreeSet<(Option<String>, String)>,
) -> Transaction {
    let about = lease.map(|lease| Exporter { lease: lease.0, places: places.clone() });
    // A map with texts and numbers has a form as JSON.
    let about = about.map(|about| serde_json::to_vec(&about).unwrap_or_default().into());
    let about = about.map(|bytes: Arc<[u8]>| (exporter.to_owned(), bytes));
    let wanted: BTreeMap<&String, &Arc<[u8]>> =
        wanted.iter().chain(about.as_ref().map(|(key, bytes)| (key, bytes))).collect();
    let mut writes = BTreeMap::new();
    for (key, value) in &wanted {
        let there = state.entries.get(*key);
        if there.is_none_or(|there| there.value != **value || there.lease != lease) {
            writes.insert((*key).clone(), Write::Put(Arc::clone(value), lease));
        }
    }
    for key in state.entries.keys().filter(|key| !wanted.contains_key(key)) {
        writes.insert(key.clone(), Write::Remove);
    }
    // Another process with the name of this host, which publishes at the same time, changes it.
    let written = state.entries.get(exporter).map(|entry| entry.written);
    if let (Some((key, bytes)), false) = (&about, writes.is_empty()) {
        writes.insert(key.clone(), Write::Put(Arc::clone(bytes), lease));
    }
    Transaction { conditions: vec![Condition { key: exporter.to_owned(), written }], writes }
}
