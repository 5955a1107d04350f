//! Directories on the way to watched paths: other entries in them wake nothing, and no change of the directories is
//! missed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::task::{Context, Waker};

use super::harness::{Stage, each, options, run};
use crate::sys::fs::hub::BackendKind;
use crate::sys::fs::hub::Watched::{Itself, Path, Tree};

/// The number of events that the system has for the hub.
fn events(stage: &mut Stage) -> usize {
    let mut count = 0;
    let mut cx = Context::from_waker(Waker::noop());
    while stage.hub.backend.poll_drain(&mut cx, &mut |_| count += 1).is_ready() {}
    count
}

/// Changes of other entries that happen in a directory all the time.
fn bustle(stage: &Stage, dir: &str) {
    for number in 0..100 {
        let name = format!("{dir}/other{number}");
        stage.write(&name, "x");
        stage.write(&name, "more");
        stage.rename(&name, format!("{dir}/renamed{number}"));
        stage.mkdirs(format!("{dir}/directory{number}"));
    }
    for number in 0..100 {
        stage.remove(format!("{dir}/renamed{number}"));
        stage.remove(format!("{dir}/directory{number}"));
    }
}

#[test]
fn what_others_do_in_a_directory_above_wakes_nothing() {
    run(options(BackendKind::Inotify), async |stage| {
        stage.mkdirs("above/managed");
        stage.mkdirs("above/tree/below");
        stage.write("above/managed/f", "");
        stage.write("above/tree/f", "");
        stage.subscribe(1, "above/managed/f", Path);
        stage.subscribe(2, "above/tree", Tree);
        stage.subscribe(3, "above/managed", Path);
        stage.calm().await;
        bustle(stage, "above");
        assert_eq!(events(stage), 0);
        stage.write("above/managed/f", "told");
        stage.expect([1]).await;
        // With a subscription the directory reports its entries, and without it no more.
        stage.subscribe(4, "above", Path);
        stage.write("above/new", "");
        stage.expect([4]).await;
        stage.hub.unsubscribe(4);
        bustle(stage, "above");
        assert_eq!(events(stage), 0);
        // A child that does not exist, until it does.
        stage.subscribe(5, "above/later/f", Path);
        stage.mkdirs("above/later");
        stage.write("above/later/f", "");
        stage.expect_some([5]).await;
        stage.calm().await;
        bustle(stage, "above");
        assert_eq!(events(stage), 0);
        stage.remove("above/later/f");
        stage.expect([5]).await;
    });
}

#[test]
fn a_directory_above_that_is_moved_and_replaced_is_told_at_any_depth() {
    each(async |stage| {
        for level in ["a", "a/b", "a/b/c"] {
            stage.mkdirs("a/b/c");
            stage.write("a/b/c/f", "");
            stage.subscribe(1, "a/b/c/f", Path);
            stage.calm().await;
            stage.rename(level, "away");
            stage.expect_some([1]).await;
            stage.mkdirs("a/b/c");
            stage.write("a/b/c/f", "new");
            stage.expect_some([1]).await;
            stage.calm().await;
            // Moved away and made again at once.
            stage.rename(level, "away2");
            stage.mkdirs("a/b/c");
            stage.write("a/b/c/f", "newer");
            stage.expect_some([1]).await;
            stage.calm().await;
            stage.write("a/b/c/f", "newest");
            stage.expect_some([1]).await;
            ["a", "away", "away2"].iter().for_each(|name| stage.remove(name));
            stage.expect_some([1]).await;
            stage.hub.unsubscribe(1);
        }
    });
}

#[test]
fn a_directory_that_is_removed_while_somebody_has_it_open_is_told() {
    each(async |stage| {
        for (round, at_once) in [false, true, false, true].into_iter().enumerate() {
            // A subscribed file, a subscribed directory with an entry, and a file two levels below.
            for (path, sub) in [("a/b/f", "a/b/f"), ("a/b/f", "a/b"), ("a/b/c/d/f", "a/b/c/d/f")] {
                let dir = std::path::Path::new(path).parent().expect("a directory").to_owned();
                stage.mkdirs(&dir);
                stage.write(path, "");
                stage.subscribe(1, sub, Path);
                stage.calm().await;
                let open: Vec<_> = ["a", "a/b", "a/b/c", "a/b/c/d"]
                    .iter()
                    .filter_map(|name| fs::File::open(stage.path(name)).ok())
                    .collect();
                stage.remove("a");
                if !at_once {
                    stage.expect_some([1]).await;
                }
                stage.mkdirs(&dir);
                stage.write(path, "again");
                stage.expect_some([1]).await;
                stage.calm().await;
                let more = if sub == "a/b" { "a/b/more" } else { path };
                stage.write(more, "once more");
                stage.expect_some([1]).await;
                drop(open);
                stage.hub.unsubscribe(1);
                stage.settle();
                stage.remove("a");
                stage.changed().await;
                assert_eq!(stage.hub.stats().keys, 0, "round {round}");
            }
        }
    });
}

#[test]
fn an_empty_directory_that_is_removed_while_somebody_has_it_open_is_told() {
    each(async |stage| {
        for was_there in [false, true] {
            stage.mkdirs("a/b");
            if was_there {
                stage.write("a/b/f", "");
            }
            stage.subscribe(1, "a/b/f", Path);
            stage.calm().await;
            if was_there {
                stage.remove("a/b/f");
                stage.expect_some([1]).await;
            }
            let open = fs::File::open(stage.path("a/b")).expect("a directory");
            fs::remove_dir(stage.path("a/b")).expect("removed");
            stage.changed().await;
            stage.mkdirs("a/b");
            stage.write("a/b/f", "again");
            stage.expect_some([1]).await;
            stage.calm().await;
            stage.write("a/b/f", "once more");
            stage.expect_some([1]).await;
            drop(open);
            stage.hub.unsubscribe(1);
            stage.remove("a");
        }
    });
}

#[test]
fn the_mode_of_a_directory_above_is_told() {
    each(async |stage| {
        stage.mkdirs("a/b");
        stage.write("a/b/f", "");
        stage.subscribe(1, "a/b/f", Path);
        stage.calm().await;
        for mode in [0o700, 0o755] {
            for name in ["a", "a/b"] {
                fs::set_permissions(stage.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
                stage.until(1).await;
                stage.calm().await;
            }
        }
    });
}

#[test]
fn what_comes_and_goes_in_a_directory_does_not_wake_who_watches_only_itself() {
    // A polled directory shows by its time that an entry was added or removed, but not which.
    for backend in [BackendKind::Inotify, BackendKind::Notify] {
        run(options(backend), async |stage| {
            stage.mkdirs("d");
            stage.subscribe(1, "d", Itself);
            stage.subscribe(2, "d/f", Path);
            stage.subscribe(3, "d", Path);
            stage.calm().await;
            stage.write("d/f", "");
            stage.expect([2, 3]).await;
            stage.remove("d/f");
            stage.expect([2, 3]).await;
            stage.hub.unsubscribe(3);
            stage.write("d/f", "");
            stage.expect([2]).await;
            fs::set_permissions(stage.path("d"), fs::Permissions::from_mode(0o700)).unwrap();
            stage.expect_some([1]).await;
            stage.calm().await;
            stage.rename("d", "e");
            stage.expect([1, 2]).await;
            stage.mkdirs("d");
            stage.expect([1, 2]).await;
            // Of two subscriptions of one key, the wider one holds.
            stage.subscribe(1, "d", Path);
            stage.calm().await;
            stage.write("d/g", "");
            stage.expect([1]).await;
        });
    }
}
