//! A run on many hosts, as the program sees it.

use std::collections::BTreeSet;
use std::fmt;

use tokio::sync::{mpsc, watch};

use crate::remote::fleet::drive::{self, FleetOrder};
use crate::remote::fleet::report::{FleetEnded, FleetReport};
use crate::remote::fleet::reports::{Reader, queue};
use crate::remote::fleet::settings::Fleet;
use crate::remote::host::Host;
use crate::remote::hosts::HostsError;
use crate::remote::job::{Job, Parcel};
use crate::remote::run::StopStep;

/// The most reports that wait for their reader. What comes from the hosts after that waits in the run of its host.
const REPORTS_MAX: usize = 1024;

/// A run on many hosts. When this is dropped, the runs there stop: operations under way have a few seconds to end.
pub struct FleetRun {
    reports: Reader,
    orders: mpsc::UnboundedSender<FleetOrder>,
    ended: watch::Receiver<Option<FleetEnded>>,
}

impl fmt::Debug for FleetRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetRun").field("ended", &*self.ended.borrow()).finish_non_exhaustive()
    }
}

impl FleetRun {
    pub(super) fn start(fleet: Fleet, job: Job) -> FleetRun {
        let (report, reports) = queue(REPORTS_MAX);
        let (orders, wanted) = mpsc::unbounded_channel();
        let (end, ended) = watch::channel(None);
        tokio::spawn(async move { _ = end.send(Some(drive::drive(fleet, job, report, wanted).await)) });
        FleetRun { reports, orders, ended }
    }

    /// The next report; `None` after the end of the run. Safe to cancel. As long as it is not called, at most 1024
    /// reports wait here, and 16 384 for each host; a slower reader misses the oldest of a host, which is counted
    /// ([`Report::Missed`](crate::remote::Report::Missed)).
    pub async fn next(&mut self) -> Option<FleetReport> {
        self.reports.next().await
    }

    /// Stops the runs on all hosts; a later call with a further step hurries them. No further host is started.
    pub fn stop(&self, step: StopStep) {
        self.send(FleetOrder::Stop(step));
    }

    /// Puts another graph in force on all hosts that have no job of their own.
    pub fn swap(&self, parcel: Parcel) {
        self.send(FleetOrder::Swap(None, parcel));
    }

    /// Puts another graph in force on the host with this name, which has a job of its own.
    pub fn swap_on(&self, host: impl Into<String>, parcel: Parcel) {
        self.send(FleetOrder::Swap(Some(host.into()), parcel));
    }

    /// Asks all hosts to make their graphs again, reads the list of hosts again, and tries those again that have
    /// failed.
    pub fn reload(&self) {
        self.send(FleetOrder::Reload);
    }

    /// Returns when the run has ended, and how.
    pub async fn ended(&self) -> FleetEnded {
        let mut ended = self.ended.clone();
        // An error would mean that the task has panicked.
        let ended = ended.wait_for(Option::is_some).await;
        ended.ok().and_then(|ended| ended.clone()).unwrap_or_default()
    }

    fn send(&self, order: FleetOrder) {
        // An error means that the run has ended, which its reader finds out.
        let _ = self.orders.send(order);
    }
}

/// Refuses a list in which two hosts have the same name.
pub(super) fn examined(hosts: Vec<Host>) -> Result<Vec<Host>, HostsError> {
    let mut names = BTreeSet::new();
    match hosts.iter().find(|host| !names.insert(host.name())) {
        Some(host) => Err(HostsError::Twice(host.name().to_owned())),
        None => Ok(hosts),
    }
}
