//! A machine on which graphs are planned and run.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::plan::Plan;
use crate::remote::detached::Detached;
use crate::remote::error::{Note, RemoteError};
use crate::remote::job::{Job, Parcel};
use crate::remote::message::{Hello, Task};
use crate::remote::run::{Report, Run};
use crate::remote::session::{self, Yield};
use crate::remote::ssh::Ssh;
use crate::remote::transport::{Local, Transport};
use crate::remote::trial;
use crate::sys::ssh::{Endpoint, EndpointError};

/// A machine on which graphs are planned and run. Clones are the same machine.
#[derive(Clone)]
pub struct Host {
    name: String,
    transport: Arc<dyn Transport>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A plan that was made on another machine.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Planned {
    /// What would be done there.
    pub plan: Plan,
    /// The warnings about the graph, and about the connection.
    pub warnings: Vec<Note>,
    /// What the process there has printed.
    pub log: Vec<String>,
    /// What has answered there.
    pub there: Option<Hello>,
}

impl Host {
    /// A machine with this name, which is reached in this way.
    pub fn new(name: impl Into<String>, transport: impl Transport) -> Host {
        Host { name: name.into(), transport: Arc::new(transport) }
    }

    /// The machine that ssh reaches by this name: `web1`, `user@web1`, `ssh://user@host:port`, or `NAME=` and one of
    /// these. Settings of ssh are those of its own configuration; for others, see [`Ssh`].
    ///
    /// # Errors
    /// That is not the name of a machine.
    pub fn ssh(endpoint: &str) -> Result<Host, EndpointError> {
        let endpoint: Endpoint = endpoint.parse()?;
        Ok(Host::new(endpoint.name().to_owned(), Ssh::new(endpoint)))
    }

    /// This machine: the executable of this process runs a second time, as a process of its own.
    pub fn local(name: impl Into<String>) -> Host {
        Host::new(name, Local::new())
    }

    /// The name, by which people know the machine.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Finds out what a run there would do now. Nothing is changed there.
    ///
    /// # Errors
    /// The machine can't be reached, the graph is wrong or can't travel, or the connection was lost.
    pub async fn plan(&self, job: &Job) -> Result<Planned, RemoteError> {
        let (run, yielded) = session::open((&self.name, &*self.transport), job, Task::Plan).await?;
        let (warnings, log, there) = heard(run).await?;
        match yielded.await {
            Ok(Yield::Plan(plan)) => Ok(Planned { plan: *plan, warnings, log, there }),
            _ => Err(RemoteError::Failed("the plan did not arrive".to_owned())),
        }
    }

    /// Reads the files of that machine, which should be this one, that the graph names which the executable makes there
    /// by itself: for a [`Job::own_with`] on another machine, with the same arguments and for the same host name.
    /// `on_hosts`: files and directories that the machines have already, and that need not travel.
    ///
    /// # Errors
    /// There is no graph, it is wrong, or a file that it reads can't travel.
    pub async fn pack(&self, job: &Job, on_hosts: &[PathBuf]) -> Result<Parcel, RemoteError> {
        let task = Task::Pack { on_hosts: on_hosts.to_vec() };
        let (run, yielded) = session::open((&self.name, &*self.transport), job, task).await?;
        heard(run).await?;
        match yielded.await {
            Ok(Yield::Packed(packed)) => Ok(Parcel(Arc::new(*packed))),
            _ => Err(RemoteError::Failed("the files did not arrive".to_owned())),
        }
    }

    /// Runs a graph there, until it is stopped or ends by itself. Returns as soon as the executable has been started
    /// there; what happens from then on is in the reports.
    ///
    /// # Errors
    /// The machine can't be reached, or the executable can't be started there.
    pub async fn run(&self, job: &Job) -> Result<Run, RemoteError> {
        trial::tried(self, job).await
    }

    pub(super) async fn start(&self, job: &Job) -> Result<Run, RemoteError> {
        Ok(session::open((&self.name, &*self.transport), job, job.task()).await?.0)
    }

    /// The same machine, by a connection that does not exist yet.
    pub(super) fn fresh(&self) -> Host {
        let transport = self.transport.fresh().unwrap_or_else(|| Arc::clone(&self.transport));
        Host { name: self.name.clone(), transport }
    }

    /// Does a task that yields nothing.
    pub(super) async fn ask(&self, job: &Job, task: Task) -> Result<(), RemoteError> {
        let (run, _) = session::open((&self.name, &*self.transport), job, task).await?;
        heard(run).await.map(drop)
    }

    /// The run that was left there ([`Job::detach`]) with the same working directory, also if it has ended. `None`:
    /// there was none.
    ///
    /// # Errors
    /// The machine can't be reached.
    pub async fn detached(&self, job: &Job) -> Result<Option<Detached>, RemoteError> {
        let (run, yielded) = session::open((&self.name, &*self.transport), job, Task::Find).await?;
        heard(run).await?;
        match yielded.await {
            Ok(Yield::Found(found)) => Ok(found.map(|found| *found)),
            _ => Err(RemoteError::Failed("the answer did not arrive".to_owned())),
        }
    }
}

/// The warnings and the foreign output of a task, when it has ended well.
async fn heard(mut run: Run) -> Result<(Vec<Note>, Vec<String>, Option<Hello>), RemoteError> {
    let (mut warnings, mut log, mut there) = (Vec::new(), Vec::new(), None);
    while let Some(report) = run.next().await {
        match report {
            Report::Warning(note) => warnings.push(note),
            Report::Log(line) => log.push(line),
            Report::Hello(hello) => there = Some(hello),
            _ => {}
        }
    }
    run.ended().await?;
    Ok((warnings, log, there))
}
