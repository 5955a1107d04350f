//! The run at the far end: everything that the engine reports goes to the near end, and what that asks for is done. It
//! ends by itself when the near end is gone.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::gapi::{Gapi, GraphSender, Warnings};
use crate::remote::error::Note;
use crate::remote::far::Failed;
use crate::remote::far_link::{Inbound, Inbox, Outbox};
use crate::remote::far_signals::Signals;
use crate::remote::far_status::{alerts, fitting};
use crate::remote::far_trial::FarTrial;
use crate::remote::lines::LINE_BYTES_MAX;
use crate::remote::message::{End, HowEnded, Sent, ToFar, ToNear, line};
use crate::remote::receiving::{Placed, Receiving, Step};
use crate::runtime::{Builder, Engine, Event, EventKind, Events};

/// The exit code of a failure, as of a run on this machine.
pub(super) const FAILED: u8 = 1;
/// How many bytes of events are sent at once.
const BATCH_BYTES: usize = 1 << 16;
/// How often the progress is sent.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// How long operations may take to end when no further order can come: after that they are cancelled, and after the
/// second time the process exits.
const GONE_GRACE: Duration = Duration::from_secs(3);
/// The same when the maximum runtime is over, while the near end is there.
pub(super) const OVER_GRACE: Duration = Duration::from_secs(10);

/// How far a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Runs,
    Drains,
    Cancels,
    Abandons,
}

/// What the near end supplies.
pub(super) enum Supply {
    Graphs(GraphSender),
    /// The executable makes its graphs by itself, of which these are the files.
    Files(mpsc::UnboundedSender<Placed>),
}

/// A run at the far end.
pub(super) struct FarRun {
    pub(super) out: Outbox,
    warnings: Warnings,
    pub(super) converged_timeout: Option<Duration>,
    /// The converged timeout does not end the run.
    pub(super) stays: bool,
    receiving: Receiving,
    supply: Supply,
    acceptance: mpsc::UnboundedReceiver<bool>,
    /// The graphs whose acceptance is awaited.
    handed: VecDeque<u64>,
    /// Lines that wait for room.
    pending: Vec<u8>,
    missed: u64,
    /// The reason for which the last graph was refused.
    rejected: Option<String>,
    is_moving: bool,
    pub(super) stage: Stage,
    /// When the next stage begins by itself.
    pub(super) hurry: Option<(Instant, Duration)>,
    pub(super) end: Option<End>,
    /// Whether the near end is gone.
    pub(super) is_gone: bool,
    /// The run is not confirmed yet.
    pub(super) trial: Option<FarTrial>,
    /// What it has changed is being put back.
    pub(super) puts_back: bool,
}

impl FarRun {
    pub(super) fn new(
        out: Outbox,
        warnings: Warnings,
        converged_timeout: Option<Duration>,
        receiving: Receiving,
        supply: Supply,
        acceptance: mpsc::UnboundedReceiver<bool>,
    ) -> FarRun {
        FarRun {
            out,
            warnings,
            converged_timeout,
            stays: false,
            receiving,
            // The first graph was handed over before the run.
            handed: matches!(supply, Supply::Graphs(_)).then_some(1).into_iter().collect(),
            supply,
            acceptance,
            pending: Vec::new(),
            missed: 0,
            rejected: None,
            is_moving: true,
            stage: Stage::Runs,
            hurry: None,
            end: None,
            is_gone: false,
            trial: None,
            puts_back: false,
        }
    }

    pub(super) fn stays(mut self, stays: bool) -> FarRun {
        self.stays = stays;
        self
    }

    pub(super) async fn execute<G: Gapi>(
        mut self,
        mut builder: Builder<G>,
        inbox: &mut Inbox,
        max_runtime: Duration,
    ) -> Result<End, Failed> {
        let mut signals = Signals::new().map_err(|error| Failed::Other(error.to_string()))?;
        let over = (!max_runtime.is_zero()).then(|| Instant::now() + max_runtime);
        if let Some(timeout) = self.converged_timeout {
            builder = builder.converged_timeout(timeout).watch_late(timeout.is_zero());
        }
        let mut events = builder.events();
        let afterwards = self.trial.is_some().then(|| builder.afterwards());
        let mut starting = std::pin::pin!(builder.start());
        let engine = loop {
            tokio::select! {
                engine = &mut starting => break engine,
                inbound = inbox.next() => match inbound {
                    Inbound::Message(ToFar::Stop(_)) => return Err(Failed::Stopped(HowEnded::Stopped)),
                    Inbound::Message(message) => self.early(message)?,
                    Inbound::Lost(_) => return Err(Failed::Stopped(HowEnded::StoppedThere)),
                },
                () = signals.next() => return Err(Failed::Stopped(HowEnded::StoppedThere)),
                () = until(over) => return Err(Failed::Stopped(HowEnded::MaxRuntime)),
            }
        };
        self.tell_warnings();
        let engine = match engine {
            Ok(engine) => engine,
            Err(error) => {
                let _ = self.out.send_line(std::mem::take(&mut self.pending)).await;
                if let Some(afterwards) = afterwards {
                    self.put_back(afterwards, inbox, &mut signals).await;
                }
                return Err(error.into());
            }
        };
        self.say(&ToNear::Begun);
        self.follow(&engine, &mut events, inbox, &mut signals, over).await;
        if self.stage < Stage::Abandons {
            while let Some(event) = events.try_next() {
                self.event(&event);
            }
        }
        let end = match (self.end.take(), engine.exit_code()) {
            (Some(end), _) => Ok(end),
            (None, Some(code)) => Ok(End { code, error: None, how: HowEnded::Exit }),
            (None, None) => match engine.ended().await {
                Ok(()) => Ok(End { code: FAILED, error: None, how: HowEnded::StoppedThere }),
                Err(error) => Err(error.into()),
            },
        };
        // The process that watches over this one puts it back if this one exits at once.
        if let Some(afterwards) = afterwards.filter(|_| self.stage < Stage::Abandons) {
            let _ = engine.ended().await;
            self.put_back(afterwards, inbox, &mut signals).await;
        }
        if !self.is_gone {
            let _ = self.out.send_line(std::mem::take(&mut self.pending)).await;
        }
        end
    }

    /// What comes while the engine starts.
    fn early(&mut self, message: ToFar) -> Result<(), Failed> {
        match message {
            ToFar::Part(part) => self.receiving.part(&part).map_err(Failed::Other),
            ToFar::Graph(sent) => {
                self.overtake(sent);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn follow(
        &mut self,
        engine: &Engine,
        events: &mut Events,
        inbox: &mut Inbox,
        signals: &mut Signals,
        over: Option<Instant>,
    ) {
        let mut look = interval(PROGRESS_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let out = self.out.clone();
        while self.stage < Stage::Abandons {
            tokio::select! {
                room = out.room(), if !self.pending.is_empty() && !self.is_gone => match room {
                    Ok(room) => room.send(std::mem::take(&mut self.pending)),
                    Err(_) => self.gone(engine),
                },
                event = events.next(), if self.pending.len() < BATCH_BYTES || self.is_gone => match event {
                    Some(event) => {
                        self.event(&event);
                        self.note_missed(events.missed());
                        self.react(engine, &event.kind).await;
                    }
                    None => return,
                },
                inbound = inbox.next(), if !self.is_gone => match inbound {
                    Inbound::Message(message) => self.message(engine, message).await,
                    Inbound::Lost(why) => {
                        // One that has asked for the end need not wait for it.
                        if self.stage == Stage::Runs {
                            tracing::warn!(target: "mgmt", "the near end is gone ({why}): the run stops");
                        }
                        self.gone(engine);
                    }
                },
                step = self.receiving.next() => self.step(step).await,
                Some(is_accepted) = self.acceptance.recv() => {
                    // The reason of a refusal is an event.
                    while let Some(event) = events.try_next() {
                        self.event(&event);
                        self.react(engine, &event.kind).await;
                    }
                    self.accepted(is_accepted);
                }
                _ = look.tick(), if self.is_moving && self.pending.is_empty() => {
                    if let Ok(progress) = engine.progress().await {
                        self.is_moving = progress.running > 0;
                        self.say(&ToNear::Progress(progress));
                    }
                }
                () = signals.next() => self.stop(engine, self.next_stage(), HowEnded::StoppedThere, 0),
                () = until(self.trial.as_ref().and_then(FarTrial::next_look)), if self.stage == Stage::Runs => {
                    self.look_at_trial(engine).await;
                }
                () = until(over), if self.stage == Stage::Runs => {
                    let code = alerts(engine).await;
                    self.stop(engine, Stage::Drains, HowEnded::MaxRuntime, code);
                    self.hurry = Some((Instant::now() + OVER_GRACE, OVER_GRACE));
                }
                () = until(self.hurry.map(|(when, _)| when)) => {
                    let pause = self.hurry.take().map_or(GONE_GRACE, |(_, pause)| pause);
                    self.stop(engine, self.next_stage(), HowEnded::StoppedThere, 0);
                    self.hurry = Some((Instant::now() + pause, pause));
                }
            }
        }
    }

    fn next_stage(&self) -> Stage {
        match self.stage {
            Stage::Runs => Stage::Drains,
            Stage::Drains => Stage::Cancels,
            Stage::Cancels | Stage::Abandons => Stage::Abandons,
        }
    }

    /// The first call decides how the run has ended.
    pub(super) fn stop(&mut self, engine: &Engine, stage: Stage, how: HowEnded, code: u8) {
        if stage <= self.stage {
            return;
        }
        self.stage = stage;
        match stage {
            Stage::Runs | Stage::Abandons => {}
            Stage::Drains => engine.shut_down(),
            Stage::Cancels => engine.cancel(),
        }
        self.end.get_or_insert(End { code, error: None, how });
    }

    pub(super) fn gone(&mut self, engine: &Engine) {
        self.is_gone = true;
        // It may come back by another connection; and what was begun to be put back is ended.
        if let Some(trial) = self.trial.as_mut().filter(|_| self.stage == Stage::Runs) {
            return trial.gone();
        }
        if self.puts_back {
            return;
        }
        self.stop(engine, Stage::Drains, HowEnded::StoppedThere, FAILED);
        self.hurry = Some((Instant::now() + GONE_GRACE, GONE_GRACE));
    }

    async fn message(&mut self, engine: &Engine, message: ToFar) {
        match message {
            ToFar::Stop(1 | 2) if self.puts_back => {}
            ToFar::Confirmed => self.confirmed(engine).await,
            ToFar::Stop(1) => self.stop(engine, Stage::Drains, HowEnded::Stopped, 0),
            ToFar::Stop(2) => self.stop(engine, Stage::Cancels, HowEnded::Stopped, 0),
            ToFar::Stop(_) => self.stop(engine, Stage::Abandons, HowEnded::Stopped, 0),
            ToFar::Status => {
                if let Ok(status) = engine.status().await {
                    self.say(&ToNear::Status(Box::new(fitting(status))));
                }
            }
            ToFar::Reload => {
                let engine = engine.clone();
                // If the new graph is refused, that is an event.
                tokio::spawn(async move { engine.reload().await });
            }
            ToFar::Graph(sent) => self.overtake(sent),
            ToFar::Part(part) => {
                if let Err(why) = self.receiving.part(&part) {
                    self.say(&ToNear::Warning(Note::new(why)));
                }
            }
            ToFar::Begin(_) | ToFar::Alive | ToFar::Stream(_) | ToFar::Certified(_) | ToFar::Servers(_) => {}
            ToFar::Detach | ToFar::Attach | ToFar::Seen(_) => {}
        }
    }

    fn overtake(&mut self, sent: Sent) {
        let why = match (&self.supply, &sent.graph) {
            (Supply::Graphs(_), Some(_)) | (Supply::Files(_), None) => None,
            (Supply::Graphs(_), None) => Some("only files have come, and the graph in force was sent with its own"),
            (Supply::Files(_), Some(_)) => Some("the executable makes its graph by itself, and takes no other one"),
        };
        if let Some(why) = why {
            return self.refuse(sent.number, vec![Note::new(why)]);
        }
        if let Some(former) = self.receiving.begin(sent) {
            self.refuse(former, vec![Note::new("another graph has come before it was complete")]);
        }
    }

    fn refuse(&mut self, number: u64, notes: Vec<Note>) {
        self.say(&ToNear::Graph { number, refused: Some(notes) });
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Want(wanted) => self.say(&ToNear::Want(wanted)),
            Step::Refused(number, notes) => self.refuse(number, notes),
            Step::Ready(arrived) => {
                self.handed.push_back(arrived.number);
                match (&self.supply, arrived.config) {
                    (Supply::Graphs(sender), Some(config)) => {
                        let sender = sender.clone();
                        // Waits until the engine has taken the one before.
                        tokio::spawn(async move { sender.send(config).await });
                    }
                    // An error means that the run ends.
                    (Supply::Files(place), _) => drop(place.send(arrived.placed)),
                    // A graph that was sent has come with a graph.
                    (Supply::Graphs(_), None) => {}
                }
            }
        }
    }

    fn accepted(&mut self, is_accepted: bool) {
        self.tell_warnings();
        let Some(number) = self.handed.pop_front() else {
            // The files that the executable's own graphs read.
            return self.receiving.accepted(1, is_accepted);
        };
        self.receiving.accepted(number, is_accepted);
        let why = self.rejected.take();
        let why = || why.unwrap_or_else(|| "the graph is refused there".to_owned());
        let refused = (!is_accepted).then(|| vec![Note::new(why())]);
        self.say(&ToNear::Graph { number, refused });
    }

    fn tell_warnings(&mut self) {
        for warning in Note::all(&self.warnings.take()) {
            self.say(&ToNear::Warning(warning));
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        self.is_moving = true;
        // That all is put back is no convergence of the graph.
        let is_own = matches!(event.kind, EventKind::Converged | EventKind::Unconverged) && self.puts_back;
        if self.is_gone || is_own {
            return;
        }
        match line(&ToNear::Event(event.clone())) {
            Ok(line) if line.len() <= LINE_BYTES_MAX => self.pending.extend_from_slice(&line),
            Ok(line) => {
                let (word, bytes) = (event.kind.word(), line.len());
                let whose = event.kind.id().map(|id| format!(" of {id}")).unwrap_or_default();
                let why = format!("an event `{word}`{whose} has {bytes} bytes, and is left out");
                self.say(&ToNear::Warning(Note::new(why)));
            }
            // A path that is no UTF-8 has no form as data.
            Err(_) => self.say(&ToNear::Warning(Note::new(event.kind.to_string()))),
        }
    }

    fn note_missed(&mut self, missed: u64) {
        if missed > self.missed {
            self.say(&ToNear::Missed(missed - self.missed));
            self.missed = missed;
        }
    }

    /// Adds a message to those that wait for room.
    pub(super) fn say(&mut self, message: &impl Serialize) {
        if let (false, Ok(line)) = (self.is_gone, line(message)) {
            self.pending.extend_from_slice(&line);
        }
    }

    /// Whether the event ends the run.
    pub(super) async fn react(&mut self, engine: &Engine, event: &EventKind) {
        match event {
            EventKind::Exit { code, .. } => return self.stop(engine, Stage::Drains, HowEnded::Exit, *code),
            EventKind::Rejected { problems } => self.rejected = Some(problems.clone()),
            _ => {}
        }
        if let (EventKind::Converged, Some(trial)) = (event, &mut self.trial) {
            return trial.converged();
        }
        if self.converged_timeout.is_none() || self.stays || self.stage > Stage::Runs {
            return;
        }
        match event {
            EventKind::Converged => {
                let code = alerts(engine).await;
                self.stop(engine, Stage::Drains, HowEnded::Converged, code);
            }
            // Events that report it may be outdated.
            EventKind::Hopeless => {
                let Ok(status) = engine.status().await else { return };
                if status.hopeless {
                    self.say(&ToNear::Hopeless(Box::new(fitting(status))));
                    self.stop(engine, Stage::Drains, HowEnded::Hopeless, FAILED);
                }
            }
            _ => {}
        }
    }
}

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}
