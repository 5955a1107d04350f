//! The far end: the executable on another machine, as it was started by the near end. It plans or runs a graph and
//! reports all of it to the near end. It ends when the near end does.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::gapi::{Fixed, Gapi, Packed, TravelTerms, Warnings, builtin_kinds, channel, fixed, pack_files};
use crate::graph::{ContentRef, GraphConfig, Kinds, Problems};
use crate::remote::detached::{Hub, Stays, place_of};
use crate::remote::error::Note;
use crate::remote::far_detached::of_detached;
use crate::remote::far_graphs::FarGraphs;
use crate::remote::far_guard;
use crate::remote::far_link::{Closed, Inbound, Inbox, Outbox};
use crate::remote::far_run::{FarRun, Supply};
use crate::remote::far_trial::{confirmed, no_prefix, tried};
use crate::remote::far_world::enter;
use crate::remote::job::PRIVATE;
use crate::remote::message::{
    Begin, End, Hello, HowEnded, JobSettings, MARK, Part, SILENCE_MAX, Task, ToFar, ToNear, VERSION, plan_parts,
};
use crate::remote::receiving::Receiving;
use crate::runtime::{Builder, Engine, EngineError};
use crate::sys::process::{FAR_END_VARIABLE, own_session};
use crate::sys::stdio::Conversation;
use crate::sys::task::blocking;
use crate::sys::users::is_root;
use crate::sys::{facts, stdio};

/// The exit code of a failure.
const FAILED: u8 = 1;
/// That of a plan with changes.
const PENDING: u8 = 2;
/// How long the last message may take if no near end is there.
const LOST_WORDS: Duration = Duration::from_millis(200);
/// How long the near end may take to begin.
const BEGIN_MAX: Duration = Duration::from_secs(30);

/// An executable that a near end has started.
#[derive(Debug)]
pub struct FarEnd {
    nonce: String,
    /// If this process stays when the near end leaves.
    stays: Option<Stays>,
    kinds: Kinds,
}

/// Whether this process was started by the near end of a run: then it must [serve](FarEnd::serve) that and exit, before
/// it prints anything. Programs that are made with [`mgmt::main`](crate::main()) do so by themselves, in the command
/// `remote`.
pub fn far_end() -> Option<FarEnd> {
    let nonce = std::env::var(FAR_END_VARIABLE).ok().filter(|nonce| !nonce.is_empty())?;
    let stays = place_of(nonce.as_ref());
    Some(FarEnd { nonce, stays, kinds: builtin_kinds() })
}

/// What the base of a far end is for.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "only a command line has a prefix and a world of its own"))]
pub(crate) struct BaseFor {
    /// Nothing may be changed.
    pub(crate) looks: bool,
    /// The near end gives it a world, in place of its own.
    pub(crate) has_world: bool,
}

/// What a far end starts from.
#[derive(Debug)]
pub(crate) struct Base<G> {
    /// The settings of the engine, with its prefix and its source of graphs.
    pub(crate) builder: Builder<G>,
    /// The prefix; files that travel are kept in it. `None`: nothing is remembered.
    pub(crate) prefix: Option<PathBuf>,
    /// Whether nothing is changed: every resource is in noop, or drift is only reported.
    pub(crate) noop: bool,
    /// Whether the prefix is removed at the end.
    pub(crate) is_temporary: bool,
    /// Where the warnings about graphs go.
    pub(crate) warnings: Warnings,
    pub(crate) converged_timeout: Option<Duration>,
    /// Zero: no limit.
    pub(crate) max_runtime: Duration,
}

impl FarEnd {
    /// The kinds that a graph may use that comes from the near end. Default: the built-in ones.
    #[must_use]
    pub fn kinds(mut self, kinds: Kinds) -> FarEnd {
        self.kinds = kinds;
        self
    }

    /// Serves the near end: a graph that it sends is planned or run. Returns the exit code, with which the program must
    /// end: what could not be stopped in time may still run.
    pub async fn serve(self) -> ExitCode {
        let base = |_: BaseFor| -> Result<Base<Fixed>, String> {
            let warnings = Warnings::kept();
            let builder = Engine::builder().warnings(warnings.clone()).gapi(fixed(GraphConfig::default()));
            Ok(Base {
                builder,
                prefix: None,
                noop: false,
                is_temporary: false,
                warnings,
                converged_timeout: None,
                max_runtime: Duration::ZERO,
            })
        };
        ExitCode::from(self.serve_with(base).await)
    }

    /// The same for a program with a graph of its own. `base`: what it starts from.
    pub(crate) async fn serve_with<G: Gapi>(self, base: impl FnOnce(BaseFor) -> Result<Base<G>, String>) -> u8 {
        if let Some(guard) = far_guard::guard_of(OsStr::new(&self.nonce)) {
            let builder =
                || Ok(base(BaseFor { looks: false, has_world: false })?.builder.kinds(self.kinds.iter().copied()));
            return match guard.watch(builder).await {
                Ok(()) => 0,
                Err(error) => {
                    tracing::error!(target: "mgmt", "what a run has changed that was not confirmed is not put back: {error}");
                    FAILED
                }
            };
        }
        let Some((conversation, hub)) = self.conversation().await else { return FAILED };
        let out = Outbox::new(conversation.output);
        let mut inbox = Inbox::new(conversation.input);
        if hub.is_some() {
            inbox = inbox.patient();
        }
        // A near end reaches a run that stays through a process that has greeted it.
        if hub.is_none() && greet(&self.nonce, &out).await.is_err() {
            return FAILED;
        }
        let outcome = match begun(&mut inbox).await {
            Ok(begin) => self.execute(begin, base, &mut inbox, &out).await,
            Err(why) => Err(Failed::Other(why)),
        };
        let end = match outcome {
            Ok(end) => end,
            Err(failed) => failed.end(&out).await,
        };
        let code = end.code;
        if let Some(hub) = &hub {
            hub.record_end(&end).await;
        }
        let last = async {
            let _ = out.send(&ToNear::End(end)).await;
            out.flush().await;
            if let Some(hub) = &hub {
                hub.finish().await;
            }
        };
        // Without a near end, what is not written at once never will be.
        let limit = if inbox.is_lost() { LOST_WORDS } else { SILENCE_MAX };
        let _ = timeout(limit, last).await;
        code
    }

    /// The way to the near end: the standard streams, or those that come and go.
    async fn conversation(&self) -> Option<(Conversation, Option<Hub>)> {
        let taken = match &self.stays {
            None => stdio::take().map(|conversation| (conversation, None)),
            Some(stays) => {
                own_session();
                Hub::begin(stays).await.map(|(hub, conversation)| (conversation, Some(hub)))
            }
        };
        match taken {
            Ok(taken) => Some(taken),
            Err(error) => {
                tracing::error!(target: "mgmt", "the near end can't be talked with: {error}");
                None
            }
        }
    }

    async fn execute<G: Gapi>(
        self,
        begin: Begin,
        base: impl FnOnce(BaseFor) -> Result<Base<G>, String>,
        inbox: &mut Inbox,
        out: &Outbox,
    ) -> Result<End, Failed> {
        let looks = !matches!(begin.task, Task::Run | Task::Detach { .. });
        let JobSettings { stays, is_here, trial, trail, hostname: host, .. } = begin.settings.clone();
        // Packing runs nothing, on the machine where the way begins.
        if let Some(why) = trail.refusal().filter(|_| !matches!(begin.task, Task::Pack { .. })) {
            return Err(Failed::Other(why));
        }
        let base = base(BaseFor { looks, has_world: begin.world.is_some() }).map_err(Failed::Other)?;
        let mut base = base.with(&begin.settings);
        if self.stays.is_none()
            && let Some(end) = of_detached(&begin, &base, inbox, out).await
        {
            return end;
        }
        base.builder = base.builder.provide_own(self.kinds.clone());
        let Base { mut builder, prefix, noop, is_temporary, warnings, converged_timeout, max_runtime } = base;
        if let Task::Confirm { id } = begin.task {
            let prefix = prefix.ok_or_else(no_prefix)?;
            return unless_stopped(confirmed(&prefix, id), inbox).await?;
        }
        if let Task::Pack { on_hosts } = begin.task {
            return pack(builder, &warnings, on_hosts, inbox, out).await;
        }
        let kinds = self.kinds.clone();
        let mut receiving = Receiving::new(self.kinds, prefix.clone(), looks);
        let first = match begin.graph {
            Some(graph) => Some(receiving.first(graph, inbox, out).await?),
            None => None,
        };
        let world = match begin.world {
            Some(offer) => {
                enter(offer, (prefix.clone(), host), (looks || noop, self.stays.is_some()), inbox, out).await?
            }
            None => None,
        };
        if let Some(world) = &world {
            builder = world.give(builder);
        }
        let trail = trail.in_world(builder.options.preparing.site.member.is_some());
        builder = builder.provide_own(trail.clone());
        let (sender, sent) = channel();
        let (accepted, acceptance) = mpsc::unbounded_channel();
        let (placed, config) = first.map_or((None, None), |first| (Some(first.placed), first.config));
        let is_sent = config.is_some();
        if let Some(config) = config {
            // The receiver is here, and has room for one.
            let _ = sender.send(config).await;
        }
        let (place, arriving) = mpsc::unbounded_channel();
        // What the near end sends is followed in any case: it decides by itself what it sends.
        let no_watch = builder.options.no_watch;
        let builder = builder.no_watch(false).map_gapi(|own| match is_sent {
            true => FarGraphs::sent(sent, accepted, trail),
            false => FarGraphs::own((own, no_watch), placed, kinds, arriving, accepted, trail),
        });
        if looks {
            return plan(builder, &warnings, inbox, out).await;
        }
        let supply = if is_sent { Supply::Graphs(sender) } else { Supply::Files(place) };
        let run = FarRun::new(out.clone(), warnings, converged_timeout, receiving, supply, acceptance).stays(stays);
        let (run, builder) = match trial.filter(|_| !noop) {
            Some(trial) => tried(run, builder, (trial, is_here), prefix.filter(|_| !is_temporary), out).await?,
            None => (run, builder),
        };
        run.execute(builder, inbox, max_runtime).await
    }
}

impl<G: Gapi> Base<G> {
    fn with(mut self, settings: &JobSettings) -> Base<G> {
        let JobSettings {
            hostname,
            prefix,
            noop,
            alert_only,
            no_watch,
            converged_timeout,
            max_runtime,
            stays: _,
            is_here: _,
            trial: _,
            trail,
        } = settings.clone();
        self.builder = self.builder.provide_own(trail);
        if let Some(hostname) = hostname {
            self.builder = self.builder.hostname(hostname);
        }
        if let Some(prefix) = prefix {
            self.builder = self.builder.prefix(&prefix);
            (self.prefix, self.is_temporary) = (Some(prefix), false);
        }
        if noop {
            self.noop = true;
            self.builder = self.builder.noop(true);
        }
        if alert_only {
            self.noop = true;
            self.builder = self.builder.alert_only(true);
        }
        if no_watch {
            self.builder = self.builder.no_watch(true);
        }
        self.converged_timeout = converged_timeout.map(|timeout| timeout.0).or(self.converged_timeout);
        self.max_runtime = max_runtime.map_or(self.max_runtime, |time| time.0);
        self
    }
}

/// Begins the conversation.
async fn greet(nonce: &str, out: &Outbox) -> Result<(), Closed> {
    let hello = Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        hostname: facts::hostname(),
        arch: std::env::consts::ARCH.to_owned(),
        root: is_root(),
    };
    // Other output may have no end of line.
    out.send_line(format!("\n{MARK}{VERSION} {nonce}\n").into_bytes()).await?;
    out.send(&ToNear::Hello(hello)).await
}

/// The first message, if it is one that this version can follow.
async fn begun(inbox: &mut Inbox) -> Result<Begin, String> {
    match timeout(BEGIN_MAX, inbox.next()).await {
        Ok(Inbound::Message(ToFar::Begin(begin))) if begin.version == VERSION => Ok(*begin),
        Ok(Inbound::Message(ToFar::Begin(begin))) => Err(format!(
            "the near end speaks version {} of the protocol, and this one version {VERSION}",
            begin.version
        )),
        Ok(Inbound::Message(_)) => Err("the near end does not begin".to_owned()),
        Ok(Inbound::Lost(why)) => Err(why),
        Err(_) => Err(format!("the near end does not begin within {} s", BEGIN_MAX.as_secs())),
    }
}

/// Why nothing was planned or run.
#[derive(Debug)]
pub(super) enum Failed {
    Problems(Vec<Note>),
    Other(String),
    /// The near end has stopped it, or is gone.
    Stopped(HowEnded),
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Failed {
        match error {
            EngineError::Graph(Problems(problems)) => Failed::Problems(Note::all(&problems)),
            error => Failed::Other(error.to_string()),
        }
    }
}

impl Failed {
    /// The problems are sent; what is left is the end.
    async fn end(self, out: &Outbox) -> End {
        match self {
            Failed::Problems(problems) => {
                for problem in problems {
                    if out.send(&ToNear::Problem(problem)).await.is_err() {
                        break;
                    }
                }
                End { code: FAILED, error: None, how: HowEnded::Failed }
            }
            Failed::Other(error) => End { code: FAILED, error: Some(error), how: HowEnded::Failed },
            Failed::Stopped(how) => End { code: 0, error: None, how },
        }
    }
}

/// Packs the files that the graph reads which the executable makes, and sends all of them: this is the machine of the
/// near end.
async fn pack<G: Gapi>(
    builder: Builder<G>,
    warnings: &Warnings,
    on_hosts: Vec<PathBuf>,
    inbox: &mut Inbox,
    out: &Outbox,
) -> Result<End, Failed> {
    let packing = async {
        let config = builder.declared().await?;
        let terms = TravelTerms { on_hosts, private: PRIVATE };
        Ok::<_, EngineError>(blocking(move || pack_files(&config, &terms)).await?)
    };
    let packed = unless_stopped(packing, inbox).await?;
    tell_warnings(warnings, out).await;
    let Packed { name, resources, carried, contents, .. } = packed?;
    for (sha256, bytes) in &contents {
        for part in Part::all_plain(ContentRef { sha256: *sha256, bytes: bytes.len() as u64 }, bytes) {
            out.send(&ToNear::Packed(part)).await.map_err(gone)?;
        }
    }
    out.send(&ToNear::Cargo { name, resources, carried }).await.map_err(gone)?;
    Ok(End { code: 0, error: None, how: HowEnded::Packed })
}

pub(super) fn gone(_: Closed) -> Failed {
    Failed::Stopped(HowEnded::StoppedThere)
}

async fn tell_warnings(warnings: &Warnings, out: &Outbox) {
    for warning in Note::all(&warnings.take()) {
        let _ = out.send(&ToNear::Warning(warning)).await;
    }
}

/// The outcome, unless the near end stops it or is gone before.
async fn unless_stopped<T>(work: impl Future<Output = T>, inbox: &mut Inbox) -> Result<T, Failed> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            outcome = &mut work => return Ok(outcome),
            inbound = inbox.next() => match inbound {
                Inbound::Message(ToFar::Stop(_)) => return Err(Failed::Stopped(HowEnded::Stopped)),
                Inbound::Message(_) => {}
                Inbound::Lost(_) => return Err(Failed::Stopped(HowEnded::StoppedThere)),
            },
        }
    }
}

async fn plan<G: Gapi>(
    builder: Builder<G>,
    warnings: &Warnings,
    inbox: &mut Inbox,
    out: &Outbox,
) -> Result<End, Failed> {
    let plan = unless_stopped(builder.plan(), inbox).await?;
    tell_warnings(warnings, out).await;
    let plan = plan?;
    let parts = plan_parts(&plan).map_err(|error| Failed::Other(format!("the plan has no form as data: {error}")))?;
    for part in parts {
        out.send(&ToNear::Plan(part)).await.map_err(gone)?;
    }
    let code = match () {
        () if plan.has_failed() => FAILED,
        () if plan.is_empty() => 0,
        () => PENDING,
    };
    Ok(End { code, error: None, how: HowEnded::Planned })
}
