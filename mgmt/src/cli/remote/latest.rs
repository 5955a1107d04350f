//! The latest graph of a source that travels, and the files of this host that it reads.

use std::collections::BTreeSet;
use std::future::pending;
use std::time::Duration;

use tokio::time::sleep;

use crate::gapi::Watcher;
use crate::graph::{GraphConfig, Kinds, files_read};
use crate::remote::{Parcel, RemoteError};

/// How long files that can't be sent may be the half of a change.
const PAUSE: Duration = Duration::from_secs(1);

/// The latest graph of a source, and what follows the files that it reads.
pub(super) struct Latest {
    config: GraphConfig,
    kinds: Kinds,
    /// Whether the files are followed.
    follows: bool,
    paths: BTreeSet<String>,
    watcher: Option<Watcher>,
    /// What was made of it last, and why nothing was made since.
    parcel: Option<Parcel>,
    problem: Option<RemoteError>,
}

impl Latest {
    pub(super) fn new(config: GraphConfig, kinds: Kinds, follows: bool) -> Latest {
        let (paths, watcher) = (BTreeSet::new(), None);
        Latest { config, kinds, follows, paths, watcher, parcel: None, problem: None }
    }

    /// The source has another graph.
    pub(super) fn replace(&mut self, config: GraphConfig) {
        (self.config, self.problem) = (config, None);
    }

    /// Packs the graph as it is now, with its files. From then on, no change of these is missed.
    ///
    /// # Errors
    /// The graph can't travel, or one of the files can't.
    pub(super) async fn packed(&mut self) -> Result<Parcel, RemoteError> {
        if self.follows {
            let paths = files_read(&self.config, &[]).into_iter().map(|read| read.reading.path).collect();
            if paths != self.paths {
                self.watcher = watcher(&paths);
                self.paths = paths;
            }
        }
        let packed = Parcel::of(self.config.clone(), &self.kinds, &[]).await;
        self.problem = packed.as_ref().err().cloned();
        if let Ok(parcel) = &packed {
            self.parcel = Some(parcel.clone());
        }
        packed
    }

    /// Returns when a file that the graph reads has changed. Cancel safe.
    pub(super) async fn changed(&mut self) {
        match &mut self.watcher {
            Some(watcher) => watcher.rested().await,
            None => pending().await,
        }
    }

    /// Packs the graph with other files. `None`: what would be sent is what was sent last, or the error is known.
    pub(super) async fn packed_again(&mut self) -> Option<Result<Parcel, RemoteError>> {
        let (parcel, problem) = (self.parcel.clone(), self.problem.clone());
        let packed = self.packed().await;
        let is_known = match &packed {
            Ok(packed) => problem.is_none() && parcel.is_some_and(|parcel| parcel.is_same(packed)),
            Err(error) => {
                sleep(PAUSE).await;
                problem.as_ref() == Some(error)
            }
        };
        (!is_known).then_some(packed)
    }
}

fn watcher(paths: &BTreeSet<String>) -> Option<Watcher> {
    let watcher = Watcher::with_trees(paths.iter().map(String::as_str));
    watcher.inspect_err(|error| tracing::warn!(target: "mgmt", "{error}: its changes are not noticed")).ok()
}
