//! Many hosts, and how they are worked on.

use std::collections::BTreeMap;

use crate::remote::fleet::packing::Packing;
use crate::remote::fleet::plan::PlansOfHosts;
use crate::remote::fleet::run::FleetRun;
use crate::remote::hosts::{Hosts, HostsBox, HostsError};
use crate::remote::job::Job;

/// When the run on many hosts is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FleetUntil {
    /// When each host has ended by itself: by the converged timeout of its job, for example.
    #[default]
    EachEnds,
    /// When all hosts are converged at the same time, each for the converged timeout of its job; or when a host has
    /// failed or can't converge, and the others have nothing more to do.
    AllConverge,
    /// When it is stopped. A host that is lost is connected to again, after a pause of one second, which doubles each
    /// time, up to a minute.
    Stopped,
}

/// Many hosts on which a graph is planned or run at once.
///
/// ```no_run
/// use mgmt::remote::{Fleet, FleetReport, FleetUntil, Host, Job};
/// # async fn fleet(hosts: Vec<Host>) -> mgmt::Result<()> {
/// let mut run = Fleet::new(hosts).until(FleetUntil::EachEnds).run(Job::own().arguments(["run", "-t", "0"]));
/// while let Some(report) = run.next().await {
///     if let FleetReport::Host { host, what, .. } = report {
///         println!("{host}: {what:?}");
///     }
/// }
/// std::process::exit(run.ended().await.code().into());
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Fleet {
    pub(super) hosts: HostsBox,
    pub(super) until: FleetUntil,
    pub(super) parallel: usize,
    pub(super) no_watch: bool,
    pub(super) own_jobs: BTreeMap<String, Job>,
    pub(super) packing: Packing,
}

impl Fleet {
    /// The hosts of this source.
    pub fn new(hosts: impl Hosts) -> Fleet {
        Fleet {
            hosts: HostsBox::new(hosts),
            until: FleetUntil::default(),
            parallel: usize::MAX,
            no_watch: false,
            own_jobs: BTreeMap::new(),
            packing: Packing::default(),
        }
    }

    /// When the run is over. Default: when each host has ended.
    pub fn until(mut self, until: FleetUntil) -> Fleet {
        self.until = until;
        self
    }

    /// At most this many hosts are worked on at once; the others wait for their turn. 0, the default: no limit.
    pub fn parallel(mut self, hosts: usize) -> Fleet {
        self.parallel = if hosts == 0 { usize::MAX } else { hosts };
        self
    }

    /// Whether a change of the list of hosts is not followed. Default: it is.
    pub fn no_watch(mut self, no_watch: bool) -> Fleet {
        self.no_watch = no_watch;
        self
    }

    /// The host with this name has a job of its own.
    pub fn own_job(mut self, host: impl Into<String>, job: Job) -> Fleet {
        self.own_jobs.insert(host.into(), job);
        self
    }

    /// Whether the files of this machine travel that the graph reads which the executable makes there by itself. They
    /// are found by making it here too, for each host, by a process of its own
    /// ([`Host::pack`](crate::remote::Host::pack)). Default: they do not.
    pub fn with_files(mut self, with_files: bool) -> Fleet {
        self.packing = if with_files { Packing::local() } else { Packing::default() };
        self
    }

    /// Finds out what a run would do now, on each host that the source lists now.
    ///
    /// # Errors
    /// There is no list of hosts.
    pub async fn plan(self, job: Job) -> Result<PlansOfHosts, HostsError> {
        PlansOfHosts::start(self, job).await
    }

    /// Runs a graph on all hosts. Must be called in a tokio runtime. On each host, the graph sees the name of the host
    /// as its hostname.
    pub fn run(self, job: Job) -> FleetRun {
        FleetRun::start(self, job)
    }

    /// The job of the host with this name.
    pub(super) fn job(own_jobs: &BTreeMap<String, Job>, job: &Job, host: &str) -> Job {
        own_jobs.get(host).unwrap_or(job).clone().hostname(host)
    }
}
