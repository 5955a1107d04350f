//! What an engine provides to all its resources: doors, memory, state.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::ResourceId;
use crate::resource::digest::Salt;
use crate::resource::door::Connections;
use crate::resource::error::Result;
use crate::resource::graphs::Graphs;
use crate::resource::hosts::Scheduling;
use crate::resource::owned::OwnedPaths;
use crate::resource::private_dirs::PrivateDirs;
use crate::resource::provisions::Provisions;
use crate::resource::record::{Records, TrialRecords};
use crate::resource::world::Member;
use crate::sys::facts;
use crate::sys::fs::WriteFs;
use crate::sys::task::caught;

/// What a host remembers about a resource across restarts. The journal implements it.
pub trait Memory: Send + Sync + fmt::Debug {
    /// The last mark of the resource; `None` if it has none.
    fn mark(&self, id: &ResourceId) -> Option<Vec<u8>>;
    /// Sets the mark, or removes it; it is on disk when the call returns. Blocks. The digests of everything that this
    /// resource sent are forgotten in the same batch, so that a crash before the next `send` can't pair the new mark
    /// with an old digest.
    ///
    /// # Errors
    /// The mark can't be written.
    fn set_mark(&self, id: &ResourceId, mark: Option<Vec<u8>>) -> Result<()>;
}

type AnyArc = Arc<dyn Any + Send + Sync>;

/// Values by type, each made at its first use.
#[derive(Default)]
pub struct Slots(Mutex<Values>);

#[derive(Default)]
struct Values {
    /// There are few types, and may be very many owners.
    types: Vec<TypeId>,
    /// By owner, and the index of the type.
    values: HashMap<(u32, u32), AnyArc>,
}

impl Values {
    /// The index of a type.
    fn index(&mut self, of: TypeId) -> u32 {
        let at = self.types.iter().position(|known| *known == of).unwrap_or_else(|| {
            self.types.push(of);
            self.types.len() - 1
        });
        at as u32
    }
}

impl Slots {
    /// The value of type `T` of this owner.
    pub fn get<T: Default + Send + Sync + 'static>(&self, owner: u32) -> Arc<T> {
        let mut slots = lock(&self.0);
        let of = slots.index(TypeId::of::<T>());
        let value = Arc::clone(slots.values.entry((owner, of)).or_insert_with(|| Arc::new(T::default())));
        value.downcast().unwrap_or_else(|_| unreachable!("a slot's key holds its type"))
    }

    /// Drops all values of all owners.
    pub(crate) fn clear_all(&self) {
        let gone = std::mem::take(&mut lock(&self.0).values);
        // The destructor of a value may use a slot.
        drop(gone);
    }

    /// Drops all values of this owner.
    pub fn clear(&self, owner: u32) {
        let mut slots = lock(&self.0);
        let types = 0..slots.types.len() as u32;
        let gone: Vec<AnyArc> = types.filter_map(|of| slots.values.remove(&(owner, of))).collect();
        drop(slots);
        // The destructor of a value may use a slot.
        drop(gone);
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slots({})", lock(&self.0).values.len())
    }
}

/// Locks a mutex. A poisoned one only means that a kind panicked while it held the lock: the engine caught the panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an engine provides to all its resources.
#[derive(Debug)]
pub(crate) struct Services {
    /// The file system.
    pub(crate) fs: WriteFs,
    /// The memory that survives a restart.
    pub(crate) memory: Arc<dyn Memory>,
    /// The salt of the digests of sent values.
    pub(crate) salt: Salt,
    /// The engine's working directory.
    pub(crate) prefix: PathBuf,
    /// The private directories of resources.
    pub(crate) dirs: PrivateDirs,
    /// What was there before resources changed it.
    pub(crate) records: Records,
    /// The trial that this run is; `None`: its changes stay.
    pub(crate) trial: Option<Arc<TrialRecords>>,
    /// State of single resources.
    pub(crate) local: Slots,
    /// State shared by resources of an engine.
    pub(crate) shared: Slots,
    /// The values that the program has provided.
    pub(crate) provisions: Provisions,
    /// The shared connections.
    pub(crate) connections: Connections,
    /// Paths that resources of the graph own; a purge spares them.
    pub(crate) owned: Arc<OwnedPaths>,
    /// The name of this host among others.
    pub(crate) hostname: String,
    /// The graphs that have come into force.
    pub(crate) graphs: Graphs,
    /// The access of this host to the world; `None`: the engine has none.
    pub(crate) world: Option<Arc<dyn Member>>,
    /// The schedules of this host; `None`: the engine has no world.
    pub(crate) scheduling: Option<Arc<dyn Scheduling>>,
    /// The labels of this host.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Services {
    /// The services of an engine with this working directory, on the real file system.
    pub(crate) fn new(memory: Arc<dyn Memory>, salt: Salt, prefix: PathBuf, dirs: PrivateDirs) -> Services {
        Services {
            fs: WriteFs::new(),
            memory,
            salt,
            dirs,
            records: Records::new(&prefix),
            trial: None,
            prefix,
            local: Slots::default(),
            shared: Slots::default(),
            provisions: Provisions::default(),
            connections: Connections::default(),
            owned: Arc::default(),
            hostname: facts::hostname(),
            graphs: Graphs::default(),
            world: None,
            scheduling: None,
            labels: BTreeMap::new(),
        }
    }

    /// Drops the state of resources when the engine has ended. A value in it may hold a `cx`, and so these services:
    /// they would keep each other alive for ever.
    pub(crate) fn clear(&self) {
        for slots in [&self.local, &self.shared] {
            if let Err(panic) = caught(|| slots.clear_all()) {
                tracing::warn!(target: "mgmt", "dropping the state of a resource {panic}");
            }
        }
    }
}
