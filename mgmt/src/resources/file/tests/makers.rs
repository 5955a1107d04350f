//! A copy of another user's symlink leads root nowhere: it is followed no more than its original.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use super::harness::Bench;
use crate::resources::file::FileBuilder;
use crate::sys::users;

const OTHER: u32 = 12345;
const THIRD: u32 = 23456;

/// A source that belongs to another user, who has put links into it that lead elsewhere.
fn planted(bench: &Bench) {
    bench.mkdir("else");
    bench.write("s/d/file", "x");
    bench.link("s/app", bench.at("else"));
    bench.link("s/d/app", bench.at("else"));
    for name in ["s", "s/d", "s/d/file", "s/app", "s/d/app"] {
        lchown(bench.at(name), Some(OTHER), Some(OTHER)).unwrap();
    }
}

fn copy(bench: &Bench) -> FileBuilder {
    bench.file("t/").source(bench.path("s/")).recurse(true)
}

fn owner(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().uid()
}

fn root_only() -> bool {
    if !users::is_root() {
        eprintln!("only root can give files to others");
    }
    users::is_root()
}

#[test]
fn a_link_copied_from_a_user_stays_that_users_and_is_not_followed() {
    if !root_only() {
        return;
    }
    let bench = Bench::new();
    planted(&bench);
    bench.changed(&copy(&bench));
    assert_eq!((owner(&bench.at("t/app")), owner(&bench.at("t/d/app"))), (OTHER, OTHER));
    assert_eq!((owner(&bench.at("t")), owner(&bench.at("t/d")), owner(&bench.at("t/d/file"))), (OTHER, OTHER, OTHER));
    for name in ["t/app/f", "t/d/app/f"] {
        let refused = bench.refused(&bench.file(name).content("x"));
        assert!(refused.contains("owned by uid 12345") && refused.contains("follow_symlinks"), "{refused}");
    }
    assert_eq!(bench.names("else"), Vec::<String>::new());
}

#[test]
fn a_declared_owner_does_not_make_a_link_trusted() {
    if !root_only() {
        return;
    }
    let bench = Bench::new();
    planted(&bench);
    // (declared, owner of the links, owner of the rest)
    for (declared, links, rest) in [(0, OTHER, 0), (THIRD, THIRD, THIRD), (0, OTHER, 0)] {
        bench.changed(&copy(&bench).owner(declared));
        assert_eq!((owner(&bench.at("t/app")), owner(&bench.at("t/d/file"))), (links, rest), "owner {declared}");
    }
}

#[test]
fn a_copy_that_has_become_roots_is_given_back() {
    if !root_only() {
        return;
    }
    let bench = Bench::new();
    planted(&bench);
    bench.changed(&copy(&bench));
    lchown(bench.at("t/app"), Some(0), None).unwrap();
    let changes = bench.converge(&copy(&bench)).unwrap();
    assert_eq!(changes[0].diff.as_deref(), Some("~ app (owner)\n"));
    assert_eq!(owner(&bench.at("t/app")), OTHER);
}

#[test]
fn a_link_of_root_in_a_directory_of_a_user_is_that_users() {
    if !root_only() {
        return;
    }
    let bench = Bench::new();
    planted(&bench);
    lchown(bench.at("s/app"), Some(0), Some(0)).unwrap();
    bench.changed(&copy(&bench));
    assert_eq!(owner(&bench.at("t/app")), OTHER, "its name is that user's choice");
    lchown(bench.at("s"), Some(0), Some(0)).unwrap();
    bench.changed(&copy(&bench).owner(0));
    assert_eq!((owner(&bench.at("t/app")), owner(&bench.at("t/d/app"))), (0, OTHER));
    bench.changed(&bench.file("t/app/f").content("x"));
    assert_eq!(bench.names("else"), ["f"], "root's own links are followed");
}
