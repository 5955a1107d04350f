//! Reports of a run to the service manager that has started it (systemd, `Type=notify`): that it is ready, its state,
//! and that it is alive. Without a service manager, nothing is reported.

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};

use crate::cli::bar::notes;
use crate::runtime::{Engine, EngineError, EventKind, Progress};

/// How many times the watchdog is notified within its timeout.
const SIGNS_OF_LIFE: u32 = 3;

/// How often the progress of a run is reported that is not ready yet.
pub(crate) const OFTEN: Duration = Duration::from_secs(1);

/// The status of a run that is not ready yet names an operation that takes longer than this.
const LONG: Duration = Duration::from_secs(1);

/// Sends the reports of one run.
#[derive(Debug)]
pub(crate) struct Supervision {
    /// Whether a service manager listens.
    listens: bool,
    /// Whether the readiness of the run has been reported.
    ready: bool,
    status: String,
}

impl Supervision {
    /// Reports that the run starts.
    pub(crate) fn new() -> Supervision {
        let listens = std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty());
        let mut supervision = Supervision { listens, ready: false, status: String::new() };
        if listens {
            supervision.report("waiting for the first graph".to_owned());
        }
        supervision
    }

    /// Whether a service manager waits until the run is ready: then [`Supervision::start`] is due once a second.
    pub(crate) fn is_starting(&self) -> bool {
        self.listens && !self.ready
    }

    /// Reports how far a run has got that is not ready yet.
    pub(crate) async fn start(&mut self, engine: &Engine) {
        // An engine that has ended has nothing more to report.
        let Ok(progress) = engine.progress().await else { return };
        let mut status = describe(&progress, engine.is_converged());
        if let Some(running) = progress.longest.filter(|running| running.elapsed >= LONG) {
            status.push_str(&format!(", {} for {} s", running.id, running.elapsed.as_secs()));
        }
        self.report(status);
    }

    fn report(&mut self, status: String) {
        if status != self.status {
            send(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// Notifies the watchdog for as long as the engine answers. The service manager kills and restarts a run if its
    /// engine hangs.
    pub(crate) fn watch(&self, engine: &Engine) {
        let Some(timeout) = watchdog_enabled().filter(|_| self.listens) else { return };
        let (engine, pause) = (engine.clone(), (timeout / SIGNS_OF_LIFE).max(Duration::from_millis(1)));
        tokio::spawn(async move {
            while engine.progress().await.is_ok() {
                send(&[NotifyState::Watchdog]);
                tokio::time::sleep(pause).await;
            }
        });
    }

    /// Reports the state of the run if this event changes it. A run is ready once it has converged, or is hopeless.
    pub(crate) async fn event(&mut self, event: &EventKind, engine: &Engine) {
        let is_news = match event {
            EventKind::Converged | EventKind::Hopeless => true,
            EventKind::Unconverged | EventKind::Hopeful | EventKind::Swapped { .. } => self.ready,
            EventKind::Failed { .. } | EventKind::Unblocked { .. } => true,
            _ => false,
        };
        if !self.listens || !is_news {
            return;
        }
        // An engine that has ended has nothing more to report.
        let Ok(progress) = engine.progress().await else { return };
        let status = describe(&progress, engine.is_converged());
        let becomes_ready = !self.ready && matches!(event, EventKind::Converged | EventKind::Hopeless);
        self.ready |= becomes_ready;
        if becomes_ready {
            send(&[NotifyState::Ready, NotifyState::Status(&status)]);
            self.status = status;
        } else {
            self.report(status);
        }
    }

    /// Reports that a reload begins. Before it is ready, a service can't be reloaded, so nothing is reported.
    pub(crate) fn reloading(&self) {
        if self.listens && self.ready {
            match NotifyState::monotonic_usec_now() {
                Ok(now) => send(&[NotifyState::Reloading, now]),
                Err(_) => send(&[NotifyState::Reloading]),
            }
        }
    }

    /// Reports that all reloads have ended, the last one with this outcome.
    pub(crate) fn reloaded(&mut self, outcome: &Result<(), EngineError>) {
        if !self.listens || !self.ready {
            return;
        }
        if outcome.is_err() {
            self.status = "the new graph was refused, the one before is in force".to_owned();
            send(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
        } else {
            send(&[NotifyState::Ready]);
        }
    }

    /// Reports that the run ends.
    pub(crate) fn stopping(&self) {
        if self.listens {
            send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
        }
    }
}

/// The state of a run, as a line for `systemctl status`.
fn describe(progress: &Progress, converged: bool) -> String {
    let Progress { resources, settled, .. } = progress;
    let mut text = match converged {
        true if *resources == 1 => "converged: 1 resource".to_owned(),
        true => format!("converged: {resources} resources"),
        false => format!("{settled} of {resources} resources settled"),
    };
    text.push_str(&notes(progress, 0));
    text
}

/// Sends a report. A failure is only logged: the run continues without its service manager.
fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        tracing::debug!(target: "mgmt", %error, "the service manager can't be notified");
    }
}
