//! Single paths: which changes are reported, and which are not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::harness::each;
use crate::sys::fs::hub::Watched::Path;

#[test]
fn a_written_file_is_told_and_its_siblings_are_not() {
    each(async |stage| {
        stage.write("one", "");
        stage.write("two", "");
        stage.subscribe(1, "one", Path);
        stage.subscribe(2, "two", Path);
        stage.calm().await;
        stage.write("one", "more");
        stage.write("three", "more");
        stage.expect([1]).await;
    });
}

#[test]
fn nothing_is_told_of_what_was_before_the_subscription() {
    each(async |stage| {
        stage.mkdirs("a/b");
        stage.calm().await;
        stage.subscribe(1, "a/b/c", Path);
        stage.expect([]).await;
    });
}

#[test]
fn a_burst_of_directories_is_followed_down_to_a_file_that_did_not_exist() {
    each(async |stage| {
        for round in 0..200 {
            stage.subscribe(1, "a/b/c/f", Path);
            stage.mkdirs("a/b/c");
            stage.write("a/b/c/f", "content");
            stage.expect_some([1]).await;
            stage.write("a/b/c/f", "more content");
            stage.expect_some([1]).await;
            stage.remove("a");
            stage.expect_some([1]).await;
            if round % 2 == 0 {
                stage.hub.unsubscribe(1);
                stage.settle();
            }
        }
    });
}

#[test]
fn attributes_are_told() {
    each(async |stage| {
        stage.write("f", "");
        stage.subscribe(1, "f", Path);
        fs::set_permissions(stage.path("f"), fs::Permissions::from_mode(0o600)).expect("a mode");
        stage.expect_some([1]).await;
    });
}

#[test]
fn replacing_a_file_by_rename_is_told_and_the_new_file_is_watched() {
    each(async |stage| {
        stage.mkdirs("d");
        stage.write("d/f", "old");
        stage.subscribe(1, "d/f", Path);
        for round in 0..20 {
            stage.write("d/.new", &format!("new {round}"));
            stage.rename("d/.new", "d/f");
            stage.expect_some([1]).await;
        }
    });
}

#[test]
fn a_deleted_and_recreated_directory_is_watched_again() {
    each(async |stage| {
        for _ in 0..20 {
            stage.mkdirs("d/e");
            stage.write("d/e/f", "1");
            stage.subscribe(1, "d/e/f", Path);
            stage.changed().await;
            stage.remove("d");
            stage.expect_some([1]).await;
            stage.mkdirs("d/e");
            stage.write("d/e/f", "2");
            stage.expect_some([1]).await;
            stage.write("d/e/f", "three");
            stage.expect_some([1]).await;
            stage.remove("d");
        }
    });
}

#[test]
fn a_directory_renamed_away_and_another_over_its_name_are_told() {
    each(async |stage| {
        stage.mkdirs("d");
        stage.mkdirs("other");
        stage.write("d/f", "1");
        stage.write("other/f", "2");
        stage.subscribe(1, "d/f", Path);
        stage.rename("d", "away");
        stage.expect_some([1]).await;
        stage.write("away/f", "not ours");
        stage.calm().await;
        stage.write("away/f", "still not ours");
        stage.expect([]).await;
        stage.rename("other", "d");
        stage.expect_some([1]).await;
        stage.write("d/f", "ours again");
        stage.expect_some([1]).await;
    });
}

#[test]
fn a_directory_that_becomes_a_file_or_a_link_is_told() {
    each(async |stage| {
        stage.mkdirs("d");
        stage.mkdirs("real");
        stage.write("d/f", "1");
        stage.write("real/f", "2");
        stage.subscribe(1, "d/f", Path);
        stage.remove("d");
        stage.write("d", "a file");
        stage.expect_some([1]).await;
        stage.remove("d");
        stage.symlink("real", "d");
        stage.expect_some([1]).await;
        stage.write("real/f", "through the link");
        stage.expect_some([1]).await;
    });
}

#[test]
fn a_swapped_link_on_the_way_is_followed() {
    each(async |stage| {
        stage.mkdirs("v1");
        stage.mkdirs("v2");
        stage.write("v1/f", "1");
        stage.write("v2/f", "2");
        stage.symlink("v1", "current");
        stage.subscribe(1, "current/f", Path);
        stage.write("v1/f", "one");
        stage.expect_some([1]).await;
        stage.symlink("v2", "next");
        stage.rename("next", "current");
        stage.expect_some([1]).await;
        stage.write("v2/f", "two");
        stage.expect_some([1]).await;
        stage.calm().await;
        stage.write("v1/f", "not ours any more");
        stage.expect([]).await;
    });
}

#[test]
fn what_a_link_leads_to_may_be_replaced_at_any_depth() {
    each(async |stage| {
        stage.mkdirs("deep/er/place");
        stage.write("deep/er/place/f", "1");
        stage.symlink(stage.path("deep/er/place"), "absolute");
        stage.mkdirs("links");
        stage.symlink("../absolute", "links/relative");
        stage.symlink("relative/f", "links/file");
        stage.calm().await;
        stage.subscribe(1, "links/relative/f", Path);
        stage.subscribe(2, "links/file", Path);
        stage.expect([]).await;
        stage.write("deep/er/place/f", "2");
        stage.expect_some([1, 2]).await;
        stage.rename("deep", "gone");
        stage.expect_some([1, 2]).await;
        stage.mkdirs("deep/er/place");
        stage.write("deep/er/place/f", "3");
        stage.expect_some([1, 2]).await;
        stage.write("deep/er/place/f", "3 and more");
        stage.expect_some([1, 2]).await;
    });
}

#[test]
fn links_in_a_circle_do_no_harm_and_are_told_when_they_are_broken() {
    each(async |stage| {
        stage.symlink("b", "a");
        stage.symlink("a", "b");
        stage.symlink("self/self", "self");
        stage.calm().await;
        stage.subscribe(1, "a", Path);
        stage.subscribe(2, "b/f", Path);
        stage.subscribe(3, "self/x", Path);
        stage.expect([]).await;
        stage.remove("b");
        stage.mkdirs("b");
        stage.expect_some([1, 2]).await;
        stage.write("b/f", "1");
        stage.expect_some([1, 2]).await;
        stage.remove("self");
        stage.write("self", "");
        stage.expect_some([3]).await;
        stage.remove("a");
        stage.remove("b");
        stage.symlink("a", "b");
        stage.symlink("b", "a");
        stage.expect_some([1, 2]).await;
        stage.remove("a");
        stage.mkdirs("a");
        stage.expect_some([1, 2]).await;
        for key in [1, 2, 3] {
            stage.hub.unsubscribe(key);
            stage.settle();
        }
        assert_eq!(stage.hub.stats().nodes, 1, "something is left: {:?}", stage.hub);
    });
}

#[test]
fn a_directory_is_told_when_its_entries_come_and_go_but_not_what_they_contain() {
    each(async |stage| {
        stage.mkdirs("d");
        stage.subscribe(1, "d", Path);
        stage.write("d/f", "1");
        stage.expect_some([1]).await;
        stage.calm().await;
        stage.write("d/f", "2");
        stage.expect([]).await;
        stage.remove("d/f");
        stage.expect_some([1]).await;
    });
}

#[test]
fn another_name_of_a_file_tells_too() {
    each(async |stage| {
        stage.mkdirs("d");
        stage.mkdirs("e");
        stage.write("d/f", "1");
        fs::hard_link(stage.path("d/f"), stage.path("e/f")).expect("a hard link");
        stage.subscribe(1, "d/f", Path);
        stage.write("e/f", "changed by the other name");
        stage.expect_some([1]).await;
    });
}

#[test]
fn one_key_may_have_several_paths_and_one_path_several_keys() {
    each(async |stage| {
        stage.subscribe(1, "a", Path);
        stage.subscribe(1, "b", Path);
        stage.subscribe(2, "b", Path);
        stage.write("a", "");
        stage.expect_some([1]).await;
        stage.write("b", "");
        stage.expect_some([1, 2]).await;
        stage.hub.unsubscribe(1);
        stage.settle();
        stage.calm().await;
        stage.remove("a");
        stage.remove("b");
        stage.expect([2]).await;
    });
}

#[test]
fn a_change_that_nobody_took_is_not_told_after_unsubscribing() {
    each(async |stage| {
        stage.subscribe(1, "a", Path);
        stage.write("a", "");
        stage.hub.unsubscribe(1);
        stage.settle();
        stage.expect([]).await;
        // The fence is gone too: on a busy machine, what it leaves is removed in more than one slice.
        stage.settle();
        assert_eq!(stage.hub.stats().nodes, 1);
        assert_eq!(stage.hub.stats().watches, 0);
    });
}

#[test]
fn a_name_that_wants_less_of_a_directory_takes_nothing_from_another() {
    each(async |stage| {
        stage.mkdirs("real");
        stage.write("real/f", "1");
        stage.symlink("real", "link");
        stage.subscribe(1, "real/f", Path);
        stage.subscribe(2, "link/x/y", Path);
        stage.calm().await;
        stage.write("real/f", "12");
        stage.expect([1]).await;
        stage.mkdirs("real/x");
        stage.expect_some([2]).await;
    });
}

#[test]
fn a_key_has_just_the_paths_that_it_subscribed_to_in_whatever_spelling() {
    use crate::sys::fs::hub::Watched::{Itself, Levels, Tree};
    each(async |stage| {
        stage.mkdirs("tree");
        stage.subscribe(1, "a", Path);
        stage.subscribe(1, "tree", Tree);
        stage.subscribe(2, "a", Path);
        let paths = ["a", "b", "tree", "./tree//", "tree/deep/x"].map(|name| stage.path(name));
        let [a, b, tree, odd, inside] = [0, 1, 2, 3, 4].map(|n: usize| paths[n].as_path());
        let has = |key, paths: &[_]| stage.hub.has_just(key, paths);
        assert!(has(1, &[(a, Path), (tree, Tree)]) && has(1, &[(odd, Tree), (a, Path), (a, Itself)]));
        assert!(has(2, &[(a, Path)]) && has(3, &[]));
        assert!(!has(1, &[(a, Path)]) && !has(1, &[(a, Path), (a, Path)]), "not all of them");
        assert!(!has(2, &[(a, Path), (tree, Tree)]) && !has(2, &[(a, Path), (b, Path)]) && !has(2, &[]));
        assert!(!has(2, &[(a, Itself)]) && !has(1, &[(a, Path), (tree, Levels(3))]), "another part");
        let listens = |key, path: &std::path::Path| stage.hub.listens_to(key, path);
        assert!(listens(1, a) && listens(1, tree) && listens(1, inside) && listens(2, a));
        assert!(!listens(1, b) && !listens(2, inside) && !listens(3, a));
        stage.hub.unsubscribe(1);
        assert!(!stage.hub.listens_to(1, inside) && stage.hub.has_just(1, &[]));
    });
}
