//! What an engine does about trials, and with which records it begins.

use std::path::Path;
use std::sync::Arc;

use crate::id::ResourceId;
use crate::resource::{Found, Records, TrialRecords};
use crate::runtime::error::EngineError;
use crate::runtime::trial::place::TrialPlace;
use crate::sys::task::blocking;

/// A run whose changes are put back unless it is confirmed, also those of resources without `reverse`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trial {
    /// Which one it is, for [`confirm`](crate::runtime::trial::confirm): no other run has this id.
    pub id: String,
    /// Whether changes are made all the same that can't be put back. If not, such a change fails.
    pub is_partial: bool,
}

impl Trial {
    /// A trial with this id, in which no change is made that can't be put back.
    pub fn new(id: impl Into<String>) -> Trial {
        Trial { id: id.into(), is_partial: false }
    }

    /// The same with changes that can't be put back.
    #[must_use]
    pub fn partial(self, is_partial: bool) -> Trial {
        Trial { is_partial, ..self }
    }
}

/// What an engine does about trials.
#[derive(Clone, Debug, Default)]
pub(crate) enum Role {
    /// Its changes stay. What a trial before it has left is undone like what resources have left that are in no graph.
    #[default]
    Plain,
    /// It is a trial.
    Trial(Trial),
    /// It puts back what a trial before it has changed, and does nothing else.
    PutBack,
}

/// The records with which an engine begins.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) records: Records,
    /// Those that it takes up.
    pub(crate) found: Vec<Found>,
    /// The resources whose records come from a trial before it.
    pub(crate) adopted: Vec<ResourceId>,
    /// Those of the trial that it is.
    pub(crate) trial: Option<Arc<TrialRecords>>,
}

impl Recorded {
    /// Those of an engine that remembers nothing, which can be no trial.
    pub(crate) fn nothing(role: &Role, prefix: &Path) -> Result<Recorded, EngineError> {
        match role {
            Role::Plain => {
                Ok(Recorded { records: Records::new(prefix), found: Vec::new(), adopted: Vec::new(), trial: None })
            }
            _ => Err(EngineError::wrong("a run whose changes may be put back needs a prefix".to_owned())),
        }
    }
}

/// The records of an engine in a prefix, whose lock is held. Blocks.
pub(crate) fn begin(role: &Role, prefix: &Path) -> Result<Recorded, EngineError> {
    let (place, records) = (TrialPlace::of(prefix), Records::new(prefix));
    let failed = |what: &str, error: &dyn std::fmt::Display| EngineError::wrong(format!("{what}: {error}"));
    match role {
        Role::PutBack => {
            let records = place.records();
            let found = match place.give_up() {
                Ok(true) => records.load(true),
                Ok(false) => Vec::new(),
                Err(error) => return Err(failed("what was changed can't be put back", &error)),
            };
            Ok(Recorded { records, found, adopted: Vec::new(), trial: None })
        }
        Role::Plain => {
            let mut found = records.load(true);
            let adopted = place.leave_to(&records);
            let adopted = adopted.map_err(|error| failed("what a run has left that was not confirmed", &error))?;
            if !adopted.is_empty() {
                found = records.load(true);
            }
            Ok(Recorded { records, found, adopted, trial: None })
        }
        Role::Trial(trial) => {
            let found = records.load(true);
            place.open(&trial.id).map_err(|error| failed("the run can't be tried", &error))?;
            let own = place.records();
            drop(own.load(true));
            let trial = Some(Arc::new(TrialRecords::new(own, trial.is_partial)));
            Ok(Recorded { records, found, adopted: Vec::new(), trial })
        }
    }
}

/// The engine has ended, and its prefix is still locked. `is_done`: it had nothing more to do.
pub(crate) async fn end(role: &Role, prefix: &Path, is_done: bool) {
    if !matches!(role, Role::PutBack) || !is_done {
        return;
    }
    let (place, records) = (TrialPlace::of(prefix), Records::new(prefix));
    // What could not be put back is tried again at each start, like what resources have left that are in no graph.
    if let Err(error) = blocking(move || place.leave_to(&records)).await {
        tracing::warn!(target: "mgmt", "what could not be put back is not kept for later: {error}");
    }
}
