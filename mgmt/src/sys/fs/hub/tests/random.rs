//! Random changes of a random tree: none may be lost, and nothing may be left after all keys are unsubscribed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use super::harness::{BACKENDS, FOREVER, Stage, options, run};
use crate::sys::fs::hub::trie::{FIXED, Kind, MEMBER, PRESENT, QUEUED, ROOT, WIDE};
use crate::sys::fs::hub::{Event, Extent, Watched};

const SEEDS: u64 = 30;
const STEPS: usize = 120;

/// Small numbers from a seed; the same on every machine.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    /// A path of one to four names out of three.
    fn path(&mut self) -> PathBuf {
        let depth = 1 + self.roll(4);
        (0..depth).map(|_| ["a", "b", "c"][self.roll(3) as usize]).collect()
    }
}

/// Makes one random change below `root`. Many fail, which is fine.
fn change(dice: &mut Dice, root: &Path) {
    let (one, two) = (root.join(dice.path()), root.join(dice.path()));
    let _ = match dice.roll(14) {
        0 | 1 => fs::create_dir_all(&one),
        2..=4 => {
            let _ = one.parent().map(fs::create_dir_all);
            fs::write(&one, "x".repeat(dice.roll(40) as usize))
        }
        5..=7 => fs::rename(&one, &two),
        8 => fs::remove_file(&one),
        9 => fs::remove_dir_all(&one),
        10 => symlink(dice.path(), &one),
        11 => symlink(Path::new("..").join(dice.path()), &one),
        12 => symlink(&two, &one),
        _ => fs::set_permissions(&one, fs::Permissions::from_mode(0o700 | dice.roll(0o100) as u32)),
    };
}

/// Everything about a path that matters to its subscribers, by the paths of a tree.
type Seen = BTreeMap<PathBuf, String>;

fn look(path: &Path, kind: Watched) -> Seen {
    let Ok(own) = fs::symlink_metadata(path) else { return Seen::new() };
    let mut seen = one(path, &own, kind);
    if own.is_symlink() {
        match fs::metadata(path) {
            Ok(to) => seen += &one(path, &to, kind),
            Err(_) => seen += " to nowhere",
        }
    }
    let mut all = Seen::from([(path.to_owned(), seen)]);
    if kind.is_tree() && fs::metadata(path).is_ok_and(|to| to.is_dir()) {
        names(path).iter().for_each(|name| below(name, levels(kind), &mut all));
    }
    all
}

/// The number of levels of a tree that count.
fn levels(kind: Watched) -> usize {
    match kind {
        Watched::Levels(levels) => levels.into(),
        _ => usize::MAX,
    }
}

fn one(path: &Path, meta: &fs::Metadata, kind: Watched) -> String {
    let content = if meta.is_symlink() {
        format!("{:?}", fs::read_link(path).ok())
    } else if meta.is_dir() {
        // In a tree, each name is an entry of its own.
        if kind == Watched::Path { format!("{:?}", names(path)) } else { String::new() }
    } else {
        fs::read_to_string(path).unwrap_or_default()
    };
    format!("inode {} mode {:o} {content}", meta.ino(), meta.mode())
}

fn names(path: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    names.sort();
    names
}

/// Adds an entry of a tree and everything below it, down to this number of levels.
fn below(path: &Path, levels: usize, all: &mut Seen) {
    if levels == 0 {
        return;
    }
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    all.insert(path.to_owned(), one(path, &meta, Watched::Tree));
    if meta.is_dir() {
        names(path).iter().for_each(|name| below(name, levels - 1, all));
    }
}

/// Whether the way from the root of a tree to an entry has only directories, so that the entry is a part of the tree.
fn is_within(root: &Path, entry: &Path) -> bool {
    let mut above = entry.ancestors().skip(1).take_while(|above| above.starts_with(root));
    above.all(|above| match above == root {
        true => fs::metadata(above).is_ok_and(|meta| meta.is_dir()),
        false => fs::symlink_metadata(above).is_ok_and(|meta| meta.is_dir()),
    })
}

/// The keys, what each has subscribed to, and what it saw after its last report.
#[derive(Default)]
struct Crowd {
    all: BTreeMap<u64, (PathBuf, Watched, Seen)>,
    next: u64,
}

impl Crowd {
    fn join(&mut self, stage: &mut Stage, dice: &mut Dice) {
        self.next += 1;
        let kind = match dice.roll(6) {
            0 => Watched::Tree,
            1 => Watched::Itself,
            2 => Watched::Levels(1 + dice.roll(3) as u16),
            _ => Watched::Path,
        };
        let path = stage.path(dice.path());
        // If it does not listen yet, it is looked at again when it does.
        stage.hub.begin(self.next, &path, kind).expect("a subscription");
        let seen = look(&path, kind);
        self.all.insert(self.next, (path, kind, seen));
    }

    fn leave(&mut self, stage: &mut Stage, dice: &mut Dice) {
        let at = dice.roll(self.all.len().max(1) as u64) as usize;
        if let Some(&key) = self.all.keys().nth(at) {
            self.all.remove(&key);
            stage.hub.unsubscribe(key);
        }
    }

    /// Looks at what was reported as changed, and at nothing else.
    fn told(&mut self, key: u64, extent: Extent) {
        let Some((path, kind, seen)) = self.all.get_mut(&key) else { return };
        let Extent::Entries(entries) = extent else {
            *seen = look(path, *kind);
            return;
        };
        assert!(kind.is_tree());
        for entry in entries {
            assert!(entry.starts_with(&*path), "{} is not in {}", entry.display(), path.display());
            assert!(!entry.ends_with("..") && !entry.to_string_lossy().contains("/../"), "{}", entry.display());
            if entry == *path {
                *seen = look(path, *kind);
                continue;
            }
            seen.retain(|other, _| !other.starts_with(&entry));
            if is_within(path, &entry) {
                let above = entry.strip_prefix(&*path).expect("it is in the tree").components().count() - 1;
                assert!(above < levels(*kind), "{} is too deep in {}", entry.display(), path.display());
                below(&entry, levels(*kind) - above, seen);
            }
        }
    }

    async fn check(&mut self, stage: &mut Stage, seed: u64) {
        for key in stage.changed().await {
            let extent = stage.extents.remove(&key).expect("it was told of");
            self.told(key, extent);
        }
        check_invariants(stage, seed);
        for (key, (path, kind, seen)) in &self.all {
            let now = look(path, *kind);
            assert_eq!(
                &now,
                seen,
                "seed {seed}, {:?}: a change of {key} {kind:?} {} is lost ({:?}, {:?})",
                stage.backend,
                path.display(),
                stage.hub,
                stage.said
            );
        }
    }
}

/// Checks the invariants that hold whenever nothing is left to look at.
fn check_invariants(stage: &Stage, seed: u64) {
    let core = &stage.hub.core;
    let mut members = 0;
    for id in core.trie.subtree(ROOT) {
        let node = core.trie.get(id);
        let place = core.trie.path(id);
        let place = String::from_utf8_lossy(&place);
        assert!(!node.is(QUEUED), "seed {seed}: {place} is still to be looked at");
        members += usize::from(node.is(MEMBER));
        let children = || core.trie.children(id).map(|child| core.trie.get(child));
        assert_eq!(node.loose as usize, children().filter(|child| !child.is(FIXED)).count(), "seed {seed}: {place}");
        assert_eq!(node.present as usize, children().filter(|child| child.is(PRESENT)).count(), "seed {seed}: {place}");
        let is_narrow = node.kind == Kind::Dir && node.watch != 0 && !node.is(WIDE);
        assert!(!is_narrow || node.loose == 0 && node.subs.as_slice().is_empty(), "seed {seed}: {place} is narrow");
        if node.watch != 0 {
            let nodes = core.watches.get(&node.watch).expect("a known watch");
            assert!(nodes.as_slice().contains(&id), "seed {seed}: the watch of {place} does not know it");
        }
        if let Some(to) = core.leads_to.get(&id) {
            assert!(core.led_from[to].contains(&id), "seed {seed}: {place} leads to what does not know it");
        }
    }
    assert_eq!(members, core.members, "seed {seed}: directories of trees");
    for (watch, nodes) in &core.watches {
        assert!(!nodes.as_slice().is_empty(), "seed {seed}: a watch of nobody");
        for &id in nodes.as_slice() {
            assert!(core.trie.is_used(id) && core.trie.get(id).watch == *watch, "seed {seed}: a watch of a stranger");
        }
    }
    assert!(core.polled.keys().all(|&id| core.trie.is_used(id)), "seed {seed}: a stranger is polled");
    assert!(core.seen.keys().all(|&id| core.trie.is_used(id)), "seed {seed}: a stranger was seen");
    let trees = core.trie.subtree(ROOT).into_iter().flat_map(|id| core.trie.get(id).subs.as_slice().to_vec());
    assert_eq!(trees.filter(|sub| sub.kind.is_tree()).count(), core.trees, "seed {seed}: trees");
}

fn check_nothing_is_left(stage: &mut Stage, crowd: &mut Crowd, seed: u64) {
    for key in std::mem::take(&mut crowd.all).into_keys() {
        stage.hub.unsubscribe(key);
    }
    stage.settle();
    let stats = stage.hub.stats();
    assert_eq!((stats.keys, stats.nodes, stats.watches, stats.polled), (0, 1, 0, 0), "seed {seed}: something is left");
    let core = &stage.hub.core;
    assert!(core.seen.is_empty() && core.leads_to.is_empty() && core.led_from.is_empty(), "seed {seed}");
    assert!(core.looped.is_empty() && core.members == 0 && core.trees == 0, "seed {seed}");
}

/// Seeds that have found a bug.
const FOUND: [u64; 4] = [173, 400, 1292, 1675];

/// The seeds to try; others from the environment, as `MGMT_HUB_SEEDS=17..18`.
fn seeds(count: u64) -> Vec<u64> {
    let Ok(range) = std::env::var("MGMT_HUB_SEEDS") else { return (0..count).chain(FOUND).collect() };
    let (from, to) = range.split_once("..").expect("a range of seeds");
    (from.parse().expect("a number")..to.parse().expect("a number")).collect()
}

#[test]
fn no_change_is_lost_when_events_are_taken_between_changes() {
    for backend in BACKENDS {
        for seed in seeds(SEEDS) {
            run(options(backend), async |stage| {
                let (mut dice, mut crowd) = (Dice::new(seed), Crowd::default());
                let root = stage.path("");
                for _ in 0..STEPS {
                    match dice.roll(20) {
                        0..=2 => crowd.join(stage, &mut dice),
                        3 => crowd.leave(stage, &mut dice),
                        4 | 5 => crowd.check(stage, seed).await,
                        _ => change(&mut dice, &root),
                    }
                }
                crowd.check(stage, seed).await;
                check_nothing_is_left(stage, &mut crowd, seed);
            });
        }
    }
}

/// Runs with each look in a slice of its own, or with slices that are never too short.
fn changed_by_another_thread(slice: Duration) {
    for backend in BACKENDS {
        for seed in seeds(SEEDS / 3) {
            run(options(backend), async |stage| {
                stage.hub.core.slice = slice;
                let (mut dice, mut crowd) = (Dice::new(seed), Crowd::default());
                for _ in 0..12 {
                    crowd.join(stage, &mut dice);
                }
                let root = stage.path("");
                let is_done = Arc::new(AtomicBool::new(false));
                let changer = std::thread::spawn({
                    let is_done = Arc::clone(&is_done);
                    move || {
                        let mut dice = Dice::new(seed + 1000);
                        (0..STEPS * 10).for_each(|_| change(&mut dice, &root));
                        is_done.store(true, Ordering::SeqCst);
                    }
                });
                let mut count = 0;
                // The other thread may be ready before anything is reported.
                while !is_done.load(Ordering::SeqCst) || count == 0 {
                    // Mostly cancelled: that must not lose anything either.
                    let patience = if is_done.load(Ordering::SeqCst) { FOREVER } else { Duration::from_micros(100) };
                    let next = timeout(patience, stage.hub.next()).await;
                    assert!(next.is_ok() || patience < FOREVER, "seed {seed}: nothing was told");
                    let Ok(batch) = next else { continue };
                    for event in batch {
                        match event {
                            Event::Changed(key, extent) => crowd.told(key, extent),
                            Event::Ready(key) => crowd.told(key, Extent::All),
                            _ => continue,
                        }
                        count += 1;
                    }
                }
                changer.join().expect("the changes to be made");
                crowd.check(stage, seed).await;
                check_nothing_is_left(stage, &mut crowd, seed);
            });
        }
    }
}

#[test]
fn no_change_is_lost_when_another_thread_makes_them() {
    changed_by_another_thread(Duration::from_secs(3600));
}

#[test]
fn no_change_is_lost_when_looks_are_cut_short_and_told_of_early() {
    changed_by_another_thread(Duration::ZERO);
}
