//! Plans of many hosts.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::remote::error::RemoteError;
use crate::remote::fleet::run::examined;
use crate::remote::fleet::settings::Fleet;
use crate::remote::host::Planned;
use crate::remote::hosts::{Hosts as _, HostsError};
use crate::remote::job::Job;

/// The plan of one host, or why there is none.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostPlanned {
    /// The name of the host.
    pub host: String,
    /// Its place in the list of hosts.
    pub place: usize,
    /// The plan.
    pub outcome: Result<Planned, RemoteError>,
}

/// Plans of many hosts, which are being made. When this is dropped, those that are not ready are given up.
#[derive(Debug)]
pub struct PlansOfHosts {
    hosts: Vec<String>,
    tasks: JoinSet<HostPlanned>,
}

impl PlansOfHosts {
    pub(super) async fn start(mut fleet: Fleet, job: Job) -> Result<PlansOfHosts, HostsError> {
        let hosts = examined(fleet.hosts.hosts().await?)?;
        let places = Arc::new(Semaphore::new(fleet.parallel.min(Semaphore::MAX_PERMITS)));
        let mut tasks = JoinSet::new();
        let names = hosts.iter().map(|host| host.name().to_owned()).collect();
        for (place, host) in hosts.into_iter().enumerate() {
            let (places, job) = (Arc::clone(&places), Fleet::job(&fleet.own_jobs, &job, host.name()));
            let packing = fleet.packing.clone();
            tasks.spawn(async move {
                // An error would mean that the semaphore is closed, which nothing does.
                let _place = places.acquire_owned().await;
                let outcome = match packing.packed(job, host.name()).await {
                    Ok(job) => host.plan(&job).await,
                    Err(error) => Err(error),
                };
                HostPlanned { host: host.name().to_owned(), place, outcome }
            });
        }
        Ok(PlansOfHosts { hosts: names, tasks })
    }

    /// The names of all hosts, in the order of the list.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The next plan that is ready; `None`: all are. Safe to cancel.
    pub async fn next(&mut self) -> Option<HostPlanned> {
        loop {
            match self.tasks.join_next().await? {
                Ok(planned) => return Some(planned),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // Only the end of the runtime cancels a task.
                Err(_) => {}
            }
        }
    }
}
