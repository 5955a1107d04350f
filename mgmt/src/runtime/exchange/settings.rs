//! The place of an engine among hosts: its settings, and what runs for it as long as the engine does.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::gapi::{Gapi, GapiData, WorldView};
use crate::graph::{Exchanged, Offers};
use crate::resource::{Changes, Keys, Member, Revision, Scheduling, Services, Snapshot, World};
use crate::runtime::builder::{Builder, Settings};
use crate::runtime::core::Core;
use crate::runtime::drive::Request;
use crate::runtime::error::EngineError;
use crate::runtime::exchange::collect::{follow_exports, follow_own};
use crate::runtime::exchange::publications::Publications;
use crate::runtime::exchange::publish::{Publisher, publish_exports};
use crate::runtime::exchange::sealing::{Sealing, has_sealed, keep_key};
use crate::runtime::hosts::{Lease, Living, Reporting, Schedules, follow_others, keep_alive};
use crate::runtime::prepare::Preparing;
use crate::runtime::reach::Reach;
use crate::sys::rng;
use crate::sys::task::blocking;

/// The default of `Builder::export_ttl`.
const EXPORT_TTL: Duration = Duration::from_secs(24 * 3600);

/// The part of the graph in force that has to do with other hosts; `None`: it has none.
pub(crate) type InForce = Option<Arc<Exchanged>>;

/// This host among others. Clones share what is known.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) world: Option<Arc<dyn World>>,
    /// The access to that world, as soon as the name of this host is known.
    pub(crate) member: Option<Arc<dyn Member>>,
    pub(crate) host: String,
    /// What the source of graphs reads of the world besides exports.
    pub(crate) view: WorldView,
    /// The schedules of this host, if it has a world.
    pub(crate) schedules: Option<Schedules>,
    /// What other hosts see of this one.
    pub(crate) living: Living,
    pub(crate) ttl: Duration,
    /// What this host exports now, and how far the world has it.
    pub(crate) publications: Publications,
    /// The key with which others seal exports for this host.
    pub(super) sealing: Sealing,
    /// Graphs are made ready to run here, not only to be looked at.
    pub(crate) runs: bool,
    /// The engine has converged only when all other hosts have, too.
    pub(crate) counts_all: bool,
    /// For how long they must have.
    converged_timeout: Duration,
    /// What was read last: it holds as long as the world can't be reached.
    known: Arc<Mutex<KnownExports>>,
}

/// What was read of the exports of hosts.
#[derive(Debug, Default)]
struct KnownExports {
    /// The keys that were read, as long as the state is exactly that of the snapshot.
    keys: Vec<Keys>,
    snapshot: Snapshot,
}

impl Default for Site {
    fn default() -> Site {
        Site {
            world: None,
            member: None,
            host: String::new(),
            view: WorldView::default(),
            schedules: None,
            living: Living::default(),
            ttl: EXPORT_TTL,
            publications: Publications::default(),
            sealing: Sealing::default(),
            runs: false,
            counts_all: false,
            converged_timeout: Duration::ZERO,
            known: Arc::default(),
        }
    }
}

impl Site {
    fn known(&self) -> MutexGuard<'_, KnownExports> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what was read of these keys for a graph. An older state does not replace a newer one.
    pub(crate) fn learn(&self, keys: Vec<Keys>, snapshot: Snapshot) {
        let mut known = self.known();
        if snapshot.revision >= known.snapshot.revision {
            *known = KnownExports { keys, snapshot };
        }
    }

    /// The keys that were read for a graph, and the revision of what is known of them, if nothing was followed yet.
    pub(crate) fn read_first(&self) -> Option<(Vec<Keys>, Revision)> {
        let known = self.known();
        (!known.keys.is_empty()).then(|| (known.keys.clone(), known.snapshot.revision))
    }

    /// Keeps what was read, whatever was known: a store that has lost its data begins with small revisions again. If it
    /// is older than what was known, the watch that continues from there has the rest.
    pub(crate) fn replace(&self, snapshot: Snapshot) {
        *self.known() = KnownExports { keys: Vec::new(), snapshot };
    }

    /// Keeps what has changed since then. Without effect if that is known.
    pub(crate) fn change(&self, changes: Changes) {
        let mut known = self.known();
        known.keys.clear();
        known.snapshot.follow(changes);
    }

    /// An engine runs here from now on.
    pub(crate) fn begin_run(&mut self, converged_timeout: Duration) -> Result<(), EngineError> {
        if self.counts_all && self.world.is_none() {
            let why = "the convergence of all hosts counts (`--cluster`), and there is no world to see them in: give \
                       the engine one (`Builder::world`, `--seeds`)";
            return Err(EngineError::wrong(why.to_owned()));
        }
        // Without random numbers, what an earlier run of this host has left may be taken for its state.
        self.living.run = rng::number().unwrap_or_default();
        (self.runs, self.converged_timeout) = (true, converged_timeout);
        Ok(())
    }

    /// Gives the resources of the engine access to the world.
    pub(crate) fn serve(&self, services: &mut Services) {
        services.world.clone_from(&self.member);
        services.labels.clone_from(&self.living.labels);
        services.scheduling = self.schedules.clone().map(|schedules| Arc::new(schedules) as Arc<dyn Scheduling>);
    }

    /// The engine ends: what leaves a schedule from now on may keep its place there.
    pub(crate) fn end_begins(&self) {
        if let Some(schedules) = &self.schedules {
            schedules.end_begins();
        }
    }

    /// No resource runs any more: the host leaves all schedules.
    pub(crate) async fn end(&self) {
        if let Some(schedules) = &self.schedules {
            schedules.end().await;
        }
    }

    /// What is known of the exports of hosts.
    pub(crate) async fn offers(&self) -> Offers {
        let snapshot = {
            let known = self.known();
            if !has_sealed(&known.snapshot) {
                return Offers::of(known.snapshot.entries.iter().map(|(key, entry)| (key.as_str(), &entry.value)));
            }
            known.snapshot.clone()
        };
        let sealing = self.sealing.clone();
        blocking(move || sealing.offers(&snapshot)).await
    }
}

impl Preparing {
    /// An engine runs with this from now on: its host can be chosen, unless it is in noop.
    pub(crate) fn take_part(&self) {
        if let Some(schedules) = self.site.schedules.as_ref().filter(|_| !self.settings.is_noop()) {
            schedules.take_part();
        }
    }

    /// Other hosts see the state of this one.
    pub(crate) fn reports_state(&self) -> bool {
        self.site.member.is_some() && !self.settings.is_noop()
    }
}

impl Settings {
    /// From here on the host and its world are known.
    pub(crate) fn join(&mut self) {
        let site = &mut self.preparing.site;
        site.host.clone_from(&self.hostname);
        site.member =
            site.world.as_ref().map(|world| Arc::new(Reach::new(world.member(&site.host))) as Arc<dyn Member>);
        let schedules = |member: &Arc<dyn Member>| Schedules::new(Arc::clone(member), site.living.labels.clone());
        site.schedules = site.member.as_ref().map(schedules);
        let scheduling = site.schedules.clone().map(|schedules| Arc::new(schedules) as Arc<dyn Scheduling>);
        site.view = WorldView::new(site.member.clone(), scheduling, site.living.host(&site.host));
    }

    /// What the source of graphs gets of an engine with this working directory.
    pub(crate) fn for_source(&self, prefix: &Path) -> GapiData {
        self.preparing.site.sealing.keep_below(prefix);
        GapiData {
            name: self.name.clone(),
            hostname: self.hostname.clone(),
            prefix: prefix.to_owned(),
            noop: self.preparing.settings.is_noop(),
            no_watch: self.no_watch,
            warnings: self.warnings.clone(),
            world: self.preparing.site.view.clone(),
            looks: false,
        }
    }
}

impl<G: Gapi> Builder<G> {
    /// The world through which hosts exchange resources ([`Graph::export`](crate::graph::Graph::export),
    /// [`Graph::collect`](crate::graph::Graph::collect)). In it this host has the name of
    /// [`hostname`](Builder::hostname), and no other engine may have the same. Default: none, so that a graph collects
    /// only what it exports itself. Several engines of a process share an [`Embedded`](crate::world::Embedded).
    ///
    /// A program that can write to the world decides what runs on all hosts that collect. In noop nothing is written to
    /// it.
    pub fn world(mut self, world: impl World) -> Self {
        self.options.preparing.site.world = Some(Arc::new(world));
        self
    }

    /// How long the exports of this host stay in the world after its engine has ended, or up to ten minutes less; then
    /// they are withdrawn. At least a second. Default: 24 hours.
    pub fn export_ttl(mut self, ttl: Duration) -> Self {
        self.options.preparing.site.ttl = ttl;
        self
    }
}

/// Starts what keeps the graph in force and the world in step, until the engine `quits`. Returns the tasks that publish
/// exports, keep this host alive and report its state, which may take a moment longer.
pub(crate) fn begin(
    preparing: &Preparing,
    core: &Core,
    requests: &mpsc::UnboundedSender<Request>,
    quits: &watch::Receiver<Option<()>>,
) -> [Option<JoinHandle<()>>; 3] {
    let (in_force, requests) = (&core.in_force, requests.downgrade());
    let Some(member) = preparing.site.member.as_ref() else {
        let follow = follow_own(preparing.clone(), requests, in_force.subscribe());
        tokio::spawn(until(quits.clone(), follow));
        return [const { None }; 3];
    };
    let follow = follow_exports(Arc::clone(member), preparing.clone(), requests.clone(), in_force.subscribe());
    tokio::spawn(until(quits.clone(), follow));
    if preparing.site.counts_all {
        let others = follow_others(Arc::clone(member), preparing.site.converged_timeout, requests.clone());
        tokio::spawn(until(quits.clone(), others));
    }
    let Some(news) = core.outlook.news() else { return [const { None }; 3] };
    let (living, view) = (&preparing.site.living, preparing.site.view.clone());
    let lease = Lease::new(Arc::clone(member), living.ttl);
    let alive = keep_alive(Arc::clone(member), living.clone(), lease.clone(), quits.clone());
    let reporting = Reporting { member: Arc::clone(member), living: living.clone(), lease, view, news, requests };
    let report = reporting.run(quits.clone());
    let sealing = &preparing.site.sealing;
    tokio::spawn(until(quits.clone(), keep_key(Arc::clone(member), sealing.clone(), in_force.subscribe())));
    let publisher = Publisher::new(Arc::clone(member), &preparing.site);
    let publish = publish_exports(publisher, in_force.subscribe(), quits.clone());
    [Some(tokio::spawn(publish)), Some(tokio::spawn(alive)), Some(tokio::spawn(report))]
}

async fn until(mut quits: watch::Receiver<Option<()>>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = quits.changed() => {}
    }
}
