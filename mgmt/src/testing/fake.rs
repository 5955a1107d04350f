//! A host without an engine, on which the operations of single resources are called by hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use crate::id::ResourceId;
use crate::resource::{
    AnyDrift, AnyResource, ApplyCx, BoxFuture, CheckCx, Declare, Memory, Operation, Result, Salt, Services, Slots,
    Watch, WatchCx,
};
use crate::sys::fs::WriteFs;
use crate::testing::temp::TempDir;

/// What a host remembers, in memory.
#[derive(Debug, Default)]
pub struct FakeMemory(Mutex<HashMap<ResourceId, Vec<u8>>>);

impl Memory for FakeMemory {
    fn mark(&self, id: &ResourceId) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn set_mark(&self, id: &ResourceId, mark: Option<Vec<u8>>) -> Result<(), String> {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match mark {
            Some(mark) => marks.insert(id.clone(), mark),
            None => marks.remove(id),
        };
        Ok(())
    }
}

/// A host: a directory for a test's own files, and what an engine gives its resources. No engine runs, and nothing happens by itself.
///
/// ```
/// # use mgmt::prelude::*;
/// # use mgmt::testing::Fake;
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let host = Fake::new()?;
/// let motd = host.dir().join("motd");
/// let file = host.put(File::new(motd.to_str().unwrap()).content("hello\n"));
/// let drift = file.check().await?.expect("there is no file yet");
/// file.apply(drift).await?;
/// assert_eq!(std::fs::read_to_string(motd)?, "hello\n");
/// assert!(file.check().await?.is_none());
/// # Ok::<(), mgmt::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Fake {
    // Dropped first: it may hold what is in the directory.
    services: Arc<Services>,
    memory: Arc<FakeMemory>,
    nodes: AtomicU32,
    own: PathBuf,
    dir: TempDir,
}

impl Fake {
    /// A host on which nothing has run yet.
    ///
    /// # Errors
    /// No directory could be made.
    pub fn new() -> io::Result<Fake> {
        let dir = TempDir::new()?;
        let (own, memory) = (dir.path().join("own"), Arc::<FakeMemory>::default());
        fs::create_dir(&own)?;
        let services = services(dir.path().join("prefix"), &memory);
        fs::create_dir(&services.prefix)?;
        Ok(Fake { services, memory, nodes: AtomicU32::new(0), own, dir })
    }

    /// The directory for the test's own files.
    pub fn dir(&self) -> &Path {
        &self.own
    }

    /// The working directory that resources are told of.
    pub fn prefix(&self) -> &Path {
        &self.services.prefix
    }

    /// The directory that holds these two and nothing else.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The process ends and begins again: what resources held in memory is gone, what is on disk or was marked is there.
    pub fn restart(&mut self) {
        self.services = services(self.services.prefix.clone(), &self.memory);
    }

    /// Puts a resource on the host. Its edges and what it would receive are left aside.
    pub fn put(&self, declared: impl Declare) -> Trial {
        self.put_resource(Arc::new(declared.finish().0))
    }

    /// The same for a resource of whatever kind.
    pub fn put_resource(&self, resource: Arc<dyn AnyResource>) -> Trial {
        let node = self.nodes.fetch_add(1, Ordering::Relaxed);
        Trial { resource, node, services: Arc::clone(&self.services) }
    }
}

fn services(prefix: PathBuf, memory: &Arc<FakeMemory>) -> Arc<Services> {
    Arc::new(Services {
        fs: WriteFs::default(),
        memory: Arc::clone(memory) as Arc<dyn Memory>,
        salt: Salt::default(),
        prefix,
        local: Slots::default(),
        shared: Slots::default(),
        owned: Mutex::default(),
        inherit_env: false,
    })
}

/// A resource on a [`Fake`] host.
#[derive(Clone, Debug)]
pub struct Trial {
    resource: Arc<dyn AnyResource>,
    node: u32,
    services: Arc<Services>,
}

impl Trial {
    /// Its identity.
    pub fn id(&self) -> ResourceId {
        ResourceId::new(self.resource.spec().kind, self.resource.name())
    }

    fn operation(&self) -> Arc<Operation> {
        Arc::new(Operation::new(Arc::clone(&self.resource), self.node, Arc::clone(&self.services)))
    }

    /// Looks.
    ///
    /// # Errors
    /// What the kind says.
    pub async fn check(&self) -> Result<Option<AnyDrift>> {
        Arc::clone(&self.resource).check(CheckCx::new(self.operation())).await
    }

    /// Repairs what the check just before found.
    ///
    /// # Errors
    /// What the kind says.
    pub async fn apply(&self, drift: AnyDrift) -> Result<()> {
        self.begin_apply(drift).0.await
    }

    /// The same, not yet begun; and what it holds: when nobody else does any more, all of its work has ended, also what went on after it was dropped.
    pub fn begin_apply(&self, drift: AnyDrift) -> (BoxFuture<Result<()>>, Arc<Operation>) {
        let operation = self.operation();
        (Arc::clone(&self.resource).apply(ApplyCx::new(Arc::clone(&operation)), drift), operation)
    }

    /// What wakes it.
    pub fn watch(&self) -> Watch {
        self.resource.watch(&WatchCx::new(self.operation()))
    }
}
