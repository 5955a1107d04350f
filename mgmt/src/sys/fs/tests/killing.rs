//! The process is killed (`SIGKILL`) right before and right after each system call that changes something.

use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use super::support::*;
use crate::sys::fs::temp::Temp;

/// Makes the process the one that dies: `<scenario> <side> <n> <directory>`.
const PLAN: &str = "MGMT_TEST_DIE";

/// A change of `target` in a directory that was prepared for it.
struct Scenario {
    name: &'static str,
    set_up: fn(&Path),
    act: fn(&WriteFs, &Path) -> Result<(), FsError>,
    /// Whether the state after a kill is allowed.
    is_whole: fn(&Path) -> bool,
    /// The least number of changes.
    changes_min: usize,
}

const OLD: &str = "old content\n";
const NEW: &str = "new and longer content\n";

fn holds(target: &Path, content: &str) -> bool {
    std::fs::read_to_string(target).is_ok_and(|found| found == content)
}

fn write(fs: &WriteFs, target: &Path) -> Result<(), FsError> {
    let mut options = WriteOptions::new().mode(0o640).replace(Replace::Tree { cap: 99 });
    // Another owner: a left-over of ours may look like that of another user.
    options.attributes.uid = is_root().then_some(12);
    fs.write_file(target, NEW, &options).map(drop)
}

const SCENARIOS: [Scenario; 7] = [
    Scenario {
        name: "new",
        set_up: |_| {},
        act: write,
        is_whole: |target| !target.exists() || (holds(target, NEW) && mode_of(target) == 0o640),
        changes_min: 7,
    },
    Scenario {
        name: "named-first",
        set_up: |_| {},
        act: |fs, target| fs.write_file(target, NEW, &WriteOptions::new().mode(0o640).named_first(true)).map(drop),
        is_whole: |target| !target.exists() || (holds(target, NEW) && mode_of(target) == 0o640),
        changes_min: 7,
    },
    Scenario {
        name: "replaced",
        set_up: |target| {
            std::fs::write(target, OLD).unwrap();
            let _ = rustix::fs::setxattr(target, "user.x", b"1", rustix::fs::XattrFlags::empty());
        },
        act: write,
        is_whole: |target| holds(target, OLD) || (holds(target, NEW) && mode_of(target) == 0o640),
        changes_min: 7,
    },
    Scenario {
        name: "link",
        set_up: |target| symlink("old", target).unwrap(),
        act: |fs, target| fs.make_symlink(target, "new", Replace::default()).map(drop),
        is_whole: |target| std::fs::read_link(target).is_ok_and(|to| to == Path::new("old") || to == Path::new("new")),
        changes_min: 5,
    },
    Scenario {
        name: "tree",
        set_up: |target| {
            std::fs::create_dir_all(target.join("a/b")).unwrap();
            std::fs::write(target.join("a/f"), "").unwrap();
        },
        act: write,
        is_whole: |target| target.is_dir() || !target.exists() || holds(target, NEW),
        changes_min: 11,
    },
    Scenario {
        name: "directory",
        set_up: |_| {},
        act: |fs, target| fs.make_dir(target, &Attributes::new().mode(0o755)).map(drop),
        // Until the directory is complete, no other user can enter it.
        is_whole: |target| !target.exists() || mode_of(target) & !0o700 == 0 || mode_of(target) == 0o755,
        changes_min: 3,
    },
    Scenario {
        name: "directory-without-a-mode",
        set_up: |_| {},
        act: |fs, target| fs.make_dir(target, &Attributes::new()).map(drop),
        // No later check would find another mode wrong.
        is_whole: |target| !target.exists() || mode_of(target) == 0o755,
        changes_min: 1,
    },
];

#[test]
fn a_process_killed_at_any_call_leaves_the_old_or_the_new_and_the_next_one_tidies_up() {
    if let Ok(plan) = std::env::var(PLAN) {
        return die_as_planned(&plan);
    }
    for scenario in &SCENARIOS {
        for side in ["before", "after"] {
            let deaths = (1..).take_while(|n| dies_and_is_survived(scenario, side, *n)).count();
            assert!(deaths >= scenario.changes_min, "{}: {deaths} deaths {side} a call", scenario.name);
        }
    }
}

/// Runs in the process that dies.
fn die_as_planned(plan: &str) {
    let mut words = plan.splitn(4, ' ');
    let mut word = || words.next().expect("four words");
    let (name, side, n, dir) = (word(), word(), word().parse().expect("a number"), word());
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).expect("a scenario");
    let faults = Faults::new();
    match side {
        "before" => faults.kill_before(At::Change(n)),
        _ => faults.kill_after(At::Change(n)),
    }
    (scenario.act)(&WriteFs::with_faults(faults), &Path::new(dir).join("target")).expect("nothing fails but we");
}

/// Lets a process die; returns `false` if it did not, because it makes fewer calls.
fn dies_and_is_survived(scenario: &Scenario, side: &str, n: usize) -> bool {
    let dir = temp_dir();
    let target = dir.path().join("target");
    (scenario.set_up)(&target);
    // None of these is a left-over of ours: the check digits are wrong, or the file belongs to another program.
    let foreign = [".mgmt-0123456789abcdef01234567.tmp", ".mgmt-0123456789abcdef01234567.lnk", ".other.tmp"];
    std::fs::write(dir.path().join(foreign[0]), "foreign").unwrap();
    symlink("foreign", dir.path().join(foreign[1])).unwrap();
    std::fs::write(dir.path().join(foreign[2]), "foreign").unwrap();
    let fs = WriteFs::new();
    let beside = fs.place(&dir.path().join("beside")).unwrap();
    let living = Temp::create(&fs.inner.calls, &beside, fs.inner.euid, 0o600).unwrap();
    let expected = {
        let mut expected = names(dir.path());
        expected.retain(|name| name != "target");
        expected.push("target".to_owned());
        expected
    };

    let test = "killing::a_process_killed_at_any_call_leaves_the_old_or_the_new_and_the_next_one_tidies_up";
    let plan = format!("{} {side} {n} {}", scenario.name, dir.path().display());
    let output = again(test).env(PLAN, plan).output().unwrap();
    let died = output.status.signal() == Some(9);
    assert!(died || output.status.success(), "{} {side} {n}: {output:?}", scenario.name);
    assert!((scenario.is_whole)(&target), "{} killed {side} change {n}", scenario.name);

    (scenario.act)(&WriteFs::new(), &target).unwrap();
    WriteFs::new().clean_temporary_files(dir.path()).unwrap();
    assert_eq!(names(dir.path()), expected, "{} killed {side} change {n}", scenario.name);
    drop(living);
    died
}

#[test]
fn a_later_write_in_the_directory_is_enough_to_remove_what_a_killed_one_left() {
    let dir = temp_dir();
    let test = "killing::a_process_killed_at_any_call_leaves_the_old_or_the_new_and_the_next_one_tidies_up";
    let plan = format!("new after 3 {}", dir.path().display());
    assert_eq!(again(test).env(PLAN, plan).output().unwrap().status.signal(), Some(9));
    assert_eq!(names(dir.path()).len(), 1, "one left-over");
    let fs = WriteFs::new();
    fs.write_file(dir.path().join("other"), "x", &WriteOptions::new()).unwrap();
    assert_eq!(names(dir.path()), ["other"]);
}
