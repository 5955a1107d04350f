//! Waits for changes of a few files.

use std::path::Path;
use std::time::Duration;

use crate::gapi::failure::Failure;
use crate::sys::fs::hub::{Hub, Options, Watched};

/// A program may save a file in several steps.
const SETTLE: Duration = Duration::from_millis(20);
/// How long files that are sent elsewhere must rest, so that many fast saves are one sending; and the longest wait.
#[cfg(feature = "ssh")]
const REST: Duration = Duration::from_millis(200);
#[cfg(feature = "ssh")]
const REST_MAX: Duration = Duration::from_secs(2);

/// Waits for changes of files.
#[derive(Debug)]
pub(crate) struct Watcher {
    hub: Hub,
    dirty: bool,
}

impl Watcher {
    /// A watcher of these files, which need not exist. Must be called in a tokio runtime. No change after the return is
    /// missed.
    pub(crate) fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Watcher, Failure> {
        Watcher::of(paths.into_iter().map(|path| (path, Watched::Path)))
    }

    /// The same with all that is below the paths that end with a slash.
    #[cfg(feature = "ssh")]
    pub(crate) fn with_trees<'a>(paths: impl IntoIterator<Item = &'a str>) -> Result<Watcher, Failure> {
        let watched = |path: &str| if path.ends_with('/') { Watched::Tree } else { Watched::Path };
        Watcher::of(paths.into_iter().map(|path| (Path::new(path), watched(path))))
    }

    fn of<'a>(paths: impl Iterator<Item = (&'a Path, Watched)>) -> Result<Watcher, Failure> {
        let mut hub = Hub::new(Options::default());
        for (path, watched) in paths {
            hub.subscribe(0, path, watched)
                .map_err(|error| Failure::of(format_args!("{} can't be followed", path.display()), error))?;
        }
        Ok(Watcher { hub, dirty: false })
    }

    /// Returns when a file has changed since the last return. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        if !self.dirty {
            self.hub.next().await;
            self.dirty = true;
        }
        tokio::time::sleep(SETTLE).await;
        self.dirty = false;
    }

    /// Returns when files have changed since the last return, and are not being changed any more. Cancel safe.
    #[cfg(feature = "ssh")]
    pub(crate) async fn rested(&mut self) {
        self.changed().await;
        self.dirty = true;
        let last = tokio::time::Instant::now() + REST_MAX;
        let rest = || last.min(tokio::time::Instant::now() + REST);
        while tokio::time::timeout_at(rest(), self.hub.next()).await.is_ok() && tokio::time::Instant::now() < last {}
        self.dirty = false;
    }
}
