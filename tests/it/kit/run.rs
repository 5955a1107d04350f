//! An engine under test, and its events.

use std::time::Duration;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::{Builder, Event, EventKind, Events, Operation, Standing};

/// Nothing here takes that long on any machine: also not on one processor that eight such programs share.
pub const LONG: Duration = Duration::from_secs(300);

/// Waits until something holds.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let all = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, all).await.unwrap_or_else(|_| panic!("it never comes: {what}"));
}

/// A moment in which a change that must not happen would happen.
pub async fn a_while() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// What is awaited comes.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("it never comes")
}

/// An engine that runs, with all its events.
pub struct Run {
    pub engine: Engine,
    pub events: Events,
}

impl Run {
    /// Runs a graph.
    pub async fn new(graph: Graph) -> Run {
        Run::with(graph, |builder| builder).await
    }

    /// Runs a graph, with settings.
    pub async fn with(graph: Graph, settings: impl FnOnce(Builder) -> Builder) -> Run {
        let builder = settings(Engine::builder().graph(graph.finish().unwrap()));
        Run::start(builder).await
    }

    /// Runs whatever this builder makes.
    pub async fn start<G: mgmt::gapi::Gapi>(builder: Builder<G>) -> Run {
        let events = builder.events();
        Run { engine: builder.start().await.unwrap(), events }
    }

    pub async fn next(&mut self) -> Event {
        within(self.events.next()).await.expect("the engine has ended")
    }

    /// What happens, in short, until this does.
    pub async fn until(&mut self, last: &str) -> Vec<String> {
        let mut all = Vec::new();
        let found = tokio::time::timeout(LONG, async {
            loop {
                let kind = self.events.next().await.unwrap_or_else(|| panic!("ended before `{last}`")).kind;
                let Some(short) = short(&kind) else { continue };
                all.push(short);
                if all.last().is_some_and(|short| short == last) {
                    return;
                }
            }
        });
        if found.await.is_err() {
            panic!("`{last}` never comes; before: {all:#?}");
        }
        all
    }

    /// What happens until all is converged.
    pub async fn converged(&mut self) -> Vec<String> {
        self.until("converged").await
    }

    /// The next event for which `pick` gives something.
    pub async fn find<T>(&mut self, mut pick: impl FnMut(&EventKind) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(&self.next().await.kind) {
                return found;
            }
        }
    }

    /// How a resource stands.
    pub async fn standing(&self, name: &str) -> Standing {
        let status = self.engine.status().await.unwrap();
        let found = status.notable.into_iter().find(|resource| resource.id.name == name);
        found.map_or(Standing::Settled, |resource| resource.standing)
    }

    /// Waits until a resource stands like this.
    pub async fn stands(&self, name: &str, wanted: Standing) {
        within(async {
            while self.standing(name).await != wanted {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    pub async fn stop(self) {
        within(self.engine.stop()).await.unwrap();
    }
}

/// An event in a few words; `None`: of no interest to a list of them.
pub fn short(kind: &EventKind) -> Option<String> {
    let on = |what: &str, id: &mgmt::id::ResourceId| Some(format!("{what} {}", id.name));
    match kind {
        EventKind::InSync { id, .. } => on("in sync", id),
        EventKind::Drifted { id, noop: false, .. } => on("drifted", id),
        EventKind::Drifted { id, noop: true, .. } => on("drifted (noop)", id),
        EventKind::Applied { id, changed: true, refreshed: false, .. } => on("applied", id),
        EventKind::Applied { id, changed: true, refreshed: true, .. } => on("applied and refreshed", id),
        EventKind::Applied { id, .. } => on("applied nothing", id),
        EventKind::Refreshed { id, changed: true, .. } => on("refreshed", id),
        EventKind::Refreshed { id, .. } => on("refreshed nothing", id),
        EventKind::Owed { from, to, .. } => Some(format!("owed {} by {}", to.name, from.name)),
        EventKind::Sent { from, to, .. } => Some(format!("sent {} by {}", to.name, from.name)),
        EventKind::Failed { id, operation: Operation::Watch, .. } => on("watch failed", id),
        EventKind::Failed { id, .. } => on("failed", id),
        EventKind::Waiting { id, operation: Operation::Watch, .. } => on("watch waits", id),
        EventKind::Waiting { id, .. } => on("waits", id),
        EventKind::Blocked { id, .. } => on("blocked", id),
        EventKind::Unblocked { id, .. } => on("unblocked", id),
        EventKind::Flapping { id, .. } => on("flapping", id),
        EventKind::Converged => Some("converged".into()),
        EventKind::Hopeless => Some("hopeless".into()),
        EventKind::Hopeful => Some("hopeful".into()),
        EventKind::Rejected { .. } => Some("rejected".into()),
        EventKind::Swapped { .. } => Some("swapped".into()),
        EventKind::Stopped => Some("stopped".into()),
        _ => None,
    }
}

/// `a b c` as the list of lines that a test expects, cut at commas.
pub fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
