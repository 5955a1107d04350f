//! A run at the far end whose changes are put back unless the near end confirms it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::gapi::Gapi;
use crate::remote::error::Note;
use crate::remote::far::{Failed, gone};
use crate::remote::far_guard;
use crate::remote::far_link::{Inbox, Outbox};
use crate::remote::far_run::{FAILED, FarRun, OVER_GRACE, Stage};
use crate::remote::far_signals::Signals;
use crate::remote::message::{End, HowEnded, JobTrial, ToNear};
use crate::runtime::trial::{Trial, TrialPlace, confirm};
use crate::runtime::{Builder, Engine, EventKind};
use crate::sys::task::blocking;

/// How often the state is looked at while no near end could report that it has changed.
const LOOK: Duration = Duration::from_millis(200);

/// A run that is not confirmed yet.
#[derive(Debug)]
pub(super) struct FarTrial {
    place: TrialPlace,
    id: String,
    within: Duration,
    /// When it is too late.
    due: Option<Instant>,
    is_gone: bool,
}

/// What has become of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Open,
    Confirmed,
    /// It is too late: from now on it can't be confirmed.
    Over,
}

impl FarTrial {
    pub(super) fn new(prefix: &Path, id: &str, within: Duration) -> FarTrial {
        FarTrial { place: TrialPlace::of(prefix), id: id.to_owned(), within, due: None, is_gone: false }
    }

    /// How long the near end may take.
    pub(super) fn within(&self) -> Duration {
        self.within
    }

    /// The graph has converged: the time begins.
    pub(super) fn converged(&mut self) {
        if let Err(error) = self.place.settle() {
            tracing::warn!(target: "mgmt", "the run can't be confirmed: {error}");
        }
        self.begin();
    }

    /// The near end is gone. It may come back by another connection: the time begins.
    pub(super) fn gone(&mut self) {
        self.is_gone = true;
        self.begin();
    }

    fn begin(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + self.within);
    }

    /// When to look at it next; `None`: the near end reports what becomes of it.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let look = self.is_gone.then(|| Instant::now() + LOOK);
        [self.due, look].into_iter().flatten().min()
    }

    pub(super) fn look(&self) -> Verdict {
        if self.place.is_confirmed(&self.id) {
            return Verdict::Confirmed;
        }
        match self.due {
            Some(due) if due <= Instant::now() => self.give_up(),
            _ => Verdict::Open,
        }
    }

    /// It can't be confirmed any more, unless it is already.
    pub(super) fn give_up(&self) -> Verdict {
        match self.place.give_up() {
            Ok(false) if self.place.is_confirmed(&self.id) => Verdict::Confirmed,
            Ok(_) => Verdict::Over,
            Err(error) => {
                tracing::error!(target: "mgmt", "what the run has changed can't be put back: {error}");
                Verdict::Over
            }
        }
    }
}

/// A run, with its settings, that is put back unless it is confirmed; a process watches over it from now on. `is_here`:
/// the machine is that of the near end.
pub(super) async fn tried<G: Gapi>(
    run: FarRun,
    builder: Builder<G>,
    (trial, is_here): (JobTrial, bool),
    prefix: Option<PathBuf>,
    out: &Outbox,
) -> Result<(FarRun, Builder<G>), Failed> {
    let prefix = prefix.ok_or_else(no_prefix)?;
    if let Some(lack) = far_guard::begin(&prefix, &trial.id, !is_here).await.map_err(Failed::Other)? {
        out.send(&ToNear::Warning(Note::new(lack))).await.map_err(gone)?;
    }
    let tried = FarTrial::new(&prefix, &trial.id, trial.within.0);
    Ok((run.tried(tried), builder.trial(Trial::new(trial.id).partial(trial.is_partial))))
}

pub(super) fn no_prefix() -> Failed {
    let why = "a run that must be confirmed needs a working directory there that lasts: give one with `--prefix`";
    Failed::Other(why.to_owned())
}

/// Confirms the run with this id, as soon as it has converged.
pub(super) async fn confirmed(prefix: &Path, id: String) -> Result<End, Failed> {
    let place = TrialPlace::of(prefix);
    while !place.is_settled() && place.is_open() {
        sleep(LOOK).await;
    }
    let prefix = prefix.to_owned();
    match blocking(move || confirm(&prefix, &id)).await {
        Ok(true) => Ok(End { code: 0, error: None, how: HowEnded::Confirmed }),
        Ok(false) => Err(Failed::Other("it is too late: what the run has changed is being put back".to_owned())),
        Err(error) => Err(Failed::Other(error.to_string())),
    }
}

impl FarRun {
    /// What the run changes is put back unless it is confirmed.
    pub(super) fn tried(mut self, trial: FarTrial) -> FarRun {
        self.trial = Some(trial);
        self
    }

    /// Puts back what the run has changed, unless it is confirmed. The near end is not needed for that.
    pub(super) async fn put_back(&mut self, afterwards: Builder, inbox: &mut Inbox, signals: &mut Signals) {
        match self.trial.take().map(|trial| trial.give_up()) {
            Some(Verdict::Over) => {}
            _ => return,
        }
        (self.puts_back, self.stage, self.hurry, self.end) = (true, Stage::Runs, None, None);
        (self.converged_timeout, self.stays) = (Some(Duration::ZERO), false);
        let mut events = afterwards.events();
        match afterwards.put_back().await {
            Ok(Some(engine)) => {
                self.say(&ToNear::PuttingBack);
                self.follow(&engine, &mut events, inbox, signals, None).await;
                let _ = engine.ended().await;
                while let Some(event) = events.try_next() {
                    self.event(&event);
                }
            }
            Ok(None) => {}
            Err(error) => {
                let why = format!("what the run has changed can't be put back now: {error}");
                self.say(&ToNear::Warning(Note::new(why)));
            }
        }
    }

    pub(super) async fn look_at_trial(&mut self, engine: &Engine) {
        let Some(trial) = &self.trial else { return };
        match trial.look() {
            Verdict::Open => {}
            Verdict::Confirmed => self.confirmed(engine).await,
            Verdict::Over => {
                let within = trial.within().as_secs_f64();
                let why = format!("it was not confirmed within {within} s, so what it had changed was put back");
                self.stop(engine, Stage::Drains, HowEnded::Failed, FAILED);
                if let Some(end) = &mut self.end {
                    end.error = Some(why);
                }
                self.hurry = Some((Instant::now() + OVER_GRACE, OVER_GRACE));
            }
        }
    }

    /// The near end has confirmed the run.
    pub(super) async fn confirmed(&mut self, engine: &Engine) {
        // If it is too late, that has been decided elsewhere, and will be seen.
        if self.trial.is_none() || !matches!(engine.confirm().await, Ok(true)) {
            return;
        }
        self.trial = None;
        if self.is_gone {
            return self.gone(engine);
        }
        if engine.is_converged() {
            self.react(engine, &EventKind::Converged).await;
        }
    }
}
