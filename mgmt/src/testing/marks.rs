//! The memory of a fake host: marks that survive a restart, and that can be made to fail.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::ResourceId;
use crate::resource::{Error, Memory, Result};

/// The marks of a host, in memory.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    marks: BTreeMap<ResourceId, Vec<u8>>,
    fails: Option<String>,
}

impl Marks {
    /// Makes setting a mark fail with this text; `None`: it works again.
    pub(super) fn fail(&self, error: Option<String>) {
        self.state().fails = error;
    }

    /// All marks, by identity.
    pub(super) fn all(&self) -> BTreeMap<ResourceId, Vec<u8>> {
        self.state().marks.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory for Marks {
    fn mark(&self, id: &ResourceId) -> Option<Vec<u8>> {
        self.state().marks.get(id).cloned()
    }

    fn set_mark(&self, id: &ResourceId, mark: Option<Vec<u8>>) -> Result<()> {
        let mut state = self.state();
        if let Some(error) = &state.fails {
            return Err(Error::new(error.clone()));
        }
        match mark {
            Some(mark) => state.marks.insert(id.clone(), mark),
            None => state.marks.remove(id),
        };
        Ok(())
    }
}
