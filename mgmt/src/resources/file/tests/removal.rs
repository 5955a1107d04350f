//! `state: absent` (S08.5, R8.2).

use std::fs;

use super::harness::Bench;

#[test]
fn what_is_absent_already_is_in_sync() {
    let bench = Bench::new();
    assert!(bench.check(&bench.file("no/such/f").absent()).unwrap().is_none());
}

#[test]
fn a_file_is_removed() {
    let bench = Bench::new();
    bench.write("f", "x");
    assert_eq!(bench.changed(&bench.file("f").absent()), ["state: regular file → absent"]);
    assert!(!bench.is_there("f"));
}

#[test]
fn a_dangling_symlink_is_something_and_is_removed() {
    let bench = Bench::new();
    bench.link("f", "/no/where");
    assert_eq!(bench.changed(&bench.file("f").absent()), ["state: symlink → absent"]);
    assert!(!bench.is_there("f"));
}

#[test]
fn a_symlink_is_removed_and_not_what_it_leads_to() {
    let bench = Bench::new();
    bench.write("d/precious", "x");
    bench.link("l", "d");
    bench.changed(&bench.file("l/").absent());
    assert_eq!(bench.names(""), ["d", "d/precious"]);
}

#[test]
fn a_tree_is_removed_and_each_entry_is_listed_with_the_count() {
    let bench = Bench::new();
    bench.write("d/a/b/c", "x");
    bench.write("d/e", "x");
    bench.mkdir("precious");
    bench.link("d/link", bench.at("precious"));
    let changes = bench.converge(&bench.file("d/").absent()).unwrap();
    assert_eq!(changes[0].to_string(), "state: directory with 5 entries → absent");
    assert_eq!(changes[1].diff.as_deref(), Some("- a\n- a/b\n- a/b/c\n- e\n- link\n"));
    assert_eq!(bench.names(""), ["precious"]);
}

#[test]
fn more_than_the_cap_is_not_removed() {
    let bench = Bench::new();
    for n in 0..20 {
        bench.write(&format!("d/{n}"), "x");
    }
    let file = bench.file("d/").absent().removals_max(20u32);
    let error = bench.refused(&file);
    assert!(error.contains("more than 20 entries") && error.contains("raise `removals_max`"), "{error}");
    assert_eq!(bench.names("d").len(), 20);
    bench.changed(&file.removals_max(21u32));
    assert!(!bench.is_there("d"));
}

#[test]
fn a_tree_that_grew_beyond_the_cap_after_the_check_is_not_removed() {
    let bench = Bench::new();
    bench.write("d/a", "x");
    let file = bench.file("d/").absent().removals_max(3u32);
    let drift = bench.check(&file).unwrap().unwrap();
    for n in 0..5 {
        bench.write(&format!("d/{n}"), "x");
    }
    assert!(bench.apply(&file, drift).is_err());
    assert_eq!(bench.names("d").len(), 6);
}

#[test]
fn a_tree_that_holds_what_another_resource_owns_is_not_removed() {
    let bench = Bench::new();
    bench.write("d/a/managed", "x");
    bench.own(&["d", "d/a/managed", "d/not-there"]);
    let error = bench.refused(&bench.file("d/").absent());
    assert!(error.contains("d/a/managed, which another resource of the graph owns"), "{error}");
    let error = bench.refused(&bench.file("d").content("x").force(true));
    assert!(error.contains("d/a/managed, which another resource"), "{error}");
    assert!(bench.is_there("d/a/managed"));
    fs::remove_file(bench.at("d/a/managed")).unwrap();
    bench.changed(&bench.file("d/").absent());
}

#[test]
fn what_another_resource_owns_by_another_spelling_is_not_removed() {
    let bench = Bench::new();
    bench.write("d/managed", "x");
    bench.link("alias", "d");
    bench.own(&["alias/managed"]);
    let error = bench.refused(&bench.file("d/").absent());
    assert!(error.contains("d/managed, which another resource of the graph owns"), "{error}");
}

#[test]
fn a_mount_point_is_not_removed() {
    let bench = Bench::new();
    // `/proc` is mounted on every Linux: removing it must fail before anything is lost.
    let error = bench.check(&crate::resources::File::new("/proc/").absent()).unwrap_err().to_string();
    assert!(error.contains("/proc is a mount point") && error.contains("nothing is removed"), "{error}");
}
