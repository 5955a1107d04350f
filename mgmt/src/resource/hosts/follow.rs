//! Follows keys of a world: a snapshot, then each change; after a loss a snapshot again. All parts that look at a world
//! over time do it with this.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::resource::hosts::attempts::Attempts;
use crate::resource::world::{Changes, Keys, Member, Revision, Snapshot, WorldEvent, WorldWatch};

/// What comes of keys that are followed. It keeps no state itself: see [`Following`].
pub(crate) struct Feed {
    member: Arc<dyn Member>,
    keys: Vec<Keys>,
    /// `None`: the next step takes a snapshot.
    watch: Option<WorldWatch>,
    /// The watch has begun at what was known, and nothing has come of it.
    is_resumed: bool,
    attempts: Attempts,
}

/// The result of a step.
#[derive(Debug)]
pub(crate) enum Fed {
    /// All entries, as of now.
    Snapshot(Snapshot),
    /// What a transaction has changed after that.
    Changes(Changes),
    /// The world can't be reached, or changes may have been missed: the caller waits for this time.
    Failed(Duration),
}

impl Feed {
    pub(crate) fn new(member: Arc<dyn Member>, keys: Vec<Keys>, attempts: Attempts) -> Feed {
        Feed { member, keys, watch: None, is_resumed: false, attempts }
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

    /// Continues from what is known as of that revision: no snapshot is taken.
    pub(crate) fn listen(&mut self, known: Revision) {
        self.watch = Some(self.member.watch(self.keys.clone(), known));
        self.is_resumed = false;
    }

    /// The same from what may be too old by now: then a snapshot is taken, and that is no failure.
    pub(crate) fn resume(&mut self, known: Revision) {
        self.listen(known);
        self.is_resumed = true;
    }

    /// The next step takes a snapshot.
    pub(crate) fn read_again(&mut self) {
        self.watch = None;
    }

    /// Waits for the next step. Cancel safe.
    pub(crate) async fn next(&mut self) -> Fed {
        if self.watch.is_none() {
            return match self.member.get(self.keys.clone()).await {
                Ok(snapshot) => {
                    self.listen(snapshot.revision);
                    self.attempts.succeeded();
                    Fed::Snapshot(snapshot)
                }
                Err(error) => Fed::Failed(self.attempts.failed(&error)),
            };
        }
        poll_fn(|cx| self.poll_watch(cx)).await
    }

    /// What has come already, without waiting.
    pub(crate) async fn ready(&mut self) -> Option<Fed> {
        poll_fn(|cx| match self.poll_watch(cx) {
            Poll::Ready(fed) => Poll::Ready(Some(fed)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<Fed> {
        let Some(watch) = &mut self.watch else { return Poll::Pending };
        let event = std::task::ready!(watch.as_mut().poll_next(cx));
        let is_resumed = std::mem::take(&mut self.is_resumed);
        let why = match event {
            Some(WorldEvent::Changed(changes)) => return Poll::Ready(Fed::Changes(changes)),
            Some(WorldEvent::Lost(why)) => why,
            None => "the watch has ended".to_owned(),
        };
        self.watch = None;
        let pause = if is_resumed { Duration::ZERO } else { self.attempts.lost(why) };
        Poll::Ready(Fed::Failed(pause))
    }
}

/// Keys that are followed, with their state. It is what was last known: it stays while the world can't be reached.
pub(crate) struct Following {
    feed: Feed,
    state: Snapshot,
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
        Following { feed: Feed::new(member, keys, attempts), state: Snapshot::default() }
    }

    pub(crate) fn state(&self) -> &Snapshot {
        &self.state
    }

    /// Whether no change since the last step is missed.
    pub(crate) fn is_listening(&self) -> bool {
        self.feed.is_listening()
    }

    pub(crate) fn keys(&self) -> &[Keys] {
        self.feed.keys()
    }

    /// Follows other keys from now on.
    pub(crate) fn set_keys(&mut self, keys: Vec<Keys>) {
        self.feed.set_keys(keys);
    }

    /// Waits for the next state. Cancel safe.
    pub(crate) async fn next(&mut self) -> Followed {
        match self.feed.next().await {
            Fed::Snapshot(state) => self.state = state,
            Fed::Changes(changes) => self.state.follow(changes),
            Fed::Failed(pause) => return Followed::Failed(pause),
        }
        Followed::Changed
    }
}
