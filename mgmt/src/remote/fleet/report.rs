//! What a run on many hosts reports.

use crate::remote::error::RemoteError;
use crate::remote::hosts::HostsError;
use crate::remote::run::{Ended, Report};
use crate::runtime::Status;

pub use crate::remote::fleet::roster::Verdict;

/// What a run on many hosts reports.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FleetReport {
    /// News of one host.
    #[non_exhaustive]
    Host {
        /// The name of the host.
        host: String,
        /// The news.
        what: HostReport,
    },
    /// The list of hosts is this from now on.
    Listed(Vec<String>),
    /// The new list of hosts is wrong or can't be read: the one before stays in force.
    Unlisted(HostsError),
    /// All hosts are being stopped, for this reason.
    Stopping(Verdict),
}

/// News of one host.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HostReport {
    /// It is connected to.
    Connecting,
    /// The run there has reported this.
    Report(Report),
    /// The state there, reported when the graph can't converge, and before all hosts are stopped.
    Status(Box<Status>),
    /// Another graph is in force there; or it was refused, and the one before stays in force.
    Swapped(Result<(), RemoteError>),
    /// The host has left the list: the run there is being stopped.
    Leaving,
    /// The run there has ended.
    Ended(HostEnded),
}

/// How the run on one host has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostEnded {
    /// The end of the run; or why it has failed.
    pub outcome: Result<Ended, RemoteError>,
    /// How many alerts there were, if all hosts were stopped because they had converged.
    pub alerts: usize,
    /// How long it takes until the host is connected to again. `None`: it is not.
    pub again_in: Option<std::time::Duration>,
}

impl HostEnded {
    /// The exit code of the host: 1 if it has failed or was lost, 2 if there were alerts.
    pub fn code(&self) -> u8 {
        match &self.outcome {
            Ok(ended) if ended.code == 0 && self.alerts > 0 => 2,
            Ok(ended) => ended.code,
            Err(_) => 1,
        }
    }
}

/// How a run on many hosts has ended.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FleetEnded {
    /// The last end of each host, in the order of the names. A host that has left the list is not among them.
    pub hosts: std::collections::BTreeMap<String, HostEnded>,
    /// The hosts that had no turn.
    pub waiting: Vec<String>,
    /// Why all were stopped, unless the program has stopped them.
    pub verdict: Option<Verdict>,
    /// Why nothing was started.
    pub error: Option<HostsError>,
}

impl FleetEnded {
    /// The exit code: 1 if a host has failed, could not be reached or can't converge; else the largest of all hosts.
    pub fn code(&self) -> u8 {
        let codes = self.hosts.values().map(HostEnded::code);
        let has_failed = self.error.is_some() || self.verdict == Some(Verdict::Hopeless);
        if has_failed || codes.clone().any(|code| code == 1) { 1 } else { codes.max().unwrap_or_default() }
    }
}
