//! What must be done on another machine.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::gapi::{Packed, PrivateTerms, TravelTerms, pack};
use crate::graph::{GraphConfig, Kinds};
use crate::remote::error::RemoteError;
use crate::remote::message::{JobSettings, JobTrial, Task};
use crate::remote::near_world::NearWorld;
use crate::resource::Seconds;
use crate::sys::task::blocking;

/// Only the user at the other end can read what goes through the channel.
pub(super) const PRIVATE: PrivateTerms = PrivateTerms { files: true, secrets: true };

/// A graph that travels: as data, with the files of this machine that it reads. Clones share the content.
#[derive(Clone, Debug)]
pub struct Parcel(pub(super) Arc<Packed>);

impl Parcel {
    /// Packs a graph. `kinds`: those that it may use, which the executable there must have, too. `on_hosts`: files and
    /// directories that the machines have already, and that need not travel.
    ///
    /// # Errors
    /// The graph can't travel (it has closures), or a file that it reads can't: contains all reasons.
    pub async fn of(config: GraphConfig, kinds: &Kinds, on_hosts: &[PathBuf]) -> Result<Parcel, RemoteError> {
        let (kinds, terms) = (kinds.clone(), TravelTerms { on_hosts: on_hosts.to_vec(), private: PRIVATE });
        let packed = blocking(move || pack(&config, &kinds, &terms)).await?;
        Ok(Parcel(Arc::new(packed)))
    }

    /// The paths of the files and directories that travel with the graph.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.0.files.trees.iter().map(|tree| tree.path.as_str())
    }

    /// Whether it has only files.
    pub(super) fn has_no_graph(&self) -> bool {
        self.0.graph.is_none()
    }

    /// Whether the other one has the same content.
    pub(crate) fn is_same(&self, other: &Parcel) -> bool {
        (self.0.graph, self.0.carried) == (other.0.graph, other.0.carried)
    }

    /// The bytes of all that travels, if nothing of it is there yet.
    pub fn bytes(&self) -> u64 {
        self.0.contents.values().map(|bytes| bytes.len() as u64).sum()
    }
}

/// What must be done on another machine: the graph, and how it runs there.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Job {
    pub(super) arguments: Vec<OsString>,
    pub(super) vars: Vec<(String, OsString)>,
    pub(super) parcel: Option<Parcel>,
    pub(super) settings: JobSettings,
    /// The world that the hosts use through this program.
    pub(super) world: Option<NearWorld>,
    pub(super) aim: Aim,
}

/// What a job does with the run on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Aim {
    #[default]
    Run,
    Detach,
    Attach,
    Stop,
}

impl Job {
    /// The graph that the executable makes there by itself: that of its closure, or the one that its command line
    /// names.
    pub fn own() -> Job {
        Job::default()
    }

    /// The same, with the files of this machine that the graph reads, as [`Host::pack`](crate::remote::Host::pack) has
    /// found them: there, the graph names them where they are then. A graph that names another file of this machine is
    /// refused there.
    pub fn own_with(files: Parcel) -> Job {
        Job { parcel: Some(files), ..Job::default() }
    }

    /// This graph.
    pub fn graph(parcel: Parcel) -> Job {
        Job { parcel: Some(parcel), ..Job::default() }
    }

    /// The same with this graph, in place of the one that the executable makes there by itself.
    pub fn with_graph(mut self, parcel: Parcel) -> Job {
        self.parcel = Some(parcel);
        self
    }

    /// The run that was [left](Job::detach) there, as the run of this job: it reports what no end has seen of it,
    /// within bounds (4096 events, 4 MiB), and then what happens. To stop or drop it here means to leave it: it stays
    /// there.
    pub fn attach() -> Job {
        Job { aim: Aim::Attach, ..Job::default() }
    }

    /// The end of the run that was [left](Job::detach) there: it is stopped, and this job ends when its process has
    /// ended. Each stop from here hurries it: the first one cancels the operations under way.
    pub fn stop_detached() -> Job {
        Job { aim: Aim::Stop, ..Job::default() }
    }

    /// The run stays there when this process leaves: it needs a working directory that lasts, in which
    /// [`attach`](Job::attach) and [`stop_detached`](Job::stop_detached) find it. Where there is systemd, it is a
    /// transient unit of that, and elsewhere a process with a session of its own; it does not survive a reboot. The job
    /// itself ends as soon as the engine there has started, with [`HowEnded::Detached`](crate::remote::HowEnded).
    pub fn detach(mut self) -> Job {
        self.aim = Aim::Detach;
        self
    }

    /// The arguments of the executable there. A program made with [`mgmt::main`](crate::main()) gets its command line
    /// here, which begins the command `remote`. Default: none.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Job {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// What its run does there.
    pub(super) fn task(&self) -> Task {
        match self.aim {
            Aim::Run => Task::Run,
            Aim::Detach => Task::Detach { variables: self.vars.iter().map(|(name, _)| name.clone()).collect() },
            Aim::Attach => Task::Attach,
            Aim::Stop => Task::Stop,
        }
    }

    /// Adds a variable to the environment of the executable there. It can be seen by other users of that machine.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Job {
        self.vars.push((name.into(), value.into()));
        self
    }

    /// The name of the host in the graph. Default: what the command line there contains, or the system's name there.
    pub fn hostname(mut self, name: impl Into<String>) -> Job {
        self.settings.hostname = Some(name.into());
        self
    }

    /// The working directory of the engine there. Default: that of the command line there; for a program without one,
    /// nothing is remembered.
    pub fn prefix(mut self, prefix: impl Into<PathBuf>) -> Job {
        self.settings.prefix = Some(prefix.into());
        self
    }

    /// Whether every resource is in noop. Default: what the command line there contains.
    pub fn noop(mut self, noop: bool) -> Job {
        self.settings.noop = noop;
        self
    }

    /// Whether drift is only reported. Default: what the command line there contains.
    pub fn alert_only(mut self, alert_only: bool) -> Job {
        self.settings.alert_only = alert_only;
        self
    }

    /// Whether the graph is not made again when its source changes. Default: what the command line there contains.
    pub fn no_watch(mut self, no_watch: bool) -> Job {
        self.settings.no_watch = no_watch;
        self
    }

    /// The run ends when the graph has been converged for this time. Default: what the command line there contains.
    pub fn converged_timeout(mut self, timeout: Duration) -> Job {
        self.settings.converged_timeout = Some(Seconds(timeout));
        self
    }

    /// Whether the run does not end when the graph is converged, or can't converge: this is only reported then, once
    /// the graph has been settled for the converged timeout. Default: it ends.
    pub fn stays(mut self, stays: bool) -> Job {
        self.settings.stays = stays;
        self
    }

    /// How many levels of hosts the graph there may lead to with resources of the kind `remote`. Default: 0, so that a
    /// graph with one is refused there before anything runs.
    pub fn depth(mut self, levels: u32) -> Job {
        self.settings.trail.below = levels;
        self
    }

    /// What the run changes is put back, unless this end can confirm it by a new connection within this time after it
    /// has converged: also if the machine can't be reached any more, is rebooted, or the process there is killed.
    /// While it is not confirmed, the run does not end as converged. Needs a working directory there that lasts. What
    /// can't be put back is refused before the run, unless it is [permitted](Job::confirm_partial). Default: the
    /// changes stay.
    pub fn confirm(mut self, within: Duration) -> Job {
        let is_partial = self.settings.trial.is_some_and(|trial| trial.is_partial);
        self.settings.trial = Some(JobTrial { within: Seconds(within), is_partial, id: String::new() });
        self
    }

    /// Whether its run does not count as converged before it is confirmed.
    pub(super) fn must_be_confirmed(&self) -> bool {
        self.settings.trial.is_some()
    }

    /// Whether a run that must be [confirmed](Job::confirm) makes changes that can't be put back. Default: it is
    /// refused.
    pub fn confirm_partial(mut self, is_partial: bool) -> Job {
        if let Some(trial) = &mut self.settings.trial {
            trial.is_partial = is_partial;
        }
        self
    }

    /// The run ends after this time. Default: what the command line there contains.
    pub fn max_runtime(mut self, time: Duration) -> Job {
        self.settings.max_runtime = Some(Seconds(time));
        self
    }

    /// The hosts exchange resources through this program: they need not reach the servers of the cluster, nor one
    /// another. Each has the rights of the host with its name ([`Job::hostname`], or else [`Host::name`]), with a key
    /// and a certificate of its own below its prefix, and joins the cluster with its first run. A plan, and a run in
    /// noop, let no host join: without a certificate from an earlier run, they see nothing of other hosts. A run that
    /// [stays](Job::detach) joins in the same way, but must reach the servers by itself, or it is refused. Default: the
    /// world that the command line there names.
    ///
    /// [`Host::name`]: crate::remote::Host::name
    #[cfg(feature = "etcd")]
    pub fn relay(mut self, relay: crate::world::Relay) -> Job {
        self.world = Some(NearWorld::new(relay));
        self
    }
}
