//! Follows the exports that the graph in force collects: when what it takes changes, another graph comes into force.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::graph::{GraphConfig, Taken, wanted_keys};
use crate::resource::{Attempts, Fed, Feed, Keys, Member};
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
    let mut feed = Feed::new(member, Vec::new(), Attempts::new("reading what hosts export"));
    // What the first graph was made of. Later, changes of other keys are mixed with what is read for a graph.
    let mut first = follow.preparing.site.read_first();
    while let Some(keys) = follow.wanted().await {
        let known = first.take().filter(|(read, _)| *read == keys);
        feed.set_keys(keys);
        if let Some((_, revision)) = known {
            feed.resume(revision);
        }
        if follow.follow(&mut feed).await.is_none() {
            return;
        }
        feed.set_keys(Vec::new());
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

    /// Follows these keys, until the graph in force collects others or the world fails; `None`: the engine has ended.
    async fn follow(&mut self, feed: &mut Feed) -> Option<()> {
        let mut failed = None;
        while failed.is_none() {
            if !feed.is_listening() {
                failed = self.note(feed.next().await);
                if failed.is_some() {
                    break;
                }
            }
            self.update().await;
            let fed = tokio::select! {
                changed = self.in_force.changed() => {
                    changed.ok()?;
                    if self.keys() != feed.keys() {
                        return Some(());
                    }
                    continue;
                }
                // The update follows.
                Ok(()) = self.own.changed() => continue,
                fed = feed.next() => fed,
            };
            failed = self.note(fed);
            tokio::time::sleep(SETTLE).await;
            while failed.is_none()
                && let Some(fed) = feed.ready().await
            {
                failed = self.note(fed);
            }
        }
        self.rest(failed.unwrap_or_default()).await;
        Some(())
    }

    /// Notes what has come. Returns how long to wait after a failure.
    fn note(&self, fed: Fed) -> Option<Duration> {
        match fed {
            Fed::Snapshot(snapshot) => self.preparing.site.replace(snapshot),
            Fed::Changes(changes) => self.preparing.site.change(changes),
            Fed::Failed(pause) => return Some(pause),
        }
        None
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
        let offers = self.preparing.offers(declared).await;
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
