//! Names the process that changes a resource which flaps, where the system knows it.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::id::{Node, ResourceId};
use crate::resource::{Known, Uid};
use crate::runtime::core::Core;
use crate::runtime::event::EventKind;
use crate::sys::culprit::{Process, who_changes};

/// How long a search listens: a resource that flaps is changed soon.
const SEARCH: Duration = Duration::from_secs(60);
/// The most searches at once: a user may have 128 listeners by default, of which a search takes up to two.
const SEARCHES_MAX: usize = 16;

/// What a search has found.
#[derive(Debug)]
pub(crate) struct Found {
    id: ResourceId,
    path: PathBuf,
    by: Process,
}

/// The searches under way.
#[derive(Debug, Default)]
pub(crate) struct Culprits {
    searches: JoinSet<Option<Found>>,
}

impl Culprits {
    /// The next result of a search.
    pub(crate) async fn found(&mut self) -> Found {
        loop {
            match self.searches.join_next().await {
                Some(Ok(Some(found))) => return found,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

impl Core {
    /// A resource flaps: from now on, the next process that changes the first path that it owns is looked for.
    pub(crate) fn search_culprit(&mut self, node: Node) {
        let is_heard = self.events.is_read() || self.history.is_some();
        if !is_heard || self.culprits.searches.len() >= SEARCHES_MAX {
            return;
        }
        let Some(resource) = self.slots.found(node).map(|found| &found.resource) else { return };
        let uids = resource.uids(&Known::all(resource.spec()));
        let Some(path) = uids.iter().find_map(Uid::as_path).map(|path| path.to_path_buf()) else { return };
        let id = self.running.id(node);
        self.culprits.searches.spawn(async move {
            let by = who_changes(&path, SEARCH).await?;
            Some(Found { id, path, by })
        });
    }

    pub(crate) fn report_culprit(&self, Found { id, path, by }: Found) {
        self.emit(EventKind::Culprit { id, path, by });
    }
}
