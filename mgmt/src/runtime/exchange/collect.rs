//! Follows the exports that the graph in force collects: when what it takes changes, another graph comes into force.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::graph::{GraphConfig, Taken, wanted_keys};
use crate::resource::{Attempts, Keys, Member, Snapshot, Why, WorldEvent, WorldWatch};
use crate::runtime::drive::Request;
use crate::runtime::exchange::publications::Received;
use crate::runtime::exchange::settings::InForce;
use crate::runtime::prepare::Preparing;

/// How long to wait after a change: exports that change together make one new graph.
const SETTLE: Duration = Duration::from_millis(2);

/// Runs until the engine has ended. As long as the graph in force collects nothing, nothing is read and watched.
pub(super) async fn follow_exports(
    member: Arc<dyn Member>,
    preparing: Preparing,
    requests: mpsc::WeakUnboundedSender<Request>,
    in_force: watch::Receiver<InForce>,
) {
    let mut follow = Follow::new(preparing, requests, in_force);
    let mut attempts = Attempts::new("reading what hosts export");
    while let Some(keys) = follow.wanted().await {
        let read = member.get(keys.clone()).await;
        let why = match read {
            Ok(snapshot) => {
                attempts.succeeded();
                match follow.follow(&*member, &keys, snapshot).await {
                    Ended::Lost(why) => Why::Shared(why),
                    Ended::OtherKeys => continue,
                    Ended::Engine => return,
                }
            }
            Err(error) => Why::from(&error),
        };
        follow.rest(attempts.failed(&why)).await;
    }
}

/// The same without a world: the graph in force collects what it exports itself.
pub(super) async fn follow_own(
    preparing: Preparing,
    requests: mpsc::WeakUnboundedSender<Request>,
    in_force: watch::Receiver<InForce>,
) {
    let mut follow = Follow::new(preparing, requests, in_force);
    loop {
        let is_over = tokio::select! {
            changed = follow.in_force.changed() => changed.is_err(),
            changed = follow.own.changed() => changed.is_err(),
        };
        if is_over {
            return;
        }
        follow.update().await;
    }
}

struct Follow {
    preparing: Preparing,
    /// Weak, so that the loop ends when the last handle on the engine is dropped.
    requests: mpsc::WeakUnboundedSender<Request>,
    in_force: watch::Receiver<InForce>,
    /// What would have been taken, and gave no graph: it is not tried again.
    refused: Option<(Arc<GraphConfig>, Taken)>,
    /// What this host exports itself.
    own: Received,
}

/// Why a watch ended.
enum Ended {
    /// Changes may have been missed.
    Lost(String),
    /// The graph in force collects other kinds.
    OtherKeys,
    Engine,
}

impl Follow {
    fn new(
        preparing: Preparing,
        requests: mpsc::WeakUnboundedSender<Request>,
        in_force: watch::Receiver<InForce>,
    ) -> Follow {
        let own = preparing.site.publications.follow();
        Follow { preparing, requests, in_force, refused: None, own }
    }

    /// Waits until the next attempt to reach the world.
    async fn rest(&mut self, pause: Duration) {
        let overdue = tokio::time::sleep(pause);
        tokio::pin!(overdue);
        loop {
            tokio::select! {
                () = &mut overdue => return,
                Ok(()) = self.own.changed() => self.update().await,
            }
        }
    }

    fn keys(&mut self) -> Vec<Keys> {
        let in_force = self.in_force.borrow_and_update();
        let collects = in_force.as_ref().map_or(&[][..], |exchanged| &exchanged.declared.collects);
        wanted_keys(&self.preparing.site.host, collects)
    }

    /// The keys that the graph in force collects, as soon as there are some. `None`: the engine has ended.
    async fn wanted(&mut self) -> Option<Vec<Keys>> {
        loop {
            let keys = self.keys();
            if !keys.is_empty() {
                return Some(keys);
            }
            self.in_force.changed().await.ok()?;
        }
    }

    /// Follows from a snapshot on.
    async fn follow(&mut self, member: &dyn Member, keys: &[Keys], state: Snapshot) -> Ended {
        let mut watch = member.watch(keys.to_vec(), state.revision);
        self.preparing.site.replace(state);
        loop {
            self.update().await;
            tokio::select! {
                changed = self.in_force.changed() => {
                    if changed.is_err() {
                        return Ended::Engine;
                    }
                    if self.keys() != keys {
                        return Ended::OtherKeys;
                    }
                }
                // The update follows.
                Ok(()) = self.own.changed() => {}
                event = next(&mut watch) => match event {
                    WorldEvent::Changed(changes) => {
                        self.preparing.site.change(changes);
                        if let Some(why) = self.settled(&mut watch).await {
                            return Ended::Lost(why);
                        }
                    }
                    WorldEvent::Lost(why) => return Ended::Lost(why),
                }
            }
        }
    }

    /// Takes the changes that come at once. Returns why the watch was lost, if it was.
    async fn settled(&self, watch: &mut WorldWatch) -> Option<String> {
        tokio::time::sleep(SETTLE).await;
        loop {
            let event = tokio::select! {
                biased;
                event = next(watch) => event,
                () = std::future::ready(()) => return None,
            };
            match event {
                WorldEvent::Changed(changes) => self.preparing.site.change(changes),
                WorldEvent::Lost(why) => return Some(why),
            }
        }
    }

    /// Puts another graph in force if the one in force takes something else of what is known now.
    async fn update(&mut self) {
        let version = self.preparing.site.publications.version();
        self.take().await;
        self.preparing.site.publications.follow_up(version);
    }

    async fn take(&mut self) {
        let Some(exchanged) = self.in_force.borrow_and_update().clone() else { return };
        let declared = &exchanged.declared;
        let offers = self.preparing.offers(declared);
        let (taken, _) = offers.taken(&declared.collects);
        let is_refused = self.refused.as_ref().is_some_and(|(of, all)| Arc::ptr_eq(of, declared) && *all == taken);
        if taken == exchanged.taken || is_refused {
            return;
        }
        let (reply, done) = oneshot::channel();
        let request = match self.preparing.with_offers(Arc::clone(declared), &offers).await {
            Ok(prepared) => Request::Swap { prepared, over: Some(exchanged), reply },
            Err(problems) => {
                tracing::error!(
                    target: "mgmt",
                    "the graph with what hosts export now is refused, the old one continues to run:\n{problems}",
                );
                self.refused = Some((Arc::clone(declared), taken));
                Request::Rejected { problems: problems.to_string(), reply }
            }
        };
        if let Some(requests) = self.requests.upgrade() {
            // An error means that the loop has ended already; the same below.
            let _ = requests.send(request);
        }
        let _ = done.await;
    }
}

async fn next(watch: &mut WorldWatch) -> WorldEvent {
    let ended = || WorldEvent::Lost("the watch has ended".to_owned());
    poll_fn(|cx| watch.as_mut().poll_next(cx)).await.unwrap_or_else(ended)
}
