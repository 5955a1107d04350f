//! Parts that the tests of the hub share: a hub over a directory of its own, and fences that order its reports.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use crate::sys::fs::hub::{BackendKind, Event, Extent, Hub, Options, Watched};

/// Far longer than anything takes, even on a loaded machine.
pub(super) const FOREVER: Duration = Duration::from_secs(60);

const FENCES: u64 = 1 << 40;

pub(super) const BACKENDS: [BackendKind; 3] = [BackendKind::Inotify, BackendKind::Notify, BackendKind::Poll];

pub(super) struct Stage {
    pub(super) hub: Hub,
    pub(super) backend: BackendKind,
    dir: TempDir,
    fences: u64,
    /// All events except `Changed`, as text.
    pub(super) said: Vec<String>,
    /// The keys that were reported as ready.
    pub(super) ready: BTreeSet<u64>,
    /// How much of each key has changed, until it is taken.
    pub(super) extents: HashMap<u64, Extent>,
}

/// Runs a test with every facility for watching.
pub(super) fn each(test: impl AsyncFn(&mut Stage)) {
    for backend in BACKENDS {
        run(options(backend), &test);
    }
}

pub(super) fn options(backend: BackendKind) -> Options {
    Options { backend, poll_interval: Duration::from_millis(2), ..Options::default() }
}

pub(super) fn run(options: Options, test: impl AsyncFn(&mut Stage)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut stage = Stage::new(options);
        test(&mut stage).await;
    });
}

impl Stage {
    fn new(options: Options) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["w", "fences"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let backend = options.backend;
        Self {
            hub: Hub::new(options),
            backend,
            dir,
            fences: 0,
            said: Vec::new(),
            extents: HashMap::new(),
            ready: BTreeSet::new(),
        }
    }

    pub(super) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join("w").join(name)
    }

    pub(super) fn subscribe(&mut self, key: u64, name: impl AsRef<Path>, kind: Watched) {
        let path = self.path(name);
        self.hub.subscribe(key, &path, kind).expect("a subscription");
    }

    pub(super) fn write(&self, name: impl AsRef<Path>, content: &str) {
        fs::write(self.path(name), content).expect("a written file");
    }

    pub(super) fn mkdirs(&self, name: impl AsRef<Path>) {
        fs::create_dir_all(self.path(name)).expect("directories");
    }

    pub(super) fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        fs::rename(self.path(from), self.path(to)).expect("a rename");
    }

    pub(super) fn remove(&self, name: impl AsRef<Path>) {
        let path = self.path(name);
        let removed =
            if path.is_symlink() || path.is_file() { fs::remove_file(path) } else { fs::remove_dir_all(path) };
        removed.expect("removed");
    }

    pub(super) fn symlink(&self, to: impl AsRef<Path>, name: impl AsRef<Path>) {
        std::os::unix::fs::symlink(to, self.path(name)).expect("a symlink");
    }

    /// Does all the work that is left.
    pub(super) fn settle(&mut self) {
        self.hub.core.settle(&mut *self.hub.backend);
    }

    /// Takes one batch; returns the keys that changed.
    pub(super) async fn batch(&mut self) -> BTreeSet<u64> {
        let events = timeout(FOREVER, self.hub.next()).await.expect("an event in time");
        assert!(!events.is_empty(), "an empty batch");
        let mut changed = BTreeSet::new();
        for event in events {
            match event {
                Event::Changed(key, extent) => {
                    assert!(changed.insert(key) || self.ready.contains(&key), "key {key} twice in a batch");
                    self.extents.entry(key).or_insert_with(Extent::none).merge(extent);
                }
                // What happened before was perhaps not noticed.
                Event::Ready(key) => {
                    assert!(self.ready.insert(key), "key {key} is ready twice");
                    changed.insert(key);
                    self.extents.insert(key, Extent::All);
                }
                other => self.said.push(format!("{other:?}")),
            }
        }
        changed
    }

    /// The keys that changed by everything that was done before.
    pub(super) async fn changed(&mut self) -> BTreeSet<u64> {
        self.fences += 1;
        let fence = FENCES + self.fences;
        let path = self.dir.path().join("fences").join(self.fences.to_string());
        self.hub.subscribe(fence, &path, Watched::Path).expect("a subscription");
        fs::write(&path, "").expect("a written file");
        let mut all = BTreeSet::new();
        // A batch that is handed out before all nodes have been looked at is not the last one.
        while !all.contains(&fence) || !self.hub.is_settled() {
            all.append(&mut self.batch().await);
        }
        all.remove(&fence);
        self.hub.unsubscribe(fence);
        all
    }

    /// Waits until the changes have aged: polling reports a very recent change twice.
    pub(super) async fn calm(&mut self) {
        tokio::time::sleep(Duration::from_millis(60)).await;
        self.changed().await;
    }

    /// Waits for a change of the key, which may be reported later than a fence.
    pub(super) async fn until(&mut self, key: u64) {
        while !self.batch().await.contains(&key) {}
    }

    /// Asserts that each of the keys changed, and no other.
    pub(super) async fn expect(&mut self, keys: impl IntoIterator<Item = u64>) {
        let changed = self.changed().await;
        assert_eq!(changed, keys.into_iter().collect::<BTreeSet<_>>(), "by {:?}", self.backend);
    }

    /// Asserts that each of the keys changed.
    pub(super) async fn expect_some(&mut self, keys: impl IntoIterator<Item = u64>) {
        let changed = self.changed().await;
        for key in keys {
            assert!(changed.contains(&key), "no change of {key} among {changed:?} by {:?}", self.backend);
        }
    }
}
