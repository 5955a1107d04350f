//! Putting back what a trial has changed, and confirming it.

use std::sync::Arc;

use crate::gapi::{Gapi, fixed};
use crate::graph::GraphConfig;
use crate::resource::TrialRecords;
use crate::runtime::builder::Builder;
#[cfg(feature = "ssh")]
use crate::runtime::builder::Settings;
use crate::runtime::engine::Engine;
use crate::runtime::error::EngineError;
use crate::runtime::trial::place::{TrialPlace, is_pending};
use crate::runtime::trial::settings::{Role, Trial};
use crate::sys::task::blocking;

/// The trial that an engine is.
#[derive(Debug)]
pub(crate) struct Tried {
    place: TrialPlace,
    id: String,
    records: Arc<TrialRecords>,
}

impl Tried {
    pub(crate) fn of(role: &Role, records: Option<Arc<TrialRecords>>, prefix: &std::path::Path) -> Option<Tried> {
        let Role::Trial(Trial { id, .. }) = role else { return None };
        Some(Tried { place: TrialPlace::of(prefix), id: id.clone(), records: records? })
    }
}

impl Engine {
    /// Confirms the [trial](Builder::trial) that this engine is: what it has changed stays, and what it changes from
    /// now on is recorded only for resources with `reverse`. Returns whether it is confirmed: not if its changes are
    /// being put back already. For an engine that is no trial, it is.
    ///
    /// # Errors
    /// The state can't be written.
    pub async fn confirm(&self) -> Result<bool, EngineError> {
        let Some(tried) = self.tried() else { return Ok(true) };
        let (place, id, records) = (tried.place.clone(), tried.id.clone(), Arc::clone(&tried.records));
        blocking(move || {
            if !place.confirm(&id)? {
                return Ok(false);
            }
            records.close();
            // What an operation under way still records, the next start removes.
            let _ = place.forget_records();
            Ok(true)
        })
        .await
    }
}

impl<G: Gapi> Builder<G> {
    /// Makes the run a trial: before a resource changes anything, what is there is recorded, whether or not it was
    /// declared with `reverse`. Until [`Engine::confirm`] or [`confirm`](crate::runtime::trial::confirm) is called, the
    /// changes can be put back by an engine with the same prefix ([`put_back`](Builder::put_back)); any other engine
    /// that starts with it does so for the resources that are not in its graph. What earlier runs have left that is in
    /// no graph any more is undone by a later run. Needs a [`prefix`](Builder::prefix). Default: the changes stay.
    pub fn trial(mut self, trial: Trial) -> Self {
        self.options.role = Role::Trial(trial);
        self
    }

    /// The settings of an engine that puts back what this one changes as a trial.
    #[cfg(feature = "ssh")]
    pub(crate) fn afterwards(&self) -> Builder {
        let options = Settings { events: Arc::default(), ..self.options.clone() };
        Builder { gapi: fixed(GraphConfig::default()), options }
    }

    /// Starts an engine that puts back what a trial in its prefix has changed which was not confirmed, in the reverse
    /// order of the edges, and does nothing else; services that were reloaded because of a change are reloaded again
    /// after it. It is converged when nothing is left to do. `None`: there is no such trial.
    ///
    /// What another program has changed since is kept (event `kept`), and looked at again at each start of an engine.
    ///
    /// # Errors
    /// Those of [`start`](Builder::start).
    pub async fn put_back(self) -> Result<Option<Engine>, EngineError> {
        let is_due = self.options.prefix.as_deref().is_some_and(is_pending);
        if !is_due {
            return Ok(None);
        }
        let mut builder = self.gapi(fixed(GraphConfig::default()));
        builder.options.role = Role::PutBack;
        builder.start().await.map(Some)
    }
}
