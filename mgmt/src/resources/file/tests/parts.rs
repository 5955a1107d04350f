//! A look at what has changed finds what a look at everything finds.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::harness::Bench;
use crate::resource::{Change, Result};
use crate::resources::file::FileBuilder;
use crate::sys::fs::Call;

/// Small numbers from a seed; the same on every machine.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    /// A path of one to three names out of three, in one of the two trees.
    fn path(&mut self, bench: &Bench) -> PathBuf {
        let tree = ["s", "t", "t"][self.roll(3) as usize];
        let depth = 1 + self.roll(3);
        (0..depth).fold(bench.at(tree), |path, _| path.join(["a", "b", "c"][self.roll(3) as usize]))
    }
}

/// One random change, and what a watch reports of it. Many fail, which is fine.
fn change(dice: &mut Dice, bench: &Bench, reported: &mut BTreeSet<PathBuf>) {
    let (one, two) = (dice.path(bench), dice.path(bench));
    match dice.roll(9) {
        kind @ 0..=3 => {
            let missing = one.ancestors().skip(1).take_while(|dir| fs::symlink_metadata(dir).is_err()).last();
            reported.extend(missing.map(Path::to_owned));
            let _ = one.parent().map(fs::create_dir_all);
            let _ = match kind {
                0 => fs::create_dir(&one),
                1 => std::os::unix::fs::symlink("a", &one),
                _ => fs::write(&one, "x".repeat(dice.roll(3) as usize)),
            };
        }
        4 | 5 => drop(fs::rename(&one, &two)),
        6 => drop(fs::remove_file(&one)),
        7 => drop(fs::remove_dir_all(&one)),
        _ => drop(fs::set_permissions(&one, fs::Permissions::from_mode(0o700 | dice.roll(0o100) as u32))),
    }
    reported.extend([one, two]);
}

/// What was found, whatever the order.
fn sorted(changes: Result<Vec<Change>>) -> Result<Vec<String>, String> {
    let lines = |change: &Change| {
        let diff = change.diff.clone().unwrap_or_default();
        let mut lines: Vec<&str> = diff.lines().collect();
        lines.sort_unstable();
        format!("{change}\n{}", lines.join("\n"))
    };
    changes.map(|changes| changes.iter().map(lines).collect()).map_err(|error| error.to_string())
}

fn found(bench: &Bench, file: &FileBuilder, paths: Option<&BTreeSet<PathBuf>>) -> Result<Vec<Change>> {
    let trial = bench.trial(file);
    let trial = paths.map_or_else(|| trial.clone(), |paths| trial.changed_at(paths.iter().cloned()));
    bench.block_on(trial.check()).map(|outcome| outcome.changes)
}

#[test]
fn a_look_at_what_has_changed_finds_what_a_look_at_everything_finds() {
    let mut differed = 0;
    for seed in 0..120 {
        let (bench, mut dice) = (Bench::new(), Dice::new(seed));
        for name in ["s/a/a", "s/a/b/c", "s/b", "s/c/c/c", "t/b/b"] {
            bench.write(name, name);
        }
        let (has_source, recurse) = (dice.roll(4) > 0, dice.roll(4) > 0);
        let purge = !has_source || dice.roll(2) > 0;
        let mut file = bench.file("t/").recurse(recurse).purge(purge).force(dice.roll(4) > 0);
        if has_source {
            file = file.source(bench.path("s/"));
        }
        if dice.roll(2) > 0 {
            bench.own(&["t/a/b", "t/b/a", "t/c"][dice.roll(2) as usize..]);
        }
        if bench.converge(&file).is_err() {
            continue;
        }
        for _ in 0..6 {
            let mut reported = BTreeSet::new();
            for _ in 0..dice.roll(4) {
                change(&mut dice, &bench, &mut reported);
            }
            let whole = sorted(found(&bench, &file, None));
            let part = sorted(found(&bench, &file, Some(&reported)));
            assert_eq!(part, whole, "seed {seed}: {reported:?}");
            differed += usize::from(whole.is_ok_and(|changes| !changes.is_empty()));
            // The apply repairs the drift that the check found; then all is in sync.
            let trial = bench.trial(&file).changed_at(reported.iter().cloned());
            if bench.block_on(trial.settle()).is_err() || bench.converge(&file).is_err() {
                break;
            }
        }
    }
    assert!(differed > 80, "{differed} trees had drifted");
}

#[test]
fn a_look_at_one_file_costs_the_same_however_many_there_are() {
    let benches = [10, 200].map(|count| {
        let bench = Bench::new();
        (0..count).for_each(|n| drop(bench.write(&format!("s/d{}/f{n}", n % 5), "content")));
        bench
    });
    // A file that has changed within the last two seconds is read at each check.
    std::thread::sleep(Duration::from_millis(2100));
    let [few, many] = benches.map(|bench| {
        let file = bench.file("t/").source(bench.path("s/")).recurse(true).purge(true);
        bench.converge(&file).unwrap();
        bench.write("t/d1/f1", "drifted");
        bench.faults.reset();
        let paths = BTreeSet::from([bench.at("t/d1/f1")]);
        assert_eq!(found(&bench, &file, Some(&paths)).unwrap().len(), 1);
        [Call::Stat, Call::Open, Call::Read].map(|call| bench.faults.count(call))
    });
    assert_eq!(few, many);
}

#[test]
fn what_is_not_in_the_trees_or_may_be_everything_is_a_look_at_everything() {
    let bench = Bench::new();
    for name in ["s/a", "s/b/c"] {
        bench.write(name, name);
    }
    let file = bench.file("t/").source(bench.path("s/")).recurse(true);
    bench.converge(&file).unwrap();
    bench.write("t/a", "drifted");
    for path in ["t", "s", "elsewhere"] {
        let paths = BTreeSet::from([bench.at(path)]);
        assert_eq!(found(&bench, &file, Some(&paths)).unwrap().len(), 1, "{path}");
    }
    let paths = BTreeSet::from([bench.at("t/b")]);
    assert_eq!(found(&bench, &file, Some(&paths)).unwrap(), []);
    // Another owner concerns each of them.
    let changes = found(&bench, &file.clone().owner(54321), Some(&paths)).unwrap();
    assert!(changes.iter().any(|change| change.diff.as_ref().is_some_and(|diff| diff.contains("~ a "))), "{changes:?}");
    fs::remove_dir_all(bench.at("t")).unwrap();
    assert!(found(&bench, &file, Some(&paths)).unwrap().len() > 1, "all is missing");
}

#[test]
fn a_directory_that_has_gone_is_found_before_it_is_reported() {
    let bench = Bench::new();
    for name in ["s/a/b/c", "s/d/e/f"] {
        bench.write(name, name);
    }
    let file = bench.file("t/").source(bench.path("s/")).recurse(true).purge(true);
    bench.converge(&file).unwrap();
    fs::remove_dir_all(bench.at("t/a")).unwrap();
    fs::remove_dir_all(bench.at("s/d")).unwrap();
    let paths = BTreeSet::from([bench.at("t/a/b/c"), bench.at("s/d/e/f")]);
    let changes = found(&bench, &file, Some(&paths)).unwrap();
    let diff: String = changes.iter().filter_map(|change| change.diff.as_deref()).collect();
    assert_eq!(diff, "+ a\n+ a/b\n+ a/b/c\n- d\n- d/e\n- d/e/f\n");
}
