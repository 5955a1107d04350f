//! What a purge removes and what it spares (S08.3, S08.12, fault 18).

use std::fs;

use super::harness::Bench;
use crate::resources::file::FileBuilder;

fn purge(bench: &Bench) -> FileBuilder {
    bench.file("d/").recurse(true).purge(true)
}

#[test]
fn what_nobody_owns_is_removed_and_listed() {
    let bench = Bench::new();
    bench.write("d/a", "x");
    bench.write("d/b/c", "x");
    bench.mkdir("precious");
    bench.link("d/link", bench.at("precious"));
    bench.write("precious/x", "x");
    let changes = bench.converge(&purge(&bench)).unwrap();
    assert_eq!(changes[0].to_string(), "entries: 4 too many → removed");
    assert_eq!(changes[0].diff.as_deref(), Some("- a\n- b\n- b/c\n- link\n"));
    assert_eq!(bench.names(""), ["d", "precious", "precious/x"]);
}

#[test]
fn what_the_graph_owns_is_spared_with_the_directories_above_it() {
    let bench = Bench::new();
    for name in ["owned", "deep/er/owned", "deep/er/extra", "deep/extra", "deeper/extra"] {
        bench.write(&format!("d/{name}"), "x");
    }
    bench.own(&["d", "d/owned", "d/deep/er/owned"]);
    bench.changed(&purge(&bench));
    assert_eq!(bench.names("d"), ["deep", "deep/er", "deep/er/owned", "owned"]);
}

#[test]
fn in_a_directory_that_another_resource_owns_nothing_is_touched() {
    let bench = Bench::new();
    bench.write("d/theirs/x", "x");
    bench.own(&["d", "d/theirs"]);
    assert_eq!(bench.changed(&purge(&bench)), [""; 0]);
}

#[test]
fn what_is_owned_by_another_spelling_is_spared() {
    let bench = Bench::new();
    bench.write("d/owned", "x");
    bench.write("d/extra", "x");
    bench.link("alias", "d");
    bench.own(&["alias/owned"]);
    bench.changed(&purge(&bench));
    assert_eq!(bench.names("d"), ["owned"]);
}

#[test]
fn what_is_owned_is_found_in_whatever_order_a_test_names_it() {
    let bench = Bench::new();
    bench.write("d/file", "x");
    bench.link("alias", "d");
    bench.own(&["z", "d/file", "a", "b"]);
    let error = bench.check(&bench.file("alias/file").content("y")).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("which another resource of the graph owns"), "{error}");
}

#[test]
fn without_recurse_directories_stay() {
    let bench = Bench::new();
    bench.write("d/a", "x");
    bench.write("d/b/c", "x");
    bench.mkdir("d/empty");
    assert_eq!(bench.changed(&purge(&bench).recurse(false)), ["entries: 1 too many → removed"]);
    assert_eq!(bench.names("d"), ["b", "b/c", "empty"]);
}

#[test]
fn a_directory_that_is_new_has_nothing_to_purge() {
    let bench = Bench::new();
    assert_eq!(bench.changed(&purge(&bench)), ["state: absent → directory"]);
}

#[test]
fn more_than_the_cap_is_not_purged() {
    let bench = Bench::new();
    for n in 0..5 {
        bench.write(&format!("d/{n}"), "x");
        bench.write(&format!("d/dir/{n}"), "x");
    }
    let error = bench.refused(&purge(&bench).removals_max(10u32));
    assert!(error.contains("more than 10 entries") && error.contains("raise `removals_max`"), "{error}");
    assert_eq!(bench.names("d").len(), 11);
    bench.changed(&purge(&bench).removals_max(11u32));
    assert_eq!(bench.names("d"), [""; 0]);
}

#[test]
fn files_that_are_being_written_are_spared() {
    let bench = Bench::new();
    let written = fs::File::open(bench.write("d/.mgmt-0123456789abcdef01234567.tmp", "x")).unwrap();
    written.lock().unwrap();
    assert_eq!(bench.changed(&purge(&bench)), [""; 0]);
}

#[test]
fn a_symlink_in_the_place_of_the_directory_is_not_purged_through() {
    let bench = Bench::new();
    bench.write("precious/x", "x");
    bench.link("d", "precious");
    assert!(bench.refused(&purge(&bench)).contains("is a symlink to precious"));
    bench.changed(&purge(&bench).force(true));
    assert_eq!(bench.names(""), ["d", "precious", "precious/x"]);
}

/// Mounts need root and a mount namespace that may be changed; where there is neither this test is not run.
#[test]
#[ignore = "needs root, and the right to mount: run with `--ignored`"]
fn what_is_mounted_in_the_directory_is_neither_purged_nor_crossed() {
    let run = |program: &str, arguments: &[&std::path::Path]| {
        let status = std::process::Command::new(program).args(arguments).status().unwrap();
        assert!(status.success(), "{program}: {status}");
    };
    let bench = Bench::new();
    bench.write("elsewhere/precious", "x");
    bench.write("d/extra", "x");
    bench.mkdir("d/sub/mnt");
    run("mount", &["--bind".as_ref(), &bench.at("elsewhere"), &bench.at("d/sub/mnt")]);
    let plain = bench.check(&purge(&bench)).map(|_| ()).unwrap_err().to_string();
    bench.mkdir("d/other");
    run("mount", &["--bind".as_ref(), &bench.at("elsewhere"), &bench.at("d/other")]);
    let both = bench.check(&purge(&bench)).map(|_| ()).unwrap_err().to_string();
    run("umount", &[&bench.at("d/other")]);
    bench.own(&["d/sub/mnt/owned"]);
    let owned = bench.check(&purge(&bench)).map(|_| ()).unwrap_err().to_string();
    run("umount", &[&bench.at("d/sub/mnt")]);
    assert!(plain.contains("d/sub/mnt is a mount point"), "{plain}");
    assert!(both.contains("d/other, ") && both.contains("d/sub/mnt are mount points"), "{both}");
    assert!(owned.contains("d/sub/mnt is a mount point"), "{owned}");
    assert!(bench.is_there("elsewhere/precious") && bench.is_there("d/extra"));
}
