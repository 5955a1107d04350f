//! What the engine remembers on this host: the journal, or memory alone where nothing may be written.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::ResourceId;
use crate::resource::{Digest, Memory};

/// What the engine remembers.
#[derive(Debug, Default)]
pub(crate) struct Store {
    memory: Mutex<InMemory>,
}

#[derive(Debug, Default)]
struct InMemory {
    marks: HashMap<ResourceId, Vec<u8>>,
    sent: HashMap<(ResourceId, u8), Digest>,
    received: HashMap<(ResourceId, u8), (Digest, Digest)>,
    owed: HashSet<(ResourceId, ResourceId)>,
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, InMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sent(&self, id: &ResourceId, port: u8) -> Option<Digest> {
        self.lock().sent.get(&(id.clone(), port)).copied()
    }

    pub(crate) fn set_sent(&self, id: &ResourceId, port: u8, digest: Digest) {
        self.lock().sent.insert((id.clone(), port), digest);
    }

    pub(crate) fn received(&self, id: &ResourceId, field: u8, inputs: Digest) -> Option<Digest> {
        self.lock().received.get(&(id.clone(), field)).filter(|(of, _)| *of == inputs).map(|(_, digest)| *digest)
    }

    pub(crate) fn set_received(&self, id: &ResourceId, field: u8, inputs: Digest, digest: Digest) {
        self.lock().received.insert((id.clone(), field), (inputs, digest));
    }

    pub(crate) fn is_owed(&self, from: &ResourceId, to: &ResourceId) -> bool {
        self.lock().owed.contains(&(from.clone(), to.clone()))
    }
}

impl Memory for Store {
    fn mark(&self, id: &ResourceId) -> Option<Vec<u8>> {
        self.lock().marks.get(id).cloned()
    }

    fn set_mark(&self, id: &ResourceId, mark: Option<Vec<u8>>) -> Result<(), String> {
        match mark {
            Some(mark) => self.lock().marks.insert(id.clone(), mark),
            None => self.lock().marks.remove(id),
        };
        Ok(())
    }
}
