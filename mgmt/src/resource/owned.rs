//! The paths that resources of the graph own, for kinds.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::resource::path_list::PathList;
use crate::resource::record::{RECORDS, TRIAL};
use crate::sys::fs::{Links, ReadFs, Stat};

/// The name of the socket on which a running engine answers other programs.
pub(crate) const CONTROL_SOCKET: &str = "control.sock";

/// The name of the directory in which an engine keeps the deploys that it has received.
pub(crate) const DEPLOYS_DIR: &str = "deploys";

/// The name of the directory in which an engine keeps the files that have come with a graph from another machine.
pub(crate) const CARGO_DIR: &str = "cargo";

/// The name of the directory with what a run records that stays on its machine when it is left there over SSH.
pub(crate) const DETACHED_DIR: &str = "detached";

/// The name of the directory of the server of etcd that a host runs, and of what it remembers of other servers.
pub(crate) const ETCD_DIR: &str = "etcd";

/// The name of the directory with the authority of a cluster, with the key and the certificates of a host, and with the
/// key for which others seal what they export.
pub(crate) const TRUST_DIR: &str = "trust";

/// Whether what has this name in the engine's working directory belongs to the engine: the private directories of
/// resources, their records, those of a trial, the journal (also a new and a corrupt one), its lock, the control
/// socket, the deploys and the files that it has received, the record of a run that was left there, its server of etcd,
/// and its certificates. A graph may have other files beside them.
fn is_own_name(name: &OsStr) -> bool {
    let names = ["pgraph", RECORDS, TRIAL, CONTROL_SOCKET, DEPLOYS_DIR, CARGO_DIR, DETACHED_DIR, ETCD_DIR, TRUST_DIR];
    names.map(OsStr::new).contains(&name) || name.as_encoded_bytes().starts_with(b"journal.")
}

/// Whether the path is in this working directory of an engine, and belongs to the engine there.
pub(crate) fn is_engines(path: &Path, dir: &Path) -> bool {
    let first = path.strip_prefix(dir).ok().and_then(|below| below.components().next());
    first.is_some_and(|first| is_own_name(first.as_os_str()))
}

/// The paths that resources of the graph in force own, including those that follow from received values, as soon as
/// these have arrived. All queries return the present state.
#[derive(Default)]
pub struct OwnedPaths {
    paths: RwLock<Paths>,
    /// The number of changes. Changed while `paths` is locked; every check reads it.
    version: AtomicU64,
}

#[derive(Default)]
struct Paths {
    /// The paths that follow from the graph's fields, sorted.
    known: Arc<PathList>,
    /// The paths that follow from received values.
    received: BTreeSet<PathBuf>,
    /// The engine's own working directory; it counts as owned.
    own: Option<PathBuf>,
    /// Files that the program needs itself; they count as owned.
    spared: Vec<PathBuf>,
    /// Files of which resources of the graph keep a part.
    parts: Arc<[PathBuf]>,
}

impl Paths {
    /// The paths that no resource owns as a whole, and no resource may remove.
    fn ours(&self) -> impl Iterator<Item = &PathBuf> {
        self.own.iter().chain(&self.spared).chain(&*self.parts)
    }
}

/// The engine's own working directory with what belongs to the engine in it, recognised by device and inode number: so
/// a bind mount or a symlink leads to it no more than its own path does.
#[derive(Clone, Debug, Default)]
pub struct OwnState {
    dir: Option<(u64, u64)>,
    /// What belongs to the engine in it.
    parts: Vec<(u64, u64)>,
}

impl OwnState {
    /// Whether an object with this stat is the directory, or belongs to the engine in it.
    pub fn is(&self, stat: &Stat) -> bool {
        self.dir == Some(stat.identity()) || self.is_part(stat)
    }

    /// Whether an object with this stat belongs to the engine in the directory, which may also hold other files.
    pub fn is_part(&self, stat: &Stat) -> bool {
        self.parts.contains(&stat.identity())
    }

    /// Whether there is no such directory.
    pub fn is_empty(&self) -> bool {
        self.dir.is_none()
    }
}

impl OwnedPaths {
    fn read(&self) -> RwLockReadGuard<'_, Paths> {
        self.paths.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a resource owns exactly this path.
    pub fn contains(&self, path: &Path) -> bool {
        let paths = self.read();
        paths.known.find(path).is_some() || paths.received.contains(path)
    }

    /// Whether a resource owns exactly this path or keeps a part of it, or it is the engine's own working directory or
    /// a file of the program.
    pub fn is_taken(&self, path: &Path) -> bool {
        self.contains(path) || self.read().ours().any(|ours| ours == path)
    }

    /// Whether the path is the engine's own working directory, or belongs to the engine in it, as its text shows.
    pub fn is_in_own(&self, path: &Path) -> bool {
        self.read().own.as_deref().is_some_and(|own| own == path || is_engines(path, own))
    }

    /// The engine's own working directory as it is now, to be recognised at any path. Blocks.
    pub fn own_state(&self, fs: &ReadFs) -> OwnState {
        let fs = fs.clone().links(Links::Follow);
        let Some(own) = self.read().own.clone() else { return OwnState::default() };
        let Ok(own) = fs.real_path(&own) else { return OwnState::default() };
        let entries = |dir: &Path| fs.read_dir(dir).unwrap_or_default();
        let private = own.join("pgraph");
        let kinds = entries(&private).into_iter().map(|kind| private.join(kind.name));
        let parts = entries(&own).into_iter().filter(|part| is_own_name(&part.name)).map(|part| own.join(part.name));
        let identity = |path: PathBuf| Some(fs.stat(path).ok()??.identity());
        OwnState { dir: identity(own.clone()), parts: parts.chain(kinds).filter_map(identity).collect() }
    }

    /// Whether an owned path, or the engine's own working directory, is below this path.
    pub fn is_above(&self, dir: &Path) -> bool {
        let paths = self.read();
        let first = paths.known.partition_point(|path| path <= dir);
        let received = paths.received.range::<Path, _>((Bound::Excluded(dir), Bound::Unbounded)).next();
        let ours = paths.ours().map(PathBuf::as_path).filter(|ours| *ours != dir);
        let next = paths.known.get(first).into_iter().chain(received.map(PathBuf::as_path)).chain(ours);
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
        below.extend(paths.ours().filter(|ours| *ours != dir && is_below(ours)).cloned());
        below.sort_unstable();
        below.dedup();
        below
    }

    /// All owned paths, sorted, including the engine's own working directory.
    pub fn all(&self) -> Vec<PathBuf> {
        let paths = self.read();
        let mut all: Vec<PathBuf> = paths.known.iter().map(Path::to_owned).collect();
        all.extend(paths.received.iter().chain(paths.ours()).cloned());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Sets the engine's own working directory, and the files that the program needs itself.
    pub(crate) fn set_own(&self, own: PathBuf, spared: Vec<PathBuf>) {
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        (paths.own, paths.spared) = (Some(own), spared);
    }

    /// Sets the paths that follow from the fields of a new graph, sorted, and the files of which resources of the graph
    /// keep a part. The received paths stay.
    pub(crate) fn set_known(&self, known: Arc<PathList>, parts: Arc<[PathBuf]>) {
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        (paths.known, paths.parts) = (known, parts);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Records that received values changed the paths that a resource owns: it no longer owns `gone`, and owns `come`.
    pub(crate) fn receive(&self, gone: &[PathBuf], come: &[PathBuf]) {
        if gone.is_empty() && come.is_empty() {
            return;
        }
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        for path in gone {
            paths.received.remove(path);
        }
        paths.received.extend(come.iter().cloned());
        self.version.fetch_add(1, Ordering::Release);
    }

    /// A number that changes whenever the owned paths may have changed.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
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
        owned.set_known(Arc::new(paths(&["/a", "/a/b", "/a.b", "/c"]).into_iter().collect()), Arc::default());
        owned.receive(&[], &paths(&["/a/c", "/d"]));
        assert!(owned.contains(Path::new("/a.b")) && owned.contains(Path::new("/d")));
        assert!(!owned.contains(Path::new("/a/b/c")));
        assert_eq!(owned.below(Path::new("/a")), paths(&["/a/b", "/a/c"]), "not what only begins alike");
        assert_eq!(owned.below(Path::new("/")), owned.all());
        for (dir, is) in [("/a", true), ("/a/b", false), ("/c", false), ("/", true), ("/a.", false)] {
            assert_eq!(owned.is_above(Path::new(dir)), is, "{dir}");
        }
        owned.set_own("/c/own".into(), paths(&["/c/graph.yaml"]));
        for (path, is) in [("/c/own", true), ("/c/own/pgraph/x", true), ("/c/own/x", false), ("/c/own.x", false)] {
            assert_eq!(owned.is_in_own(Path::new(path)), is, "{path}");
        }
        assert!(owned.is_above(Path::new("/c")) && !owned.is_above(Path::new("/c/own")));
        assert!(owned.is_taken(Path::new("/c/own")) && !owned.contains(Path::new("/c/own")));
        assert!(owned.is_taken(Path::new("/c/graph.yaml")) && !owned.contains(Path::new("/c/graph.yaml")));
        assert_eq!(owned.below(Path::new("/c")), paths(&["/c/graph.yaml", "/c/own"]));
        assert!(owned.is_taken(Path::new("/d")) && !owned.is_taken(Path::new("/c/o")));
        owned.receive(&paths(&["/a/c", "/d"]), &paths(&["/e"]));
        let known = Arc::clone(&owned.read().known);
        owned.set_known(Arc::clone(&known), [PathBuf::from("/f/hosts")].into());
        assert!(owned.is_taken(Path::new("/f/hosts")) && owned.is_above(Path::new("/f")));
        assert!(!owned.contains(Path::new("/f/hosts")), "a part is not the whole");
        owned.set_known(known, Arc::default());
        assert_eq!(owned.all(), paths(&["/a", "/a/b", "/a.b", "/c", "/c/graph.yaml", "/c/own", "/e"]));
    }
}
