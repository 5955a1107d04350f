//! What an operation of a resource may use: doors to the system, memory, outputs.

use std::borrow::Cow;
use std::future::Future;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::id::ResourceId;
use crate::resource::change::ShowPrivate;
use crate::resource::door::{Connections, Door};
use crate::resource::error::{Context as _, Result};
use crate::resource::held::Contained;
use crate::resource::operation::{OnCancel, Operation, Sent, Work};
use crate::resource::output::{Port, Sendable};
use crate::resource::owned::OwnedPaths;
use crate::resource::stopping::{StopOnDrop, Stopping};
use crate::resource::watch::Watch;
use crate::sys::fs::{ReadFs, WriteFs};
use crate::sys::task::{blocking, may_block};

/// What `check` may use. It holds no door that writes.
#[derive(Clone, Debug)]
pub struct CheckCx {
    operation: Arc<Operation>,
}

impl CheckCx {
    pub(crate) fn new(operation: Arc<Operation>) -> CheckCx {
        CheckCx { operation }
    }

    /// The resource's identity.
    pub fn id(&self) -> ResourceId {
        self.operation.id()
    }

    /// The file system, to look at. Its calls block: use [`look`](CheckCx::look) unless they are known to be quick.
    pub fn fs(&self) -> &ReadFs {
        &self.operation.services.fs
    }

    /// Looks at the file system on a thread that may block. The operation has not ended before `look` has. Long work
    /// asks the token between its steps: it stops when the operation is cancelled, or when the future that this returns
    /// is dropped.
    ///
    /// Where a kind does this often, the engine polls its operations on such threads, and `look` runs on the thread
    /// that polls: code of the same future that would run besides it, in a `join!` or a `select!`, has to wait.
    pub async fn look<T: Send + 'static>(&self, look: impl FnOnce(&ReadFs, &Stopping) -> T + Send + 'static) -> T {
        let (operation, work) = (Arc::clone(&self.operation), self.work("looking at the file system"));
        let waiting = StopOnDrop::default();
        let stopping = self.token(&waiting);
        blocking(move || {
            let _work = work;
            look(&operation.services.fs, &stopping)
        })
        .await
    }

    /// Of work that this future waits for. On a thread that may block the future cannot be dropped before the work has
    /// ended, so only the operation can be cancelled.
    fn token(&self, waiting: &StopOnDrop) -> Stopping {
        if may_block() { self.operation.stopping() } else { waiting.token() }
    }

    /// Stops when this operation is cancelled: because its `timeout` is over or the engine is told to cancel; a check
    /// also because its resource leaves the graph or its watch failed. The operation's own future is dropped then; the
    /// token is for what the operation has begun besides it, a thread or a task.
    pub fn stopping(&self) -> Stopping {
        self.operation.stopping()
    }

    /// Tells the engine that this operation has begun something that may outlive its future, such as a thread or a
    /// task: until the guard is dropped, the operation has not ended, and no other one of the resource begins. `doing`
    /// completes *it is still …* in the warning that names what does not end in the grace time (see `Builder::grace`).
    /// [`look`](CheckCx::look) and [`change`](ApplyCx::change) take such a guard by themselves.
    pub fn work(&self, doing: impl Into<Cow<'static, str>>) -> Work {
        Work::new(&self.operation, doing)
    }

    /// What the engine does if it cancels this operation (or if the operation panics) before the guard is dropped: for
    /// what must learn that it is not wanted any more, such as a transaction of another process. The operation has
    /// not ended before `hook` has.
    ///
    /// It is not run where a kind itself drops a future that holds the guard, by a `select!` or a timeout of its own.
    pub fn on_cancel(&self, hook: impl Future<Output = ()> + Send + 'static) -> OnCancel {
        OnCancel::new(&self.operation, Box::pin(hook))
    }

    /// This resource will not be applied.
    pub fn is_noop(&self) -> bool {
        self.operation.noop
    }

    /// A refresh is owed.
    pub fn refresh_owed(&self) -> bool {
        self.operation.refresh
    }

    /// Whether this field receives something else than when an operation of this resource ended well last: that stays
    /// so until a check finds it in sync, or an apply or a refresh ends well. In the first run of an engine all that
    /// is received is new. What a closure on the way makes of it is not looked at.
    ///
    /// # Panics
    /// The kind has no such field.
    #[track_caller]
    pub fn is_updated(&self, field: &str) -> bool {
        let spec = self.operation.spec();
        let Some(number) = spec.field(field) else { panic!("{} has no field `{field}`", spec.kind) };
        self.operation.changed.contains(&number)
    }

    /// Sends a value on an output. Receivers are checked again if it differs from the one before.
    pub fn send<T: Sendable>(&self, port: Port<T>, value: T) {
        let digest = self.operation.services.salt.digest_of(&value);
        self.push(Sent::Value { port: port.number(), value: Contained::new(Arc::new(value)), digest });
    }

    /// Says that the value of an output is the one of an earlier run, which is not known any more. Receivers that can
    /// do with its digest go on; if one needs the value itself, this resource is refreshed and must send a value.
    pub fn send_unchanged<T: Sendable>(&self, port: Port<T>) {
        self.push(Sent::Unchanged { port: port.number() });
    }

    fn push(&self, sent: Sent) {
        self.operation.send(sent);
    }

    /// This resource's state of type `T` in this engine: kept as long as it is in the graph, gone with the process.
    pub fn local<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.operation.services.local.get(self.operation.node)
    }

    /// State of type `T` that all resources of this engine share.
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.operation.services.shared.get(0)
    }

    /// What the program that embeds the engine has given for its kinds (`Engine::builder().provide(value)`): a client of
    /// its own, a cache. A kind declares that it needs it (`#[resource(kind = "…", provided = Client)]`); then a graph with
    /// such a resource is refused, before anything runs, where the program has not given it.
    ///
    /// # Errors
    /// The program has given no value of this type.
    pub fn provided<T: Send + Sync + 'static>(&self) -> Result<Arc<T>> {
        self.operation.services.provisions.get(self.operation.spec())
    }

    /// What others may not read may be shown, see [`ShowPrivate`].
    pub fn shows_private(&self) -> bool {
        self.operation.services.provisions.has::<ShowPrivate>()
    }

    /// A connection that resources share, see [`Door`]: opened if it is not open yet, or was lost.
    ///
    /// # Errors
    /// It can't be opened.
    pub async fn door<D: Door>(&self, key: &D::Key) -> Result<Arc<D>> {
        self.operation.services.connections.door(key).await
    }

    /// The connection to a D-Bus bus. There is one for each bus, also for its signals (see [`Watch::signals`]); one
    /// that was lost is made again.
    ///
    /// # Errors
    /// The bus cannot be reached.
    #[cfg(feature = "dbus")]
    pub async fn bus(&self, bus: crate::sys::dbus::Bus) -> Result<zbus::Connection> {
        Ok(self.door::<crate::resource::bus::BusDoor>(&bus).await?.connection.clone())
    }

    /// What this resource marked in this run or an earlier one.
    pub fn mark(&self) -> Option<Vec<u8>> {
        self.operation.services.memory.mark(&self.id())
    }

    /// A directory for this resource's own files below the prefix. It may not exist yet. It is removed when the
    /// resource has been in no graph for 30 days on which an engine used the prefix.
    pub fn var_dir(&self) -> PathBuf {
        self.operation.services.dirs.of(&self.id())
    }

    /// The engine's working directory.
    pub fn prefix(&self) -> &Path {
        &self.operation.services.prefix
    }

    /// Paths that resources of the graph own.
    pub fn owned_paths(&self) -> Arc<OwnedPaths> {
        Arc::clone(&self.operation.services.owned)
    }

    /// The only paths in watched trees that may have changed since a check found this resource in sync, each with all
    /// that is below it; spelled as the trees are. `None`: anything may have changed, as it is unless nothing but the
    /// watch is the reason for this check. A kind that looks at everything nevertheless is right too.
    ///
    /// At most 256 paths: of more changes it is `None`. What was reported for a check that did not find the resource in
    /// sync is reported again to the next one.
    pub fn changed_paths(&self) -> Option<&[PathBuf]> {
        self.operation.paths.as_deref()
    }
}

/// What `apply` and `refresh` may use.
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
    /// Other resources are refreshed if this one changes, and the journal has a note of that: a crash from here on
    /// costs none of these refreshes, at most one too many.
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

    /// Changes the file system on a thread that may block. What it does is not cut short by a cancellation, unless it
    /// asks the token: see [`look`](CheckCx::look).
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

    /// There was nothing to change after all: no resource is notified.
    pub fn unchanged(&self) {
        self.check.operation.unchanged.store(true, Ordering::Relaxed);
    }

    /// An event made this necessary, such as a tick or a line of a command: no other program has undone an earlier
    /// repair. However often that comes, the resource is not taken for one that something else changes too, and its
    /// checks are not spaced out.
    pub fn by_event(&self) {
        self.check.operation.by_event.store(true, Ordering::Relaxed);
    }

    /// Remembers a small mark beyond a restart; on disk when the call returns. A value that goes with the mark is sent
    /// after it.
    ///
    /// # Errors
    /// The error of the disk.
    pub async fn set_mark(&self, mark: Option<Vec<u8>>) -> Result<()> {
        let (operation, id, work) = (Arc::clone(&self.check.operation), self.id(), self.work("writing the journal"));
        let written = blocking(move || {
            let _work = work;
            operation.services.memory.set_mark(&id, mark)
        });
        written.await.context("the journal")
    }
}

/// What `watch` may use.
#[derive(Clone, Debug)]
pub struct WatchCx {
    check: CheckCx,
}

impl WatchCx {
    pub(crate) fn new(operation: Arc<Operation>) -> WatchCx {
        WatchCx { check: CheckCx::new(operation) }
    }

    /// The resource's identity.
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
    /// The program has given no value of this type.
    pub fn provided<T: Send + Sync + 'static>(&self) -> Result<Arc<T>> {
        self.check.provided()
    }

    /// The connections that resources share, for a stream that needs one: [`Connections::door`] is what
    /// [`CheckCx::door`] is.
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
