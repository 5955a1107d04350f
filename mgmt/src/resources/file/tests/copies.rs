//! A copied tree is like its original, as with `cp -a`, in all that is not declared.

use std::fs::{self, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::XattrFlags;

use super::harness::{Bench, EOPNOTSUPP};
use crate::resources::file::FileBuilder;
use crate::sys::fs::{At, Call};
use crate::sys::users;

const OTHER: u32 = 12345;
const THIRD: u32 = 23456;
const EPERM: i32 = 1;
const ACL: &str = "system.posix_acl_access";
/// 2001, to the nanosecond.
const LONG_AGO: Duration = Duration::new(1_000_000_000, 123_456_789);

fn copy(bench: &Bench) -> FileBuilder {
    bench.file("t/").source(bench.path("s/")).recurse(true)
}

fn chmod(bench: &Bench, name: &str, mode: u32) {
    fs::set_permissions(bench.at(name), fs::Permissions::from_mode(mode)).unwrap();
}

fn touch(bench: &Bench, name: &str, time: Duration) {
    let times = FileTimes::new().set_modified(UNIX_EPOCH + time);
    fs::File::open(bench.at(name)).unwrap().set_times(times).unwrap();
}

fn time(bench: &Bench, name: &str) -> Duration {
    fs::metadata(bench.at(name)).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap()
}

fn own(bench: &Bench, name: &str, uid: u32, gid: u32) {
    chown(bench.at(name), Some(uid), Some(gid)).unwrap();
}

fn owners(bench: &Bench, name: &str) -> (u32, u32) {
    let found = fs::symlink_metadata(bench.at(name)).unwrap();
    (found.uid(), found.gid())
}

/// The owner and user 54321 may read and write, the group may do nothing, others may read.
fn access_list() -> Vec<u8> {
    let mut list = 2u32.to_le_bytes().to_vec();
    let entries = [(1u16, 6u16, u32::MAX), (2, 6, 54321), (4, 0, u32::MAX), (16, 6, u32::MAX), (32, 4, u32::MAX)];
    for (tag, permissions, id) in entries {
        list.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    list
}

fn set(bench: &Bench, name: &str, attribute: &str, value: &[u8]) {
    rustix::fs::setxattr(bench.at(name), attribute, value, XattrFlags::empty()).unwrap();
}

fn attribute(bench: &Bench, name: &str, attribute: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 1024];
    let size = rustix::fs::getxattr(bench.at(name), attribute, &mut value[..]).ok()?;
    value.truncate(size);
    Some(value)
}

/// What differs, entry by entry, and is repaired.
fn repaired(bench: &Bench, file: &FileBuilder) -> String {
    bench.converge(file).unwrap().into_iter().filter_map(|change| change.diff).collect()
}

#[test]
fn modes_times_attributes_and_access_lists_go_over_and_are_kept() {
    let bench = Bench::new();
    bench.write("s/d/f", "x");
    chmod(&bench, "s/d", 0o1775);
    chmod(&bench, "s/d/f", 0o751);
    set(&bench, "s/d/f", "user.origin", b"here");
    set(&bench, "s/d/f", ACL, &access_list());
    set(&bench, "s/d", "user.dir", b"d");
    for name in ["s/d/f", "s/d", "s"] {
        touch(&bench, name, LONG_AGO);
    }
    bench.changed(&copy(&bench));
    assert_eq!((bench.mode("t/d"), bench.mode("t/d/f")), (0o1775, bench.mode("s/d/f")));
    for name in ["t/d/f", "t/d", "t"] {
        assert_eq!(time(&bench, name), LONG_AGO, "{name}");
    }
    assert_eq!(attribute(&bench, "t/d/f", "user.origin").unwrap(), b"here");
    assert_eq!(attribute(&bench, "t/d/f", ACL).unwrap(), access_list());
    assert_eq!(attribute(&bench, "t/d", "user.dir").unwrap(), b"d");
    // Each of them is put right alone, without a new file.
    let inode = fs::metadata(bench.at("t/d/f")).unwrap().ino();
    chmod(&bench, "t/d/f", 0o600);
    assert_eq!(repaired(&bench, &copy(&bench)), "~ d/f (access list, mode)\n", "its list is made of its mode");
    rustix::fs::removexattr(bench.at("t/d/f"), ACL).unwrap();
    assert_eq!(repaired(&bench, &copy(&bench)), "~ d/f (access list)\n");
    set(&bench, "t/d/f", "user.origin", b"there");
    set(&bench, "t/d/f", "user.own", b"kept");
    assert_eq!(repaired(&bench, &copy(&bench)), "~ d/f (attributes)\n");
    touch(&bench, "t/d/f", LONG_AGO * 2 / 3);
    assert_eq!(repaired(&bench, &copy(&bench)), "~ d/f (time)\n");
    chmod(&bench, "t/d", 0o700);
    assert_eq!(repaired(&bench, &copy(&bench)), "~ d (mode)\n");
    assert_eq!(fs::metadata(bench.at("t/d/f")).unwrap().ino(), inode);
    assert_eq!(attribute(&bench, "t/d/f", "user.own").unwrap(), b"kept", "what the copy has of its own stays");
    // An access list of the copy is one too many, as its mode would be.
    rustix::fs::removexattr(bench.at("s/d/f"), ACL).unwrap();
    assert_eq!(repaired(&bench, &copy(&bench)), "~ d/f (access list)\n");
    assert_eq!(attribute(&bench, "t/d/f", ACL), None);
}

#[test]
fn a_source_that_was_only_touched_is_followed_once() {
    let bench = Bench::new();
    bench.write("s/f", "x");
    bench.mkdir("s/d");
    bench.changed(&copy(&bench));
    touch(&bench, "s/f", LONG_AGO);
    touch(&bench, "s/d", LONG_AGO);
    touch(&bench, "t", LONG_AGO);
    bench.faults.reset();
    assert_eq!(repaired(&bench, &copy(&bench)), "~ f (time)\n", "a directory keeps its own time");
    assert_eq!(bench.faults.count(Call::SetTimes), 1);
    assert_eq!([Call::Create, Call::Chmod, Call::Chown].map(|call| bench.faults.count(call)), [0; 3]);
    assert_eq!(bench.fields(&copy(&bench)), [""; 0]);
    // With a new content comes its time.
    bench.write("s/f", "y");
    assert_eq!(repaired(&bench, &copy(&bench)), "~ f (content)\n");
    assert_eq!(time(&bench, "t/f"), time(&bench, "s/f"));
}

#[test]
fn what_the_system_refuses_is_passed_over_and_is_no_drift_then() {
    let bench = Bench::new();
    bench.write("s/f", "x");
    set(&bench, "s/f", "user.origin", b"here");
    set(&bench, "s/f", ACL, &access_list());
    touch(&bench, "s/f", LONG_AGO);
    bench.faults.fail(At::Every(Call::SetXattr), EOPNOTSUPP);
    bench.faults.fail(At::Every(Call::SetTimes), EPERM);
    bench.faults.fail(At::Every(Call::Chown), EPERM);
    bench.changed(&copy(&bench));
    assert_eq!(bench.read("t/f"), "x");
    assert_eq!(bench.mode("t/f"), 0o644, "without its list the group may do no more than others");
    assert_eq!(bench.fields(&copy(&bench)), [""; 0]);
}

#[test]
fn two_names_of_one_file_become_two_files() {
    let bench = Bench::new();
    let file = bench.write("s/one", "x");
    fs::hard_link(file, bench.at("s/two")).unwrap();
    bench.changed(&copy(&bench));
    assert_eq!(fs::metadata(bench.at("t/two")).unwrap().nlink(), 1);
    // A further name that another program gave the copy keeps what it has.
    fs::hard_link(bench.at("t/one"), bench.at("elsewhere")).unwrap();
    chmod(&bench, "s/one", 0o600);
    assert_eq!(repaired(&bench, &copy(&bench)), "~ one (mode)\n~ two (mode)\n");
    assert_eq!((bench.mode("t/one"), bench.mode("elsewhere")), (0o600, 0o644));
}

/// As root: a tree with files of root, of another user, and set-user-id ones of both.
fn of_others(bench: &Bench) -> bool {
    if !users::is_root() {
        eprintln!("only root can give files to others");
        return false;
    }
    for name in ["roots", "theirs", "d/theirs"] {
        bench.write(&format!("s/{name}"), "x");
    }
    bench.link("s/link", "roots");
    for name in ["theirs", "d", "d/theirs"] {
        own(bench, &format!("s/{name}"), OTHER, THIRD);
    }
    own(bench, "s/roots", 0, THIRD);
    std::os::unix::fs::lchown(bench.at("s/link"), None, Some(THIRD)).unwrap();
    for (name, mode) in [("roots", 0o6755), ("theirs", 0o6777), ("d/theirs", 0o666), ("d", 0o2777)] {
        chmod(bench, &format!("s/{name}"), mode);
    }
    true
}

#[test]
fn as_root_owner_and_group_go_over_too() {
    let bench = Bench::new();
    if !of_others(&bench) {
        return;
    }
    bench.changed(&copy(&bench));
    for (name, owner, mode) in
        [("roots", 0, 0o6755), ("theirs", OTHER, 0o777), ("d/theirs", OTHER, 0o666), ("d", OTHER, 0o2777)]
    {
        let name = format!("t/{name}");
        assert_eq!((owners(&bench, &name), bench.mode(&name)), ((owner, THIRD), mode), "{name}");
    }
    assert_eq!(owners(&bench, "t/link"), (0, THIRD));
    let inode = fs::metadata(bench.at("t/roots")).unwrap().ino();
    own(&bench, "t/roots", OTHER, THIRD);
    own(&bench, "t/theirs", OTHER, 0);
    std::os::unix::fs::lchown(bench.at("t/link"), None, Some(0)).unwrap();
    let found = repaired(&bench, &copy(&bench));
    assert_eq!(found, "~ link (group)\n~ roots (owner, mode)\n~ theirs (group)\n");
    assert_ne!(fs::metadata(bench.at("t/roots")).unwrap().ino(), inode, "another user may have the old one open");
}

#[test]
fn a_declared_owner_ends_the_rights_of_the_original() {
    let bench = Bench::new();
    if !of_others(&bench) {
        return;
    }
    set(&bench, "s/d/theirs", ACL, &access_list());
    bench.changed(&copy(&bench).owner(0).group(0));
    for (name, mode) in [("roots", 0o755), ("theirs", 0o755), ("d/theirs", 0o600), ("d", 0o755)] {
        let name = format!("t/{name}");
        assert_eq!((owners(&bench, &name), bench.mode(&name)), ((0, 0), mode), "{name}");
    }
    assert_eq!(attribute(&bench, "t/d/theirs", ACL), None);
}

#[test]
#[ignore = "needs root"]
fn a_single_copy_of_another_users_file_is_not_theirs_to_write() {
    let bench = Bench::new();
    for (owner, mode, copied) in
        [(OTHER, 0o666, 0o644), (OTHER, 0o6777, 0o755), (OTHER, 0o640, 0o640), (0, 0o666, 0o666)]
    {
        bench.write("s", "x");
        own(&bench, "s", owner, owner);
        chmod(&bench, "s", mode);
        let as_root = bench.file("root").source(bench.path("s"));
        bench.changed(&as_root);
        assert_eq!((owners(&bench, "root").0, format!("{:o}", bench.mode("root"))), (0, format!("{copied:o}")));
        bench.changed(&bench.file("theirs").source(bench.path("s")).owner(owner));
        assert_eq!((owners(&bench, "theirs").0, bench.mode("theirs")), (owner, mode & 0o777));
        for name in ["root", "theirs"] {
            fs::remove_file(bench.at(name)).unwrap();
        }
    }
    // Its group has no permission: what shows in the mode is what its list grants.
    bench.write("s", "x");
    own(&bench, "s", OTHER, OTHER);
    set(&bench, "s", ACL, &access_list());
    bench.changed(&bench.file("root").source(bench.path("s")));
    assert_eq!(bench.mode("root"), 0o600);
    bench.changed(&bench.file("joined").fragments([bench.path("s"), bench.path("root")]));
    assert_eq!(bench.mode("joined"), 0o600);
    own(&bench, "s", 0, 0);
    bench.changed(&bench.file("roots").source(bench.path("s")));
    assert_eq!(bench.mode("roots"), 0o644);
}

#[test]
fn a_directory_of_roots_is_not_given_to_another_user() {
    let bench = Bench::new();
    if !of_others(&bench) {
        return;
    }
    bench.mkdir("t/d");
    bench.write("t/d/own", "x");
    bench.changed(&copy(&bench));
    assert_eq!((owners(&bench, "t/d"), bench.mode("t/d")), ((0, 0), 0o755), "set-group-id was for another group");
    assert_eq!(owners(&bench, "t/d/theirs"), (OTHER, THIRD));
    assert_eq!(owners(&bench, "t"), (0, 0));
}
