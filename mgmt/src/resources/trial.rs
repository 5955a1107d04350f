//! For the tests of kinds: a host without an engine, on which the operations of single resources are called by hand.

use std::collections::HashMap;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::Stream as _;

use crate::id::ResourceId;
use crate::resource::{
    AnyDrift, AnyResource, ApplyCx, Change, CheckCx, Declare, Memory, Operation, Part, Port, Result, Salt, Sendable,
    Sent, Services, Slots, WatchCx, WatchEvent, WatchStream,
};
use crate::sys::fs::WriteFs;

/// Marks in memory.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<HashMap<ResourceId, Vec<u8>>>);

impl Memory for Marks {
    fn mark(&self, id: &ResourceId) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(id).cloned()
    }

    fn set_mark(&self, id: &ResourceId, mark: Option<Vec<u8>>) -> Result<(), String> {
        let mut marks = self.0.lock().unwrap();
        match mark {
            Some(mark) => marks.insert(id.clone(), mark),
            None => marks.remove(id),
        };
        Ok(())
    }
}

/// A host: a directory of its own, and what an engine would hold.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    marks: Arc<Marks>,
    services: Arc<Services>,
    nodes: AtomicU32,
    inherit_env: bool,
}

impl Host {
    pub(crate) fn new() -> Host {
        let dir = tempfile::tempdir().unwrap();
        let marks = Arc::<Marks>::default();
        let services = Arc::new(services(dir.path(), &marks, false));
        Host { dir, marks, services, nodes: AtomicU32::new(0), inherit_env: false }
    }

    /// Commands inherit the environment, as in graphs from YAML.
    pub(crate) fn inheriting() -> Host {
        let mut host = Host::new();
        host.inherit_env = true;
        host.restart();
        host
    }

    /// The process ends and begins again: what is in memory is gone, what is on disk and what was marked is there.
    pub(crate) fn restart(&mut self) {
        self.services = Arc::new(services(self.dir.path(), &self.marks, self.inherit_env));
    }

    /// A path below a directory for the test's own files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let own = self.dir.path().join("own");
        std::fs::create_dir_all(&own).unwrap();
        own.join(name)
    }

    /// The engine's working directory.
    pub(crate) fn prefix(&self) -> PathBuf {
        self.dir.path().join("prefix")
    }

    /// All marks, as bytes.
    pub(crate) fn marked(&self) -> Vec<u8> {
        self.marks.0.lock().unwrap().values().flatten().copied().collect()
    }

    /// What an apply of this resource may use.
    #[cfg(feature = "cli")]
    pub(crate) fn apply_cx<R: crate::resource::Converge + Clone>(&self, resource: &R) -> ApplyCx {
        let node = self.nodes.fetch_add(1, Ordering::Relaxed);
        ApplyCx::new(Arc::new(Operation::new(Arc::new(resource.copy()), node, Arc::clone(&self.services))))
    }

    /// Puts a resource on the host.
    pub(crate) fn add<D: Declare>(&self, declared: D) -> Trial {
        let node = self.nodes.fetch_add(1, Ordering::Relaxed);
        Trial {
            resource: Arc::new(declared.finish().0),
            node,
            services: Arc::clone(&self.services),
            noop: false,
            owed: false,
        }
    }
}

fn services(dir: &Path, marks: &Arc<Marks>, inherit_env: bool) -> Services {
    Services {
        fs: WriteFs::default(),
        memory: Arc::clone(marks) as Arc<dyn Memory>,
        salt: Salt::default(),
        prefix: dir.join("prefix"),
        local: Slots::default(),
        shared: Slots::default(),
        owned: Mutex::default(),
        inherit_env,
    }
}

/// One resource on a host.
#[derive(Clone)]
pub(crate) struct Trial {
    resource: Arc<dyn AnyResource>,
    node: u32,
    services: Arc<Services>,
    noop: bool,
    owed: bool,
}

/// What came of an operation.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What check found.
    pub(crate) found: Vec<Change>,
    sent: Vec<Sent>,
}

impl Outcome {
    /// Nothing was wrong.
    pub(crate) fn in_sync(&self) -> bool {
        self.found.is_empty()
    }

    /// The value that was sent last on a port.
    pub(crate) fn value<T: Sendable>(&self, port: Port<T>) -> Option<T> {
        self.sent.iter().rev().find_map(|sent| match sent {
            Sent::Value { port: number, value, .. } if *number == port.number() => value.downcast_ref().cloned(),
            _ => None,
        })
    }

    /// It was said that the value is that of an earlier run.
    pub(crate) fn is_unchanged<T>(&self, port: Port<T>) -> bool {
        self.sent.iter().any(|sent| matches!(sent, Sent::Unchanged { port: number } if *number == port.number()))
    }

    /// Nothing was sent.
    pub(crate) fn sent_nothing(&self) -> bool {
        self.sent.is_empty()
    }
}

impl Trial {
    /// It will not be applied.
    pub(crate) fn noop(mut self) -> Trial {
        self.noop = true;
        self
    }

    /// The graph has another version of it now.
    pub(crate) fn becomes<D: Declare>(&self, declared: D) -> Trial {
        Trial { resource: Arc::new(declared.finish().0), ..self.clone() }
    }

    /// A refresh is owed to it.
    pub(crate) fn owed(mut self) -> Trial {
        self.owed = true;
        self
    }

    fn operation(&self) -> Arc<Operation> {
        let mut operation = Operation::new(Arc::clone(&self.resource), self.node, Arc::clone(&self.services));
        (operation.noop, operation.refresh) = (self.noop, self.owed);
        Arc::new(operation)
    }

    async fn check_with(&self) -> Result<(Option<AnyDrift>, Outcome)> {
        let operation = self.operation();
        let drift = Arc::clone(&self.resource).check(CheckCx::new(Arc::clone(&operation))).await?;
        let found = drift.as_ref().map(|drift| drift.changes.clone()).unwrap_or_default();
        assert_eq!(drift.is_some(), !found.is_empty(), "drift has changes");
        Ok((drift, Outcome { found, sent: operation.take_sent() }))
    }

    /// Looks.
    pub(crate) async fn check(&self) -> Result<Outcome> {
        Ok(self.check_with().await?.1)
    }

    /// Looks, and repairs what is found unless it is noop.
    pub(crate) async fn settle(&self) -> Result<Outcome> {
        let (drift, mut outcome) = self.check_with().await?;
        if let Some(drift) = drift.filter(|_| !self.noop) {
            let operation = self.operation();
            Arc::clone(&self.resource).apply(ApplyCx::new(Arc::clone(&operation)), drift).await?;
            outcome.sent = operation.take_sent();
        }
        Ok(outcome)
    }

    /// Refreshes it; whether it did something, and what it sent.
    pub(crate) async fn refresh(&self) -> Result<(bool, Outcome)> {
        let operation = self.clone().owed().operation();
        let did = Arc::clone(&self.resource).refresh(ApplyCx::new(Arc::clone(&operation))).await?;
        Ok((did, Outcome { found: Vec::new(), sent: operation.take_sent() }))
    }

    /// Whether its fields are good.
    pub(crate) fn validate(&self) -> Result<(), String> {
        self.resource.validate()
    }

    /// Its fields as data.
    pub(crate) fn data(&self) -> serde_json::Value {
        self.resource.to_data(&[]).unwrap().into()
    }

    /// Begins to watch.
    pub(crate) fn watch(&self) -> Watching {
        let (mut streams, mut paths) = (Vec::new(), Vec::new());
        for part in self.resource.watch(&WatchCx::new(self.operation())).into_parts() {
            match part {
                Part::Stream(stream) => streams.push(stream),
                Part::Path(path) | Part::Tree(path) => paths.push(path),
                Part::Every(_) => {}
            }
        }
        Watching { streams, paths }
    }

    /// Takes it from the graph.
    #[cfg(feature = "http")]
    pub(crate) fn remove(self) {
        self.services.local.clear(self.node);
    }
}

/// What a resource watches.
pub(crate) struct Watching {
    streams: Vec<WatchStream>,
    /// Paths that it asked the engine to watch.
    pub(crate) paths: Vec<PathBuf>,
}

impl Watching {
    /// What its one stream says next; a failure to say anything for 20 s fails the test.
    pub(crate) async fn next(&mut self) -> Option<Result<WatchEvent>> {
        let [stream] = &mut self.streams[..] else { panic!("{} streams", self.streams.len()) };
        let next = poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx));
        tokio::time::timeout(Duration::from_secs(20), next).await.expect("the watch says something")
    }
}
