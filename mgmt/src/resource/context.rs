//! What an operation of a resource may use: doors to the system, memory, outputs.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::ResourceId;
use crate::resource::any::AnyResource;
use crate::resource::digest::{Digest, Salt};
use crate::resource::error::{Error, Result};
use crate::resource::output::{Port, Sendable, Value};
use crate::resource::private_dirs::PrivateDirs;
use crate::resource::watch::Watch;
use crate::sys::fs::{ReadFs, WriteFs};
use crate::sys::task::blocking;

/// What a host remembers for a resource beyond a restart. The journal implements it.
pub trait Memory: Send + Sync + fmt::Debug {
    /// The mark that was set last.
    fn mark(&self, id: &ResourceId) -> Option<Vec<u8>>;
    /// Sets the mark, or removes it; on disk when the call returns. It blocks. What the resource has sent by then is not remembered any more, in the
    /// same step: whoever is cut short after its mark and before it has sent what goes with it can't take the old for the new afterwards.
    ///
    /// # Errors
    /// What the disk said.
    fn set_mark(&self, id: &ResourceId, mark: Option<Vec<u8>>) -> Result<(), String>;
}

type AnyArc = Arc<dyn Any + Send + Sync>;

/// Values by type, made when first asked for.
#[derive(Default)]
pub struct Slots {
    by_type: Mutex<HashMap<(u32, TypeId), AnyArc>>,
}

impl Slots {
    /// The value of type `T` of this owner.
    pub fn get<T: Default + Send + Sync + 'static>(&self, owner: u32) -> Arc<T> {
        let mut slots = lock(&self.by_type);
        let slot = slots.entry((owner, TypeId::of::<T>())).or_insert_with(|| Arc::new(T::default()));
        Arc::clone(slot).downcast().unwrap_or_else(|_| unreachable!("a slot's key holds its type"))
    }

    /// Drops all values of this owner.
    pub fn clear(&self, owner: u32) {
        let mut slots = lock(&self.by_type);
        if !slots.is_empty() {
            let gone: Vec<AnyArc> = slots.extract_if(|(of, _), _| *of == owner).map(|(_, value)| value).collect();
            // What is dropped may want a slot itself.
            drop(slots);
            drop(gone);
        }
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slots({})", lock(&self.by_type).len())
    }
}

/// A poisoned lock only says that a kind panicked while it held it: the engine caught that.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an engine gives all its resources.
#[derive(Debug)]
pub struct Services {
    /// The file system.
    pub fs: WriteFs,
    /// What survives a restart.
    pub memory: Arc<dyn Memory>,
    /// Mixed into the digests of sent values.
    pub salt: Salt,
    /// The engine's working directory.
    pub prefix: PathBuf,
    /// The private directories of resources.
    pub dirs: PrivateDirs,
    /// State of single resources.
    pub local: Slots,
    /// State shared by resources of an engine.
    pub shared: Slots,
    /// Paths that resources of the graph own; a purge spares them.
    pub owned: Mutex<Arc<Vec<PathBuf>>>,
    /// Commands without an `env` of their own get this process's environment (Q15).
    pub inherit_env: bool,
}

/// What an operation sent.
#[derive(Clone)]
pub enum Sent {
    /// A value.
    Value {
        /// The output.
        port: u8,
        /// The value.
        value: Value,
        /// Its digest, salted.
        digest: Digest,
    },
    /// The value is the same as in the run before, and isn't known any more.
    Unchanged {
        /// The output.
        port: u8,
    },
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sent::Value { port, .. } => write!(f, "Sent({port})"),
            Sent::Unchanged { port } => write!(f, "Unchanged({port})"),
        }
    }
}

/// What the engine knows about one operation.
#[derive(Debug)]
pub struct Operation {
    /// The resource, with what it received.
    pub resource: Arc<dyn AnyResource>,
    /// Its slot in the engine.
    pub node: u32,
    /// What it is given.
    pub services: Arc<Services>,
    /// A refresh is owed to it.
    pub refresh: bool,
    /// It will not be applied.
    pub noop: bool,
    /// What it has sent so far.
    pub sent: Mutex<Vec<Sent>>,
    /// It applied, but there was nothing to change.
    pub unchanged: AtomicBool,
    /// It applied because of an event.
    pub by_event: AtomicBool,
}

impl Operation {
    /// An operation of this resource.
    pub fn new(resource: Arc<dyn AnyResource>, node: u32, services: Arc<Services>) -> Operation {
        Operation {
            resource,
            node,
            services,
            refresh: false,
            noop: false,
            sent: Mutex::default(),
            unchanged: AtomicBool::new(false),
            by_event: AtomicBool::new(false),
        }
    }

    /// Takes what was sent.
    pub fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut *lock(&self.sent))
    }
}

/// What `check` may use. It holds no door that writes.
#[derive(Clone, Debug)]
pub struct CheckCx {
    operation: Arc<Operation>,
}

impl CheckCx {
    /// For the engine and for tests.
    #[doc(hidden)]
    pub fn new(operation: Arc<Operation>) -> CheckCx {
        CheckCx { operation }
    }

    /// The resource's identity.
    pub fn id(&self) -> ResourceId {
        ResourceId::new(self.operation.resource.spec().kind, self.operation.resource.name())
    }

    /// The file system, to look at. Its calls block: use [`look`](CheckCx::look) unless they are known to be quick.
    pub fn fs(&self) -> &ReadFs {
        &self.operation.services.fs
    }

    /// Looks at the file system on a thread that may block.
    pub async fn look<T: Send + 'static>(&self, look: impl FnOnce(&ReadFs) -> T + Send + 'static) -> T {
        // The engine counts the holders of an operation: it has ended when only the engine is left, also if it was cancelled meanwhile.
        let operation = Arc::clone(&self.operation);
        blocking(move || look(&operation.services.fs)).await
    }

    /// This resource will not be applied.
    pub fn is_noop(&self) -> bool {
        self.operation.noop
    }

    /// A refresh is owed.
    pub fn refresh_owed(&self) -> bool {
        self.operation.refresh
    }

    /// Sends a value on an output. Receivers are checked again if it differs from the one before.
    pub fn send<T: Sendable>(&self, port: Port<T>, value: T) {
        let digest = self.operation.services.salt.digest_of(&value);
        self.push(Sent::Value { port: port.number(), value: Arc::new(value), digest });
    }

    /// Says that the value of an output is the one of an earlier run, which is not known any more. Receivers that can do with its digest go on;
    /// if one needs the value itself, this resource is refreshed and must send a value.
    pub fn send_unchanged<T: Sendable>(&self, port: Port<T>) {
        self.push(Sent::Unchanged { port: port.number() });
    }

    fn push(&self, sent: Sent) {
        lock(&self.operation.sent).push(sent);
    }

    /// This resource's state of type `T` in this engine: kept as long as it is in the graph, gone with the process.
    pub fn local<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.operation.services.local.get(self.operation.node)
    }

    /// State of type `T` that all resources of this engine share.
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.operation.services.shared.get(0)
    }

    /// What this resource marked in this run or an earlier one.
    pub fn mark(&self) -> Option<Vec<u8>> {
        self.operation.services.memory.mark(&self.id())
    }

    /// A directory for this resource's own files below the prefix. It may not exist yet. It is removed when the resource
    /// has been in no graph for 30 days.
    pub fn var_dir(&self) -> PathBuf {
        self.operation.services.dirs.of(&self.id())
    }

    /// The engine's working directory.
    pub fn prefix(&self) -> &Path {
        &self.operation.services.prefix
    }

    /// Paths that resources of the graph own.
    pub fn owned_paths(&self) -> Arc<Vec<PathBuf>> {
        Arc::clone(&lock(&self.operation.services.owned))
    }

    /// Commands without an `env` of their own get this process's environment.
    pub fn inherits_env(&self) -> bool {
        self.operation.services.inherit_env
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
    /// For the engine and for tests.
    #[doc(hidden)]
    pub fn new(operation: Arc<Operation>) -> ApplyCx {
        ApplyCx { check: CheckCx::new(operation) }
    }

    /// The file system. Its calls block: use [`change`](ApplyCx::change) unless they are known to be quick.
    pub fn fs_mut(&self) -> &WriteFs {
        &self.check.operation.services.fs
    }

    /// Changes the file system on a thread that may block. What it does is not cut short by a cancellation.
    pub async fn change<T: Send + 'static>(&self, change: impl FnOnce(&WriteFs) -> T + Send + 'static) -> T {
        let operation = Arc::clone(&self.check.operation);
        blocking(move || change(&operation.services.fs)).await
    }

    /// Says that there was nothing to change after all: nobody is notified.
    pub fn unchanged(&self) {
        self.check.operation.unchanged.store(true, Ordering::Relaxed);
    }

    /// Says that an event made this necessary, such as a tick or a line of a command: nobody has undone an earlier repair. However often that comes, the
    /// resource is not taken for one that somebody else changes too, and its checks are not spaced out.
    pub fn by_event(&self) {
        self.check.operation.by_event.store(true, Ordering::Relaxed);
    }

    /// Remembers a small mark beyond a restart; on disk when the call returns. A value that goes with the mark is sent after it.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn set_mark(&self, mark: Option<Vec<u8>>) -> Result<()> {
        let (operation, id) = (Arc::clone(&self.check.operation), self.id());
        blocking(move || operation.services.memory.set_mark(&id, mark))
            .await
            .map_err(|error| Error::new(format!("the journal: {error}")))
    }
}

/// What `watch` may use.
#[derive(Clone, Debug)]
pub struct WatchCx {
    check: CheckCx,
}

impl WatchCx {
    /// For the engine and for tests.
    #[doc(hidden)]
    pub fn new(operation: Arc<Operation>) -> WatchCx {
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

    /// See [`CheckCx::inherits_env`].
    pub fn inherits_env(&self) -> bool {
        self.check.inherits_env()
    }
}

/// Makes watches on the file system.
#[derive(Debug)]
pub struct FsWatch(());

impl FsWatch {
    /// See [`Watch::path`].
    pub fn path(&self, path: impl AsRef<Path>) -> Watch {
        Watch::path(path)
    }

    /// See [`Watch::tree`].
    pub fn tree(&self, path: impl AsRef<Path>) -> Watch {
        Watch::tree(path)
    }
}
