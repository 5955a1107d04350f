//! What a run reports to the service manager that has started it (systemd, `Type=notify`): when it is ready, what it is
//! doing, and that it is alive. Without a service manager nothing is reported.

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};

use crate::runtime::{Engine, EngineError, EventKind, Progress};

/// The watchdog is served this many times in the time that it allows.
const SIGNS_OF_LIFE: u32 = 3;

/// The reports of one run.
#[derive(Debug)]
pub(crate) struct Supervision {
    /// Whether a service manager listens.
    listens: bool,
    /// Whether the readiness of the run has been reported.
    ready: bool,
    status: String,
}

impl Supervision {
    pub(crate) fn new() -> Supervision {
        let listens = std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty());
        Supervision { listens, ready: false, status: String::new() }
    }

    /// Serves the watchdog for as long as the engine answers: one that hangs is killed and started again.
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

    /// The state of the run has changed with this event. Ready is a run that has converged once, or never will.
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
        } else if status != self.status {
            send(&[NotifyState::Status(&status)]);
        }
        self.status = status;
    }

    /// The graph is made again. (Before it is ready, a service can't be reloaded.)
    pub(crate) fn reloading(&self) {
        if self.listens && self.ready {
            match NotifyState::monotonic_usec_now() {
                Ok(now) => send(&[NotifyState::Reloading, now]),
                Err(_) => send(&[NotifyState::Reloading]),
            }
        }
    }

    /// The last reload that was asked for has ended.
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

    /// The run ends; operations under way may take their time.
    pub(crate) fn stopping(&self) {
        if self.listens {
            send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
        }
    }
}

/// A line for `systemctl status`.
fn describe(progress: &Progress, converged: bool) -> String {
    let Progress { resources, settled, failed, blocked, .. } = progress;
    let mut text = match converged {
        true if *resources == 1 => "converged: 1 resource".to_owned(),
        true => format!("converged: {resources} resources"),
        false => format!("{settled} of {resources} resources settled"),
    };
    if *failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    if *blocked > 0 {
        text.push_str(&format!(", {blocked} wait for them"));
    }
    text
}

/// A service manager that does not listen any more must not end the run.
fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        tracing::debug!(target: "mgmt", %error, "the service manager can't be notified");
    }
}
