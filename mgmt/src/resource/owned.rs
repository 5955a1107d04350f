//! The paths that resources of the graph own, for kinds.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::resource::path_list::PathList;

/// The paths that resources of the graph in force own, including those that follow from received values, as soon as
/// these have arrived. All queries return the present state.
#[derive(Default)]
pub struct OwnedPaths(RwLock<Paths>);

#[derive(Default)]
struct Paths {
    /// The paths that follow from the graph's fields, sorted.
    known: Arc<PathList>,
    /// The paths that follow from received values.
    received: BTreeSet<PathBuf>,
    /// The engine's own working directory; everything below it counts as owned.
    own: Option<PathBuf>,
    /// The number of changes.
    version: u64,
}

impl OwnedPaths {
    fn read(&self) -> RwLockReadGuard<'_, Paths> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a resource owns exactly this path.
    pub fn contains(&self, path: &Path) -> bool {
        let paths = self.read();
        paths.known.find(path).is_some() || paths.received.contains(path)
    }

    /// Whether a resource owns exactly this path, or it is the engine's own working directory.
    pub fn is_taken(&self, path: &Path) -> bool {
        self.contains(path) || self.read().own.as_deref() == Some(path)
    }

    /// Whether an owned path, or the engine's own working directory, is below this path.
    pub fn is_above(&self, dir: &Path) -> bool {
        let paths = self.read();
        let first = paths.known.partition_point(|path| path <= dir);
        let received = paths.received.range::<Path, _>((Bound::Excluded(dir), Bound::Unbounded)).next();
        let own = paths.own.as_deref().filter(|own| *own != dir);
        let next = paths.known.get(first).into_iter().chain(received.map(PathBuf::as_path)).chain(own);
        next.into_iter().any(|path| path.starts_with(dir))
    }

    /// The owned paths below a directory, without the directory itself, sorted; they include the engine's own working
    /// directory. The cost is proportional to their number.
    pub fn below(&self, dir: &Path) -> Vec<PathBuf> {
        let paths = self.read();
        // Paths are ordered by their components: those below a directory follow it immediately.
        let first = paths.known.partition_point(|path| path <= dir);
        let is_below = |path: &&PathBuf| path.starts_with(dir);
        let known = paths.known.from(first).take_while(|path| path.starts_with(dir));
        let mut below: Vec<PathBuf> = known.map(Path::to_owned).collect();
        let received = paths.received.range::<Path, _>((Bound::Excluded(dir), Bound::Unbounded));
        below.extend(received.take_while(is_below).cloned());
        below.extend(paths.own.iter().filter(|own| own.as_path() != dir && is_below(own)).cloned());
        below.sort_unstable();
        below.dedup();
        below
    }

    /// All owned paths, sorted, including the engine's own working directory.
    pub fn all(&self) -> Vec<PathBuf> {
        let paths = self.read();
        let mut all: Vec<PathBuf> = paths.known.iter().map(Path::to_owned).collect();
        all.extend(paths.received.iter().chain(&paths.own).cloned());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Sets the engine's own working directory.
    pub(crate) fn set_own(&self, own: PathBuf) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).own = Some(own);
    }

    /// Sets the paths that follow from the fields of a new graph, sorted. The received paths stay.
    pub(crate) fn set_known(&self, known: Arc<PathList>) {
        let mut paths = self.0.write().unwrap_or_else(PoisonError::into_inner);
        paths.known = known;
        paths.version += 1;
    }

    /// Records that received values changed the paths that a resource owns: it no longer owns `gone`, and owns `come`.
    pub(crate) fn receive(&self, gone: &[PathBuf], come: &[PathBuf]) {
        if gone.is_empty() && come.is_empty() {
            return;
        }
        let mut paths = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for path in gone {
            paths.received.remove(path);
        }
        paths.received.extend(come.iter().cloned());
        paths.version += 1;
    }

    /// A number that changes whenever the owned paths may have changed.
    pub(crate) fn version(&self) -> u64 {
        self.read().version
    }
}

impl fmt::Debug for OwnedPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.read();
        f.debug_struct("OwnedPaths")
            .field("known", &paths.known.len())
            .field("received", &paths.received.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(all: &[&str]) -> Vec<PathBuf> {
        all.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn what_is_known_and_what_was_received_are_one_list() {
        let owned = OwnedPaths::default();
        owned.set_known(Arc::new(paths(&["/a", "/a/b", "/a.b", "/c"]).into_iter().collect()));
        owned.receive(&[], &paths(&["/a/c", "/d"]));
        assert!(owned.contains(Path::new("/a.b")) && owned.contains(Path::new("/d")));
        assert!(!owned.contains(Path::new("/a/b/c")));
        assert_eq!(owned.below(Path::new("/a")), paths(&["/a/b", "/a/c"]), "not what only begins alike");
        assert_eq!(owned.below(Path::new("/")), owned.all());
        for (dir, is) in [("/a", true), ("/a/b", false), ("/c", false), ("/", true), ("/a.", false)] {
            assert_eq!(owned.is_above(Path::new(dir)), is, "{dir}");
        }
        owned.set_own("/c/own".into());
        assert!(owned.is_above(Path::new("/c")) && !owned.is_above(Path::new("/c/own")));
        assert!(owned.is_taken(Path::new("/c/own")) && !owned.contains(Path::new("/c/own")));
        assert!(owned.is_taken(Path::new("/d")) && !owned.is_taken(Path::new("/c/o")));
        owned.receive(&paths(&["/a/c", "/d"]), &paths(&["/e"]));
        assert_eq!(owned.all(), paths(&["/a", "/a/b", "/a.b", "/c", "/c/own", "/e"]));
    }
}
