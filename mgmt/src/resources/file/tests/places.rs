//! Files that can't be replaced, file systems that refuse what was not asked for, and what killed writes leave.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Command, Stdio};

use super::harness::Bench;
use crate::resources::file::File;
use crate::sys::fs::{At, Call};
use crate::sys::users;

const EPERM: i32 = 1;

/// Left by a process that was killed in the middle of a write: a name of ours that no process holds locked.
fn left_over(bench: &Bench, dir: &str) -> String {
    bench.faults.reset();
    bench.faults.fail(At::Every(Call::Rename), 5);
    bench.faults.fail(At::Every(Call::Unlink), 5);
    assert!(bench.converge(&bench.file(&format!("{dir}/half")).content("half")).is_err());
    bench.faults.reset();
    let names = bench.names(dir);
    let name = names.iter().find(|name| name.starts_with(".mgmt-")).expect("it was left");
    format!("{dir}/{name}")
}

#[test]
fn a_file_that_the_kernel_makes_up_is_written_in_place_and_the_plan_says_so() {
    let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
    let path = format!("/proc/{}/oom_score_adj", child.id());
    let bench = Bench::new();
    let file = File::new(&path).content("300\n");
    let changes = bench.changed(&file);
    let read = fs::read_to_string(&path).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(changes.iter().any(|change| change.starts_with("in place: no → yes")), "{changes:?}");
    assert_eq!(read, "300\n");
}

#[test]
#[ignore = "needs root, and the right to mount: run with `--ignored`"]
fn a_file_that_is_mounted_is_written_in_place_and_stays_mounted() {
    let bench = Bench::new();
    let (source, target) = (bench.write("source", "old and longer"), bench.write("target", "hidden"));
    let mount = |args: &[&std::ffi::OsStr]| Command::new("mount").args(args).status().unwrap().success();
    assert!(mount(&["--bind".as_ref(), source.as_ref(), target.as_ref()]));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let changes = bench.changed(&bench.file("target").content("new").mode(0o600));
        assert!(changes.iter().any(|change| change.starts_with("in place: no → yes")), "{changes:?}");
        assert_eq!((bench.read("target"), bench.read("source")), ("new".to_owned(), "new".to_owned()));
        assert_eq!(bench.mode("source"), 0o600);
        // What can't be done is known before anything runs.
        let refused = bench.check(&bench.file("target").symlink("x").force(true)).unwrap_err().to_string();
        assert!(refused.contains("is a mount point"), "{refused}");
    }));
    assert!(Command::new("umount").arg(&target).status().unwrap().success());
    outcome.unwrap();
    assert_eq!(bench.read("target"), "hidden");
}

#[test]
fn a_file_system_that_refuses_modes_is_no_failure_where_none_is_declared() {
    let bench = Bench::new();
    bench.faults.fail(At::Every(Call::Chmod), EPERM);
    bench.changed(&bench.file("f").content("one"));
    bench.changed(&bench.file("f").content("two"));
    assert_eq!(bench.read("f"), "two");
    assert!(bench.refused(&bench.file("f").content("three").mode(0o755)).contains("chmod"));
    bench.changed(&bench.file("d/"));
    assert!(bench.at("d").is_dir());
    assert!(bench.refused(&bench.file("other/").mode(0o755)).contains("chmod"));
    if users::is_root() {
        bench.changed(&bench.file("owned/").owner(12345));
        assert_eq!(fs::metadata(bench.at("owned")).unwrap().uid(), 12345);
    }
}

#[test]
fn a_group_that_nothing_asked_for_is_given_up_where_it_can_not_be_kept_and_with_it_its_rights() {
    if !users::is_root() {
        return eprintln!("only root can make such a file");
    }
    let bench = Bench::new();
    let path = bench.write("f", "one");
    chown(&path, None, Some(12345)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    bench.faults.fail(At::Every(Call::Chown), EPERM);
    bench.changed(&bench.file("f").content("two"));
    assert_eq!((bench.read("f").as_str(), bench.mode("f")), ("two", 0o644));
    assert_ne!(fs::metadata(&path).unwrap().gid(), 12345);
    assert!(bench.refused(&bench.file("f").content("three").group(12345)).contains("chown"));
}

#[test]
fn what_a_killed_write_has_left_beside_a_file_that_is_in_sync_is_removed() {
    let mut bench = Bench::new();
    bench.write("d/f", "x");
    let left = left_over(&bench, "d");
    bench.restart();
    assert_eq!(bench.changed(&bench.file("d/f")), ["temporary files: 1 beside it, left by killed writes → none"]);
    assert!(!bench.is_there(&left) && bench.is_there("d/f"));
    assert_eq!(bench.changed(&bench.file("d/f")), Vec::<String>::new());
}

#[test]
fn what_a_killed_write_has_left_in_a_copied_tree_that_is_in_sync_is_removed() {
    let mut bench = Bench::new();
    bench.write("s/a/b/f", "x");
    bench.write("s/f", "x");
    let tree = bench.file("t/").source(bench.path("s/")).recurse(true);
    bench.changed(&tree);
    let left = ["t", "t/a", "t/a/b"].map(|dir| left_over(&bench, dir));
    let foreign = bench.write("t/a/.mgmt-0123456789abcdef00000000.tmp", "x");
    bench.restart();
    let changes = bench.changed(&tree);
    let found = changes.iter().filter(|change| change.starts_with("temporary files: 1 in "));
    assert_eq!(found.count(), 3, "{changes:?}");
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(left.iter().all(|left| !bench.is_there(left)), "{left:?}");
    assert!(foreign.exists() && bench.read("t/a/b/f") == "x");
    assert_eq!(bench.changed(&tree), Vec::<String>::new());
}

#[test]
fn a_link_that_a_killed_write_has_left_without_its_guard_is_removed() {
    let mut bench = Bench::new();
    bench.write("d/f", "x");
    let left = left_over(&bench, "d");
    let link = left.replace(".tmp", ".lnk");
    std::os::unix::fs::symlink("nowhere", bench.at(&link)).unwrap();
    fs::remove_file(bench.at(&left)).unwrap();
    bench.restart();
    assert_eq!(bench.changed(&bench.file("d/f")), ["temporary files: 1 beside it, left by killed writes → none"]);
    assert_eq!(bench.names("d"), ["f"]);
}

#[test]
fn a_purge_removes_what_only_looks_like_a_file_that_is_written_and_spares_one_that_is() {
    let bench = Bench::new();
    bench.mkdir("t");
    let left = left_over(&bench, "t");
    let foreign = ["t/.mgmt-abc.tmp", "t/.mgmt-0123456789abcdef00000000.tmp"];
    foreign.iter().for_each(|name| drop(bench.write(name, "x")));
    let used = "t/.mgmt-0123456789abcdef00000001.tmp";
    let held = fs::File::open(bench.write(used, "x")).unwrap();
    held.lock().unwrap();
    bench.changed(&bench.file("t/").purge(true));
    assert!(!bench.is_there(&left) && !bench.is_there(foreign[0]) && !bench.is_there(foreign[1]));
    assert_eq!(bench.names("t"), [used.strip_prefix("t/").unwrap()]);
    drop(held);
    bench.changed(&bench.file("t/").purge(true));
    assert_eq!(bench.names("t"), Vec::<String>::new());
}

#[test]
fn a_pipe_in_a_directory_of_fragments_is_no_part() {
    let bench = Bench::new();
    bench.write("parts/a", "a");
    assert!(Command::new("mkfifo").arg(bench.at("parts/p")).status().unwrap().success());
    bench.changed(&bench.file("f").fragments([bench.path("parts/")]));
    assert_eq!(bench.read("f"), "a");
}
