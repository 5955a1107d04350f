//! Watched trees: a check that only the watch has caused gets the entries that have changed, and none is ever missed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mgmt::prelude::*;
use mgmt::resource::{ApplyCx, Change, CheckCx, Watch, WatchCx};
use tokio::sync::Notify;

use crate::kit::run::LONG;
use crate::kit::{Run, within};

/// What a check comes to.
enum Say {
    Drift,
    Fail,
    /// In sync, but only after this.
    Wait(Arc<Notify>),
}

/// The entries that the checks of one walker got, and the results of its next checks; by default, in sync.
#[derive(Default)]
struct Book {
    told: Mutex<Vec<Option<BTreeSet<PathBuf>>>>,
    says: Mutex<VecDeque<Say>>,
}

static BOOKS: Mutex<BTreeMap<String, Arc<Book>>> = Mutex::new(BTreeMap::new());

/// Watches the tree of its name.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "walker")]
struct Walker {
    #[resource(name)]
    name: String,
}

impl Walker {
    fn book(&self) -> Arc<Book> {
        Arc::clone(BOOKS.lock().unwrap().entry(self.name.clone()).or_default())
    }
}

impl Converge for Walker {
    type Drift = Change;

    async fn check(&self, cx: &CheckCx) -> Result<Option<Change>> {
        let book = self.book();
        book.told.lock().unwrap().push(cx.changed_paths().map(|paths| paths.iter().cloned().collect()));
        let say = book.says.lock().unwrap().pop_front();
        match say {
            None => Ok(None),
            Some(Say::Drift) => Ok(Some(Change::new("it", "a", "b"))),
            Some(Say::Fail) => Err(mgmt::resource::Error::new("as planned")),
            Some(Say::Wait(until)) => {
                until.notified().await;
                Ok(None)
            }
        }
    }

    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }

    fn watch(&self, _: &WatchCx) -> Watch {
        Watch::tree(&self.name)
    }
}

struct Stage {
    run: Run,
    dir: tempfile::TempDir,
    book: Arc<Book>,
}

impl Stage {
    async fn new() -> Stage {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("t")).unwrap();
        let walker = Walker { name: dir.path().join("t").to_str().unwrap().to_owned() };
        let book = walker.book();
        let mut run = Run::new(graph(&walker.name, None)).await;
        run.converged().await;
        let stage = Stage { run, dir, book };
        assert!(stage.told().iter().all(Option::is_none), "nothing is known at the start");
        stage.forget();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("t").join(name)
    }

    fn say(&self, says: impl IntoIterator<Item = Say>) {
        self.book.says.lock().unwrap().extend(says);
    }

    fn told(&self) -> Vec<Option<BTreeSet<PathBuf>>> {
        self.book.told.lock().unwrap().clone()
    }

    fn forget(&self) {
        self.book.told.lock().unwrap().clear();
    }

    /// Waits for this number of checks.
    async fn checks(&self, count: usize) {
        let begun = Instant::now();
        while self.told().len() < count {
            assert!(begun.elapsed() < LONG, "only {:?}", self.told());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The entries that all checks since the last time got, once one of them got this entry.
    async fn until_told(&self, name: &str) -> Vec<Option<BTreeSet<PathBuf>>> {
        let begun = Instant::now();
        let is_told =
            |told: &Option<BTreeSet<PathBuf>>| told.as_ref().is_none_or(|told| told.contains(&self.path(name)));
        while !self.told().iter().any(is_told) {
            assert!(begun.elapsed() < LONG, "{name} is not in {:?}", self.told());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // One write is several events of the kernel.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let told = self.told();
        self.forget();
        told
    }

    /// All checks got just entries of these. An entry can come twice: what is told before the hub has looked at all that
    /// is new, which takes long on a busy machine, is told again after that.
    fn assert_within(&self, told: &[Option<BTreeSet<PathBuf>>], names: &[&str]) {
        let all = self.set(names);
        assert!(told.iter().all(|told| told.as_ref().is_some_and(|told| told.is_subset(&all))), "{told:?}");
    }

    fn set(&self, names: &[&str]) -> BTreeSet<PathBuf> {
        names.iter().map(|name| self.path(name)).collect()
    }
}

/// A walker, and a file of another resource in its tree.
fn graph(walker: &str, file: Option<&Path>) -> Graph {
    let mut g = Graph::new("trees");
    g.add(Walker::new(walker).retry(1));
    if let Some(file) = file {
        g.add(File::new(file.to_str().unwrap()).state(FileState::Undefined));
    }
    g
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_is_told_what_has_changed_until_one_finds_the_resource_in_sync() {
    let stage = Stage::new().await;
    fs::create_dir(stage.path("d")).unwrap();
    stage.until_told("d").await;
    fs::write(stage.path("d/a"), "").unwrap();
    let told = stage.until_told("d/a").await;
    stage.assert_within(&told, &["d", "d/a"]);
    // The apply writes nothing that the watch would report; the entry stays until a check has found it in sync.
    stage.say([Say::Drift]);
    fs::write(stage.path("b"), "").unwrap();
    stage.until_told("b").await;
    stage.say((0..10).map(|_| Say::Drift));
    fs::remove_file(stage.path("b")).unwrap();
    stage.checks(1).await;
    stage.forget();
    fs::remove_file(stage.path("d/a")).unwrap();
    let told = stage.until_told("d/a").await;
    assert_eq!(told[0], Some(stage.set(&["b", "d/a"])), "{told:?}");
    fs::write(stage.path("c"), "").unwrap();
    for told in stage.until_told("c").await {
        assert!(told.as_ref().is_some_and(|told| told.contains(&stage.path("c"))), "{told:?}");
    }
    stage.run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_during_a_check_is_told_to_the_next_one_and_a_failure_is_a_reason_to_look_at_everything() {
    let stage = Stage::new().await;
    let until = Arc::new(Notify::new());
    stage.say([Say::Wait(Arc::clone(&until))]);
    fs::create_dir(stage.path("a")).unwrap();
    stage.checks(1).await;
    fs::create_dir(stage.path("b")).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    until.notify_one();
    let told = stage.until_told("b").await;
    assert_eq!(told[0], Some(stage.set(&["a"])));
    stage.assert_within(&told[1..], &["a", "b"]);
    stage.say([Say::Fail]);
    fs::create_dir(stage.path("c")).unwrap();
    stage.checks(2).await;
    assert_eq!(stage.told()[..2], [Some(stage.set(&["c"])), None]);
    stage.run.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn much_that_has_drifted_and_is_not_repaired_is_no_reason_to_look_at_everything() {
    let stage = Stage::new().await;
    stage.say((0..10_000).map(|_| Say::Drift));
    for round in 0..3 {
        for file in 0..200 {
            fs::write(stage.path(&format!("{round}-{file}")), "").unwrap();
        }
        let told = stage.until_told(&format!("{round}-199")).await;
        assert!(told.iter().all(Option::is_some), "everything is looked at");
        let most = told.into_iter().flatten().map(|told| told.len()).max();
        assert_eq!(most, Some(200 * (round + 1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_is_cancelled_by_a_swap_loses_nothing_and_one_after_a_swap_looks_at_everything() {
    let stage = Stage::new().await;
    let (name, until) = (stage.path("").to_str().unwrap().trim_end_matches('/').to_owned(), Arc::new(Notify::new()));
    stage.say([Say::Wait(Arc::clone(&until))]);
    fs::create_dir(stage.path("a")).unwrap();
    stage.checks(1).await;
    // It runs while the swap comes and goes.
    within(stage.run.engine.swap(graph(&name, Some(&stage.path("owned"))).finish().unwrap())).await.unwrap();
    fs::create_dir(stage.path("b")).unwrap();
    until.notify_one();
    let told = stage.until_told("b").await;
    assert_eq!(told[..2], [Some(stage.set(&["a"])), None], "what others own may be different");
    fs::create_dir(stage.path("c")).unwrap();
    let told = stage.until_told("c").await;
    stage.assert_within(&told, &["c"]);
    // The walker leaves while a check of it runs, and comes back.
    stage.say([Say::Wait(Arc::clone(&until))]);
    fs::create_dir(stage.path("d")).unwrap();
    stage.checks(1).await;
    within(stage.run.engine.swap(Graph::new("empty").finish().unwrap())).await.unwrap();
    stage.forget();
    within(stage.run.engine.swap(graph(&name, None).finish().unwrap())).await.unwrap();
    stage.checks(1).await;
    assert_eq!(stage.told()[0], None);
    stage.run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_more_changes_than_are_told_apart_everything_is_looked_at() {
    let stage = Stage::new().await;
    let until = Arc::new(Notify::new());
    stage.say([Say::Wait(Arc::clone(&until))]);
    fs::create_dir(stage.path("a")).unwrap();
    stage.checks(1).await;
    for n in 0..300 {
        fs::create_dir(stage.path(&n.to_string())).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    until.notify_one();
    stage.checks(2).await;
    assert_eq!(stage.told()[1], None);
    stage.run.stop().await;
}

/// Small numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn path(&mut self, root: &Path) -> PathBuf {
        let depth = 1 + self.roll(3);
        (0..depth).fold(root.to_owned(), |path, _| path.join(["a", "b", "c", "d"][self.roll(4) as usize]))
    }
}

/// One change by another program. Many fail, which is fine.
fn change(dice: &mut Dice, dir: &Path) {
    let root = dir.join(["source", "tree", "tree", "tree", "outside"][dice.roll(5) as usize]);
    let other = dir.join(["source", "tree", "outside"][dice.roll(3) as usize]);
    let (one, two) = (dice.path(&root), dice.path(&other));
    let _ = match dice.roll(10) {
        0 => fs::create_dir_all(&one),
        1..=3 => {
            let _ = one.parent().map(fs::create_dir_all);
            fs::write(&one, "x".repeat(dice.roll(9) as usize))
        }
        4..=6 => fs::rename(&one, &two),
        7 => fs::remove_dir_all(&one),
        8 => fs::remove_file(&one),
        _ => symlink("a", &one),
    };
}

/// All entries of a tree, and what they hold.
fn entries(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let holds = match kind {
                kind if kind.is_dir() => "directory".to_owned(),
                kind if kind.is_symlink() => format!("{:?}", fs::read_link(&path).ok()),
                _ => fs::read_to_string(&path).unwrap_or_default(),
            };
            all.insert(path.strip_prefix(root).unwrap().to_owned(), holds);
            if kind.is_dir() {
                dirs.push(path);
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_tree_is_the_same_as_its_source_after_whatever_others_do_to_both() {
    for seed in 1..=6_u64 {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("{}/{name}/", dir.path().display());
        for name in ["source", "outside/a/b", "outside/c"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let mut g = Graph::new("copy");
        g.add(File::new(at("tree")).source(at("source")).recurse(true).purge(true).force(true).retry(1000));
        let mut run = Run::new(g).await;
        run.converged().await;
        let root = dir.path().to_owned();
        let others = std::thread::spawn(move || {
            let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
            for n in 0..400 {
                change(&mut dice, &root);
                if n % 7 == 0 {
                    std::thread::sleep(Duration::from_millis(dice.roll(4)));
                }
            }
        });
        others.join().unwrap();
        let begun = Instant::now();
        loop {
            let (tree, source) = (entries(&dir.path().join("tree")), entries(&dir.path().join("source")));
            if tree == source {
                break;
            }
            if begun.elapsed() > LONG {
                let differ: HashMap<_, _> =
                    tree.iter().filter(|(path, holds)| source.get(*path) != Some(*holds)).collect();
                panic!("seed {seed}: too much or different: {differ:?}; in the source: {source:?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        run.stop().await;
    }
}
