//! The engine for programs: starts from a builder, and is a handle on the graph that runs.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::gapi::{Failure, Gapi, fixed};
use crate::graph::{GraphConfig, Prepared};
use crate::id::ResourceId;
use crate::journal::Journal;
use crate::resource::{PrivateDir, PrivateDirs, Services};
use crate::runtime::builder::{Builder, Settings};
use crate::runtime::control::{Control, Reach};
use crate::runtime::core::Core;
use crate::runtime::departed::Departed;
use crate::runtime::drive::{Inboxes, Request, drive, is_simulated};
use crate::runtime::error::EngineError;
use crate::runtime::events::Events;
use crate::runtime::exchange;
use crate::runtime::files::{Files, OwnHub};
use crate::runtime::follow::{Follow, Reload, close, first_graph};
use crate::runtime::forget::count_daily;
use crate::runtime::guard::{Guard, Loss};
use crate::runtime::measure::Measures;
use crate::runtime::outlet::Readers;
use crate::runtime::outlook::Outlook;
use crate::runtime::prefix::Prefix;
use crate::runtime::prepare::Preparing;
use crate::runtime::running::Running;
use crate::runtime::slot::SlotTable;
use crate::runtime::status::{Progress, ResourceStatus, Status};
use crate::runtime::store::{Store, journal_of};
use crate::runtime::trial::{self, Recorded, Role, Tried};
use crate::runtime::watches::Watches;
use crate::scheduler::{Config, Scheduler, StopStage};
use crate::sys::clock::{self, Clock};
use crate::sys::if_simulated;
use crate::sys::rng;
use crate::sys::task::{blocking, caught};
use crate::sys::threads::on_thread_or_here;

/// How many operations may wait for the disk in addition to those that run. To make many of them durable together costs
/// little more than to make one; but each keeps a file and its directory open.
const YIELDED_MAX: usize = 64;

impl<G: Gapi> Builder<G> {
    /// Starts an engine: the first graph is made and checked, and runs from then on.
    ///
    /// # Errors
    /// There is no graph, the graph is wrong, or the prefix can't be used. Then nothing runs.
    pub async fn start(mut self) -> Result<Engine, EngineError> {
        has_runtime()?;
        self.options.wrong_host.take().map_or(Ok(()), |wrong| Err(EngineError::wrong(wrong)))?;
        self.options.preparing.site.begin_run(self.options.converged_timeout)?;
        let prefix = self.options.prefix()?;
        // Lock the prefix first: if another engine uses it, the source must not be asked for anything.
        let Opened { journal, dirs, existing, records } = self.open(&prefix).await?;
        let prepared = self.begin(&prefix).await?;
        let (mut core, inboxes, requests) = assemble(&self.options, prefix.path().to_owned(), dirs, journal);
        core.begin_graph(prepared, records, &self.options);
        if !prefix.is_temporary() {
            core.forget_absent(clock::today(), existing);
        }
        let (converged, exit_code) = (core.converged.subscribe(), core.exit_code.subscribe());
        let (events, site) = (Arc::clone(&self.options.events), self.options.preparing.site.clone());
        let (reloads, reloads_in) = mpsc::unbounded_channel();
        let ((ended, has_ended), (quit, quits)) = (watch::channel(None), watch::channel(None));
        let handle = Engine {
            shared: Arc::new(Handle {
                requests: requests.clone(),
                reloads,
                events: events.readers(),
                converged,
                exit_code,
                ended: has_ended,
                loss: Loss::default(),
                preparing: self.options.preparing.clone(),
                tried: Tried::of(&self.options.role, core.services.trial.clone(), prefix.path()),
            }),
        };
        let publishing = self.options.publishing(&core, &requests, &quits);
        let (preparing, no_watch) = (self.options.preparing, self.options.no_watch);
        let follow = Follow { preparing, no_watch, reloads: reloads_in, requests: requests.downgrade() };
        let control = handle.shared.look_after(&prefix, &core, self.options.watch_late, quits);
        drop(requests);
        let (shares_doors, (end, ending)) = (self.options.doors.is_some(), oneshot::channel());
        let role = self.options.role;
        let follow = tokio::spawn(follow.run(self.gapi, ending));
        tokio::spawn(async move {
            let end_of_memory = EndOfMemory(Arc::clone(&core.services), Arc::clone(&core.store));
            let mut core = drive(core, inboxes).await;
            site.end_begins();
            // An error means that the source has failed, and has ended the engine itself.
            let _ = end.send(());
            // The kernel takes milliseconds to end what listens to files: the source, the guard of the prefix and this
            // hub end theirs side by side.
            quit.send_replace(Some(()));
            let hub = core.watches.take_hub().map(|hub| tokio::spawn(on_thread_or_here(|| drop(hub))));
            let outcome = follow.await.unwrap_or_else(|error| Err(Failure::from_error(error)));
            all_ended(publishing).await;
            let connections = core.services.connections.clone();
            let is_converged = *core.converged.borrow();
            core.services.clear();
            drop(core);
            site.end().await;
            // The socket of the control is removed before the lock of the prefix is released.
            all_ended([control, hub]).await;
            if !shares_doors {
                connections.close().await;
            }
            trial::end(&role, prefix.path(), is_converged).await;
            match prefix.is_temporary() {
                // There is nothing to write, so that no thread is needed.
                true => drop(end_of_memory),
                false => on_thread_or_here(move || drop(end_of_memory)).await,
            }
            drop(prefix);
            drop(events);
            ended.send_replace(Some(outcome));
        });
        Ok(handle)
    }

    /// Locks and reads the prefix.
    async fn open(&self, prefix: &Prefix) -> Result<Opened, EngineError> {
        let (given, path, role) = (self.options.prefix.clone(), prefix.path().to_owned(), self.options.role.clone());
        blocking(move || Opened::of(given.as_deref(), &path, &role)).await
    }

    /// The part of a start that can fail after the prefix is locked. Then the source is closed.
    async fn begin(&mut self, prefix: &Prefix) -> Result<Prepared, EngineError> {
        let prepared = self.first(prefix).await;
        if prepared.is_err() {
            close(&mut self.gapi).await;
        }
        prepared
    }

    async fn first(&mut self, prefix: &Prefix) -> Result<Prepared, EngineError> {
        self.options.preparing.take_part();
        self.options.preparing.site.runs = true;
        let data = self.options.for_source(prefix.path());
        let config = first_graph(&mut self.gapi, data).await?;
        self.options.spare(self.gapi.files());
        Ok(self.options.preparing.here(config).await?)
    }
}

impl Settings {
    /// Begins to tell other hosts of this one. What this host exports stays as it is while something is put back.
    fn publishing(
        &self,
        core: &Core,
        requests: &mpsc::UnboundedSender<Request>,
        quits: &watch::Receiver<Option<()>>,
    ) -> [Option<JoinHandle<()>>; 3] {
        match self.role {
            Role::PutBack => [const { None }; 3],
            _ => exchange::begin(&self.preparing, core, requests, quits),
        }
    }
}

async fn all_ended<const N: usize>(tasks: [Option<JoinHandle<()>>; N]) {
    for task in tasks.into_iter().flatten() {
        // An error means that the task has panicked, or that the runtime ends. It has ended then, too.
        let _ = task.await;
    }
}

/// What an engine finds in its prefix.
struct Opened {
    journal: Journal,
    dirs: PrivateDirs,
    /// The private directories that exist.
    existing: Vec<PrivateDir>,
    records: Recorded,
}

impl Opened {
    /// Locks and reads the prefix `given`, whose absolute path is `path`. Without a prefix, nothing is at `path`.
    /// Blocks.
    fn of(given: Option<&Path>, path: &Path, role: &Role) -> Result<Opened, EngineError> {
        let journal = journal_of(given)?;
        // A simulated host has a prefix, given or not.
        let has_state = given.is_some() || is_simulated();
        let (dirs, existing) = match has_state {
            true => PrivateDirs::open(path, true),
            false => (PrivateDirs::new(path), Vec::new()),
        };
        let records = if has_state { trial::begin(role, path)? } else { Recorded::nothing(role, path)? };
        Ok(Opened { journal, dirs, existing, records })
    }
}

/// On drop, when the engine ends or its runtime does: drops what the resources keep, and closes the journal, which
/// releases the prefix.
struct EndOfMemory(Arc<Services>, Arc<Store>);

impl Drop for EndOfMemory {
    fn drop(&mut self) {
        let EndOfMemory(services, store) = self;
        services.clear();
        if let Err(problem) = store.close() {
            tracing::error!(target: "mgmt", "the journal: {problem}");
        }
    }
}

/// Fails if there is no tokio runtime, or one without time and io: otherwise the engine would panic later.
pub(crate) fn has_runtime() -> Result<(), EngineError> {
    let used = caught(|| (tokio::time::sleep(Duration::ZERO), tokio::net::UnixDatagram::unbound()).1.map(drop));
    let used = used.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
    used.map_err(|error| {
        let needs = format!("it needs a tokio runtime with time and io enabled: {error}");
        EngineError::System(std::io::Error::other(needs))
    })
}

/// Makes a core without a graph, and the channels into it.
pub(crate) fn assemble(
    options: &Settings,
    prefix: PathBuf,
    dirs: PrivateDirs,
    journal: Journal,
) -> (Core, Inboxes, mpsc::UnboundedSender<Request>) {
    let (requests, requests_in) = mpsc::unbounded_channel();
    let (answers, answers_in) = mpsc::unbounded_channel();
    let (reports, reports_in) = mpsc::unbounded_channel();
    let (committed, committed_in) = mpsc::unbounded_channel();
    let store = Arc::new(Store::new(journal));
    let mut seed = [0; 8];
    // Without random numbers the jitter of retries is the same in every run, which does no harm.
    let _ = rng::fill(&mut seed);
    let config = Config {
        running_max: options.running_max,
        reserve: options.reserve(),
        yielded_max: YIELDED_MAX,
        converged_timeout: options.converged_timeout,
        watch_late: options.watch_late,
        seed: u64::from_ne_bytes(seed),
        node_events: true,
    };
    let doors = options.doors.clone().unwrap_or_default();
    let files = files_of(options);
    let mut services = Services::new(Arc::clone(&store) as _, store.salt(), prefix, dirs);
    services.owned.set_own(services.prefix.clone(), options.spared.clone());
    services.provisions = options.preparing.settings.provided();
    services.connections = doors.connections.clone();
    services.hostname.clone_from(&options.hostname);
    options.preparing.site.serve(&mut services);
    let core = Core {
        scheduler: Scheduler::new(config),
        clock: Clock::start(),
        services: Arc::new(services),
        store,
        running: Running::default(),
        slots: SlotTable::default(),
        watches: Watches::new(files, &doors, reports),
        owned: Default::default(),
        overflows: Default::default(),
        events: Arc::clone(&options.events),
        history: (options.control && options.prefix.is_some()).then(RefCell::default),
        converged: watch::channel(false).0,
        outlook: Outlook::new(options.preparing.site.counts_all, options.preparing.reports_state()),
        in_force: watch::channel(None).0,
        answers,
        grace: options.grace,
        committed,
        slowness: Default::default(),
        recent: None,
        lane: options.lane(),
        measured: options.measure.then(Box::default),
        begun: 0,
        spare: None,
        calls: Default::default(),
        departed: Departed::default(),
        culprits: Default::default(),
        unattended: Vec::new(),
        journal_problem: None,
        stopped: false,
        exit_code: watch::channel(None).0,
        idle_wanted: Vec::new(),
    };
    let inboxes = Inboxes { requests: requests_in, answers: answers_in, reports: reports_in, committed: committed_in };
    (core, inboxes, requests)
}

/// Where an engine gets its notices about files from.
fn files_of(options: &Settings) -> Box<dyn Files> {
    if_simulated!(host => Box::new(host.seat()));
    match &options.doors {
        Some(doors) => Box::new(doors.files.seat()),
        None => Box::new(OwnHub::new(options.watch.clone())),
    }
}

#[derive(Debug)]
struct Handle {
    requests: mpsc::UnboundedSender<Request>,
    reloads: mpsc::UnboundedSender<Reload>,
    events: Readers,
    converged: watch::Receiver<bool>,
    exit_code: watch::Receiver<Option<u8>>,
    ended: watch::Receiver<Option<Result<(), Failure>>>,
    loss: Loss,
    preparing: Preparing,
    tried: Option<Tried>,
}

impl Handle {
    /// Starts the tasks that a permanent prefix needs for as long as the engine runs, which is until `quits`. Returns
    /// the one that serves clients, if these can ask.
    fn look_after(
        &self,
        prefix: &Prefix,
        core: &Core,
        watch_late: bool,
        quits: watch::Receiver<Option<()>>,
    ) -> Option<JoinHandle<()>> {
        if prefix.is_temporary() {
            return None;
        }
        let (requests, stirred) = (self.requests.downgrade(), Arc::new(Notify::new()));
        tokio::spawn(count_daily(core.services.dirs.clone(), requests.clone(), self.ended.clone()));
        let (store, loss) = (Arc::clone(&core.store), Arc::clone(&self.loss));
        let guard = Guard { prefix: prefix.path().to_owned(), store, requests, loss, stirred: Arc::clone(&stirred) };
        // Most runs with `watch_late` have ended before this delay is over.
        let delay = if watch_late { Duration::from_secs(1) } else { Duration::ZERO };
        tokio::spawn(guard.run(delay, quits.clone()));
        core.history.as_ref()?;
        let control = Control { reach: self.reach(prefix), stirred, quits };
        Some(tokio::spawn(control.run(delay)))
    }

    /// The way for clients of the control socket.
    fn reach(&self, prefix: &Prefix) -> Reach {
        let (requests, reloads) = (self.requests.downgrade(), self.reloads.downgrade());
        Reach { requests, reloads, prefix: prefix.path().to_owned() }
    }
}

/// A handle on a running engine. Clones are handles on the same engine. When the last one is dropped, the engine is
/// cancelled.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Handle>,
}

impl Engine {
    /// A builder with the default settings: its source is one graph without resources.
    pub fn builder() -> Builder {
        Builder { gapi: fixed(GraphConfig::default()), options: Settings::default() }
    }

    /// Waits until all resources have been settled for the converged timeout.
    ///
    /// # Errors
    /// The engine has ended, or ends before that.
    pub async fn converged(&self) -> Result<(), EngineError> {
        let mut converged = self.shared.converged.clone();
        match converged.wait_for(|converged| *converged).await {
            Ok(_) => Ok(()),
            Err(_) => Err(EngineError::Ended),
        }
    }

    /// Whether the engine is converged now.
    pub fn is_converged(&self) -> bool {
        *self.shared.converged.borrow()
    }

    /// The events from now on.
    pub fn events(&self) -> Events {
        self.shared.events.subscribe()
    }

    /// The state of the engine and of its resources.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn status(&self) -> Result<Status, EngineError> {
        self.ask(Request::Status).await
    }

    /// The state of one resource. `None` if it is not in the graph in force.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn resource(&self, id: &ResourceId) -> Result<Option<ResourceStatus>, EngineError> {
        self.ask(|reply| Request::Resource(id.clone(), reply)).await
    }

    /// How far the engine has got. This is cheap: it does not look at every resource.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn progress(&self) -> Result<Progress, EngineError> {
        self.ask(Request::Progress).await
    }

    /// The measurements since the engine started. Without [`Builder::measure`], only the numbers of watches and of owed
    /// refreshes.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn measures(&self) -> Result<Measures, EngineError> {
        self.ask(Request::Measures).await
    }

    /// Puts another graph in force. Only the difference to the graph before is touched.
    ///
    /// # Errors
    /// The graph is wrong: the graph before stays in force. Or the engine has ended.
    pub async fn swap(&self, config: GraphConfig) -> Result<(), EngineError> {
        let prepared = self.shared.preparing.here(config).await?;
        self.ask(|reply| Request::Swap { prepared, over: None, reply }).await
    }

    /// Asks the source of graphs for its graph again, even if the source has noticed no change: a YAML file is read, a
    /// program that prints a graph runs, or a closure is called. Returns when the new graph is in force. A source that
    /// has nothing to read again (a fixed graph, a channel) leaves the graph as it is.
    ///
    /// # Errors
    /// There is no new graph, or it is wrong: the graph before stays in force. Or the engine has ended.
    pub async fn reload(&self) -> Result<(), EngineError> {
        let (reply, answer) = oneshot::channel();
        self.shared.reloads.send(reply).map_err(|_| EngineError::Ended)?;
        answer.await.map_err(|_| EngineError::Ended)?
    }

    /// Starts no operation until [`resume`](Engine::resume). Operations under way continue; to wait until they have
    /// ended, use [`idle`](Engine::idle). Changes during the pause are not lost.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn pause(&self) -> Result<(), EngineError> {
        self.ask(Request::Pause).await
    }

    /// Returns when no operation is under way. After [`pause`](Engine::pause), that is when the last one has ended;
    /// without a pause, the next one may begin at once.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn idle(&self) -> Result<(), EngineError> {
        self.ask(Request::Idle).await
    }

    /// Continues after a [`pause`](Engine::pause).
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn resume(&self) -> Result<(), EngineError> {
        self.ask(Request::Resume).await
    }

    /// Stops the engine: no operation starts any more, running checks are cancelled, running applies may end. Returns
    /// when the engine has ended. Meanwhile [`cancel`](Engine::cancel) can cancel the applies, too.
    ///
    /// # Errors
    /// The engine has ended, or ends, for another reason: the error is that reason.
    pub async fn stop(&self) -> Result<(), EngineError> {
        self.begin_stop(StopStage::Drain);
        self.ended().await
    }

    /// Begins a [`stop`](Engine::stop) without waiting for its end.
    pub fn shut_down(&self) {
        self.begin_stop(StopStage::Drain);
    }

    /// Stops the engine, and cancels all running operations. Returns at once. The next check finds what is half done.
    pub fn cancel(&self) {
        self.begin_stop(StopStage::Cancel);
    }

    fn begin_stop(&self, stage: StopStage) {
        // An error means that the loop has ended already.
        let _ = self.shared.requests.send(Request::Stop(stage));
    }

    /// The exit code with which a resource of the kind `exit` has requested the end of the program; the engine stops
    /// then. `None` as long as none has.
    pub fn exit_code(&self) -> Option<u8> {
        *self.shared.exit_code.borrow()
    }

    /// Returns when the engine has ended.
    ///
    /// # Errors
    /// The engine has ended without being stopped: its prefix was lost, or its source of graphs failed.
    pub async fn ended(&self) -> Result<(), EngineError> {
        let mut ended = self.shared.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(_) if let Some(loss) = self.shared.loss.get() => Err(EngineError::Lost(loss.clone())),
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())).map_err(EngineError::Gapi),
            Err(_) => Err(EngineError::Ended),
        }
    }

    /// The trial that this engine is.
    pub(crate) fn tried(&self) -> Option<&Tried> {
        self.shared.tried.as_ref()
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.shared.requests.send(request(reply)).map_err(|_| EngineError::Ended)?;
        answer.await.map_err(|_| EngineError::Ended)
    }
}
