//! The engine as programs see it: a builder, and a handle on what runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::gapi::{Failure, Fixed, Gapi, GapiData, fixed};
use crate::graph::{self, GraphConfig, Pass, Prepared};
use crate::id::ResourceId;
use crate::journal::Journal;
use crate::resource::{PrivateDir, PrivateDirs, Provisions, Services};
use crate::runtime::core::Core;
use crate::runtime::doors::Doors;
use crate::runtime::drive::{Inboxes, Request, drive};
use crate::runtime::error::EngineError;
use crate::runtime::event::Events;
use crate::runtime::files::{Files, OwnHub};
use crate::runtime::follow::{Follow, close, first_graph};
use crate::runtime::forget::count_daily;
use crate::runtime::lane::Lane;
use crate::runtime::measure::Measures;
use crate::runtime::outlet::{Outlet, Readers};
use crate::runtime::prefix::Prefix;
use crate::runtime::prepare::Preparing;
use crate::runtime::running::Running;
use crate::runtime::slot::SlotTable;
use crate::runtime::status::{Progress, ResourceStatus, Status};
use crate::runtime::store::{Store, journal_of};
use crate::runtime::watches::Watches;
use crate::scheduler::{Config, Scheduler, StopStage};
use crate::sys::clock::{self, Clock};
use crate::sys::facts;
use crate::sys::fs::hub;
use crate::sys::rng;
use crate::sys::task::{blocking, caught};

/// The default of `Builder::grace`.
const GRACE: Duration = Duration::from_secs(5);

/// Settings of an engine, and where its graphs come from.
#[derive(Debug)]
#[must_use]
pub struct Builder<G = Fixed> {
    pub(crate) gapi: G,
    pub(crate) options: Settings,
}

/// Settings of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) prefix: Option<PathBuf>,
    pub(crate) hostname: String,
    /// What is wrong with the name that the program has given it. (That of a machine is taken as it is.)
    pub(crate) wrong_host: Option<String>,
    pub(crate) preparing: Preparing,
    pub(crate) no_watch: bool,
    pub(crate) converged_timeout: Duration,
    pub(crate) grace: Duration,
    pub(crate) running_max: usize,
    pub(crate) inherit_env: bool,
    pub(crate) measure: bool,
    pub(crate) watch: hub::Options,
    pub(crate) doors: Option<Doors>,
    pub(crate) events: Arc<Outlet>,
}

impl<G: Gapi> Builder<G> {
    /// Where its graphs come from.
    pub fn gapi<H: Gapi>(self, gapi: H) -> Builder<H> {
        Builder { gapi, options: self.options }
    }

    /// One graph that never changes by itself.
    pub fn graph(self, config: GraphConfig) -> Builder<Fixed> {
        self.gapi(fixed(config))
    }

    /// What a graph is called that has no name of its own. Default: `graph`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = name.into();
        self
    }

    /// Its working directory: the journal and the resources' own files are there. Only one engine can use it at a time. Without one, nothing is
    /// remembered beyond the engine's end.
    pub fn prefix(mut self, prefix: impl Into<PathBuf>) -> Self {
        self.options.prefix = Some(prefix.into());
        self
    }

    /// The name of this host: letters, digits, `-`, `_` and `.` (else [`start`](Builder::start) fails). Default: the
    /// system's, whatever it is.
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.options.hostname = hostname.into();
        self.options.wrong_host = facts::check_hostname(&self.options.hostname).err();
        self
    }

    /// Puts every resource in noop. Default: no.
    pub fn noop(self, noop: bool) -> Self {
        self.prepare_with(|settings| settings.noop(noop))
    }

    /// One more pass over every graph, after those that were given before. Default: none.
    pub fn pass(self, pass: impl Pass) -> Self {
        self.prepare_with(|settings| settings.pass(pass))
    }

    /// Whether passes may add edges to graphs. Default: yes.
    pub fn autoedge(self, autoedge: bool) -> Self {
        self.prepare_with(|settings| settings.autoedge(autoedge))
    }

    /// Whether resources may be grouped. Default: yes.
    pub fn autogroup(self, autogroup: bool) -> Self {
        self.prepare_with(|settings| settings.autogroup(autogroup))
    }

    /// How long all resources together may look at the system before the passes (see [`Prepare`](crate::resource::Prepare)); those that take longer add
    /// nothing, with a warning. Default: 10 seconds.
    pub fn prepare_timeout(mut self, timeout: Duration) -> Self {
        self.options.preparing.timeout = timeout;
        self
    }

    fn prepare_with(mut self, set: impl FnOnce(graph::Settings) -> graph::Settings) -> Self {
        self.options.preparing.settings = set(self.options.preparing.settings);
        self
    }

    /// Called with every graph that is ready, before it is put in force, planned, or returned by [`check`](Builder::check); that waits until `inspect` returns.
    /// Default: nothing is called.
    pub fn inspect<F: Future<Output = ()> + Send + 'static>(
        mut self,
        inspect: impl Fn(Prepared) -> F + Send + Sync + 'static,
    ) -> Self {
        self.options.preparing.inspect = Some(Arc::new(move |prepared| Box::pin(inspect(prepared))));
        self
    }

    /// Asks its source for one graph only. Default: it follows.
    pub fn no_watch(mut self, no_watch: bool) -> Self {
        self.options.no_watch = no_watch;
        self
    }

    /// How long all resources must have been settled to be called converged. Default: zero.
    pub fn converged_timeout(mut self, timeout: Duration) -> Self {
        self.options.converged_timeout = timeout;
        self
    }

    /// How long what a cancelled operation has begun besides its own future (a thread, a write, a request to another
    /// process) may take to end. Default: 5 s. After that the engine warns, naming the resource and what it still does,
    /// and continues without it: a stop completes, other resources run. The resource itself is not touched before that
    /// work has ended: its checks fail with this reason until then, and after that it is checked again.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// How many operations run at once; resources that a kind handles in one call
    /// ([`ConvergeMany`](crate::resource::ConvergeMany)) count as one. Default: four for each processor.
    pub fn running_max(mut self, operations: usize) -> Self {
        self.options.running_max = operations.max(1);
        self
    }

    /// Commands get this process's environment, not only what they are given. Default: no.
    pub fn inherit_env(mut self, inherit: bool) -> Self {
        self.options.inherit_env = inherit;
        self
    }

    /// Counts and times all operations, for [`Engine::measures`]. Default: no; it costs a look at the clock and into a table for each of them.
    pub fn measure(mut self, measure: bool) -> Self {
        self.options.measure = measure;
        self
    }

    /// How files are watched. Default: by inotify, and polled where that has no more to give.
    pub fn watch_options(mut self, options: hub::Options) -> Self {
        self.options.watch = options;
        self
    }

    /// A value of the program for its kinds, which find it by its type (`cx.provided::<T>()`): a client, a cache. One of
    /// each type; the last one counts. Default: none.
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// # struct Client;
    /// # impl Client { async fn has(&self, _: &str) -> Result<bool> { Ok(true) } async fn put(&self, _: &str) -> Result<()> { Ok(()) } }
    /// /// A row in a store of which the program has the client.
    /// #[derive(Resource, Clone, Debug, PartialEq)]
    /// #[resource(kind = "row", unwatched, provided = Client)]
    /// struct Row {
    ///     #[resource(name)]
    ///     key: String,
    /// }
    ///
    /// impl Converge for Row {
    ///     type Drift = Change;
    ///     async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
    ///         let there = cx.provided::<Client>()?.has(&self.key).await?;
    ///         Ok((!there).then(|| Change::new("row", "absent", "present")))
    ///     }
    ///     async fn apply(&self, cx: &ApplyCx, _: Change) -> Result<()> {
    ///         cx.provided::<Client>()?.put(&self.key).await
    ///     }
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let mut g = Graph::new("rows");
    /// g.add(Row::new("first"));
    /// let graph = g.finish()?;
    /// // Without it, the graph is refused before anything runs.
    /// assert!(mgmt::Engine::builder().graph(graph.clone()).start().await.is_err());
    /// let engine = mgmt::Engine::builder().graph(graph).provide(Client).start().await?;
    /// engine.converged().await?;
    /// # engine.stop().await?;
    /// # Ok::<(), mgmt::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn provide<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.prepare_with(|settings| {
            let mut provisions = settings.provided();
            provisions.insert(value);
            settings.provisions(provisions)
        })
    }

    /// All of these, in place of those that were given before.
    #[cfg(any(feature = "cli", test, feature = "testing"))]
    pub(crate) fn provisions(self, provisions: Provisions) -> Self {
        self.prepare_with(|settings| settings.provisions(provisions))
    }

    /// Shares connections and the watch hub with the other engines that are given the same doors. Default: it has its
    /// own, and closes them at its end; shared ones are closed by [`Doors::close`].
    pub fn doors(mut self, doors: Doors) -> Self {
        self.options.doors = Some(doors);
        self
    }

    /// What will happen, from the start on. ([`Engine::events`] gives what happens after it was asked.)
    pub fn events(&self) -> Events {
        self.options.events.subscribe()
    }

    /// Starts it: the first graph is made and checked, and runs from then on.
    ///
    /// # Errors
    /// There is no graph, it is wrong, or the prefix can't be used. Then nothing runs.
    pub async fn start(mut self) -> Result<Engine, EngineError> {
        has_runtime()?;
        self.options.wrong_host.take().map_or(Ok(()), |wrong| Err(EngineError::wrong(wrong)))?;
        let prefix = Prefix::new(self.options.prefix.as_deref())?;
        // First of all: where another engine works, nothing is asked or begun.
        let journal = journal_of(self.options.prefix.as_deref())?;
        let Begun { prepared, dirs, existing } = match self.begin(&prefix).await {
            Ok(begun) => begun,
            Err(error) => {
                close(&mut self.gapi).await;
                return Err(error);
            }
        };
        let (mut core, inboxes, requests) = assemble(&self.options, prefix.path().to_owned(), dirs, journal);
        core.warn_of_lost_journal();
        core.swap(prepared);
        if !prefix.is_temporary() {
            core.forget_absent(clock::today(), existing);
        }
        let (events, converged) = (self.options.events, core.converged.subscribe());
        let (ended, has_ended) = watch::channel(None);
        let handle = Engine {
            shared: Arc::new(Handle {
                requests: requests.clone(),
                events: events.readers(),
                converged,
                ended: has_ended,
                preparing: self.options.preparing.clone(),
            }),
        };
        let follow = Follow {
            preparing: self.options.preparing,
            no_watch: self.options.no_watch,
            requests: requests.downgrade(),
        };
        if !prefix.is_temporary() {
            tokio::spawn(count_daily(core.services.dirs.clone(), requests.downgrade(), handle.shared.ended.clone()));
        }
        drop(requests);
        let shares_doors = self.options.doors.is_some();
        let (end, ending) = oneshot::channel();
        let follow = tokio::spawn(follow.run(self.gapi, ending));
        tokio::spawn(async move {
            let end_of_memory = EndOfMemory(Arc::clone(&core.services), Arc::clone(&core.store));
            let mut core = drive(core, inboxes).await;
            // If it is gone, it has ended the engine itself, with an error.
            let _ = end.send(());
            // The kernel takes milliseconds to end a hub: for this one while the source ends its own.
            let hub = core.watches.take_hub().map(|hub| tokio::task::spawn_blocking(|| drop(hub)));
            let outcome = follow.await.unwrap_or_else(|error| Err(Failure::from_error(error)));
            let connections = core.services.connections.clone();
            core.services.clear();
            drop(core);
            if let Some(hub) = hub {
                // Only fails if a drop panics or the runtime ends: it is gone then, too.
                let _ = hub.await;
            }
            if !shares_doors {
                connections.close().await;
            }
            match prefix.is_temporary() {
                // There is nothing to write, and no thread is asked for.
                true => drop(end_of_memory),
                false => blocking(move || drop(end_of_memory)).await,
            }
            drop(prefix);
            drop(events);
            ended.send_replace(Some(outcome));
        });
        Ok(handle)
    }

    /// All that can go wrong with a start once the prefix is ours.
    async fn begin(&mut self, prefix: &Prefix) -> Result<Begun, EngineError> {
        let data = GapiData {
            name: self.options.name.clone(),
            hostname: self.options.hostname.clone(),
            prefix: prefix.path().to_owned(),
            noop: self.options.preparing.settings.is_noop(),
            no_watch: self.options.no_watch,
        };
        let config = first_graph(&mut self.gapi, data).await?;
        let prepared = self.options.preparing.here(config).await?;
        let path = prefix.path().to_owned();
        let (dirs, existing) = match prefix.is_temporary() {
            true => (PrivateDirs::new(&path), Vec::new()),
            false => blocking(move || PrivateDirs::open(&path, true)).await,
        };
        Ok(Begun { prepared, dirs, existing })
    }
}

/// What a start found.
struct Begun {
    prepared: Prepared,
    dirs: PrivateDirs,
    /// The private directories that exist.
    existing: Vec<PrivateDir>,
}

/// When an engine ends, also by the end of its runtime: what its resources keep is dropped, and the prefix given back.
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

/// Better an error than a panic somewhere inside.
pub(crate) fn has_runtime() -> Result<(), EngineError> {
    let used = caught(|| (tokio::time::sleep(Duration::ZERO), tokio::net::UnixDatagram::unbound()).1.map(drop));
    let used = used.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
    used.map_err(|error| {
        let needs = format!("it needs a tokio runtime with time and io enabled: {error}");
        EngineError::System(std::io::Error::other(needs))
    })
}

/// A core without a graph, and the ways into it.
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
    // Without randomness the jitter of retries is the same in every run: no harm.
    let _ = rng::fill(&mut seed);
    let config = Config {
        running_max: options.running_max,
        converged_timeout: options.converged_timeout,
        seed: u64::from_ne_bytes(seed),
        node_events: true,
    };
    let (doors, files): (_, Box<dyn Files>) = match &options.doors {
        Some(doors) => (doors.clone(), Box::new(doors.files.seat())),
        None => (Doors::new(), Box::new(OwnHub::new(options.watch.clone()))),
    };
    let mut services = Services::new(Arc::clone(&store) as _, store.salt(), prefix, dirs);
    services.inherit_env = options.inherit_env;
    services.provisions = options.preparing.settings.provided();
    services.connections = doors.connections.clone();
    let core = Core {
        scheduler: Scheduler::new(config),
        clock: Clock::start(),
        services: Arc::new(services),
        store,
        running: Running::default(),
        slots: SlotTable::default(),
        watches: Watches::new(files, &doors, reports),
        owned: Default::default(),
        events: Arc::clone(&options.events),
        converged: watch::channel(false).0,
        answers,
        grace: options.grace,
        committed,
        slowness: Default::default(),
        recent: None,
        blocks: Default::default(),
        lane: Lane::new(facts::cpus().min(options.running_max)),
        measured: options.measure.then(Box::default),
        calls: Default::default(),
        stopped: false,
        idle_wanted: Vec::new(),
    };
    let inboxes = Inboxes { requests: requests_in, answers: answers_in, reports: reports_in, committed: committed_in };
    (core, inboxes, requests)
}

#[derive(Debug)]
struct Handle {
    requests: mpsc::UnboundedSender<Request>,
    events: Readers,
    converged: watch::Receiver<bool>,
    ended: watch::Receiver<Option<Result<(), Failure>>>,
    preparing: Preparing,
}

/// A graph that runs. Clones are handles on the same engine; when the last one is dropped, it is cancelled.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Handle>,
}

impl Engine {
    /// Settings for a new engine.
    pub fn builder() -> Builder {
        let options = Settings {
            name: String::new(),
            prefix: None,
            hostname: facts::hostname(),
            wrong_host: None,
            preparing: Preparing::default(),
            no_watch: false,
            converged_timeout: Duration::ZERO,
            grace: GRACE,
            running_max: facts::cpus() * 4,
            inherit_env: false,
            measure: false,
            watch: hub::Options::default(),
            doors: None,
            events: Arc::default(),
        };
        Builder { gapi: fixed(GraphConfig::default()), options }
    }

    /// Waits until all resources are settled, and have been for the converged timeout.
    ///
    /// # Errors
    /// The engine ends before that.
    pub async fn converged(&self) -> Result<(), EngineError> {
        let mut converged = self.shared.converged.clone();
        match converged.wait_for(|converged| *converged).await {
            Ok(_) => Ok(()),
            Err(_) => Err(EngineError::Ended),
        }
    }

    /// Whether it is converged now.
    pub fn is_converged(&self) -> bool {
        *self.shared.converged.borrow()
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        self.shared.events.subscribe()
    }

    /// How it is.
    ///
    /// # Errors
    /// It has ended.
    pub async fn status(&self) -> Result<Status, EngineError> {
        self.ask(Request::Status).await
    }

    /// How one resource is; `None` if it is not in the graph in force.
    ///
    /// # Errors
    /// It has ended.
    pub async fn resource(&self, id: &ResourceId) -> Result<Option<ResourceStatus>, EngineError> {
        self.ask(|reply| Request::Resource(id.clone(), reply)).await
    }

    /// How far it is. Cheap: it does not look at every resource.
    ///
    /// # Errors
    /// It has ended.
    pub async fn progress(&self) -> Result<Progress, EngineError> {
        self.ask(Request::Progress).await
    }

    /// What it has measured since it started; nothing unless [`Builder::measure`] was asked for, except how many watches there are and refreshes are owed.
    ///
    /// # Errors
    /// It has ended.
    pub async fn measures(&self) -> Result<Measures, EngineError> {
        self.ask(Request::Measures).await
    }

    /// Puts another graph in force. Only the difference is touched.
    ///
    /// # Errors
    /// The graph is wrong: the old one goes on. Or the engine has ended.
    pub async fn swap(&self, config: GraphConfig) -> Result<(), EngineError> {
        let prepared = self.shared.preparing.here(config).await?;
        self.ask(|reply| Request::Swap { prepared, reply }).await
    }

    /// Starts nothing until [`resume`](Engine::resume). What is under way ends, and is not waited for here: see
    /// [`idle`](Engine::idle). Changes meanwhile are not lost.
    ///
    /// # Errors
    /// It has ended.
    pub async fn pause(&self) -> Result<(), EngineError> {
        self.ask(Request::Pause).await
    }

    /// Returns when no operation is under way: after [`pause`](Engine::pause), when the last of those that were has
    /// ended. (Without a pause the next one may begin at once.)
    ///
    /// # Errors
    /// It has ended.
    pub async fn idle(&self) -> Result<(), EngineError> {
        self.ask(Request::Idle).await
    }

    /// Goes on after a pause.
    ///
    /// # Errors
    /// It has ended.
    pub async fn resume(&self) -> Result<(), EngineError> {
        self.ask(Request::Resume).await
    }

    /// Starts nothing any more, lets running applies end, and returns when they have. A second call from elsewhere may
    /// [`cancel`](Engine::cancel) them.
    ///
    /// # Errors
    /// What ended it, if it was not this.
    pub async fn stop(&self) -> Result<(), EngineError> {
        self.begin_stop(StopStage::Drain);
        self.ended().await
    }

    /// Begins a stop without waiting for it.
    pub fn shut_down(&self) {
        self.begin_stop(StopStage::Drain);
    }

    /// Cancels what runs, too. What is half done, the next check finds.
    pub fn cancel(&self) {
        self.begin_stop(StopStage::Cancel);
    }

    fn begin_stop(&self, stage: StopStage) {
        // If the loop is gone, it has stopped already.
        let _ = self.shared.requests.send(Request::Stop(stage));
    }

    /// Returns when it has ended.
    ///
    /// # Errors
    /// What ended it, if nobody stopped it.
    pub async fn ended(&self) -> Result<(), EngineError> {
        let mut ended = self.shared.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())).map_err(EngineError::Gapi),
            Err(_) => Err(EngineError::Ended),
        }
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.shared.requests.send(request(reply)).map_err(|_| EngineError::Ended)?;
        answer.await.map_err(|_| EngineError::Ended)
    }
}
