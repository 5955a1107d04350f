//! Follows keys of a world: a snapshot, then each change; after a loss a snapshot again.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use crate::resource::hosts::attempts::{Attempts, Why};
use crate::resource::world::{Keys, Member, Snapshot, WorldEvent, WorldWatch};

/// Keys that are followed. The state is what was last known: it stays while the world can't be reached.
pub(crate) struct Following {
    member: Arc<dyn Member>,
    keys: Vec<Keys>,
    state: Snapshot,
    /// `None`: the next step takes a snapshot.
    watch: Option<WorldWatch>,
    attempts: Attempts,
}

/// The result of a step.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The state is a new one.
    Changed,
    /// The world can't be reached, or changes may have been missed: the caller waits for this time.
    Failed(Duration),
}

impl Following {
    pub(crate) fn new(member: Arc<dyn Member>, keys: Vec<Keys>, attempts: Attempts) -> Following {
        Following { member, keys, state: Snapshot::default(), watch: None, attempts }
    }

    pub(crate) fn state(&self) -> &Snapshot {
        &self.state
    }

    /// Whether no change since the last step is missed.
    pub(crate) fn is_listening(&self) -> bool {
        self.watch.is_some()
    }

    pub(crate) fn keys(&self) -> &[Keys] {
        &self.keys
    }

    /// Follows other keys from now on.
    pub(crate) fn set_keys(&mut self, keys: Vec<Keys>) {
        (self.keys, self.watch) = (keys, None);
    }

    /// Waits for the next state. Cancel safe.
    pub(crate) async fn next(&mut self) -> Followed {
        let Some(watch) = &mut self.watch else {
            return match self.member.get(self.keys.clone()).await {
                Ok(state) => {
                    self.watch = Some(self.member.watch(self.keys.clone(), state.revision));
                    self.state = state;
                    self.attempts.succeeded();
                    Followed::Changed
                }
                Err(error) => Followed::Failed(self.attempts.failed(&error)),
            };
        };
        let why = match poll_fn(|cx| watch.as_mut().poll_next(cx)).await {
            Some(WorldEvent::Changed(changes)) => {
                if changes.revision > self.state.revision {
                    self.state.apply(changes);
                }
                return Followed::Changed;
            }
            Some(WorldEvent::Lost(why)) => why,
            None => "the watch has ended".to_owned(),
        };
        self.watch = None;
        Followed::Failed(self.attempts.failed(Why::Shared(why)))
    }
}
