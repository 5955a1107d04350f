//! The watches of one engine on the files of a simulated host.

use std::path::Path;
use std::task::{Poll, Waker};

use super::disk::{Disk, Tree};
use super::watched::Watchers;
use crate::sys::fs::hub::{Extent, Watched};

/// The watches of one engine, which end with this value.
#[derive(Debug)]
pub(crate) struct Seat {
    disk: Disk,
    number: u64,
}

impl Seat {
    pub(super) fn new(disk: &Disk) -> Seat {
        let number = disk.tree().watchers.take_seat();
        Seat { disk: disk.clone(), number }
    }

    fn with<T>(&self, with: impl FnOnce(&Tree, &mut Watchers) -> T) -> T {
        let mut tree = self.disk.tree();
        let mut watchers = std::mem::take(&mut tree.watchers);
        let value = with(&tree, &mut watchers);
        tree.watchers = watchers;
        value
    }

    /// Watches one more path for a key. It listens at once.
    pub(crate) fn subscribe(&self, key: u64, path: &Path, watched: Watched) {
        self.with(|tree, watchers| watchers.subscribe(tree, self.number, key, path, watched));
    }

    pub(crate) fn unsubscribe(&self, key: u64) {
        self.with(|_, watchers| watchers.unsubscribe(self.number, key));
    }

    /// Whether these are all paths that are watched for a key.
    pub(crate) fn has_just(&self, key: u64, paths: &[(&Path, Watched)]) -> bool {
        self.with(|_, watchers| {
            let mut ours: Vec<_> = watchers.paths(self.number, key).collect();
            let mut paths = paths.to_vec();
            ours.sort_unstable();
            paths.sort_unstable();
            ours == paths
        })
    }

    /// Whether every change at this path is noticed for a key.
    pub(crate) fn listens_to(&self, key: u64, path: &Path) -> bool {
        self.with(|_, watchers| {
            watchers.paths(self.number, key).any(|(at, watched)| match watched {
                Watched::Itself | Watched::Path => at == path,
                Watched::Levels(levels) => {
                    path.strip_prefix(at).is_ok_and(|rest| rest.components().count() <= usize::from(levels))
                }
                Watched::Tree => path.starts_with(at),
            })
        })
    }

    /// The events so far.
    pub(crate) fn take(&self) -> Vec<(u64, Extent)> {
        self.with(|_, watchers| watchers.take(self.number, None))
    }

    /// The next events.
    pub(crate) fn poll_next(&self, waker: &Waker) -> Poll<Vec<(u64, Extent)>> {
        let events = self.with(|_, watchers| watchers.take(self.number, Some(waker)));
        if events.is_empty() { Poll::Pending } else { Poll::Ready(events) }
    }

    /// A function that returns whether nothing has happened that had not been taken by now.
    pub(crate) fn quiet(&self) -> Box<dyn Fn() -> bool + Send> {
        let (disk, number) = (self.disk.clone(), self.number);
        let before = disk.tree().watchers.quiet(number);
        Box::new(move || before.is_some() && disk.tree().watchers.quiet(number) == before)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.disk.tree().watchers.leave(self.number);
    }
}
