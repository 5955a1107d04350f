//! Directories copied from directories (S08.1, S08.3, S08.4, S08.9, R8.2).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::harness::{Bench, EOPNOTSUPP};
use crate::resources::file::FileBuilder;
use crate::sys::fs::{At, Call};

fn copy(bench: &Bench) -> FileBuilder {
    bench.file("t/").source(bench.path("s/")).recurse(true)
}

#[test]
fn a_tree_is_copied_with_modes_links_and_empty_directories() {
    let bench = Bench::new();
    bench.write("s/a", "a");
    bench.write("s/b/c/d", "d");
    bench.mkdir("s/empty");
    bench.link("s/link", "no/where");
    fs::set_permissions(bench.at("s/a"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(bench.at("s/b"), fs::Permissions::from_mode(0o2751)).unwrap();
    let changes = bench.converge(&copy(&bench)).unwrap();
    assert_eq!(changes[0].to_string(), "state: absent → directory");
    assert_eq!(changes[1].to_string(), "entries: 6 missing → made");
    assert_eq!(changes[1].diff.as_deref(), Some("+ a\n+ b\n+ empty\n+ link\n+ b/c\n+ b/c/d\n"));
    assert_eq!(bench.names("t"), bench.names("s"));
    assert_eq!(bench.read("t/b/c/d"), "d");
    assert_eq!((bench.mode("t/a"), bench.mode("t/b")), (0o640, 0o2751));
    assert_eq!(fs::read_link(bench.at("t/link")).unwrap().to_str(), Some("no/where"));
}

#[test]
fn only_what_differs_is_copied_again() {
    let bench = Bench::new();
    for name in ["a", "b", "d/c"] {
        bench.write(&format!("s/{name}"), name);
    }
    bench.link("s/link", "a");
    bench.changed(&copy(&bench));
    bench.write("t/a", "drifted");
    fs::remove_file(bench.at("t/link")).unwrap();
    bench.link("t/link", "elsewhere");
    bench.faults.reset();
    let changes = bench.converge(&copy(&bench)).unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].to_string(), "entries: 2 different → as declared");
    assert_eq!(changes[0].diff.as_deref(), Some("~ a (content)\n~ link (symlink)\n"));
    assert_eq!(bench.read("t/a"), "a");
    assert_eq!(bench.faults.count(Call::Rename), 2);
}

#[test]
fn without_recurse_the_files_are_copied_and_the_directories_made() {
    let bench = Bench::new();
    bench.write("s/a", "a");
    bench.write("s/d/b", "b");
    bench.changed(&copy(&bench).recurse(false));
    assert_eq!(bench.names("t"), ["a", "d"]);
}

#[test]
fn what_the_source_does_not_have_stays_unless_it_is_purged() {
    let bench = Bench::new();
    bench.write("s/a", "a");
    bench.write("t/extra", "x");
    bench.write("t/dir/extra", "x");
    assert_eq!(bench.changed(&copy(&bench)), ["entries: 1 missing → made"]);
    assert!(bench.is_there("t/dir/extra"));
    let changes = bench.converge(&copy(&bench).purge(true)).unwrap();
    assert_eq!(changes[0].to_string(), "entries: 3 too many → removed");
    assert_eq!(changes[0].diff.as_deref(), Some("- dir\n- dir/extra\n- extra\n"));
    assert_eq!(bench.names("t"), ["a"]);
}

#[test]
fn a_missing_source_is_an_error_and_nothing_is_removed() {
    let bench = Bench::new();
    bench.write("t/precious", "x");
    let error = bench.refused(&copy(&bench).purge(true));
    assert!(error.contains("the source") && error.contains("does not exist"), "{error}");
    assert!(bench.is_there("t/precious"));
}

#[test]
fn an_empty_source_is_a_source() {
    let bench = Bench::new();
    bench.mkdir("s");
    bench.write("t/extra", "x");
    assert_eq!(bench.changed(&copy(&bench).purge(true)), ["entries: 1 too many → removed"]);
    assert_eq!(bench.names("t"), [""; 0]);
}

#[test]
fn other_types_in_the_tree_need_force() {
    let bench = Bench::new();
    bench.write("s/file", "x");
    bench.write("s/dir/f", "x");
    bench.link("s/link", "x");
    bench.write("t/file/theirs", "x");
    bench.write("t/dir", "theirs");
    bench.write("t/link", "theirs");
    let error = bench.refused(&copy(&bench));
    assert!(error.contains("/t/dir is a regular file, and a directory is wanted"), "{error}");
    let changes = bench.converge(&copy(&bench).force(true)).unwrap();
    assert_eq!(changes[0].diff.as_deref(), Some("+ dir/f\n"));
    assert_eq!(changes[1].diff.as_deref(), Some("~ dir (type)\n~ file (type, content)\n~ link (type)\n"));
    assert_eq!(bench.names("t"), bench.names("s"));
}

#[test]
fn a_directory_that_gives_way_to_a_file_is_not_purged_as_well() {
    let bench = Bench::new();
    bench.write("s/file", "x");
    bench.write("t/file/theirs", "x");
    bench.write("t/extra", "x");
    let changes = bench.converge(&copy(&bench).force(true).purge(true)).unwrap();
    assert_eq!(changes[0].diff.as_deref(), Some("~ file (type, content)\n"));
    assert_eq!(changes[1].diff.as_deref(), Some("- extra\n"));
    assert_eq!(bench.names("t"), ["file"]);
}

#[test]
fn a_symlink_in_the_place_of_a_copied_file_is_replaced() {
    let bench = Bench::new();
    bench.write("s/a", "a");
    bench.write("shadow", "precious");
    bench.mkdir("t");
    bench.link("t/a", bench.at("shadow"));
    bench.changed(&copy(&bench));
    assert_eq!((bench.read("t/a"), bench.read("shadow")), ("a".to_owned(), "precious".to_owned()));
}

#[test]
fn special_files_in_the_source_are_named() {
    let bench = Bench::new();
    bench.mkdir("s/d");
    let _socket = std::os::unix::net::UnixListener::bind(bench.at("s/d/socket")).unwrap();
    let error = bench.refused(&copy(&bench));
    assert!(error.contains("/s/d/socket, which is a socket"), "{error}");
}

#[test]
fn owner_and_group_hold_for_all_that_is_copied() {
    use std::os::unix::fs::MetadataExt;
    let bench = Bench::new();
    bench.write("s/d/f", "x");
    bench.link("s/link", "x");
    bench.changed(&copy(&bench));
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    assert_eq!(bench.changed(&copy(&bench).owner(uid).group(gid)), [""; 0]);
    let theirs = copy(&bench).owner(uid + 4321);
    let drift = bench.check(&theirs).unwrap().unwrap();
    assert_eq!(drift.changes[1].diff.as_deref(), Some("~ d (owner)\n~ link (owner)\n~ d/f (owner)\n"));
    if rustix::process::geteuid().is_root() {
        bench.changed(&theirs);
        bench.write("t/not-copied", "x");
        assert!(bench.check(&theirs).unwrap().is_none());
        assert_eq!(fs::symlink_metadata(bench.at("t/link")).unwrap().uid(), uid + 4321);
        assert_eq!(fs::metadata(bench.at("t/not-copied")).unwrap().uid(), uid);
    }
}

#[test]
fn what_another_resource_owns_is_not_copied_over() {
    let bench = Bench::new();
    bench.write("s/d/mine", "source");
    bench.write("s/d/theirs", "source");
    bench.own(&["t", "t/d", "t/d/theirs"]);
    bench.changed(&copy(&bench));
    assert_eq!(bench.names("t"), ["d", "d/mine"], "the directory is made for what goes into it");
    fs::set_permissions(bench.at("t/d"), fs::Permissions::from_mode(0o700)).unwrap();
    bench.write("t/d/theirs", "declared");
    assert_eq!(bench.changed(&copy(&bench)), [""; 0]);
}

#[test]
fn a_source_that_holds_its_target_by_another_name_is_refused() {
    let bench = Bench::new();
    bench.mkdir("s/t");
    bench.link("alias", "s");
    let error = bench.refused(&bench.file("alias/t/").source(bench.path("s/")).recurse(true));
    assert!(error.contains("it would copy itself"), "{error}");
}

#[test]
fn a_copy_that_fails_half_way_is_finished_by_the_next() {
    let bench = Bench::new();
    for n in 0..10 {
        bench.write(&format!("s/{n}"), n.to_string());
    }
    bench.faults.fail(At::Every(Call::Clone), EOPNOTSUPP);
    bench.faults.fail(At::Nth(Call::Copy, 9), 28);
    let error = bench.converge(&copy(&bench)).unwrap_err().to_string();
    assert!(error.contains("copy") && error.contains("No space left"), "{error}");
    assert!(bench.names("t").len() < 10);
    bench.faults.reset();
    bench.changed(&copy(&bench));
    assert_eq!(bench.names("t").len(), 10);
}

#[test]
fn a_long_list_is_cut_and_counted() {
    let bench = Bench::new();
    for n in 0..250 {
        bench.write(&format!("s/{n:03}"), "x");
    }
    let drift = bench.check(&copy(&bench)).unwrap().unwrap();
    assert_eq!(drift.changes[1].to_string(), "entries: 250 missing → made");
    let list = drift.changes[1].diff.as_deref().unwrap();
    assert_eq!(list.lines().count(), 201);
    assert!(list.ends_with("… and 50 more\n"));
}

#[test]
fn the_directories_of_a_copy_are_made_durable_once() {
    let bench = Bench::new();
    for n in 0..50 {
        bench.write(&format!("s/{n}"), "x");
    }
    bench.changed(&copy(&bench));
    assert_eq!(bench.faults.count(Call::SyncDir), 2, "the one that holds the tree, and the tree");
}

#[test]
fn a_cancelled_copy_stops_and_leaves_no_temporary_file() {
    let bench = Bench::new();
    bench.write("s/big", vec![7; 4 << 20]);
    let file = copy(&bench);
    let drift = bench.check(&file).unwrap().unwrap();
    let (started, has_started) = std::sync::mpsc::channel();
    bench.faults.fail(At::Every(Call::Clone), EOPNOTSUPP);
    bench.faults.hook(At::Nth(Call::Copy, 1), move || {
        started.send(()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
    });
    let (mut apply, operation) = bench.trial(&file).begin_apply(drift);
    bench.block_on(async {
        while has_started.try_recv().is_err() {
            let tick = std::time::Duration::from_millis(1);
            assert!(tokio::time::timeout(tick, &mut apply).await.is_err(), "it can't be over yet");
        }
    });
    drop(apply);
    bench.block_on(operation.idle());
    assert_eq!(bench.faults.count(Call::Rename), 0);
    assert_eq!(bench.names("t"), [""; 0]);
    bench.faults.reset();
    bench.changed(&file);
}
