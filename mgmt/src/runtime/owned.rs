//! Which paths the resources own: those that their fields tell before anything runs, and those that follow from values received since.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use crate::id::Node;
use crate::resource::{AnyResource, Known, Uid};
use crate::runtime::core::Core;

/// The owned paths of the graph in force.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    /// Sorted.
    known: Arc<Vec<PathBuf>>,
    /// By the resource that received them.
    received: BTreeMap<Node, Vec<PathBuf>>,
}

impl Owned {
    /// All, sorted.
    fn all(&self) -> Arc<Vec<PathBuf>> {
        if self.received.is_empty() {
            return Arc::clone(&self.known);
        }
        let mut all: Vec<PathBuf> = self.known.iter().chain(self.received.values().flatten()).cloned().collect();
        all.sort_unstable();
        all.dedup();
        Arc::new(all)
    }

    /// Keeps what a resource owns now that it has its values. Whether that differs from before.
    fn receive(&mut self, node: Node, mut paths: Vec<PathBuf>) -> bool {
        paths.retain(|path| self.known.binary_search(path).is_err());
        let before =
            if paths.is_empty() { self.received.remove(&node) } else { self.received.insert(node, paths.clone()) };
        before.unwrap_or_default() != paths
    }
}

impl Core {
    /// A new graph is in force. What its resources have received stays theirs until they receive something else.
    pub(crate) fn own(&mut self, known: Arc<Vec<PathBuf>>) {
        self.owned.known = known;
        self.owned.received.retain(|node, _| self.slots.receives(*node));
        self.publish_owned();
    }

    /// A resource is made of other values than before.
    pub(crate) fn own_received(&mut self, node: Node, resource: &Arc<dyn AnyResource>) {
        let uids = resource.uids(&Known::all(resource.spec()));
        let paths = uids.into_iter().filter_map(|uid| match uid {
            Uid::Path(path) => Some(path),
            Uid::Key(_) => None,
        });
        if self.owned.receive(node, paths.collect()) {
            self.publish_owned();
        }
    }

    fn publish_owned(&self) {
        *self.services.owned.lock().unwrap_or_else(PoisonError::into_inner) = self.owned.all();
    }
}
