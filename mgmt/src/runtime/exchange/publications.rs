//! What the exports of a host are now, and how far the world has them: shared by the resources that stand for exports
//! in the graph, and the task that publishes.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::graph::Export;
use crate::resource::AnyResource;

/// The exports of this host of which fields receive their values, with these; and how far the world has all exports.
/// Clones share them.
#[derive(Clone)]
pub(crate) struct Publications(Arc<Shared>);

struct Shared {
    /// By the name that [`export_name`] gives.
    received: watch::Sender<HashMap<String, Arc<dyn AnyResource>>>,
    /// How often something has been received.
    version: AtomicU64,
    published: watch::Sender<Published>,
    /// The version up to which this host has collected its own exports.
    followed: watch::Sender<u64>,
    /// The number of the last graph that was made.
    made: AtomicU64,
}

/// Wakes when something has been received.
pub(super) type Received = watch::Receiver<HashMap<String, Arc<dyn AnyResource>>>;

/// What was published last, or could not be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Published {
    /// The number of the graph, and the version of what was received, that this is about.
    pub(crate) of: Stand,
    /// Why it is not published.
    pub(crate) failure: Option<String>,
}

/// What there is to publish: the number of a graph, and the version of what has been received.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Stand {
    pub(crate) graph: u64,
    pub(crate) version: u64,
}

impl Stand {
    /// Whether this contains what there was at the other one.
    pub(crate) fn covers(self, other: Stand) -> bool {
        self.graph >= other.graph && self.version >= other.version
    }
}

impl Default for Publications {
    fn default() -> Publications {
        Publications(Arc::new(Shared {
            received: watch::Sender::default(),
            version: AtomicU64::new(0),
            published: watch::Sender::default(),
            followed: watch::Sender::default(),
            made: AtomicU64::new(0),
        }))
    }
}

impl fmt::Debug for Publications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Publications").field(&self.version()).finish()
    }
}

impl Publications {
    /// The number of a graph that is made now.
    pub(super) fn next_graph(&self) -> u64 {
        self.0.made.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// The export with what its fields have received; `None`: they receive nothing, or have not yet.
    pub(super) fn known(&self, export: &Export) -> Option<Export> {
        if export.links.is_empty() {
            return None;
        }
        let resource = self.received(&export_name(export))?;
        Some(export.with(resource))
    }

    /// The resource of the export of that name, with what it has received.
    pub(super) fn received(&self, name: &str) -> Option<Arc<dyn AnyResource>> {
        self.0.received.borrow().get(name).cloned()
    }

    /// The export of that name has received its values.
    pub(super) fn receive(&self, name: &str, resource: Arc<dyn AnyResource>) {
        self.0.received.send_modify(|received| {
            received.insert(name.to_owned(), resource);
            // Together with the value: who reads the version first has the value too.
            self.0.version.fetch_add(1, Ordering::AcqRel);
        });
    }

    /// Keeps only what belongs to these exports.
    pub(super) fn retain(&self, exports: &[Export]) {
        if self.0.received.borrow().is_empty() {
            return;
        }
        let names: HashSet<String> = exports.iter().map(export_name).collect();
        self.0.received.send_if_modified(|received| {
            received.retain(|name, _| names.contains(name));
            false
        });
    }

    /// Wakes when something has been received.
    pub(super) fn follow(&self) -> Received {
        self.0.received.subscribe()
    }

    /// This host has collected what it exported itself at this version.
    pub(super) fn follow_up(&self, version: u64) {
        self.0.followed.send_replace(version);
    }

    /// The version of which this host has collected its own exports.
    pub(super) fn followed(&self) -> watch::Receiver<u64> {
        self.0.followed.subscribe()
    }

    /// Notes what the task that publishes has done.
    pub(super) fn publish(&self, published: Published) {
        self.0.published.send_if_modified(|last| {
            let is_news = *last != published;
            *last = published;
            is_news
        });
    }

    /// What that task has done.
    pub(super) fn published(&self) -> watch::Receiver<Published> {
        self.0.published.subscribe()
    }
}

/// The name of an export among all of a host: the resource, and whom it is for.
pub(super) fn export_name(export: &Export) -> String {
    let id = export.vertex.id();
    match &export.to {
        None => id.to_string(),
        Some(to) => format!("{id} for {}", to.join(", ")),
    }
}
