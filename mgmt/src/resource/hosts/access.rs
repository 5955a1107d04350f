//! The access of kinds to the world: reading for a check, writing for an apply, events for a watch.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::resource::hosts::attempts::Attempts;
use crate::resource::hosts::follow::{Fed, Feed};
use crate::resource::watch::{Watch, WatchEvent};
use crate::resource::world::{Keys, Limits, Member, Revision, Snapshot, Transaction, WorldError};
use crate::sys::clock::{sleep, within};

/// How long a watch waits for the world until the resource is checked without it.
const LISTEN_MAX: Duration = Duration::from_secs(1);

/// The world, for reading.
#[derive(Clone, Debug)]
pub struct WorldRead {
    member: Arc<dyn Member>,
}

impl WorldRead {
    pub(crate) fn new(member: Arc<dyn Member>) -> WorldRead {
        WorldRead { member }
    }

    /// The name of this host in it.
    pub fn host(&self) -> &str {
        self.member.host()
    }

    /// What one transaction can hold.
    pub fn limits(&self) -> Limits {
        self.member.limits()
    }

    /// See [`Member::get`].
    ///
    /// # Errors
    /// The world can't be reached, for which a resource waits; or it does not permit it.
    pub async fn get(&self, keys: Vec<Keys>) -> Result<Snapshot, WorldError> {
        self.member.get(keys).await
    }
}

/// The world, for reading and writing.
#[derive(Clone, Debug)]
pub struct WorldWrite {
    read: WorldRead,
}

impl Deref for WorldWrite {
    type Target = WorldRead;
    fn deref(&self) -> &WorldRead {
        &self.read
    }
}

impl WorldWrite {
    pub(crate) fn new(member: Arc<dyn Member>) -> WorldWrite {
        WorldWrite { read: WorldRead::new(member) }
    }

    /// See [`Member::commit`].
    ///
    /// # Errors
    /// The world can't be reached, for which a resource waits: the transaction may have been carried out or not. Or the
    /// world does not permit it.
    pub async fn commit(&self, transaction: Transaction) -> Result<Option<Revision>, WorldError> {
        self.read.member.commit(transaction).await
    }
}

/// The world, for watching.
#[derive(Clone, Debug)]
pub struct WorldWatching {
    member: Arc<dyn Member>,
}

impl WorldWatching {
    pub(crate) fn new(member: Arc<dyn Member>) -> WorldWatching {
        WorldWatching { member }
    }

    /// The name of this host in it.
    pub fn host(&self) -> &str {
        self.member.host()
    }

    /// Watches these keys. If changes may have been missed, the resource is checked, and the watch begins again, with
    /// growing pauses. It never fails: while the world can't be reached, the checks do, and they are made again when it
    /// can.
    pub fn watch(&self, keys: Vec<Keys>) -> Watch {
        let feed = Feed::new(Arc::clone(&self.member), keys, Attempts::unreported());
        Watch::unfold(Watching { feed, is_ready: false, pause: None }, Watching::step)
    }
}

/// A watch of keys.
struct Watching {
    feed: Feed,
    is_ready: bool,
    /// How long to wait before the next attempt.
    pause: Option<Duration>,
}

impl Watching {
    async fn step(mut self) -> crate::resource::Result<(WatchEvent, Watching)> {
        if !self.is_ready {
            // Without an answer it is ready as well: it reports a change as soon as it listens.
            match within(LISTEN_MAX, self.feed.next()).await {
                Some(Fed::Failed(pause)) => self.pause = Some(pause),
                Some(Fed::Snapshot(_) | Fed::Changes(_)) | None => {}
            }
            self.is_ready = true;
            return Ok((WatchEvent::Ready, self));
        }
        loop {
            if let Some(pause) = self.pause.take() {
                sleep(pause).await;
            }
            let was_listening = self.feed.is_listening();
            match self.feed.next().await {
                Fed::Snapshot(_) | Fed::Changes(_) => return Ok((WatchEvent::Changed, self)),
                Fed::Failed(pause) => {
                    self.pause = Some(pause);
                    if was_listening {
                        return Ok((WatchEvent::Changed, self));
                    }
                }
            }
        }
    }
}
