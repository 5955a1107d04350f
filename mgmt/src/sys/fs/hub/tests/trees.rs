//! Whole trees: which changes are reported, and what is held for them.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::harness::{BACKENDS, each, options, run};
use crate::sys::fs::hub::Watched::{Levels, Path, Tree};
use crate::sys::fs::hub::{BackendKind, Extent, Options, Watched};

const LEVELS_MAX: u16 = Watched::LEVELS_MAX;

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
            // A tree that becomes too large later.
            for number in 8..20 {
                stage.mkdirs(format!("small/{number}"));
            }
            stage.changed().await;
            assert_eq!(stage.said.len(), 2, "{:?}", stage.said);
            stage.calm().await;
            stage.write("small/7/f", "more");
            stage.expect([]).await;
            [1, 2, 3].into_iter().for_each(|key| stage.hub.unsubscribe(key));
            stage.settle();
            assert_eq!(stage.hub.stats().nodes, 1);
        });
    }
}

#[test]
fn what_was_told_before_all_was_looked_at_is_told_again() {
    run(options(BackendKind::Inotify), async |stage| {
        stage.mkdirs("t");
        stage.subscribe(1, "t", Tree);
        stage.hub.core.slice = Duration::ZERO;
        for name in ["t/a", "t/b", "t/c"] {
            stage.mkdirs(name);
        }
        assert_eq!(stage.batch().await, [1].into());
        assert!(!stage.hub.is_settled(), "one of three was looked at");
        stage.extents.clear();
        // Two of these directories are not watched yet.
        for name in ["t/a", "t/b", "t/c"] {
            stage.write(format!("{name}/f"), "");
        }
        stage.expect([1]).await;
        let Some(Extent::Entries(entries)) = stage.extents.get(&1) else { panic!("entries") };
        for name in ["t/a", "t/b", "t/c"] {
            let path = stage.path(name);
            assert!(entries.iter().any(|entry| entry.starts_with(&path)), "{name} is not among {entries:?}");
        }
    });
}

#[test]
fn only_so_many_levels_of_a_tree_are_watched() {
    // With polling, a directory in which something has changed counts as changed itself.
    for backend in [BackendKind::Inotify, BackendKind::Notify] {
        run(options(backend), async |stage| {
            stage.mkdirs("t/a/b/c");
            stage.subscribe(1, "t", Levels(1));
            stage.subscribe(2, "t", Levels(3));
            stage.subscribe(3, "t/a", Levels(1));
            stage.calm().await;
            for (name, told) in
                [("t/f", &[1, 2][..]), ("t/a/f", &[2, 3]), ("t/a/b/f", &[2]), ("t/a/b/c/f", &[]), ("t/new/f", &[1, 2])]
            {
                stage.mkdirs(std::path::Path::new(name).parent().unwrap());
                stage.write(name, "");
                stage.expect(told.iter().copied()).await;
                stage.calm().await;
            }
            // A tree with more levels includes what the others have left out, even if it is subscribed later.
            stage.subscribe(4, "t", Tree);
            stage.calm().await;
            stage.write("t/a/b/c/g", "");
            stage.expect([4]).await;
            stage.hub.unsubscribe(4);
            stage.write("t/a/b/c/h", "");
            stage.expect([]).await;
            stage.hub.unsubscribe(1);
            stage.hub.unsubscribe(2);
            stage.write("t/a/i", "");
            stage.expect([3]).await;
        });
    }
}

/// Like a program that nests directories without end.
#[test]
fn two_thousand_directories_in_each_other_are_followed_so_far_and_no_further() {
    run(options(BackendKind::Inotify), async |stage| {
        stage.mkdirs("t/top");
        stage.subscribe(1, "t", Tree);
        let mut dir = std::fs::File::open(stage.path("t/top")).unwrap();
        let mut looks = 0;
        for _ in 0..2000 {
            rustix::fs::mkdirat(&dir, "d", rustix::fs::Mode::RWXU).unwrap();
            let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
            dir = rustix::fs::openat(&dir, "d", flags, rustix::fs::Mode::empty()).unwrap().into();
            looks += usize::from(!stage.hub.take().is_empty());
        }
        let levels = usize::from(LEVELS_MAX);
        assert!(looks <= levels, "{looks} changes are told of");
        assert!(stage.hub.stats().watches <= levels + 8, "{:?}", stage.hub.stats());
        let said: Vec<_> = stage.hub.take().into_iter().collect();
        assert!(said.is_empty(), "{said:?}");
        // A change of the mode of the topmost directory is no reason to look at all the others.
        let begun = stage.hub.core.looks;
        for mode in [0o700, 0o755, 0o700] {
            std::fs::set_permissions(stage.path("t/top"), std::fs::Permissions::from_mode(mode)).unwrap();
            stage.expect([1]).await;
        }
        let looks = stage.hub.core.looks - begun;
        assert!(looks < 50, "{looks} looks");
    });
}

#[test]
fn a_tree_that_is_nested_too_deep_is_named_once() {
    run(options(BackendKind::Inotify), async |stage| {
        let deep: std::path::PathBuf = (0..usize::from(LEVELS_MAX) + 2).map(|_| "d").collect();
        stage.mkdirs(std::path::Path::new("t").join(&deep));
        stage.subscribe(1, "t", Tree);
        stage.calm().await;
        let shallow: std::path::PathBuf = (0..usize::from(LEVELS_MAX) - 1).map(|_| "d").collect();
        stage.write(std::path::Path::new("t").join(shallow).join("f"), "");
        stage.expect([1]).await;
        stage.write(std::path::Path::new("t").join(deep).join("f"), "");
        stage.expect([]).await;
        let said: Vec<_> = stage.said.iter().filter(|said| said.contains("Depth")).collect();
        assert!(said.len() == 1 && said[0].contains("max: 256"), "{:?}", stage.said);
    });
}

#[test]
fn what_has_changed_in_a_tree_is_spelled_without_going_back() {
    each(async |stage| {
        stage.mkdirs("t/a");
        stage.mkdirs("t/b");
        stage.symlink("a/../b/f", "t/link");
        stage.subscribe(1, "t", Tree);
        stage.subscribe(2, "t/link", Path);
        stage.calm().await;
        stage.extents.clear();
        stage.write("t/b/f", "");
        stage.expect([1, 2]).await;
        let Extent::Entries(entries) = &stage.extents[&1] else { return };
        assert!(entries.iter().all(|entry| !entry.to_string_lossy().contains("..")), "{entries:?}");
    });
}
