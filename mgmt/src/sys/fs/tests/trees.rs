//! Whole trees: listing and removing.

use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, Mode as Bits, OFlags};

use super::support::*;

#[test]
fn a_tree_is_listed_in_order_and_counted_against_the_cap() {
    let dir = temp_dir();
    let top = dir.path().join("top");
    std::fs::create_dir_all(top.join("b/c")).unwrap();
    std::fs::write(top.join("b/z"), "12").unwrap();
    std::fs::write(top.join("a"), "").unwrap();
    symlink("/etc", top.join("link")).unwrap();
    let fs = WriteFs::new();
    let tree = fs.list_tree(&top, 6).unwrap();
    let paths: Vec<_> = tree.paths().map(|path| path.strip_prefix(dir.path()).unwrap().to_owned()).collect();
    assert_eq!(paths, ["top", "top/a", "top/b", "top/b/c", "top/b/z", "top/link"].map(Path::new));
    assert_eq!((tree.entries[4].stat.size, tree.entries[5].stat.kind), (2, FileKind::Symlink));
    assert_eq!(tree.path(99), Path::new(""));
    for error in [fs.list_tree(&top, 5).unwrap_err(), fs.remove_tree(&top, 5).unwrap_err()] {
        assert_eq!(error.to_string(), format!("{} holds more than 5 entries", top.display()));
    }
    assert_eq!(names(&top), ["a", "b", "link"], "nothing was removed");
    assert_eq!(fs.remove_tree(&top, 6).unwrap(), 6);
    assert_eq!(names(dir.path()), [""; 0]);
    assert!(Path::new("/etc/passwd").exists(), "the link was not followed");
    std::fs::write(&top, "").unwrap();
    assert_eq!(fs.list_tree(&top, 1).unwrap().entries.len(), 1);
    assert_eq!(fs.remove_tree(&top, 1).unwrap(), 1, "a file is a tree of one");
    symlink(dir.path(), &top).unwrap();
    assert_eq!(fs.remove_tree(&top, 1).unwrap(), 1, "and so is a link");
    assert!(dir.path().is_dir());
}

#[test]
fn ten_thousand_directories_in_each_other_are_listed_and_removed() {
    const DEPTH: usize = 10_000;
    let dir = fast_temp_dir();
    let mut at: OwnedFd = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::CLOEXEC, Bits::empty()).unwrap();
    for _ in 0..DEPTH {
        rustix::fs::mkdirat(&at, "d", Bits::RWXU).unwrap();
        at = rustix::fs::openat(&at, "d", OFlags::PATH | OFlags::CLOEXEC, Bits::empty()).unwrap();
    }
    drop(at);
    let fs = WriteFs::new();
    let top = dir.path().join("d");
    let tree = fs.list_tree(&top, DEPTH).unwrap();
    assert_eq!(tree.entries.len(), DEPTH);
    assert_eq!(tree.path(DEPTH - 1).components().count(), dir.path().components().count() + DEPTH);
    assert!(matches!(fs.remove_tree(&top, DEPTH - 1), Err(FsError::TooMany { .. })));
    assert_eq!(fs.remove_tree(&top, DEPTH).unwrap(), DEPTH);
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_directory_moved_away_while_its_tree_is_removed_takes_nobody_elses_files_along() {
    let dir = temp_dir();
    let (top, other) = (dir.path().join("top"), dir.path().join("other"));
    std::fs::create_dir_all(top.join("a/b/c")).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("z"), "precious").unwrap();
    std::fs::create_dir(other.join("y")).unwrap();
    let faults = Faults::new();
    let (from, to) = (top.join("a/b"), other.join("b"));
    // The walk is in top/a/b/c by now; climbing from b would arrive in `other`.
    faults.hook(At::Nth(Call::RemoveDir, 1), move || std::fs::rename(&from, &to).unwrap());
    let error = WriteFs::with_faults(faults).remove_tree(&top, 99).unwrap_err();
    assert!(matches!(error, FsError::Changed { .. }), "{error}");
    assert_eq!(names(&other), ["b", "y", "z"]);
}

#[test]
fn a_directory_swapped_for_a_link_at_any_moment_of_its_removal_is_not_entered() {
    let run = |swap_at: Option<usize>| {
        let dir = temp_dir();
        let (top, other) = (dir.path().join("top"), dir.path().join("other"));
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("z"), "precious").unwrap();
        let faults = Faults::new();
        if let Some(n) = swap_at {
            let (at, to) = (top.join("a"), other.clone());
            // After the removal there is nothing left to swap.
            faults.hook(At::Nth(Call::Open, n), move || {
                if std::fs::remove_dir_all(&at).is_ok() {
                    symlink(&to, &at).unwrap();
                }
            });
        }
        let outcome = WriteFs::with_faults(faults.clone()).remove_tree(&top, 99);
        assert_eq!(text(other.join("z")), "precious", "swapped at {swap_at:?}: {outcome:?}");
        assert!(outcome.is_err() || !top.exists(), "swapped at {swap_at:?}: {outcome:?}");
        faults.count(Call::Open)
    };
    let opens = run(None);
    assert!(opens >= 10, "{opens}");
    for n in 1..=opens {
        run(Some(n));
    }
}

#[test]
#[ignore = "needs root: a mount namespace of its own (unshare -m)"]
fn what_is_mounted_in_a_tree_is_never_removed_and_nothing_beside_it() {
    const INSIDE: &str = "MGMT_TEST_IN_NAMESPACE";
    if std::env::var_os(INSIDE).is_none() {
        let exe = std::env::current_exe().unwrap();
        let inner = again("trees::what_is_mounted_in_a_tree_is_never_removed_and_nothing_beside_it");
        let mut command = Command::new("unshare");
        return must_pass(command.arg("-m").arg(exe).args(inner.get_args()).env(INSIDE, "1"));
    }
    let dir = temp_dir();
    let (top, other) = (dir.path().join("top"), dir.path().join("other"));
    std::fs::create_dir_all(top.join("a/mounted")).unwrap();
    std::fs::create_dir(top.join("A")).unwrap();
    std::fs::write(top.join("a/file"), "").unwrap();
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("precious"), "x").unwrap();
    let run = |program: &str, args: &[&Path]| {
        let status = Command::new(program).args(args).status().unwrap();
        assert!(status.success(), "{program} {args:?}");
    };
    let fs = WriteFs::new();
    let refused = |path: &Path, mount: &Path| {
        for error in [fs.list_tree(path, 99).unwrap_err(), fs.remove_tree(path, 99).unwrap_err()] {
            let told = format!("{} is a mount point, which is never replaced, removed or crossed", mount.display());
            assert_eq!(error.to_string(), told);
        }
        let options = WriteOptions::new().replace(Replace::Tree { cap: 99 });
        assert!(matches!(fs.write_file(path, "x", &options), Err(FsError::MountPoint { .. })));
        assert_eq!((names(&top), names(&other)), (vec!["A".to_owned(), "a".to_owned()], vec!["precious".to_owned()]));
    };
    // First the same file system, so that only the mount differs; then another one; then a single file.
    let bind = Path::new("--bind");
    run("mount", &[bind, &other, &top.join("a/mounted")]);
    refused(&top, &top.join("a/mounted"));
    refused(&top.join("a/mounted"), &top.join("a/mounted"));
    run("umount", &[&top.join("a/mounted")]);
    run("mount", &[Path::new("-t"), Path::new("tmpfs"), Path::new("none"), &top.join("a/mounted")]);
    refused(&top, &top.join("a/mounted"));
    run("umount", &[&top.join("a/mounted")]);
    run("mount", &[bind, &other.join("precious"), &top.join("a/file")]);
    refused(&top, &top.join("a/file"));
    run("umount", &[&top.join("a/file")]);
    // A file system that is mounted between the look and the removal is not crossed either.
    let faults = Faults::new();
    let (from, to) = (other.clone(), top.join("a/mounted"));
    faults.hook(At::Change(1), move || {
        assert!(Command::new("mount").arg("--bind").args([&from, &to]).status().unwrap().success());
    });
    let error = WriteFs::with_faults(faults).remove_tree(&top, 99).unwrap_err();
    assert_eq!(text(other.join("precious")), "x", "{error}");
    run("umount", &[&top.join("a/mounted")]);
    assert!(fs.remove_tree(&top, 99).unwrap() > 0);
}

#[test]
fn other_spellings_of_the_root_directory_are_not_removed() {
    let dir = temp_dir();
    symlink("/", dir.path().join("slash")).unwrap();
    let fs = WriteFs::new();
    // The link is removed, not its target.
    assert!(matches!(fs.remove_tree("/proc/self/root/", 0), Err(FsError::TooMany { cap: 0, .. })));
    assert!(matches!(fs.remove_tree(dir.path().join("slash/proc"), usize::MAX), Err(FsError::MountPoint { .. })));
    assert_eq!(fs.remove_tree(dir.path().join("slash"), 1).unwrap(), 1);
    assert_eq!(rustix::fs::statat(CWD, "/", rustix::fs::AtFlags::empty()).map(|_| ()), Ok(()));
}
