//! Two thousand resources, another program that breaks them without end, and kills: in the end everything is as
//! declared, and nothing is lost or left over.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::kit::program::{Program, Running, act};

const DIRECTORIES: usize = 100;
const FILES: usize = 18;
/// How often the program is killed and started with another graph.
const KILLS: u32 = 5;
/// The time between two kills.
const ROUND: Duration = Duration::from_secs(10);

fn scene(dir: &Path, version: &str) -> Program {
    let mut program = act("stress", dir);
    program.env("ACT_TEXT", version);
    program
}

/// What the process holds: open files, and bytes of memory.
fn held(pid: u32) -> Option<(usize, usize)> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some((fds, memory.split_whitespace().next()?.parse::<usize>().ok()? << 10))
}

/// Numbers without order: xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// Breaks one thing. Whatever fails is in the way of the engine, as it is of anybody else.
fn break_one(tree: &Path, victim: &Path, chance: &mut Chance) {
    let dir = tree.join(chance.below(DIRECTORIES).to_string());
    let file = dir.join(chance.below(FILES).to_string());
    let _ = match chance.below(9) {
        0 | 1 => fs::remove_file(&file),
        // Not through a link of ours.
        2 | 3 if file.is_symlink() => Ok(()),
        2 | 3 => fs::write(&file, "garbage"),
        4 => fs::set_permissions(&file, fs::Permissions::from_mode(0o600)),
        5 => fs::remove_file(&file).and_then(|()| symlink(victim, &file)),
        6 => fs::remove_file(&file).and_then(|()| fs::create_dir(&file)),
        7 => fs::rename(&file, dir.join(chance.below(FILES).to_string())),
        _ if chance.below(20) == 0 => fs::remove_dir_all(&dir),
        _ => fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)),
    };
}

/// Runs with this graph for one round, and is killed; returns what it held at the end of each second.
fn round(dir: &Path, version: &str) -> Vec<(usize, usize)> {
    let running: Running = scene(dir, version).start();
    let (begun, mut all) = (Instant::now(), Vec::new());
    while begun.elapsed() < ROUND {
        std::thread::sleep(Duration::from_secs(1));
        all.extend(held(running.pid()));
    }
    running.kill_9();
    all
}

fn check_tree(dir: &Path, version: &str) {
    for n in 0..DIRECTORIES {
        let place = dir.join("tree").join(n.to_string());
        let mut names: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort_by_key(|name| name.to_string_lossy().parse::<usize>().unwrap_or(usize::MAX));
        let expected: Vec<_> = (0..FILES).map(|m| std::ffi::OsString::from(m.to_string())).collect();
        assert_eq!(names, expected, "{}", place.display());
        for m in 0..FILES {
            let text = fs::read_to_string(place.join(m.to_string())).unwrap();
            assert_eq!(text, format!("{version} of {n}/{m}\n").repeat(1 + m * 20));
        }
        let told = fs::read_to_string(dir.join(format!("logs/{n}"))).unwrap();
        assert!(told.lines().any(|line| line == version), "{n} was not told of {version}: {told}");
    }
}

#[test]
#[ignore = "takes more than a minute: run with `--ignored`"]
fn two_thousand_resources_a_hostile_program_and_five_kills() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("tree")).unwrap();
    let victim = dir.join("victim");
    fs::write(&victim, "not ours").unwrap();
    scene(dir, "0").args("-t 0").run().code(0);
    let (over, broken) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut held = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
            while !over.load(Ordering::Relaxed) {
                break_one(&dir.join("tree"), &victim, &mut chance);
                broken.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        held = (1..=KILLS).map(|n| round(dir, &n.to_string())).collect();
        over.store(true, Ordering::Relaxed);
    });
    let last = (KILLS + 1).to_string();
    let ended = scene(dir, &last).args("-t 1").run().code(0);
    scene(dir, &last).arg("plan").run().code(0).said("in sync");
    check_tree(dir, &last);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "not ours");
    let left: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "logs, prefix, tree, victim: {left:?}");
    for round in &held {
        // The first seconds fill what is filled once.
        let settled = &round[round.len() / 2..];
        let most = |of: fn(&(usize, usize)) -> usize| settled.iter().map(of).max().unwrap();
        let least = |of: fn(&(usize, usize)) -> usize| settled.iter().map(of).min().unwrap();
        let (fds, memory) = (most(|held| held.0), most(|held| held.1));
        assert!(fds - least(|held| held.0) <= 64, "open files: {round:?}");
        assert!(memory <= least(|held| held.1) * 5 / 4 + (16 << 20), "memory: {round:?}");
    }
    let lasts: Vec<_> = held.iter().map(|round| round.last().unwrap()).collect();
    println!("{} things broken; converged after {:.1?}; held: {lasts:?}", broken.into_inner(), ended.took);
}
