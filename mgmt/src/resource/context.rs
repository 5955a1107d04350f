//! The contexts of a resource's operations: access to the system, to memory and to outputs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::id::ResourceId;
use crate::resource::change::{Planning, ShowPrivate};
use crate::resource::digest::{Digest, Salted};
use crate::resource::door::{Connections, Door};
use crate::resource::error::{Context as _, Result};
use crate::resource::graphs::Graphs;
use crate::resource::held::Contained;
use crate::resource::hosts::{Scheduling, WorldRead, WorldWatching, WorldWrite};
use crate::resource::operation::{OnCancel, Operation, Sent, Work};
use crate::resource::output::{Port, Sendable};
use crate::resource::owned::OwnedPaths;
use crate::resource::record::{Head, Recorder, Recorders, Recording, Records};
use crate::resource::reverse::Reverse;
use crate::resource::stopping::{StopOnDrop, Stopping};
use crate::resource::watch::Watch;
use crate::sys::fs::{ReadFs, SyncBatch, WriteFs};
use crate::sys::task::{blocking, may_block};

/// The context of `check`. None of its functions writes to the system.
#[derive(Clone, Debug)]
pub struct CheckCx {
    operation: Arc<Operation>,
}

impl CheckCx {
    pub(crate) fn new(operation: Arc<Operation>) -> CheckCx {
        CheckCx { operation }
    }

    /// The kind and name of the resource.
    pub fn id(&self) -> ResourceId {
        self.operation.id()
    }

    /// The file system, for reading. Its calls block: use [`look`](CheckCx::look) unless they are known to be quick.
    pub fn fs(&self) -> &ReadFs {
        &self.operation.services.fs
    }

    /// Reads the file system on a thread that may block. The operation ends no earlier than `look`. Long work should
    /// check the token between its steps: the token stops when the operation is cancelled, or when the returned future
    /// is dropped.
    ///
    /// If a kind does this often, the engine polls its operations on such threads, and `look` runs on the thread that
    /// polls: other code of the same future, in a `join!` or a `select!`, then waits until `look` has ended.
    pub async fn look<T: Send + 'static>(&self, look: impl FnOnce(&ReadFs, &Stopping) -> T + Send + 'static) -> T {
        let (operation, work) = (Arc::clone(&self.operation), self.work("looking at the file system"));
        let waiting = StopOnDrop::default();
        let stopping = self.token(&waiting);
        blocking(move || {
            let _work = work;
            look(&operation.services.fs.of_operation(operation.begun), &stopping)
        })
        .await
    }

    /// A token for work that this future waits for. On a thread that may block, the future can't be dropped before the
    /// work has ended, so only the operation can be cancelled.
    fn token(&self, waiting: &StopOnDrop) -> Stopping {
        if may_block() { self.operation.stopping() } else { waiting.token() }
    }

    /// A token that stops when this operation is cancelled: because its `timeout` has elapsed or the engine is asked to
    /// cancel; for a check, also because its resource leaves the graph or its watch failed. The operation's own future
    /// is dropped then; the token is for a thread or a task that the operation has begun.
    pub fn stopping(&self) -> Stopping {
        self.operation.stopping()
    }

    /// Declares that this operation has begun work that may outlive its future, such as a thread or a task: until the
    /// guard is dropped, the operation counts as running, and no other operation of the resource begins. `doing`
    /// completes *it is still …* in the warning about work that does not end in the grace time (see `Builder::grace`).
    /// [`look`](CheckCx::look) and [`change`](ApplyCx::change) have such a guard themselves.
    pub fn work(&self, doing: impl Into<Cow<'static, str>>) -> Work {
        Work::new(&self.operation, doing)
    }

    /// Registers a hook that the engine runs if it cancels this operation (or if the operation panics) before the guard
    /// is dropped: for example, to cancel a transaction of another process. The operation ends no earlier than `hook`.
    ///
    /// The hook does not run if the kind itself drops a future that holds the guard, for example with `select!` or a
    /// timeout of its own.
    pub fn on_cancel(&self, hook: impl Future<Output = ()> + Send + 'static) -> OnCancel {
        OnCancel::new(&self.operation, Box::pin(hook))
    }

    /// Whether the resource is in noop: then it will not be applied.
    pub fn is_noop(&self) -> bool {
        self.operation.noop
    }

    /// Whether this check is a part of a plan, after which nothing is applied.
    pub fn is_planning(&self) -> bool {
        self.operation.services.provisions.has::<Planning>()
    }

    /// Whether the resource is owed a refresh.
    pub fn refresh_owed(&self) -> bool {
        self.operation.refresh
    }

    /// Whether this field receives a value other than the one it had when an operation of this resource last succeeded.
    /// It remains true until a check finds the resource in sync, or an apply or a refresh succeeds. In the first run of
    /// an engine all received values are new. The sent values are compared, not the results of closures on them.
    ///
    /// # Panics
    /// The kind has no such field.
    #[track_caller]
    pub fn is_updated(&self, field: &str) -> bool {
        let spec = self.operation.spec();
        let Some(number) = spec.field(field) else { panic!("{} has no field `{field}`", spec.kind) };
        self.operation.changed.contains(&number)
    }

    /// Sends a value on an output. Receivers are checked again if it differs from the value before.
    pub fn send<T: Sendable>(&self, port: Port<T>, value: T) {
        let digest = self.operation.services.salt.digest_of(&value);
        self.push(Sent::Value { port: port.number(), value: Contained::new(Arc::new(value)), digest });
    }

    /// Declares that the value of an output is the same as in an earlier run, but no longer known. Receivers that need
    /// only its digest continue; if one needs the value itself, this resource is refreshed and must send a value.
    pub fn send_unchanged<T: Sendable>(&self, port: Port<T>) {
        self.push(Sent::Unchanged { port: port.number() });
    }

    /// A digest in the form in which it may be stored.
    pub(crate) fn salted(&self, digest: Digest) -> Salted {
        Salted::new(self.operation.services.salt, digest)
    }

    fn push(&self, sent: Sent) {
        self.operation.send(sent);
    }

    /// State of type `T` that belongs to this resource: kept as long as the resource is in the graph and the engine
    /// runs. Made with `Default` at its first use.
    pub fn local<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.operation.services.local.get(self.operation.node)
    }

    /// State of type `T` that all resources of this engine share. Made with `Default` at its first use.
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.operation.services.shared.get(0)
    }

    /// The value of type `T` that the program that embeds the engine provides to its kinds
    /// (`Engine::builder().provide(value)`): a client, a cache. A kind should declare that it needs the value
    /// (`#[resource(kind = "…", provided = Client)]`): a graph with such a resource is then refused before any part of
    /// it runs if the program does not provide the value.
    ///
    /// # Errors
    /// The program has provided no value of this type.
    pub fn provided<T: Send + Sync + 'static>(&self) -> Result<Arc<T>> {
        self.operation.services.provisions.get(self.operation.spec())
    }

    /// Whether content that other users may not read may be shown, see [`ShowPrivate`].
    pub fn shows_private(&self) -> bool {
        self.operation.services.provisions.has::<ShowPrivate>()
    }

    /// A connection that resources share, see [`Door`]: opened if it is not open yet, or was lost.
    ///
    /// # Errors
    /// The connection can't be opened.
    pub async fn door<D: Door>(&self, key: &D::Key) -> Result<Arc<D>> {
        self.operation.services.connections.door(key).await
    }

    /// The connection to a D-Bus bus. All resources share one for each bus, which also carries the bus's signals (see
    /// [`Watch::signals`]); after a loss a new one is made.
    ///
    /// # Errors
    /// The bus can't be reached.
    #[cfg(feature = "dbus")]
    pub async fn bus(&self, bus: crate::sys::dbus::Bus) -> Result<zbus::Connection> {
        Ok(self.door::<crate::resource::bus::BusDoor>(&bus).await?.connection.clone())
    }

    /// The last mark that this resource has set, in this run or an earlier one; `None` if it has none.
    pub fn mark(&self) -> Option<Vec<u8>> {
        self.operation.services.memory.mark(&self.id())
    }

    /// A directory for this resource's own files below the prefix. It may not exist yet. It is removed when the
    /// resource has been in no graph for 30 days on which an engine used the prefix.
    pub fn var_dir(&self) -> PathBuf {
        self.operation.services.dirs.of(&self.id())
    }

    /// The name of this host among others: that of the system, unless the program has given another one.
    pub fn hostname(&self) -> &str {
        &self.operation.services.hostname
    }

    /// The world that this host shares with others, for reading; `None`: the engine has none.
    pub fn world(&self) -> Option<WorldRead> {
        self.operation.services.world.clone().map(WorldRead::new)
    }

    /// The schedules of this host; `None`: the engine has no world.
    pub(crate) fn scheduling(&self) -> Option<Arc<dyn Scheduling>> {
        self.operation.services.scheduling.clone()
    }

    /// The labels of this host.
    pub(crate) fn labels(&self) -> &BTreeMap<String, String> {
        &self.operation.services.labels
    }

    /// The engine's working directory.
    pub fn prefix(&self) -> &Path {
        &self.operation.services.prefix
    }

    /// The paths that resources of the graph own.
    pub fn owned_paths(&self) -> Arc<OwnedPaths> {
        Arc::clone(&self.operation.services.owned)
    }

    /// The only paths in watched trees that may have changed since a check found this resource in sync, each with
    /// everything below it, spelled as in the watch. `None`: anything may have changed; that is the case unless the
    /// watch is the only reason for this check. A kind may always examine everything instead.
    ///
    /// At most 256 paths; `None` if there were more changes. If a check does not find the resource in sync, its paths
    /// are reported again to the next check.
    pub fn changed_paths(&self) -> Option<&[PathBuf]> {
        self.operation.paths.as_deref()
    }
}

/// The context of `apply` and `refresh`.
#[derive(Clone, Debug)]
pub struct ApplyCx {
    check: CheckCx,
}

impl Deref for ApplyCx {
    type Target = CheckCx;
    fn deref(&self) -> &CheckCx {
        &self.check
    }
}

impl ApplyCx {
    /// Whether other resources are refreshed if this one changes, and the journal has recorded that: a crash from here
    /// on loses none of these refreshes, and causes at most one that is not needed.
    pub fn owes_refreshes(&self) -> bool {
        self.operation.announced
    }

    pub(crate) fn new(operation: Arc<Operation>) -> ApplyCx {
        ApplyCx { check: CheckCx::new(operation) }
    }

    /// The file system. Its calls block: use [`change`](ApplyCx::change) unless they are known to be quick.
    pub fn fs_mut(&self) -> &WriteFs {
        &self.check.operation.services.fs
    }

    /// The world that this host shares with others; `None`: the engine has none.
    pub fn world_mut(&self) -> Option<WorldWrite> {
        self.check.operation.services.world.clone().map(WorldWrite::new)
    }

    /// Changes the file system on a thread that may block. A cancellation interrupts `change` only if it checks the
    /// token: see [`look`](CheckCx::look).
    pub async fn change<T: Send + 'static>(&self, change: impl FnOnce(&WriteFs, &Stopping) -> T + Send + 'static) -> T {
        let (operation, work) = (Arc::clone(&self.check.operation), self.work("changing the file system"));
        let waiting = StopOnDrop::default();
        let stopping = self.token(&waiting);
        blocking(move || {
            let _work = work;
            change(&operation.services.fs, &stopping)
        })
        .await
    }

    /// Makes durable what a batch has written ([`WriteFs::batch`], in [`change`](ApplyCx::change)), together with the
    /// batches of other operations, which takes little longer than one alone. Should be the last step of the operation:
    /// while it waits for the disk, it does not count for [`running_max`](crate::runtime::Builder::running_max). A
    /// cancellation does not interrupt it: the operation does not end before it. Returns the number of directories that
    /// were made durable.
    ///
    /// # Errors
    /// Those of [`SyncBatch::commit`].
    pub async fn commit(&self, batch: SyncBatch) -> Result<usize> {
        let work = self.work("making durable what it has written");
        self.check.operation.yields.store(true, Ordering::Relaxed);
        let committed = batch.commit_together(work).await;
        // If there was no wait, the flag must not remain set.
        self.check.operation.yields.store(false, Ordering::Relaxed);
        Ok(committed?)
    }

    /// Reports that there was nothing to change after all: no resource is notified.
    pub fn unchanged(&self) {
        self.check.operation.unchanged.store(true, Ordering::Relaxed);
    }

    /// Reports that the reason for this apply was an event, such as a tick or a line of a command, not another program
    /// that undid an earlier repair. However often that happens, the resource does not count as flapping, and its
    /// checks are not spaced out.
    pub fn by_event(&self) {
        self.check.operation.by_event.store(true, Ordering::Relaxed);
    }

    /// The records of what was there before this resource changed it, if the engine wants any: each of them must be
    /// written before the change. `R` is the kind of the resource. See [`Reverse`].
    pub fn recorders<R: Reverse>(&self) -> Recorders<R> {
        let reverse = self.recording().and_then(|recording| recording.reverse.clone());
        let reverse = reverse.map(|head| self.recorder(&self.check.operation.services.records, head));
        Recorders::new(reverse.into_iter().chain(self.recorder_of_refresh()))
    }

    /// The record of what was there before this resource was refreshed, if the changes of this run may be put back
    /// later: then the resource is refreshed again after those that notified it. For
    /// [`Refresh::refresh`](crate::resource::Refresh::refresh).
    pub fn recorder_of_refresh<R: Reverse>(&self) -> Option<Recorder<R>> {
        let operation = &self.check.operation;
        let trial = operation.services.trial.as_ref().filter(|trial| trial.is_open())?;
        let mut head = self.recording()?.trial.clone()?;
        if operation.refresh {
            head = Arc::new(Head { refreshed: true, ..Head::clone(&head) });
        }
        Some(self.recorder(&trial.records, head))
    }

    fn recording(&self) -> Option<&Recording> {
        self.check.operation.recording.as_deref()
    }

    fn recorder<R: Reverse>(&self, records: &Records, head: Arc<Head>) -> Recorder<R> {
        Recorder::new(records.clone(), self.check.operation.services.fs.clone(), self.id(), head)
    }

    /// Requests the end of the program with this exit code: when this operation has succeeded, the engine stops as with
    /// [`Engine::stop`](crate::Engine::stop), and [`Engine::exit_code`](crate::Engine::exit_code) returns the code. The
    /// first request counts. If the operation fails, the request has no effect.
    pub fn end_program(&self, code: u8) {
        self.check.operation.exit_code.store(code.into(), Ordering::Relaxed);
    }

    /// Stores a small mark that survives a restart; it is on disk when the call returns. A value that belongs to the
    /// mark must be sent after this call.
    ///
    /// # Errors
    /// The mark can't be written.
    pub async fn set_mark(&self, mark: Option<Vec<u8>>) -> Result<()> {
        let (operation, id, work) = (Arc::clone(&self.check.operation), self.id(), self.work("writing the journal"));
        let written = blocking(move || {
            let _work = work;
            operation.services.memory.set_mark(&id, mark)
        });
        written.await.context("the journal")
    }
}

/// The context of `watch`.
#[derive(Clone, Debug)]
pub struct WatchCx {
    check: CheckCx,
}

impl WatchCx {
    pub(crate) fn new(operation: Arc<Operation>) -> WatchCx {
        WatchCx { check: CheckCx::new(operation) }
    }

    /// The kind and name of the resource.
    pub fn id(&self) -> ResourceId {
        self.check.id()
    }

    /// See [`CheckCx::var_dir`].
    pub fn var_dir(&self) -> PathBuf {
        self.check.var_dir()
    }

    /// Watches on the file system.
    pub fn fs(&self) -> FsWatch {
        FsWatch(())
    }

    /// The world that this host shares with others, for watching; `None`: the engine has none.
    pub fn world(&self) -> Option<WorldWatching> {
        self.check.operation.services.world.clone().map(WorldWatching::new)
    }

    /// See [`CheckCx::scheduling`].
    pub(crate) fn scheduling(&self) -> Option<Arc<dyn Scheduling>> {
        self.check.scheduling()
    }

    /// See [`CheckCx::local`].
    pub fn local<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.check.local()
    }

    /// See [`CheckCx::shared`].
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.check.shared()
    }

    /// See [`CheckCx::provided`].
    ///
    /// # Errors
    /// The program has provided no value of this type.
    pub fn provided<T: Send + Sync + 'static>(&self) -> Result<Arc<T>> {
        self.check.provided()
    }

    /// The graphs that come into force, for a stream that begins something again with each.
    pub fn graphs(&self) -> Graphs {
        self.check.operation.services.graphs.clone()
    }

    /// The connections that resources share, for a stream that needs one: [`Connections::door`] is the same as
    /// [`CheckCx::door`].
    pub fn connections(&self) -> Connections {
        self.check.operation.services.connections.clone()
    }
}

/// Makes watches on the file system.
#[derive(Debug)]
pub struct FsWatch(());

impl FsWatch {
    /// See [`Watch::itself`].
    pub fn itself(&self, path: impl AsRef<Path>) -> Watch {
        Watch::itself(path)
    }

    /// See [`Watch::path`].
    pub fn path(&self, path: impl AsRef<Path>) -> Watch {
        Watch::path(path)
    }

    /// See [`Watch::levels`].
    pub fn levels(&self, path: impl AsRef<Path>, levels: u16) -> Watch {
        Watch::levels(path, levels)
    }

    /// See [`Watch::tree`].
    pub fn tree(&self, path: impl AsRef<Path>) -> Watch {
        Watch::tree(path)
    }
}
