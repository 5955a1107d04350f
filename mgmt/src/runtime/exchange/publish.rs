//! Publishes what the graph in force exports, and withdraws what it no longer exports: in one transaction, and only if
//! something differs.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::graph::{Export, ExportPlace, exporter_key};
use crate::id::in_one_line;
use crate::resource::{
    Attempts, Fed, Feed, Followed, Following, Keys, LeaseId, Member, Revision, Transaction, Why, WorldError, Write,
    part_of,
};
use crate::runtime::exchange::changes::{Changes, Exporter, Published, Wanted};
use crate::runtime::exchange::publications::{Publications, Published as State, Stand};
use crate::runtime::exchange::sealing::{Sealing, ToSeal, keys_of, recipient};
use crate::runtime::exchange::settings::{InForce, Site};
use crate::sys::task::blocking;

/// How often a transaction that another one has overtaken is made again at once.
const RACES_MAX: usize = 16;

/// The longest time between two renewals of the lease, and the longest time that the end of an engine waits until its
/// exports are published.
const RENEWAL_MAX: Duration = Duration::from_secs(600);
const END_MAX: Duration = Duration::from_secs(2);

/// Runs until the engine `quits`, and then until the exports of its last graph are published, or that has failed.
pub(super) async fn publish_exports(
    publisher: Publisher,
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
        () = publish_until(publisher, in_force, to_quit) => {}
        () = overdue => tracing::warn!(
            target: "mgmt",
            "the world has not answered within {END_MAX:?}: what this host exports may not be published",
        ),
    }
}

async fn publish_until(
    mut publisher: Publisher,
    mut in_force: watch::Receiver<InForce>,
    mut quits: watch::Receiver<Option<()>>,
) {
    let mut received = publisher.publications.follow();
    // `exports[HOST]` reports them.
    let mut attempts = Attempts::unreported();
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
        received.mark_unchanged();
        let exports = exchanged.as_ref().map_or(&[][..], |exchanged| &exchanged.declared.exports);
        let graph = exchanged.as_ref().map_or(0, |exchanged| exchanged.number);
        let stand = Stand { graph, version: publisher.publications.version() };
        let published = publisher.publish(exports).await;
        let failure = published.as_ref().map_or_else(|error| Some(error.to_string()), |_| publisher.keyless());
        // One failure may be that of a server whose connection is lost: another one is asked soon.
        if published.is_ok() || attempts.has_failed() {
            publisher.publications.publish(State { of: stand, failure });
        }
        let pause = match &published {
            Ok(None) => None,
            Ok(Some(_)) => Some(publisher.due.saturating_duration_since(Instant::now())),
            Err(error) => Some(attempts.failed(error)),
        };
        let at = published.as_ref().ok().copied().flatten();
        publisher.watch(at);
        if published.is_ok() {
            attempts.succeeded();
        }
        let is_ending = tokio::select! {
            changed = in_force.changed() => match changed {
                Ok(()) => false,
                Err(_) => return,
            },
            Ok(()) = received.changed() => false,
            () = after(pause) => {
                // A renewal is done by publishing.
                if published.is_ok() {
                    contested.succeeded();
                }
                false
            }
            contest = publisher.contested(at) => {
                rest = match contest {
                    Contest::Changed(why) => Some(contested.failed(Why::Own(why.to_owned()))),
                    Contest::Lost(pause) => Some(pause),
                    Contest::Keys => None,
                };
                false
            }
            _ = quits.wait_for(Option::is_some) => true,
        };
        if !is_ending || in_force.has_changed().unwrap_or(false) {
            continue;
        }
        match pause {
            // What is not published yet is tried again, until the time of the end is over.
            Some(pause) if published.is_err() && !exports.is_empty() => tokio::time::sleep(pause).await,
            _ => return,
        }
    }
}

/// Waits for that time; without one, for ever.
async fn after(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Why what the host exports must be looked at.
enum Contest {
    /// Something else than this publisher has changed it.
    Changed(&'static str),
    /// That may have been missed: after this time.
    Lost(Duration),
    /// The keys of hosts that exports are sealed for may be others.
    Keys,
}

/// Publishes what a host exports.
pub(super) struct Publisher {
    member: Arc<dyn Member>,
    ttl: Duration,
    publications: Publications,
    lease: Option<LeaseId>,
    /// When it must be renewed.
    due: Instant,
    /// The key that all publishers for this host write; `None`: there are no exports, or they are not published.
    feed: Option<Feed>,
    sealing: Sealing,
    /// The keys of the hosts that exports are sealed for; `None`: none is sealed.
    recipients: Option<Following>,
    /// The hosts of those that have no key.
    keyless: BTreeSet<String>,
}

/// What must be published.
#[derive(Default)]
struct ToPublish {
    wanted: Wanted,
    /// What has not received its values yet: what the world has of it stays.
    kept: BTreeSet<(ExportPlace, String)>,
    /// What must be sealed before.
    sealed: Vec<ToSeal>,
}

impl ToPublish {
    fn places(&self) -> BTreeSet<ExportPlace> {
        let kept = self.kept.iter().map(|(place, _)| place);
        self.wanted.keys().chain(kept).chain(self.sealed.iter().map(|export| &export.place)).cloned().collect()
    }

    /// All that must be there, with what stays.
    async fn complete(
        &self,
        published: &Published,
        host: &str,
        sealing: &Sealing,
    ) -> Result<Cow<'_, Wanted>, PublishError> {
        let mut all = Cow::Borrowed(&self.wanted);
        let entries = match self.sealed.is_empty() {
            true => Vec::new(),
            false => {
                let before = self.sealed.iter().map(|export| published.counting(&export.place, &export.name).cloned());
                let (before, export, host) = (before.collect::<Vec<_>>(), self.sealed.clone(), host.to_owned());
                let sealing = sealing.clone();
                blocking(move || sealing.sealed(&host, &export, &before)).await.map_err(PublishError::Seal)?
            }
        };
        for (export, entry) in self.sealed.iter().zip(entries) {
            all.to_mut().entry(export.place.clone()).or_default().insert(export.name.clone(), entry);
        }
        for (place, name) in &self.kept {
            if let Some(bytes) = published.counting(place, name) {
                all.to_mut().entry(place.clone()).or_default().insert(name.clone(), Arc::clone(bytes));
            }
        }
        Ok(all)
    }
}

/// Why exports are not published.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    World(#[from] WorldError),
    #[error("other programs change the exports of this host all the time: is there another host with this name?")]
    Raced,
    #[error("{0}")]
    Seal(String),
    #[error("the keys of the hosts that exports are sealed for can't be read")]
    Keys,
}

impl From<&PublishError> for Why {
    fn from(error: &PublishError) -> Why {
        match error {
            PublishError::World(error) => Why::from(error),
            PublishError::Raced | PublishError::Seal(_) | PublishError::Keys => Why::Own(error.to_string()),
        }
    }
}

impl Publisher {
    pub(super) fn new(member: Arc<dyn Member>, site: &Site) -> Publisher {
        let (ttl, publications, sealing) = (site.ttl, site.publications.clone(), site.sealing.clone());
        let (lease, due, feed) = (None, Instant::now(), None);
        Publisher { member, ttl, publications, lease, due, feed, sealing, recipients: None, keyless: BTreeSet::new() }
    }

    /// Why not all is published, although nothing has failed.
    fn keyless(&self) -> Option<String> {
        let hosts: Vec<Cow<'_, str>> = self.keyless.iter().map(|host| in_one_line(host)).collect();
        (!hosts.is_empty()).then(|| {
            format!(
                "{} has no key yet for which exports can be sealed: a host has one once it runs with a graph that \
                 collects",
                hosts.join(", ")
            )
        })
    }

    /// Reads the keys of the hosts that exports are sealed for, and follows them.
    async fn read_keys(&mut self, exports: &[Export]) -> Result<(), PublishError> {
        let sealed = exports.iter().filter(|export| export.sealed);
        let hosts: BTreeSet<&str> = sealed.flat_map(|export| export.to.iter().flatten().map(String::as_str)).collect();
        if hosts.is_empty() {
            self.recipients = None;
            return Ok(());
        }
        self.sealing.make_key().await.map_err(PublishError::Seal)?;
        let keys = keys_of(hosts);
        let member = &self.member;
        let following = self
            .recipients
            .get_or_insert_with(|| Following::new(Arc::clone(member), keys.clone(), Attempts::unreported()));
        if following.keys() != keys {
            following.set_keys(keys);
        }
        if !following.is_listening()
            && let Followed::Failed(_) = following.next().await
        {
            return Err(PublishError::Keys);
        }
        Ok(())
    }

    fn gathered(&mut self, exports: &[Export]) -> ToPublish {
        self.publications.retain(exports);
        self.keyless.clear();
        let mut all = ToPublish::default();
        for export in exports {
            let name = export.vertex.resource.name().to_owned();
            let bytes = match self.publications.known(export) {
                Some(known) => known.bytes(),
                None if export.links.is_empty() => export.bytes(),
                None => {
                    all.kept.extend(export.places().map(|place| (place, name.clone())));
                    continue;
                }
            };
            // What can't be written is refused before.
            let Ok(bytes) = bytes else { continue };
            for place in export.places().filter(|_| export.sealed) {
                // One that is sealed names its hosts.
                let Some(host) = place.0.clone() else { continue };
                let state = self.recipients.as_ref().map(Following::state);
                match state.and_then(|state| recipient(state, &host)) {
                    Some(recipient) => {
                        let (name, plain) = (name.clone(), Arc::clone(&bytes));
                        all.sealed.push(ToSeal { place, name, plain, recipient });
                    }
                    None => {
                        self.keyless.insert(host);
                        all.kept.insert((place, name.clone()));
                    }
                }
            }
            for place in export.places().filter(|_| !export.sealed) {
                all.wanted.entry(place).or_default().insert(name.clone(), Arc::clone(&bytes));
            }
        }
        all
    }

    /// Makes the exports of this host in the world what they are here. Returns the revision that has them; `None`:
    /// there are none.
    async fn publish(&mut self, exports: &[Export]) -> Result<Option<Revision>, PublishError> {
        self.read_keys(exports).await?;
        let to_publish = self.gathered(exports);
        for _ in 0..RACES_MAX {
            let (published, mut at) = self.read(to_publish.places()).await?;
            let host = self.member.host().to_owned();
            let wanted = to_publish.complete(&published, &host, &self.sealing).await?;
            if wanted.is_empty() && published.exporter().is_none() {
                self.lease = None;
                return Ok(None);
            }
            let lease = match wanted.is_empty() {
                true => None,
                false => Some(self.lease(published.exporter()).await?),
            };
            self.lease = lease;
            let changes = published.changes(&wanted, lease, self.member.limits());
            if self.commit(&published, changes, &mut at).await? {
                return Ok(lease.map(|_| at));
            }
        }
        Err(PublishError::Raced)
    }

    /// Carries out the changes. Returns whether no other program has published meanwhile; `at` is the last revision
    /// then.
    async fn commit(&mut self, published: &Published, changes: Changes, at: &mut Revision) -> Result<bool, WorldError> {
        let mut condition = published.condition();
        for writes in changes.0 {
            let about = writes.get(&condition.key).map(|write| matches!(write, Write::Put(..)));
            let transaction = Transaction { conditions: vec![condition.clone()], writes };
            let Some(revision) = self.member.commit(transaction).await? else { return Ok(false) };
            *at = revision;
            match about {
                Some(true) => condition.written = Some(revision),
                Some(false) => condition.written = None,
                None => {}
            }
        }
        Ok(true)
    }

    /// Watches the key that all publishers for this host write, after that revision.
    fn watch(&mut self, after: Option<Revision>) {
        let Some(after) = after else {
            self.feed = None;
            return;
        };
        let feed = self.feed.get_or_insert_with(|| {
            let key = Keys::One(exporter_key(self.member.host()));
            Feed::new(Arc::clone(&self.member), vec![key], Attempts::new("keeping what this host exports"))
        });
        if !feed.is_listening() {
            feed.listen(after);
        }
    }

    /// Waits until something else has changed what the host exports since that revision, or that may have been missed;
    /// or until a host has another key.
    async fn contested(&mut self, since: Option<Revision>) -> Contest {
        let recipients = &mut self.recipients;
        let keys = async {
            let Some(following) = recipients else { return std::future::pending().await };
            if let Followed::Failed(pause) = following.next().await {
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            contest = contest(&mut self.feed, since) => contest,
            () = keys => Contest::Keys,
        }
    }

    /// The exports of this host as the world has them, in all places where they are and will be.
    async fn read(&mut self, mut places: BTreeSet<ExportPlace>) -> Result<(Published, Revision), WorldError> {
        let member = Arc::clone(&self.member);
        let host = member.host();
        loop {
            let state = member.get(Published::keys(host, &places)).await?;
            let published = Published::of(host, &state);
            let before = places.len();
            places.extend(published.exporter().iter().flat_map(|exporter| exporter.places.iter().cloned()));
            if places.len() == before {
                return Ok((published, state.revision));
            }
        }
    }

    /// The lease of the exports: the one that they have, so that a restart writes nothing. It is renewed when that is
    /// due.
    async fn lease(&mut self, exporter: Option<&Exporter>) -> Result<LeaseId, WorldError> {
        // A third of its time, so that two renewals can fail. Those of hosts that have started together come apart.
        let pause = (self.ttl / 3).min(RENEWAL_MAX);
        let due = Instant::now() + pause - part_of(pause / 5);
        if let Some(lease) = exporter.map(|exporter| LeaseId(exporter.lease)) {
            if self.lease == Some(lease) && Instant::now() < self.due {
                return Ok(lease);
            }
            match self.member.renew(lease).await {
                Ok(()) => {
                    self.due = due;
                    return Ok(lease);
                }
                Err(WorldError::NoLease(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let lease = self.member.lease(self.ttl).await?;
        self.due = due;
        Ok(lease)
    }
}

/// Waits until something else has changed what the host exports since that revision, or that may have been missed.
async fn contest(feed: &mut Option<Feed>, since: Option<Revision>) -> Contest {
    let (Some(feed), Some(since)) = (feed, since) else { return std::future::pending().await };
    loop {
        match feed.next().await {
            // What this publisher has written comes, too.
            Fed::Changes(changes) if changes.revision <= since => {}
            Fed::Changes(changes) if changes.entries.iter().any(|(_, entry)| entry.is_some()) => {
                return Contest::Changed(
                    "another program has published under the name of this host: give each host its own name",
                );
            }
            Fed::Changes(_) => {
                return Contest::Changed("they were withdrawn by another program, or their lease has ended");
            }
            Fed::Snapshot(_) => return Contest::Lost(Duration::ZERO),
            Fed::Failed(pause) => return Contest::Lost(pause),
        }
    }
}
