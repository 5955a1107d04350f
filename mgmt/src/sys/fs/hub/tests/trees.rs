//! Whole trees: what is told of them, and what is held for them.

use super::harness::{BACKENDS, each, options, run};
use crate::sys::fs::hub::Options;
use crate::sys::fs::hub::Watched::{Path, Tree};

#[test]
fn changes_at_any_depth_of_a_tree_are_told_and_those_beside_it_are_not() {
    each(async |stage| {
        stage.mkdirs("t/a/b");
        stage.mkdirs("u");
        stage.write("t/a/b/f", "1");
        stage.subscribe(1, "t", Tree);
        stage.subscribe(2, "u", Tree);
        stage.calm().await;
        stage.write("t/a/b/f", "2");
        stage.expect([1]).await;
        stage.calm().await;
        stage.write("u/f", "");
        stage.expect([2]).await;
        stage.calm().await;
        stage.write("beside", "");
        stage.expect([]).await;
    });
}

#[test]
fn new_directories_of_a_tree_are_watched_however_fast_they_are_filled() {
    each(async |stage| {
        stage.mkdirs("t");
        stage.subscribe(1, "t", Tree);
        for round in 0..50 {
            stage.mkdirs(format!("t/{round}/a/b/c"));
            stage.write(format!("t/{round}/a/b/c/f"), "1");
            stage.expect_some([1]).await;
            stage.write(format!("t/{round}/a/b/c/f"), "12");
            stage.expect_some([1]).await;
        }
    });
}

#[test]
fn a_full_tree_moved_into_a_watched_one_is_watched_and_one_moved_out_is_not() {
    each(async |stage| {
        stage.mkdirs("t");
        stage.mkdirs("full/a/b");
        stage.write("full/a/b/f", "1");
        stage.subscribe(1, "t", Tree);
        stage.rename("full", "t/full");
        stage.expect_some([1]).await;
        stage.write("t/full/a/b/f", "12");
        stage.expect_some([1]).await;
        stage.rename("t/full", "out");
        stage.expect_some([1]).await;
        stage.calm().await;
        stage.write("out/a/b/f", "123");
        stage.expect([]).await;
    });
}

#[test]
fn directories_that_are_gone_are_forgotten() {
    each(async |stage| {
        stage.mkdirs("t");
        stage.subscribe(1, "t", Tree);
        stage.changed().await;
        let before = stage.hub.stats();
        for _ in 0..5 {
            stage.mkdirs("t/a/b/c");
            stage.mkdirs("t/a/d");
            stage.expect_some([1]).await;
            assert_eq!(stage.hub.stats().nodes, before.nodes + 4);
            stage.remove("t/a");
            stage.expect_some([1]).await;
            assert_eq!(stage.hub.stats(), before);
        }
    });
}

#[test]
fn links_in_a_tree_are_not_followed() {
    each(async |stage| {
        stage.mkdirs("t/a");
        stage.mkdirs("elsewhere");
        stage.symlink(stage.path("elsewhere"), "t/a/out");
        stage.symlink(stage.path("t"), "t/a/round");
        stage.subscribe(1, "t", Tree);
        stage.calm().await;
        stage.write("elsewhere/f", "");
        stage.expect([]).await;
        stage.remove("t/a/out");
        stage.expect_some([1]).await;
    });
}

#[test]
fn the_root_of_a_tree_may_be_absent_or_a_link_or_replaced() {
    each(async |stage| {
        stage.subscribe(1, "t", Tree);
        stage.mkdirs("real/a");
        stage.symlink("real", "t");
        stage.expect_some([1]).await;
        stage.write("real/a/f", "1");
        stage.expect_some([1]).await;
        stage.remove("t");
        stage.rename("real", "t");
        stage.expect_some([1]).await;
        stage.write("t/a/f", "12");
        stage.expect_some([1]).await;
        stage.remove("t");
        stage.write("t", "a file");
        stage.expect_some([1]).await;
        stage.write("t", "a longer file");
        stage.expect_some([1]).await;
    });
}

#[test]
fn a_path_below_a_tree_is_told_by_itself_and_outlives_it() {
    each(async |stage| {
        stage.mkdirs("t/a/b");
        stage.subscribe(1, "t", Tree);
        stage.subscribe(2, "t/a/f", Path);
        stage.calm().await;
        stage.write("t/a/b/f", "");
        stage.expect([1]).await;
        stage.write("t/a/f", "");
        stage.expect([1, 2]).await;
        stage.hub.unsubscribe(1);
        stage.calm().await;
        stage.write("t/a/f", "more");
        stage.expect([2]).await;
        stage.subscribe(1, "t", Tree);
        stage.hub.unsubscribe(2);
        stage.calm().await;
        stage.write("t/a/b/f", "more");
        stage.expect([1]).await;
    });
}

#[test]
fn a_tree_with_too_many_directories_fails_alone() {
    for backend in BACKENDS {
        run(Options { tree_directories_max: 10, ..options(backend) }, async |stage| {
            for number in 0..8 {
                stage.mkdirs(format!("small/{number}"));
                stage.mkdirs(format!("large/{number}/a"));
            }
            stage.subscribe(1, "small", Tree);
            stage.subscribe(2, "large", Tree);
            stage.subscribe(3, "large/f", Path);
            stage.changed().await;
            assert_eq!(stage.said.len(), 1, "{:?}", stage.said);
            assert!(stage.said[0].contains("Failed(2") && stage.said[0].contains("TreeTooLarge"), "{:?}", stage.said);
            stage.calm().await;
            stage.write("large/f", "");
            stage.expect([3]).await;
            stage.write("small/7/f", "");
            stage.expect_some([1]).await;
            // One that grows too large later.
            for number in 8..20 {
                stage.mkdirs(format!("small/{number}"));
            }
            stage.changed().await;
            assert_eq!(stage.said.len(), 2, "{:?}", stage.said);
            stage.calm().await;
            stage.write("small/7/f", "more");
            stage.expect([]).await;
            [1, 2, 3].into_iter().for_each(|key| stage.hub.unsubscribe(key));
            assert_eq!(stage.hub.stats().nodes, 1);
        });
    }
}
