//! The settings of an engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::gapi::{Fixed, Gapi, Warnings, builtin_kinds, fixed};
use crate::graph::{self, GraphConfig, Grouping, Pass, Prepared};
use crate::resource::Kind;
#[cfg(any(feature = "cli", test, feature = "testing"))]
use crate::resource::Provisions;
use crate::runtime::doors::Doors;
use crate::runtime::events::Events;
use crate::runtime::lane::Lane;
use crate::runtime::outlet::Outlet;
use crate::runtime::prefix::Prefix;
use crate::runtime::prepare::Preparing;
use crate::runtime::trial::Role;
use crate::runtime::undo::{KnownKinds, kinds_by_name};
use crate::sys::facts;
use crate::sys::fs::hub;
use crate::sys::process::InheritEnv;

/// The default of `Builder::grace`.
const GRACE: Duration = Duration::from_secs(5);
/// The default of `Builder::reserve`, in terms of `Builder::running_max`.
const RESERVE_FACTOR: usize = 7;

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
    /// Where the warnings about graphs go.
    pub(crate) warnings: Warnings,
    pub(crate) prefix: Option<PathBuf>,
    /// Files of the program, absolute.
    pub(crate) spared: Vec<PathBuf>,
    pub(crate) hostname: String,
    /// What is wrong with the host name that the program has set. (The name of the system is used as it is.)
    pub(crate) wrong_host: Option<String>,
    pub(crate) preparing: Preparing,
    /// The kinds whose resources of earlier runs can be undone.
    pub(crate) kinds: KnownKinds,
    pub(crate) no_watch: bool,
    pub(crate) converged_timeout: Duration,
    pub(crate) watch_late: bool,
    pub(crate) grace: Duration,
    /// The number of processors.
    pub(crate) cpus: usize,
    pub(crate) running_max: usize,
    /// The program has set `running_max`.
    pub(crate) is_bounded: bool,
    /// `None`: the default, which depends on `running_max`.
    pub(crate) reserve: Option<usize>,
    pub(crate) measure: bool,
    pub(crate) control: bool,
    pub(crate) watch: hub::Options,
    pub(crate) doors: Option<Doors>,
    pub(crate) events: Arc<Outlet>,
    /// What the engine does about trials.
    pub(crate) role: Role,
}

impl Default for Settings {
    fn default() -> Settings {
        let cpus = facts::cpus();
        Settings {
            name: String::new(),
            warnings: Warnings::default(),
            prefix: None,
            spared: Vec::new(),
            hostname: facts::hostname(),
            wrong_host: None,
            preparing: Preparing::default(),
            kinds: kinds_by_name(builtin_kinds().iter().copied()),
            no_watch: false,
            converged_timeout: Duration::ZERO,
            watch_late: false,
            grace: GRACE,
            cpus,
            running_max: cpus * 4,
            is_bounded: false,
            reserve: None,
            measure: false,
            control: false,
            watch: hub::Options::default(),
            doors: None,
            events: Arc::default(),
            role: Role::default(),
        }
    }
}

impl Settings {
    /// The working directory of the engine, against which graphs are checked from now on, as a host of its world.
    pub(crate) fn prefix(&mut self) -> std::io::Result<Prefix> {
        let prefix = Prefix::new(self.prefix.as_deref())?;
        self.preparing.prefix = Some(prefix.path().to_owned());
        self.join();
        Ok(prefix)
    }

    /// Where operations that block run. A bound on all operations that the program sets leaves no room for a line.
    pub(crate) fn lane(&self) -> Lane {
        let line_max = if self.is_bounded { 0 } else { self.running_max };
        Lane::new(self.cpus.min(self.running_max), line_max)
    }

    /// No purge removes these files, by whatever path they are given, nor what they lead to as symlinks.
    pub(crate) fn spare(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        for file in files.into_iter().filter_map(|file| std::path::absolute(file).ok()) {
            // A file that the program writes need not exist yet.
            let dir = file.parent().and_then(|dir| dir.canonicalize().ok());
            let placed = dir.zip(file.file_name()).map(|(dir, name)| dir.join(name));
            let real = file.canonicalize().ok();
            self.spared.extend([Some(file), placed, real].into_iter().flatten());
        }
    }

    /// How many operations may run beyond `running_max`.
    pub(crate) fn reserve(&self) -> usize {
        self.reserve.unwrap_or(RESERVE_FACTOR * self.running_max)
    }
}

impl<G: Gapi> Builder<G> {
    /// Sets the source of graphs.
    pub fn gapi<H: Gapi>(self, gapi: H) -> Builder<H> {
        Builder { gapi, options: self.options }
    }

    /// Puts another source of graphs around this one.
    #[cfg(feature = "ssh")]
    pub(crate) fn map_gapi<H: Gapi>(self, around: impl FnOnce(G) -> H) -> Builder<H> {
        Builder { gapi: around(self.gapi), options: self.options }
    }

    /// Runs one graph that never changes by itself.
    pub fn graph(self, config: GraphConfig) -> Builder<Fixed> {
        self.gapi(fixed(config))
    }

    /// The name of a graph that has none of its own. Default: `graph`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = name.into();
        self
    }

    /// The working directory of the engine: it holds the journal and the resources' own files. Only one engine can use
    /// it at a time. A graph is refused in which a resource owns it, or what the engine keeps in it (`pgraph`,
    /// `journal.*`), or would remove it; other files of a graph may be beside these. Without a prefix, nothing is
    /// remembered beyond the engine's end.
    pub fn prefix(mut self, prefix: impl Into<PathBuf>) -> Self {
        self.options.prefix = Some(prefix.into());
        self
    }

    /// Where the warnings about graphs go. Default: to the log.
    #[cfg(any(feature = "cli", feature = "ssh"))]
    pub(crate) fn warnings(mut self, warnings: Warnings) -> Self {
        self.options.warnings = warnings;
        self
    }

    /// Files that the program needs itself, such as one that it writes: a purge of a directory that holds them spares
    /// them. The files that the source of graphs reads ([`Gapi::files`]) are spared anyway. Default: none.
    pub fn spare(mut self, files: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.options.spare(files.into_iter().map(Into::into));
        self
    }

    /// The name of this host: letters, digits, `-`, `_` and `.` (otherwise [`start`](Builder::start) fails). Default:
    /// the name of the system, whatever it is.
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.options.hostname = hostname.into();
        self.options.wrong_host = facts::check_hostname(&self.options.hostname).err();
        self
    }

    /// Repairs nothing, and reports all drift as alerts: see [`Meta::alert`](crate::resource::Meta::alert). Default:
    /// no.
    pub fn alert_only(self, alert: bool) -> Self {
        self.prepare_with(|settings| settings.alert_only(alert))
    }

    /// Puts every resource in noop. Default: no.
    pub fn noop(self, noop: bool) -> Self {
        self.prepare_with(|settings| settings.noop(noop))
    }

    /// Adds a pass over every graph, after the passes added before. First of all run
    /// [`AutoEdges`](crate::graph::AutoEdges) and [`Reduction`](crate::graph::Reduction). Default: no other pass.
    pub fn pass(self, pass: impl Pass) -> Self {
        self.prepare_with(|settings| settings.pass(pass))
    }

    /// Whether passes may add edges to graphs: automatic ones, and those of the program's own passes. Default: yes.
    pub fn autoedge(self, autoedge: bool) -> Self {
        self.prepare_with(|settings| settings.autoedge(autoedge))
    }

    /// Sets the function that groups the resources of every graph. Default: [`AutoGroups`](crate::graph::AutoGroups).
    pub fn grouping(self, grouping: impl Grouping) -> Self {
        self.prepare_with(|settings| settings.grouping(grouping))
    }

    /// Whether resources may be grouped. Default: yes.
    pub fn autogroup(self, autogroup: bool) -> Self {
        self.prepare_with(|settings| settings.autogroup(autogroup))
    }

    /// How long all resources together may look at the system before the passes (see
    /// [`Prepare`](crate::resource::Prepare)); the findings of those that take longer are left out, with a warning.
    /// Default: 10 seconds.
    pub fn prepare_timeout(mut self, timeout: Duration) -> Self {
        self.options.preparing.timeout = timeout;
        self
    }

    fn prepare_with(mut self, set: impl FnOnce(graph::Settings) -> graph::Settings) -> Self {
        self.options.preparing.settings = set(self.options.preparing.settings);
        self
    }

    /// Adds kinds of the program. Resources of them that were declared with `reverse` in an earlier run, and are in no
    /// graph any more, are undone at the start. Default: the built-in kinds, and those of the first graph.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.options.kinds.extend(kinds_by_name(kinds));
        self
    }

    /// Sets a function that is called with every graph that is ready, before it is put in force, planned, or returned
    /// by [`check`](Builder::check), which waits until `inspect` returns. Default: no function is called.
    pub fn inspect<F: Future<Output = ()> + Send + 'static>(
        mut self,
        inspect: impl Fn(Prepared) -> F + Send + Sync + 'static,
    ) -> Self {
        self.options.preparing.inspect = Some(Arc::new(move |prepared| Box::pin(inspect(prepared))));
        self
    }

    /// Asks the source for one graph only. Default: follows the source.
    pub fn no_watch(mut self, no_watch: bool) -> Self {
        self.options.no_watch = no_watch;
        self
    }

    /// How long all resources must have been settled before the graph counts as converged. Default: zero.
    pub fn converged_timeout(mut self, timeout: Duration) -> Self {
        self.options.converged_timeout = timeout;
        self
    }

    /// Watches begin only when they are needed: before the first repair or refresh, with the first failure, pause or
    /// further graph, or 0.1 s after the graph has converged. Until then resources are checked without them, and are
    /// checked again when they listen. Default: false. Useful for a run that ends as soon as it has converged and often
    /// finds nothing to do: it does not wait for the kernel, which takes milliseconds to begin and to end listening.
    pub fn watch_late(mut self, watch_late: bool) -> Self {
        self.options.watch_late = watch_late;
        self
    }

    /// How long the work that a cancelled operation has begun besides its own future (a thread, a write, a request to
    /// another process) may take to end. Default: 5 s. After that the engine warns, naming the resource and what it
    /// still does, and continues without it: a stop completes, other resources run. The resource itself is not touched
    /// before that work has ended: until then its checks fail with this reason, and after that it is checked again.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// At most this many operations run at once. Resources that a kind handles in one call
    /// ([`ConvergeMany`](crate::resource::ConvergeMany)) count as one, and up to 64 that have done their work and only
    /// wait for the disk ([`ApplyCx::commit`](crate::resource::ApplyCx::commit)) do not count. Default: four for each
    /// processor, and at the start as many more of kinds that only work on files
    /// ([`Converge::WORKS_ON_FILES`](crate::resource::Converge::WORKS_ON_FILES)).
    pub fn running_max(mut self, operations: usize) -> Self {
        self.options.running_max = operations.max(1);
        self.options.is_bounded = true;
        self
    }

    /// At most this many further operations run for events (a watch, a poll, a parent, a received value, an owed
    /// refresh) while operations that have taken longer than 0.1 s hold the places of
    /// [`running_max`](Builder::running_max). So a repair waits at most 0.1 s for long operations, until there are this
    /// many further ones. Operations that the start, a new graph or a further try causes stay within `running_max`.
    /// Default: seven times `running_max`.
    pub fn reserve(mut self, operations: usize) -> Self {
        self.options.reserve = Some(operations);
        self
    }

    /// Whether commands get the environment of this process, in addition to the variables that they declare. Default:
    /// no.
    pub fn inherit_env(self, inherit: bool) -> Self {
        self.prepare_with(|settings| {
            let mut provisions = settings.provided();
            provisions.remove::<InheritEnv>();
            if inherit {
                provisions.insert_own(InheritEnv);
            }
            settings.provisions(provisions)
        })
    }

    /// Counts and times all operations, for [`Engine::measures`](crate::Engine::measures). Default: no. If on, each
    /// operation costs a reading of the clock and an access to a table.
    pub fn measure(mut self, measure: bool) -> Self {
        self.options.measure = measure;
        self
    }

    /// Whether other programs of the same user can ask the engine for its state and its events, and steer it, through
    /// the socket `control.sock` in the prefix (see [`control`](crate::runtime::control)). The engine then remembers
    /// its last events, in at most 2 MiB. Default: no. Without a prefix, it has no effect.
    pub fn control(mut self, control: bool) -> Self {
        self.options.control = control;
        self
    }

    /// How files are watched. Default: by inotify; files for which the system has no watches left are polled.
    pub fn watch_options(mut self, options: hub::Options) -> Self {
        self.options.watch = options;
        self
    }

    /// Provides a value of the program, such as a client or a cache, to its kinds, which find it by its type
    /// (`cx.provided::<T>()`). There is at most one value of each type: a later one replaces an earlier one. Default:
    /// none.
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// # struct Client;
    /// # impl Client {
    /// #     async fn has(&self, _: &str) -> Result<bool> { Ok(true) }
    /// #     async fn put(&self, _: &str) -> Result<()> { Ok(()) }
    /// # }
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

    /// Replaces all values that were provided before.
    #[cfg(any(feature = "cli", test, feature = "testing"))]
    pub(crate) fn provisions(self, provisions: Provisions) -> Self {
        self.prepare_with(|settings| settings.provisions(provisions))
    }

    /// The same for a value that messages do not list.
    #[cfg(feature = "ssh")]
    pub(crate) fn provide_own<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.prepare_with(|settings| {
            let mut provisions = settings.provided();
            provisions.insert_own(value);
            settings.provisions(provisions)
        })
    }

    /// Shares connections and the watch hub with the other engines that are given the same doors. Default: the engine
    /// has its own, and closes them at its end; shared doors are closed by [`Doors::close`].
    pub fn doors(mut self, doors: Doors) -> Self {
        self.options.doors = Some(doors);
        self
    }

    /// The events from the start on. ([`Engine::events`](crate::Engine::events) gives the events after its call.)
    pub fn events(&self) -> Events {
        self.options.events.subscribe()
    }
}
