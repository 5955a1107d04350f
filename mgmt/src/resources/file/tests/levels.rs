//! How deep a directory is looked into: `recurse` as a number.

use std::fs;

use super::harness::{Bench, problem};
use crate::resources::file::{File, FileBuilder};

fn copy(bench: &Bench, levels: u16) -> FileBuilder {
    bench.file("t/").source(bench.path("s/")).recurse(levels)
}

#[test]
fn so_many_levels_are_copied_and_no_more() {
    let bench = Bench::new();
    for name in ["s/a", "s/d/b", "s/d/e/c", "s/d/e/f/d"] {
        bench.write(name, name);
    }
    for (levels, names) in
        [(1, &["a", "d"][..]), (2, &["a", "d", "d/b", "d/e"]), (3, &["a", "d", "d/b", "d/e", "d/e/c", "d/e/f"])]
    {
        bench.changed(&copy(&bench, levels));
        assert_eq!(bench.names("t"), names, "{levels} levels");
    }
    // Fewer levels: what is deeper is no business of the resource, be it wrong or missing.
    bench.write("t/d/b", "drifted");
    fs::remove_file(bench.at("t/d/e/c")).unwrap();
    assert_eq!(bench.changed(&copy(&bench, 1)), Vec::<String>::new());
    assert_eq!(bench.changed(&copy(&bench, 2)), ["entries: 1 different → as declared"]);
    assert!(!bench.is_there("t/d/e/c"));
}

#[test]
fn what_is_deeper_is_never_purged_nor_the_way_there() {
    let bench = Bench::new();
    bench.write("s/kept/a", "a");
    for name in ["t/kept/extra", "t/kept/d/deep", "t/flat/extra", "t/deep/extra", "t/deep/d/deep", "t/extra"] {
        bench.write(name, "x");
    }
    bench.mkdir("t/empty");
    bench.changed(&copy(&bench, 2).purge(true));
    let left = ["deep", "deep/d", "deep/d/deep", "kept", "kept/a", "kept/d", "kept/d/deep"];
    assert_eq!(bench.names("t"), left);
    bench.changed(&copy(&bench, 3).purge(true));
    assert_eq!(bench.names("t"), ["kept", "kept/a"]);
}

#[test]
fn what_is_watched_goes_as_deep() {
    let bench = Bench::new();
    assert_eq!(bench.watched(&copy(&bench, 3)), "[Levels(\"t\", 3), Levels(\"s\", 3)]");
    assert_eq!(bench.watched(&copy(&bench, 3).recurse(false)), "[Levels(\"t\", 1), Levels(\"s\", 1)]");
    assert_eq!(bench.watched(&copy(&bench, 3).recurse(true)), "[Tree(\"t\"), Tree(\"s\")]");
    assert_eq!(bench.watched(&bench.file("t/")), "[Itself(\"t\")]");
}

#[test]
fn a_source_without_end_is_refused_unless_a_depth_is_given() {
    let bench = Bench::new();
    let deep = "d/".repeat(300);
    bench.mkdir(&format!("s/{deep}"));
    let refused = bench.refused(&bench.file("t/").source(bench.path("s/")).recurse(true));
    assert!(refused.contains("nested deeper than 256 levels") && refused.contains("`recurse`"), "{refused}");
    bench.changed(&copy(&bench, 256));
    assert_eq!(bench.names("t").len(), 256);
}

#[test]
fn a_depth_that_can_not_be_meant_is_refused() {
    assert!(problem(File::new("/d/").recurse(0)).contains("`recurse` is 0"));
    assert!(problem(File::new("/d/").recurse(257)).contains("give 1 to 256 levels"));
    assert!(problem(File::new("/f").recurse(2)).contains("is about what is in a directory"));
}
