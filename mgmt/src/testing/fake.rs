//! A host without an engine, on which the operations of single resources are called by hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io};

use crate::id::ResourceId;
use crate::resource::{
    AnyResource, Declare, Member, Memory, PrivateDirs, Provisions, Salt, Scheduling, Services, World,
};
use crate::runtime::hosts::Schedules;
use crate::sys::fs::{Faults, WriteFs};
use crate::sys::process::InheritEnv;
use crate::testing::marks::Marks;
use crate::testing::temp::TempDir;
use crate::testing::trial::Trial;

/// A host: a directory for a test's own files, and what an engine provides to its resources. No engine runs, and
/// nothing happens by itself: the test calls each operation, and gets what it found, changed and sent. Doors and memory
/// fail when the test demands it.
///
/// For tests of a kind by its author. The laws that hold for all kinds are in [`laws`](crate::testing::laws).
///
/// ```
/// use mgmt::prelude::*;
/// use mgmt::testing::{At, Call, Fake};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let mut host = Fake::new()?;
/// let motd = host.path("motd");
/// let file = host.put(File::new(motd.to_str().unwrap()).content("hello\n"));
///
/// // A check looks, and finds what is wrong; it changes nothing.
/// let found = file.check().await?;
/// assert_eq!(found.changes[0].to_string(), "state: absent → regular file");
/// assert!(!motd.exists());
///
/// // The disk is full: the apply fails, and the text of the error is that of an engine.
/// host.faults().fail(At::Every(Call::Write), 28);
/// let error = file.apply(found.drift.unwrap()).await.unwrap_err();
/// assert!(error.to_string().contains("No space left on device"), "{error}");
/// host.faults().reset();
///
/// // `settle` checks, and applies what the check found.
/// let settled = file.settle().await?;
/// assert!(settled.changed);
/// assert_eq!(std::fs::read_to_string(&motd)?, "hello\n");
/// assert!(file.settle().await?.in_sync());
///
/// // What it receives, what it sends, and noop.
/// let file = file.receiving("content", String::from("good bye\n"));
/// assert!(!file.clone().noop().settle().await?.in_sync());
/// assert_eq!(std::fs::read_to_string(&motd)?, "hello\n");
/// assert_eq!(file.settle().await?.value(File::FULL_PATH).unwrap(), motd.to_str().unwrap());
///
/// // After a restart of the process only the disk and the marks are left.
/// host.restart();
/// assert!(host.put(File::new(motd.to_str().unwrap()).content("good bye\n")).check().await?.in_sync());
/// # Ok::<(), mgmt::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Fake {
    // Dropped first: its values may use the directory.
    services: Arc<Services>,
    marks: Arc<Marks>,
    faults: Arc<Faults>,
    nodes: AtomicU32,
    own: PathBuf,
    root: PathBuf,
    /// Removed with the host.
    _dir: Option<TempDir>,
}

impl Fake {
    /// A host on which no operation has run yet.
    ///
    /// # Errors
    /// The directory can't be created.
    pub fn new() -> io::Result<Fake> {
        let dir = TempDir::new()?;
        let root = dir.path().to_owned();
        fs::create_dir(root.join("own"))?;
        fs::create_dir(root.join("prefix"))?;
        Ok(Fake { _dir: Some(dir), ..Fake::at(root) })
    }

    /// A host in a directory that another process has made for it, with `own` and `prefix`.
    pub(crate) fn at(root: PathBuf) -> Fake {
        let (own, prefix) = (root.join("own"), root.join("prefix"));
        let (marks, faults) = (Arc::<Marks>::default(), Faults::new());
        let services = Arc::new(services(prefix, &marks, &faults, Provisions::default()));
        Fake { services, marks, faults, nodes: AtomicU32::new(0), own, root, _dir: None }
    }

    /// Makes commands inherit this process's environment, as in graphs from YAML. Default: they do not.
    #[must_use]
    pub fn inherit_env(self) -> Fake {
        let mut provisions = self.services.provisions.clone();
        provisions.insert_own(InheritEnv);
        self.provisions(provisions)
    }

    /// Provides a value to the kinds, as [`Builder::provide`](crate::runtime::Builder::provide) does. Resources that
    /// are on the host already do not get it.
    #[must_use]
    pub fn provide<T: Send + Sync + 'static>(self, value: T) -> Fake {
        let mut provisions = self.services.provisions.clone();
        provisions.insert(value);
        self.provisions(provisions)
    }

    pub(crate) fn provisions(mut self, provisions: Provisions) -> Fake {
        self.renew(|services| services.provisions = provisions);
        self
    }

    /// Gives the host a world, in which it has this name. Resources that are on the host already do not get it.
    #[must_use]
    pub fn world(self, world: impl World, host: &str) -> Fake {
        self.member(Some(world.member(host)))
    }

    pub(crate) fn member(mut self, member: Option<Arc<dyn Member>>) -> Fake {
        self.renew(|services| {
            if let Some(member) = &member {
                member.host().clone_into(&mut services.hostname);
            }
            services.scheduling = member.clone().map(|member| {
                let schedules = Schedules::new(member, services.labels.clone());
                schedules.take_part();
                Arc::new(schedules) as Arc<dyn Scheduling>
            });
            services.world = member;
        });
        self
    }

    /// Makes the services again, with what the host has been given.
    fn renew(&mut self, set: impl FnOnce(&mut Services)) {
        let Services { prefix, provisions, hostname, world, scheduling, .. } = &*self.services;
        let mut services = services(prefix.clone(), &self.marks, &self.faults, provisions.clone());
        services.hostname.clone_from(hostname);
        services.world.clone_from(world);
        services.scheduling.clone_from(scheduling);
        set(&mut services);
        self.services = Arc::new(services);
    }

    /// The directory for the test's own files.
    pub fn dir(&self) -> &Path {
        &self.own
    }

    /// A path in the directory for the test's own files.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.own.join(name)
    }

    /// The engine's working directory, as resources see it.
    pub fn prefix(&self) -> &Path {
        &self.services.prefix
    }

    /// The directory that contains these two and nothing else.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes calls to the file system fail, for all resources of this host. Calls are counted from the start, or from
    /// the last [`reset`](Faults::reset).
    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Makes setting a mark fail with this text, as if the journal failed. `None`: it works again.
    pub fn fail_marks(&self, error: Option<&str>) {
        self.marks.fail(error.map(str::to_owned));
    }

    /// Makes [`cx.door`](crate::resource::CheckCx::door) fail with this text, for all doors of this host. `None`: it
    /// works again.
    pub fn fail_doors(&self, error: Option<&str>) {
        self.services.connections.refuse(error.map(str::to_owned));
    }

    /// The marks that resources have set.
    pub fn marks(&self) -> BTreeMap<ResourceId, Vec<u8>> {
        self.marks.all()
    }

    /// Makes these paths count as owned by other resources of the graph.
    pub fn own(&self, paths: impl IntoIterator<Item = PathBuf>) {
        let mut owned: Vec<PathBuf> = paths.into_iter().collect();
        owned.sort_unstable();
        self.services.owned.set_known(Arc::new(owned.into_iter().collect()), Arc::default());
    }

    /// Announces that another graph has come into force, in which the resources of this host are the same.
    pub fn new_graph(&self) {
        self.services.graphs.note();
    }

    /// Restarts the process: what resources held in memory is lost; what is on disk or was marked is kept. Resources
    /// must be put on the host again.
    pub fn restart(&mut self) {
        self.renew(|_| ());
    }

    /// Puts a resource on the host. Its edges, and its wires to other resources, are ignored: see [`Trial::receiving`].
    pub fn put(&self, declared: impl Declare) -> Trial {
        self.put_resource(Arc::new(declared.finish().0))
    }

    /// Like [`put`](Fake::put), for a resource of any kind.
    pub fn put_resource(&self, resource: Arc<dyn AnyResource>) -> Trial {
        Trial::new(resource, self.nodes.fetch_add(1, Ordering::Relaxed), Arc::clone(&self.services))
    }
}

fn services(prefix: PathBuf, marks: &Arc<Marks>, faults: &Arc<Faults>, provisions: Provisions) -> Services {
    let dirs = PrivateDirs::new(&prefix);
    let mut services = Services::new(Arc::clone(marks) as Arc<dyn Memory>, Salt::default(), prefix, dirs);
    services.fs = WriteFs::with_faults(Arc::clone(faults));
    services.provisions = provisions;
    services
}
