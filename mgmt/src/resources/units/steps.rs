//! How a unit is changed, one difference at a time.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::resource::{Error, Obstacle, ObstacleKind, Result};
use crate::resources::units::judge::Todo;
use crate::resources::units::state::{SvcStartup, SvcState};
use crate::sys::clock;
use crate::sys::process::{Command, run};
use crate::sys::systemd::{ActiveState, Job, Systemd, SystemdError, UnitJob};

/// Whether a service runs is seen only this long after its start if systemd considers it started as soon as there is a
/// process.
const SETTLES: Duration = Duration::from_millis(100);
/// For these types of a service that is so.
const UNCONFIRMED: [&str; 3] = ["simple", "exec", "idle"];
/// How much of the journal an error shows.
const LINES: &str = "5";
/// How often the journal is read as long as there is nothing, and the pause between.
const LOOKS: usize = 6;
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How long the journal may take to answer.
const JOURNAL_MAX: Duration = Duration::from_secs(5);

/// A unit that is being changed.
pub(super) struct Steps {
    pub(super) systemd: Systemd,
    pub(super) name: String,
    pub(super) is_session: bool,
}

impl Steps {
    /// Removes one difference of a unit that is in this state.
    pub(super) async fn step(&self, todo: Todo, active: &ActiveState) -> Result<()> {
        let (systemd, name) = (&self.systemd, &self.name);
        if todo.unmask {
            return Ok(systemd.unmask(name).await?);
        }
        match todo.startup {
            Some(SvcStartup::Enabled) => {
                return match systemd.enable(name).await? {
                    true => Ok(()),
                    false => Err(Error::new(format!("{name} has no [Install] section, so it can't be enabled"))),
                };
            }
            Some(SvcStartup::Disabled) => return Ok(systemd.disable(name).await?),
            Some(SvcStartup::Masked) => return Ok(systemd.mask(name).await?),
            None => {}
        }
        if todo.reload {
            return Ok(systemd.reload().await?);
        }
        if todo.reset {
            systemd.reset_failed(name).await?;
        }
        match todo.state {
            // A start would cancel the job that stops it, and wait for the same end. systemd reports that.
            Some(SvcState::Running) if *active == ActiveState::Deactivating => {
                let why = format!("{name} is stopping; it is started when that has ended");
                Err(Error::new(why).waiting_for(Obstacle::new(ObstacleKind::Busy)))
            }
            Some(SvcState::Running) => self.job(UnitJob::Start).await,
            Some(SvcState::Stopped) => self.job(UnitJob::Stop).await,
            None => Ok(()),
        }
    }

    /// Does a job to its end. Where this is dropped before, the job continues: a start that is given up leaves a unit
    /// that is starting, and a job that is cancelled does not change that.
    pub(super) async fn job(&self, job: UnitJob) -> Result<()> {
        // systemd notes when a service began only after its process has, which may have written before.
        let since = clock::wall();
        let mut begun = self.systemd.begin(job, &self.name).await?;
        match begun.ended().await {
            Ok(()) if job == UnitJob::Stop => Ok(()),
            Ok(()) => self.verify(&begun, since).await,
            Err(error) if error.is_canceled() => Err(Error::new(format!("{}: {error}", self.name)).outdated()),
            Err(error @ SystemdError::Job { .. }) => Err(self.explained(error, since).await),
            Err(error) => Err(error.into()),
        }
    }

    /// A service that has started still runs a moment later, unless another program has ended it.
    async fn verify(&self, started: &Job, since: SystemTime) -> Result<()> {
        let service = self.systemd.service(&self.name).await?;
        if UNCONFIRMED.contains(&service.kind.as_str()) {
            tokio::time::sleep(SETTLES).await;
        }
        let unit = self.systemd.unit(&self.name).await?;
        let restarts = unit.active == ActiveState::Activating && unit.sub == "auto-restart";
        if !restarts && !matches!(unit.active, ActiveState::Inactive | ActiveState::Failed) {
            return Ok(());
        }
        let name = &self.name;
        if started.is_followed() {
            return Err(Error::new(format!("{name}: another program has stopped it right after its start")).outdated());
        }
        if service.kind == "oneshot" && unit.active == ActiveState::Inactive {
            return Err(Error::new(format!(
                "{name} has done its work and ended, as a service of `Type=oneshot` does: it can't be kept running unless \
                 its unit has `RemainAfterExit=yes`"
            )));
        }
        Err(self.explained("it has ended right after its start", since).await)
    }

    /// An error with how the service ended, and the last lines that it wrote to the journal since its start was asked
    /// for; where that had been under way, since it began.
    async fn explained(&self, what: impl fmt::Display, asked: SystemTime) -> Error {
        let service = self.systemd.service(&self.name).await.unwrap_or_default();
        let result = match service.result.as_str() {
            "" | "success" => String::new(),
            result => format!(" ({result})"),
        };
        let lines = match service.began_us {
            0 => String::new(),
            began => {
                let began = UNIX_EPOCH + Duration::from_micros(began);
                self.journal_since(began.min(asked), service.pid).await
            }
        };
        let heading = if lines.is_empty() { "" } else { "; the end of its journal:" };
        let lines: String = lines.lines().map(|line| format!("\n  {line}")).collect();
        let error = Error::new(format!("{}: {what}{result}{heading}{lines}", self.name));
        if service.was_killed { error.outdated() } else { error }
    }

    /// The last lines that the service itself has written since this time; empty if they can't be read. They are found
    /// by their unit or by their process: what the journal gets after the end of a process may lack one of these.
    async fn journal_since(&self, since: SystemTime, pid: u32) -> String {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut lines = Command::new("journalctl").timeout(JOURNAL_MAX).args([
            "--quiet",
            "--no-pager",
            "--output=cat",
            "--lines",
            LINES,
            "--since",
        ]);
        lines = lines.arg(format!("@{}.{:06}", since.as_secs(), since.subsec_micros()));
        let lines = match self.is_session {
            false => lines.arg(format!("_SYSTEMD_UNIT={}", self.name)),
            true => lines.arg("--user").arg(format!("_SYSTEMD_USER_UNIT={}", self.name)),
        };
        let lines = lines.arg("+").arg(format!("_PID={pid}"));
        for _ in 0..LOOKS {
            let text = run(&lines).await.map(|output| output.stdout.text()).unwrap_or_default();
            if !text.is_empty() {
                return text;
            }
            // What it wrote may be on the way, longer on a busy machine.
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        String::new()
    }
}
