//! A machine on which graphs are planned and run.

use std::fmt;
use std::sync::Arc;

use crate::plan::Plan;
use crate::remote::error::{Note, RemoteError};
use crate::remote::job::Job;
use crate::remote::message::Task;
use crate::remote::run::{Report, Run};
use crate::remote::session;
use crate::remote::transport::{Local, Transport};

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
}

impl Host {
    /// A machine with this name, which is reached in this way.
    pub fn new(name: impl Into<String>, transport: impl Transport) -> Host {
        Host { name: name.into(), transport: Arc::new(transport) }
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
        let (run, plan) = session::open(&*self.transport, job, Task::Plan).await?;
        let (mut warnings, mut log) = (Vec::new(), Vec::new());
        let mut reports = run;
        while let Some(report) = reports.next().await {
            match report {
                Report::Warning(note) => warnings.push(note),
                Report::Log(line) => log.push(line),
                _ => {}
            }
        }
        reports.ended().await?;
        let plan = plan.await.map_err(|_| RemoteError::Failed("the plan did not arrive".to_owned()))?;
        Ok(Planned { plan, warnings, log })
    }

    /// Runs a graph there, until it is stopped or ends by itself. Returns as soon as the executable has been started
    /// there; what happens from then on is in the reports.
    ///
    /// # Errors
    /// The machine can't be reached, or the executable can't be started there.
    pub async fn run(&self, job: &Job) -> Result<Run, RemoteError> {
        Ok(session::open(&*self.transport, job, Task::Run).await?.0)
    }
}
