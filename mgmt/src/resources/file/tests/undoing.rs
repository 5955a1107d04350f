//! What was there before is recorded before a change, and put back, whatever fails in between.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use rustix::fs::XattrFlags;

use crate::resources::file::FileBuilder;
use crate::resources::file::tests::harness::*;
use crate::sys::fs::At;

const ENOSPC: i32 = 28;
/// What the directory `d` holds: by name the type, the mode and the content.
type Tree = BTreeMap<String, (u32, Vec<u8>)>;

fn tree(bench: &Bench) -> Tree {
    use std::os::unix::fs::MetadataExt as _;
    let state = |name: String| {
        let path = bench.at("d").join(&name);
        let stat = std::fs::symlink_metadata(&path).unwrap();
        let content = match stat.file_type() {
            kind if kind.is_file() => std::fs::read(&path).unwrap(),
            kind if kind.is_symlink() => std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            _ => Vec::new(),
        };
        (name, (stat.mode(), content))
    };
    bench.names("d").into_iter().map(state).collect()
}

/// One change that a resource makes to what was prepared.
struct Case {
    prepare: fn(&Bench),
    file: fn(&Bench) -> FileBuilder,
}

const CASES: [Case; 6] = [
    Case { prepare: |_| {}, file: |bench| bench.file("d/new").content("new\n") },
    Case {
        prepare: |bench| drop(bench.write("d/was", "original\n")),
        file: |bench| bench.file("d/was").content("changed\n").mode(0o600),
    },
    Case { prepare: |bench| drop(bench.link("d/link", "there")), file: |bench| bench.file("d/link").symlink("here") },
    Case {
        prepare: |bench| {
            bench.write("d/tree/a/deep", "deep\n");
            bench.link("d/tree/link", "there");
        },
        file: |bench| bench.file("d/tree").content("a file\n").force(true),
    },
    Case {
        prepare: |bench| drop(bench.write("d/tree/a/deep", "deep\n")),
        file: |bench| bench.file("d/tree/").absent(),
    },
    Case {
        prepare: |bench| {
            bench.write("from/one", "1\n");
            bench.write("from/a/two", "2\n");
            bench.write("d/to/a/two", "other\n");
            bench.write("d/to/surplus", "surplus\n");
        },
        file: |bench| bench.file("d/to/").source(bench.path("from/")).recurse(true).purge(true),
    },
];

fn begin(case: &Case) -> (Bench, Tree) {
    let bench = Bench::new();
    bench.mkdir("d");
    (case.prepare)(&bench);
    let before = tree(&bench);
    (bench, before)
}

fn undo(bench: &Bench, file: &FileBuilder) {
    if let Some(undone) = bench.block_on(bench.trial(file).undo()).unwrap() {
        assert_eq!(undone.kept, [""; 0]);
    }
}

/// Checks and applies with a record, which may fail.
fn settle(bench: &Bench, file: &FileBuilder) -> bool {
    bench.block_on(bench.trial(file).reversed().settle()).is_ok()
}

#[test]
fn a_change_that_fails_at_any_call_is_undone_and_what_has_no_record_is_unchanged() {
    for case in &CASES {
        for n in 1.. {
            let (mut bench, before) = begin(case);
            let file = (case.file)(&bench);
            bench.faults.fail(At::Change(n), ENOSPC);
            let well = settle(&bench, &file);
            let has_ended = bench.faults.changes().len() < n;
            bench.faults.reset();
            if !bench.trial(&file).has_record() {
                assert_eq!(tree(&bench), before, "changed without a record at call {n}");
            }
            assert!(well || !has_ended);
            // Only the disk is left.
            bench.restart();
            undo(&bench, &file);
            assert_eq!(tree(&bench), before, "not as before, after a failure at call {n}");
            if has_ended {
                assert!(n > 8, "the record and the change are several calls");
                break;
            }
        }
    }
}

#[test]
fn an_undo_that_fails_at_any_call_is_completed_by_the_next() {
    for case in &CASES {
        for n in 1.. {
            let (mut bench, before) = begin(case);
            let file = (case.file)(&bench);
            assert!(settle(&bench, &file));
            bench.restart();
            bench.faults.reset();
            bench.faults.fail(At::Change(n), ENOSPC);
            let _ = bench.block_on(bench.trial(&file).undo());
            let has_ended = bench.faults.changes().len() < n;
            bench.faults.reset();
            undo(&bench, &file);
            assert_eq!(tree(&bench), before, "not as before, after a failure of the undo at call {n}");
            if has_ended {
                break;
            }
        }
    }
}

/// Set for a process that must die: the case, what it does, at which call, in which directory.
const DEATH: &str = "MGMT_UNDOING_DEATH";

/// Lets a process die at the n-th call that changes something; returns `false` if it makes fewer calls.
fn dies(case: usize, act: &str, n: usize, dir: &Path) -> bool {
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    let test = "resources::file::tests::undoing::a_process_killed_at_any_call_is_undone_by_the_next";
    process.args(["--exact", test]).env(DEATH, format!("{case} {act} {n} {}", dir.display()));
    // What it needs for a moment remains when it dies.
    let scratch = tempfile::tempdir().unwrap();
    process.env("TMPDIR", scratch.path());
    let ended = process.output().unwrap();
    let died = ended.status.signal() == Some(9);
    assert!(died || ended.status.success(), "{ended:?}");
    died
}

/// Runs in the process that dies.
fn die(plan: &str) {
    let mut words = plan.splitn(4, ' ');
    let mut word = || words.next().unwrap();
    let (case, act, n) = (&CASES[word().parse::<usize>().unwrap()], word(), word().parse().unwrap());
    let bench = Bench::of_another_process(word());
    let file = (case.file)(&bench);
    bench.faults.kill_before(At::Change(n));
    if act == "settle" {
        assert!(settle(&bench, &file));
    } else {
        undo(&bench, &file);
    }
}

#[test]
fn a_process_killed_at_any_call_is_undone_by_the_next() {
    if let Ok(plan) = std::env::var(DEATH) {
        return die(&plan);
    }
    for (number, case) in CASES.iter().enumerate() {
        for act in ["settle", "undo"] {
            for n in 1.. {
                let (mut bench, before) = begin(case);
                let file = (case.file)(&bench);
                if act == "undo" {
                    assert!(settle(&bench, &file));
                }
                let died = dies(number, act, n, bench.root());
                bench.restart();
                let has_record = bench.trial(&file).has_record();
                if act == "settle" && !has_record {
                    assert_eq!(tree(&bench), before, "case {number}, changed without a record, killed at call {n}");
                }
                undo(&bench, &file);
                assert_eq!(tree(&bench), before, "case {number}, {act}, killed at call {n}");
                if !died {
                    assert!(n > 3);
                    break;
                }
            }
        }
    }
}

#[test]
fn a_mode_that_another_program_set_is_left() {
    let bench = Bench::new();
    let path = bench.write("d/a", "original\n");
    let chmod = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    chmod(0o644);
    let file = bench.file("d/a").content("ours\n").mode(0o640);
    assert!(settle(&bench, &file));
    chmod(0o600);
    let undone = bench.block_on(bench.trial(&file).undo()).unwrap().unwrap();
    assert!(undone.kept.join("; ").contains("the mode of "), "{undone:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "ours\n");
    chmod(0o640);
    undo(&bench, &file);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "original\n");
}

#[test]
fn the_first_record_stays_and_a_content_that_was_not_needed_at_first_is_added() {
    let bench = Bench::new();
    bench.write("d/a", "original\n");
    let before = tree(&bench);
    let versions =
        [bench.file("d/a").mode(0o600), bench.file("d/a").content("1\n"), bench.file("d/a").content("2\n").mode(0o640)];
    versions.iter().for_each(|file| assert!(settle(&bench, file)));
    undo(&bench, &versions[0]);
    assert_eq!(tree(&bench), before);
}

#[test]
fn extended_attributes_are_put_back_too() {
    let bench = Bench::new();
    let path = bench.write("d/a", "original\n");
    if rustix::fs::setxattr(&path, "user.test", b"value", XattrFlags::empty()).is_err() {
        // This file system has none.
        return;
    }
    let file = bench.file("d/a").absent();
    assert!(settle(&bench, &file));
    undo(&bench, &file);
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&path, "user.test", &mut value).unwrap();
    assert_eq!(&value[..length], b"value");
}

#[test]
fn what_a_pipe_was_or_a_foreign_hand_made_is_left() {
    let bench = Bench::new();
    let file = bench.file("d/a").content("ours\n");
    bench.mkdir("d");
    assert!(settle(&bench, &file));
    let kept = |bench: &Bench| bench.block_on(bench.trial(&file).undo()).unwrap().unwrap().kept.join("; ");
    bench.write("d/a", "theirs\n");
    assert!(kept(&bench).ends_with("was changed by another program"));
    std::fs::remove_file(bench.at("d/a")).unwrap();
    bench.mkdir("d/a");
    assert!(kept(&bench).ends_with("was changed by another program"), "and nothing is removed");
    assert!(Path::new(&bench.at("d/a")).is_dir());
}
