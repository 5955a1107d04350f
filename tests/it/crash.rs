//! Processes killed at any moment: what was owed is still owed, once, and no file is half written.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::kit::program::{Program, Running, act};

/// The scene: `file` is written, and the file `told` gets a line for each refresh that follows.
fn scene(dir: &Path, text: &str) -> Program {
    let mut program = act("tell", dir);
    program.env("ACT_TEXT", text);
    program
}

/// A run that hangs there, killed.
fn killed_at(dir: &Path, text: &str, place: &str) {
    let mut running: Running = scene(dir, text).env("ACT_HANG", place).start();
    running.says(&format!("at {place}"));
    running.kill_9();
}

/// A run to its end.
fn converge(dir: &Path, text: &str) {
    scene(dir, text).args("-t 0").run().code(0);
}

fn told(dir: &Path) -> Vec<String> {
    fs::read_to_string(dir.join("told")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn killed_after_the_rename_and_before_the_end_of_apply_the_refresh_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    killed_at(dir, "one", "written");
    assert_eq!(
        fs::read_to_string(dir.join("file")).unwrap(),
        "one",
        "the file is as it should be: nothing drifts any more"
    );
    assert_eq!(told(dir), [""; 0]);
    converge(dir, "one");
    assert_eq!(told(dir), ["told one"]);
    converge(dir, "one");
    assert_eq!(told(dir), ["told one"], "paid is paid");
}

#[test]
fn killed_before_the_refresh_came_to_its_end_it_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    killed_at(dir, "one", "told");
    for _ in 0..2 {
        // Again and again.
        killed_at(dir, "one", "told");
    }
    assert_eq!(told(dir), [""; 0]);
    converge(dir, "one");
    converge(dir, "one");
    assert_eq!(told(dir), ["told one"]);
}

#[test]
fn the_plan_after_a_kill_says_what_is_owed() {
    let dir = tempfile::tempdir().unwrap();
    killed_at(dir.path(), "one", "written");
    let plan = scene(dir.path(), "one").arg("plan").run().code(2);
    assert_eq!(
        plan.out,
        "↻ told[two]\n    asked to refresh, since written[one] changed in an earlier run\n1 to refresh, 1 in sync\n"
    );
    assert_eq!(told(dir.path()), [""; 0]);
    converge(dir.path(), "one");
    scene(dir.path(), "one").arg("plan").run().code(0);
}

#[test]
fn killed_under_noop_what_is_owed_stays_owed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    killed_at(dir, "one", "written");
    scene(dir, "one").args("-t 0 --noop").run().code(0);
    assert_eq!(told(dir), [""; 0]);
    converge(dir, "one");
    assert_eq!(told(dir), ["told one"]);
}

#[test]
fn killed_at_random_nothing_is_lost_and_nothing_is_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let text = |n: u32| format!("{n} {}", "x".repeat(100_000));
    // The first test that wants the programs builds them: that is not measured.
    let other = tempfile::tempdir().unwrap();
    converge(other.path(), "built");
    let timed = |text: &str| {
        let begun = std::time::Instant::now();
        converge(dir, text);
        begun.elapsed()
    };
    // The kills are spread over the time that a whole run takes on this machine, as loaded as it is now.
    let mut whole = timed(&text(0));
    let mut kills = 0;
    for n in 1..=14 {
        let running = scene(dir, &text(n)).start();
        std::thread::sleep(whole * (n * 4 % 15) / 15);
        running.kill_9();
        let found = fs::read_to_string(dir.join("file")).unwrap_or_default();
        assert!(found.is_empty() || found == text(n - 1) || found == text(n), "half written in round {n}");
        if found != text(n) || told(dir).last() != Some(&format!("told {n}")) {
            kills += 1;
        }
        whole = timed(&text(n));
        assert_eq!(told(dir).last().unwrap(), &format!("told {n}"), "lost in round {n}");
        let count = told(dir).iter().filter(|line| **line == format!("told {n}")).count();
        assert!(count <= 2, "told {count} times in round {n}");
    }
    assert!(kills > 0, "every kill came too late");
    let left: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "file, told, prefix: {left:?}");
}

/// A password of that length, its hash and two files that hold it: in one run, to its end.
fn rotate(dir: &Path, length: &str) {
    act("rotate", dir).env("ACT_TEXT", length).args("-t 0").run().code(0);
}

/// All who have received it hold the same: the one whose hash is known.
fn agree(dir: &Path, length: usize) {
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let text = read("one");
    assert_eq!((text.len(), &text), (length, &read("two")));
    for name in ["before", "between"] {
        assert!(bcrypt::verify(&text, &read(name)).unwrap(), "{name} has the hash of another password");
    }
}

#[test]
fn killed_while_a_new_password_is_on_its_way_all_receivers_agree_in_the_next_run() {
    for place in ["before", "between"] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        rotate(dir, "20");
        agree(dir, 20);
        let mut running = act("rotate", dir).env("ACT_TEXT", "21").env("ACT_HANG", place).start();
        running.says(&format!("at {place}"));
        running.kill_9();
        for _ in 0..2 {
            rotate(dir, "21");
            agree(dir, 21);
        }
    }
}

#[test]
fn killed_at_random_while_passwords_are_made_all_receivers_agree_in_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    rotate(dir, "10");
    for n in 11..=24 {
        let running = act("rotate", dir).env("ACT_TEXT", n.to_string()).start();
        std::thread::sleep(Duration::from_millis(60 + n * n * 7 % 130));
        running.kill_9();
        rotate(dir, &n.to_string());
        agree(dir, n as usize);
    }
}
