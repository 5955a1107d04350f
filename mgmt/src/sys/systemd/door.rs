//! One systemd: that of the machine, that of a user, or that of a simulated host.

use std::path::PathBuf;
use std::sync::Arc;

use zbus::Connection;

use super::error::{Result, SystemdError};
use super::jobs::End;
use super::over_bus::OverBus;
#[cfg(any(test, feature = "testing"))]
use super::simulated;
use super::traffic::Traffic;
use super::unit::{LastRun, Unit, UnitJob};
#[cfg(any(test, feature = "testing"))]
use crate::sys::simulated::{Host, Units};

/// A systemd that answers.
#[derive(Clone, Debug)]
pub struct Systemd {
    which: Which,
    traffic: Arc<Traffic>,
}

#[derive(Clone, Debug)]
enum Which {
    OverBus(OverBus),
    #[cfg(any(test, feature = "testing"))]
    Simulated(Host),
}

/// A job that has begun.
#[derive(Debug)]
pub struct Job {
    job: UnitJob,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    OverBus(End),
    #[cfg(any(test, feature = "testing"))]
    Ended(String),
}

/// The systemd that this value is of, on each side of its `match`.
macro_rules! on {
    ($self:expr, $bus:ident => $over_bus:expr, $host:ident => $simulated:expr) => {
        match &$self.which {
            Which::OverBus($bus) => $over_bus,
            #[cfg(any(test, feature = "testing"))]
            Which::Simulated($host) => $simulated,
        }
    };
}

impl Job {
    /// Waits until the job has ended.
    ///
    /// # Errors
    /// It did not end as it should.
    pub async fn ended(&mut self) -> Result<()> {
        let result = match &mut self.progress {
            Progress::OverBus(end) => end.result().await?,
            #[cfg(any(test, feature = "testing"))]
            Progress::Ended(result) => result.clone(),
        };
        if result == "done" { Ok(()) } else { Err(SystemdError::Job { job: self.job, result }) }
    }

    /// Whether another job has done something with the unit after this one has ended.
    pub fn is_followed(&self) -> bool {
        match &self.progress {
            Progress::OverBus(end) => end.is_followed(),
            #[cfg(any(test, feature = "testing"))]
            Progress::Ended(_) => false,
        }
    }
}

impl Systemd {
    /// The systemd on this bus.
    ///
    /// # Errors
    /// None answers.
    pub async fn new(connection: Connection, traffic: Arc<Traffic>) -> Result<Systemd> {
        Ok(Systemd { which: Which::OverBus(OverBus::new(connection, Arc::clone(&traffic)).await?), traffic })
    }

    /// The systemd of the simulated host that this thread is on, if it is on one.
    pub fn simulated() -> Option<Systemd> {
        crate::sys::elsewhere::if_simulated!(host => {
            Some(Systemd { which: Which::Simulated(host), traffic: Arc::default() })
        });
        None
    }

    /// The file of a simulated host that changes with the state of a unit, if the thread is on one: a real host has
    /// signals.
    pub fn state_file(unit: &str) -> Option<PathBuf> {
        crate::sys::elsewhere::if_simulated!(_host => Some(simulated::state_file(unit)));
        let _ = unit;
        None
    }

    /// The state of a unit, such as `nginx.service`. One that does not exist has `load` `not-found`.
    ///
    /// # Errors
    /// systemd does not answer, or the name is not one of a unit.
    pub async fn unit(&self, name: &str) -> Result<Unit> {
        on!(self, bus => bus.unit(name).await, host => Ok(simulated::unit(host, name)))
    }

    /// How a service ran last; all is empty for a unit that is none.
    ///
    /// # Errors
    /// systemd does not answer, or has not loaded the unit.
    pub async fn service(&self, name: &str) -> Result<LastRun> {
        on!(self, bus => bus.service(name).await, _host => Ok(LastRun::default()))
    }

    /// Begins a job: it is done, or fails, whether it is waited for or not.
    ///
    /// # Errors
    /// systemd refuses: there is no such unit, or it is masked, for example.
    pub async fn begin(&self, job: UnitJob, name: &str) -> Result<Job> {
        let progress = on!(
            self,
            bus => Progress::OverBus(bus.begin(job, name).await?),
            host => Progress::Ended(simulated::act(host, simulated::verb(job), name)?)
        );
        Ok(Job { job, progress })
    }

    /// Enables a unit's file, so that the unit is started with the machine or the session. Returns whether the file has
    /// an `[Install]` section at all.
    ///
    /// # Errors
    /// systemd refuses.
    pub async fn enable(&self, name: &str) -> Result<bool> {
        let is_installable = on!(self, bus => bus.enable(name).await?, host => {
            simulated::act(host, "enable", name)?;
            true
        });
        self.reload().await?;
        Ok(is_installable)
    }

    /// Disables a unit's file.
    ///
    /// # Errors
    /// systemd refuses.
    pub async fn disable(&self, name: &str) -> Result<()> {
        on!(self, bus => bus.disable(name).await?, host => drop(simulated::act(host, "disable", name)?));
        self.reload().await
    }

    /// Masks a unit, so that nothing starts it.
    ///
    /// # Errors
    /// systemd refuses: a file of that name in `/etc/systemd/system`, for example.
    pub async fn mask(&self, name: &str) -> Result<()> {
        on!(self, bus => bus.mask(name).await?, host => drop(simulated::act(host, "mask", name)?));
        self.reload().await
    }

    /// Removes the mask of a unit.
    ///
    /// # Errors
    /// systemd refuses.
    pub async fn unmask(&self, name: &str) -> Result<()> {
        on!(self, bus => bus.unmask(name).await?, host => drop(simulated::act(host, "unmask", name)?));
        self.reload().await
    }

    /// Forgets that a unit has failed, and how often it was started lately.
    ///
    /// # Errors
    /// There is no such unit.
    pub async fn reset_failed(&self, name: &str) -> Result<()> {
        on!(self, bus => bus.reset_failed(name).await, host => simulated::act(host, "reset-failed", name).map(drop))
    }

    /// Lets systemd read all unit files again. Requests that come while it does so share the next time.
    ///
    /// # Errors
    /// systemd does not answer.
    pub async fn reload(&self) -> Result<()> {
        let read = async {
            on!(self, bus => bus.reload().await, host => {
                host.part::<Units>().reload(host);
                Ok(())
            })
        };
        self.traffic.reload(read).await
    }
}
