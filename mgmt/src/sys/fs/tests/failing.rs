//! Every system call that changes something fails in turn.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::support::*;

const ERRNOS: [Errno; 4] = [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::IO];

/// Prepares a directory with `set_up`, runs `act` with the n-th change failing, and gives the outcome to `check`, for
/// every n. A failure of `unreported` may pass.
fn fail_each_change(
    set_up: impl Fn(&Path),
    act: impl Fn(&WriteFs, &Path) -> Result<(), FsError>,
    check: impl Fn(&WriteFs, &Path, Call, FsError),
    unreported: Option<Call>,
) -> Vec<Call> {
    let run = |arm: &dyn Fn(&Arc<Faults>)| {
        let dir = temp_dir();
        set_up(dir.path());
        let faults = Faults::new();
        arm(&faults);
        let fs = WriteFs::with_faults(faults.clone());
        let outcome = act(&fs, dir.path());
        (dir, faults, fs, outcome)
    };
    let (_dir, faults, _, outcome) = run(&|_| {});
    outcome.expect("without faults it works");
    let calls: Vec<Call> = faults.changes().into_iter().map(|(call, _)| call).collect();
    for (i, call) in calls.iter().enumerate() {
        for errno in ERRNOS {
            let (dir, _, fs, outcome) = run(&|faults| faults.fail(At::Change(i + 1), errno.raw_os_error()));
            if unreported == Some(*call) {
                // Only a left-over stays, and the next clean-up removes it.
                outcome.expect("it is no error");
                assert_eq!(WriteFs::new().clean_temporary_files(dir.path()).unwrap(), 1);
                continue;
            }
            let error = outcome.expect_err("the failure is reported");
            assert_eq!((error.call(), error.errno()), (Some(*call), Some(errno.raw_os_error())), "{error}");
            let told = std::io::Error::from(errno).to_string();
            let line = error.to_string();
            assert!(line.starts_with(&call.to_string()) && line.ends_with(&told), "{line}");
            assert!(error.path().starts_with(dir.path()) && line.contains(error.path().to_str().unwrap()), "{line}");
            check(&fs, dir.path(), *call, error);
        }
    }
    calls
}

#[test]
fn whatever_call_fails_the_old_file_is_intact_and_nothing_is_left_over() {
    let calls = fail_each_change(
        |dir| {
            std::fs::write(dir.join("f"), "old").unwrap();
            std::fs::set_permissions(dir.join("f"), std::fs::Permissions::from_mode(0o604)).unwrap();
            // On file systems without extended attributes, the call is not among those that fail.
            let _ = rustix::fs::setxattr(dir.join("f"), "user.x", b"1", rustix::fs::XattrFlags::empty());
        },
        |fs, dir| {
            let mut options = WriteOptions::new().mode(0o640);
            options.attributes.uid = is_root().then_some(12);
            fs.write_file(dir.join("f"), "new", &options).map(drop)
        },
        |fs, dir, call, error| {
            let file = dir.join("f");
            assert_eq!(names(dir), ["f"], "{call}: nothing is left over");
            if call == Call::SyncDir {
                // The one failure that comes too late: the new file is in place, and the door remembers that a sync is
                // owed.
                assert_eq!((text(&file).as_str(), error.path()), ("new", dir));
                assert!(fs.owes_sync(&file) && fs.reader().owes_sync(&file));
                fs.sync_dir(dir).unwrap();
                assert!(!fs.owes_sync(&file));
                fs.sync_dir(dir.join("gone")).unwrap();
            } else {
                assert_eq!((text(&file).as_str(), mode_of(&file), error.path()), ("old", 0o604, file.as_path()));
                assert!(!fs.owes_sync(&file));
                fs.write_file(&file, "new", &WriteOptions::new()).unwrap();
                assert_eq!(text(&file), "new", "{call}: the next write succeeds");
            }
        },
        None,
    );
    for expected in [Call::Create, Call::Lock, Call::Write, Call::Chmod, Call::Sync, Call::Rename, Call::SyncDir] {
        assert!(calls.contains(&expected), "{expected} is among {calls:?}");
    }
    let position = |wanted| calls.iter().position(|call| *call == wanted);
    assert_eq!(position(Call::Chown).is_some(), is_root());
    assert!(position(Call::Chown) < position(Call::Chmod), "the owner comes before the mode: {calls:?}");
    assert!(position(Call::Chmod) < position(Call::Sync), "{calls:?}");
}

#[test]
fn whatever_call_fails_a_new_file_is_there_whole_or_not_at_all() {
    fail_each_change(
        |_| {},
        |fs, dir| fs.write_file(dir.join("f"), "new", &WriteOptions::new()).map(drop),
        |_, dir, call, _| match call {
            Call::SyncDir => assert_eq!(text(dir.join("f")), "new"),
            _ => assert_eq!(names(dir), [""; 0]),
        },
        None,
    );
}

#[test]
fn whatever_call_fails_a_symlink_leads_to_the_old_or_the_new_target() {
    let calls = fail_each_change(
        |dir| symlink("old", dir.join("l")).unwrap(),
        |fs, dir| fs.make_symlink(dir.join("l"), "new", Replace::default()).map(drop),
        |_, dir, call, _| {
            assert_eq!(names(dir), ["l"], "{call}");
            let leads_to = std::fs::read_link(dir.join("l")).unwrap();
            assert_eq!(leads_to, Path::new(if call == Call::SyncDir { "new" } else { "old" }), "{call}");
        },
        Some(Call::Unlink),
    );
    assert_eq!(calls, [Call::Create, Call::Lock, Call::Symlink, Call::Rename, Call::Unlink, Call::SyncDir]);
}

#[test]
fn whatever_call_fails_no_half_made_directory_stays() {
    let make = |attributes: Attributes, mode: u32| {
        fail_each_change(
            |_| {},
            |fs, dir| fs.make_dir(dir.join("d"), &attributes).map(drop),
            |_, dir, call, _| match call {
                Call::SyncDir => assert_eq!(mode_of(dir.join("d")), mode),
                _ => assert_eq!(names(dir), [""; 0], "{call}"),
            },
            None,
        )
    };
    assert_eq!(make(Attributes::new(), 0o755), [Call::MakeDir, Call::SyncDir]);
    assert!(make(Attributes::new().mode(0o750), 0o750).contains(&Call::Chmod));
}

#[test]
fn a_tree_that_gives_way_to_a_file_is_intact_until_the_file_is_complete() {
    let calls = fail_each_change(
        |dir| {
            std::fs::create_dir_all(dir.join("t/a")).unwrap();
            std::fs::write(dir.join("t/a/f"), "").unwrap();
        },
        |fs, dir| fs.write_file(dir.join("t"), "new", &WriteOptions::new().replace(Replace::Tree { cap: 9 })).map(drop),
        |_, dir, call, _| {
            if matches!(call, Call::Create | Call::Lock | Call::Write | Call::Sync | Call::Chmod | Call::Unlink) {
                assert!(dir.join("t/a/f").exists(), "{call}");
            }
            assert!(names(dir) == ["t"] || (call == Call::Rename && names(dir).is_empty()), "{call}");
        },
        None,
    );
    assert!(calls.ends_with(&[
        Call::Sync,
        Call::Unlink,
        Call::RemoveDir,
        Call::RemoveDir,
        Call::Rename,
        Call::SyncDir
    ]));
}

#[test]
fn a_batch_reports_a_directory_that_could_not_be_made_durable_and_syncs_the_others() {
    let dir = temp_dir();
    let faults = Faults::new();
    let fs = WriteFs::with_faults(faults.clone());
    let batch = fs.batch();
    for sub in ["a", "b", "c"] {
        std::fs::create_dir(dir.path().join(sub)).unwrap();
        batch.fs().write_file(dir.path().join(sub).join("f"), "x", &WriteOptions::new()).unwrap();
    }
    faults.fail(At::Nth(Call::SyncDir, 1), Errno::IO.raw_os_error());
    let error = batch.commit().unwrap_err();
    assert_eq!((error.path(), error.errno()), (dir.path().join("a").as_path(), Some(Errno::IO.raw_os_error())));
    assert_eq!(faults.count(Call::SyncDir), 3);
    let owes = |sub: &str| fs.owes_sync(dir.path().join(sub).join("f"));
    assert_eq!((owes("a"), owes("b"), owes("c")), (true, false, false));
}

#[test]
fn an_interrupted_call_is_made_again_and_other_doors_see_no_fault() {
    let dir = temp_dir();
    let path = dir.path().join("f");
    let faults = Faults::new();
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename, Call::SyncDir] {
        faults.fail(At::Nth(call, 1), Errno::INTR.raw_os_error());
    }
    WriteFs::with_faults(faults.clone()).write_file(&path, "x", &WriteOptions::new()).unwrap();
    assert_eq!((text(&path).as_str(), faults.count(Call::Rename)), ("x", 2));
    faults.fail(At::Every(Call::Write), Errno::IO.raw_os_error());
    WriteFs::new().write_file(&path, "y", &WriteOptions::new()).unwrap();
    assert_eq!(text(&path), "y");
}

#[test]
fn a_source_that_cannot_be_read_or_changes_leaves_the_target_and_is_named() {
    let dir = temp_dir();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    std::fs::write(&to, "old").unwrap();
    for by_kernel in [true, false] {
        std::fs::write(&from, vec![7; 300_000]).unwrap();
        let faults = Faults::new();
        let fs = WriteFs::with_faults(faults.clone());
        let reset = || {
            faults.reset();
            for call in [Call::Clone, Call::Copy].into_iter().filter(|_| !by_kernel) {
                faults.fail(At::Every(call), Errno::XDEV.raw_os_error());
            }
        };
        reset();
        faults.fail(At::Nth(Call::Read, 1), Errno::IO.raw_os_error());
        let error = fs.copy_file(&from, &to, &WriteOptions::new()).unwrap_err();
        assert_eq!((error.path(), error.call(), text(&to).as_str()), (from.as_path(), Some(Call::Read), "old"));

        reset();
        let source = from.clone();
        faults.hook(At::Nth(Call::Read, 1), move || std::fs::write(&source, "shorter").unwrap());
        let error = fs.copy_file(&from, &to, &WriteOptions::new()).unwrap_err();
        assert_eq!(error.to_string(), format!("{} was changed by another program meanwhile", from.display()));
        assert_eq!((text(&to).as_str(), names(dir.path()).len()), ("old", 2));
    }
}

#[test]
fn whatever_call_of_a_copy_fails_the_old_file_is_intact() {
    let calls = fail_each_change(
        |dir| {
            std::fs::write(dir.join("from"), "new").unwrap();
            std::fs::write(dir.join("to"), "old").unwrap();
        },
        |fs, dir| fs.copy_file(dir.join("from"), dir.join("to"), &WriteOptions::new()).map(drop),
        |_, dir, call, _| {
            assert_eq!(names(dir), ["from", "to"], "{call}");
            assert_eq!(text(dir.join("to")), if call == Call::SyncDir { "new" } else { "old" }, "{call}");
        },
        None,
    );
    assert!(calls.contains(&Call::Clone), "{calls:?}");
}

#[test]
fn what_can_not_be_looked_at_is_an_error_and_not_absent() {
    let dir = temp_dir();
    let path = dir.path().join("f");
    std::fs::write(&path, "x").unwrap();
    for call in [Call::Stat, Call::Open, Call::Read] {
        let faults = Faults::new();
        faults.fail(At::Every(call), Errno::IO.raw_os_error());
        let fs = WriteFs::with_faults(faults);
        let error = fs.read_file(&path, 99).unwrap_err();
        assert_eq!((error.call(), error.errno()), (Some(call), Some(Errno::IO.raw_os_error())));
        assert_eq!(fs.stat(&path).is_err(), call == Call::Stat);
    }
}

#[test]
fn a_file_that_has_its_name_first_and_cannot_be_made_durable_loses_it_again() {
    let write = |fs: &WriteFs, dir: &Path| {
        let options = WriteOptions::new().mode(0o640).named_first(true);
        fs.write_file(dir.join("f"), "new", &options).map(drop)
    };
    let calls = fail_each_change(
        |_| {},
        write,
        |fs, dir, call, error| {
            let left = if call == Call::SyncDir { vec!["f"] } else { Vec::new() };
            assert_eq!(names(dir), left, "{call}: {error}");
            assert_eq!(fs.owes_sync(dir.join("f")), call == Call::SyncDir);
        },
        None,
    );
    let position = |call| calls.iter().position(|other| *other == call).expect("it is made");
    assert!(position(Call::Chmod) < position(Call::Rename), "never wider than it must be: {calls:?}");
    assert!(position(Call::Rename) < position(Call::Sync), "{calls:?}");
    assert!(position(Call::Sync) < position(Call::SyncDir), "{calls:?}");
}

#[test]
fn only_what_replaces_nothing_has_its_name_first() {
    let options = WriteOptions::new().named_first(true);
    let order = |dir: &Path, arm: &dyn Fn(&Arc<Faults>)| {
        let faults = Faults::new();
        arm(&faults);
        WriteFs::with_faults(faults.clone()).write_file(dir.join("f"), "new", &options).unwrap();
        let calls = faults.changes().into_iter().map(|(call, _)| call);
        calls.filter(|call| matches!(call, Call::Sync | Call::Rename)).collect::<Vec<_>>()
    };
    let dir = temp_dir();
    let file = dir.path().join("f");
    std::fs::write(&file, "old").unwrap();
    assert_eq!(order(dir.path(), &|_| {}), [Call::Sync, Call::Rename], "something is replaced");
    // Another program makes the file at the last moment: it is replaced like a file that existed before.
    std::fs::remove_file(&file).unwrap();
    let made = file.clone();
    let order_of_race = order(dir.path(), &|faults| {
        let made = made.clone();
        faults.hook(At::Nth(Call::Rename, 1), move || std::fs::write(&made, "theirs").unwrap());
    });
    assert_eq!(order_of_race, [Call::Rename, Call::Sync, Call::Rename]);
    // A file system that can't rename without replacing.
    std::fs::remove_file(&file).unwrap();
    let without = order(dir.path(), &|faults| faults.fail(At::Nth(Call::Rename, 1), Errno::INVAL.raw_os_error()));
    assert_eq!(without, [Call::Rename, Call::Sync, Call::Rename]);
    assert_eq!(text(&file), "new");
    assert_eq!(names(dir.path()), ["f"]);
}
