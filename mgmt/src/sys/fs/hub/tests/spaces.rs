//! Tests that need mounts and limits of their own: each runs itself once more in namespaces, if that is permitted.

use std::fs;
use std::process::Command;

use super::harness::{BACKENDS, Stage, each, options, run};
use crate::sys::fs::hub::Watched::{Path, Tree};
use crate::sys::fs::hub::{BackendKind, Event};
use crate::sys::spaces;

/// Runs the named test of this file in a user and a mount namespace. Returns `true` inside.
fn inside(name: &str) -> bool {
    spaces::inside(module_path!(), name, &["--mount", "--propagation", "private"])
}

fn command(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().expect("a program");
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn mount_over(stage: &Stage, name: &str) {
    command("mount", &["-t", "tmpfs", "none", text(&stage.path(name))]);
}

fn unmount(stage: &Stage, name: &str) {
    command("umount", &[text(&stage.path(name))]);
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn a_file_system_mounted_over_a_directory_or_unmounted_is_told() {
    if !inside("a_file_system_mounted_over_a_directory_or_unmounted_is_told") {
        return;
    }
    each(async |stage| {
        stage.mkdirs("a/b");
        stage.write("a/b/f", "1");
        stage.subscribe(1, "a/b/f", Path);
        stage.subscribe(2, "a/b", Tree);
        stage.subscribe(3, "a", Tree);
        for _ in 0..3 {
            stage.calm().await;
            // First over the directory itself, then over one above it.
            for over in ["a/b", "a"] {
                mount_over(stage, over);
                stage.until(1).await;
                stage.expect_some([]).await;
                stage.mkdirs("a/b");
                stage.write("a/b/f", "above");
                stage.expect_some([1, 2, 3]).await;
                stage.write("a/b/f", "above it");
                stage.expect_some([1, 2, 3]).await;
                unmount(stage, over);
                stage.until(1).await;
                stage.calm().await;
                stage.write("a/b/f", "below");
                stage.expect_some([1, 2, 3]).await;
            }
        }
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn one_directory_by_two_names_is_told_by_both() {
    if !inside("one_directory_by_two_names_is_told_by_both") {
        return;
    }
    each(async |stage| {
        stage.mkdirs("a/b");
        stage.mkdirs("twin");
        stage.write("a/b/f", "1");
        stage.subscribe(1, "a/b/f", Path);
        stage.subscribe(2, "twin/f", Path);
        command("mount", &["--bind", text(&stage.path("a/b")), text(&stage.path("twin"))]);
        stage.until(2).await;
        stage.calm().await;
        stage.write("a/b/f", "12");
        stage.expect_some([1, 2]).await;
        stage.calm().await;
        stage.write("twin/f", "123");
        stage.expect_some([1, 2]).await;
        // A lazy unmount while the file system is in use: no watch reports it.
        let open = fs::File::open(stage.path("twin/f")).expect("an open file");
        command("umount", &["--lazy", text(&stage.path("twin"))]);
        stage.until(2).await;
        drop(open);
        stage.calm().await;
        stage.write("a/b/f", "1234");
        stage.expect([1]).await;
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn what_is_unmounted_is_known_before_the_hub_waits_again() {
    if !inside("what_is_unmounted_is_known_before_the_hub_waits_again") {
        return;
    }
    run(options(BackendKind::Inotify), async |stage| {
        stage.mkdirs("a");
        mount_over(stage, "a");
        stage.write("a/f", "1");
        stage.subscribe(1, "a/f", Path);
        stage.calm().await;
        // Of the fence, more than one event is queued.
        stage.hub.take();
        let quiet = stage.hub.quiet().expect("nothing is left");
        assert!(quiet.is_quiet());
        // No watch reports it while the file system is in use.
        let open = fs::File::open(stage.path("a/f")).expect("an open file");
        command("umount", &["--lazy", text(&stage.path("a"))]);
        assert!(!quiet.is_quiet() && !stage.hub.quiet().is_some_and(|quiet| quiet.is_quiet()));
        let events = stage.hub.take();
        assert!(events.iter().any(|event| matches!(event, Event::Changed(1, _))), "{events:?}");
        // The end of the watch there.
        stage.hub.take();
        assert!(!quiet.is_quiet());
        assert!(stage.hub.quiet().expect("nothing is left").is_quiet());
        drop(open);
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn a_file_mounted_over_a_file_is_told_and_watched() {
    if !inside("a_file_mounted_over_a_file_is_told_and_watched") {
        return;
    }
    each(async |stage| {
        stage.mkdirs("a");
        stage.mkdirs("b");
        stage.write("a/f", "1");
        stage.write("b/g", "2");
        stage.subscribe(1, "a/f", Path);
        command("mount", &["--bind", text(&stage.path("b/g")), text(&stage.path("a/f"))]);
        stage.until(1).await;
        stage.calm().await;
        stage.write("b/g", "23");
        stage.until(1).await;
        unmount(stage, "a/f");
        stage.until(1).await;
        stage.calm().await;
        stage.write("a/f", "12");
        stage.expect_some([1]).await;
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount)"]
fn a_tree_mounted_into_itself_is_watched_once() {
    if !inside("a_tree_mounted_into_itself_is_watched_once") {
        return;
    }
    each(async |stage| {
        stage.mkdirs("t/a/round");
        command("mount", &["--rbind", text(&stage.path("t")), text(&stage.path("t/a/round"))]);
        stage.subscribe(1, "t", Tree);
        stage.calm().await;
        assert!(stage.hub.stats().nodes < 30, "{:?}", stage.hub.stats());
        stage.write("t/a/f", "");
        stage.expect([1]).await;
        unmount(stage, "t/a/round");
        stage.until(1).await;
    });
}

#[test]
#[ignore = "needs user and mount namespaces (unshare)"]
fn with_the_real_watches_used_up_paths_are_polled() {
    if !inside("with_the_real_watches_used_up_paths_are_polled") {
        return;
    }
    fs::write("/proc/sys/user/max_inotify_watches", "12").expect("a lower limit");
    for backend in [BackendKind::Inotify, BackendKind::Notify] {
        run(options(backend), async |stage| {
            for number in 0..30 {
                stage.mkdirs(format!("d{number}"));
                stage.subscribe(number, format!("d{number}/f"), Path);
            }
            let stats = stage.hub.stats();
            assert!(stats.watches <= 12 && stats.polled > 12, "{stats:?}");
            stage.calm().await;
            for number in 0..30 {
                stage.write(format!("d{number}/f"), "");
            }
            stage.expect(0..30).await;
            assert!(matches!(&stage.said[..], [one] if one.contains("Degraded(Watches")), "{:?}", stage.said);
            for _ in 0..100 {
                (0..30).for_each(|number| stage.hub.unsubscribe(number));
                stage.settle();
                (0..30).for_each(|number| stage.subscribe(number, format!("d{number}/f"), Path));
            }
            assert_eq!(stage.hub.stats(), stats);
            // The limit is raised while the hub runs: everything is watched again.
            fs::write("/proc/sys/user/max_inotify_watches", "1000").expect("a higher limit");
            while stage.said.len() == 1 {
                stage.batch().await;
            }
            assert_eq!((stage.said[1].as_str(), stage.hub.stats().polled), ("Recovered", 0));
            fs::write("/proc/sys/user/max_inotify_watches", "12").expect("a lower limit");
        });
    }
}

#[test]
#[ignore = "needs user and mount namespaces (unshare)"]
fn without_an_inotify_instance_everything_is_polled_until_there_is_one() {
    if !inside("without_an_inotify_instance_everything_is_polled_until_there_is_one") {
        return;
    }
    for backend in BACKENDS.into_iter().filter(|&backend| backend != BackendKind::Poll) {
        fs::write("/proc/sys/user/max_inotify_instances", "0").expect("a lower limit");
        run(options(backend), async |stage| {
            stage.mkdirs("d");
            stage.subscribe(1, "d/f", Path);
            stage.subscribe(2, "d", Tree);
            stage.calm().await;
            stage.write("d/f", "");
            stage.expect([1, 2]).await;
            assert!(matches!(&stage.said[..], [one] if one.contains("Degraded(Instances")), "{:?}", stage.said);
            assert_eq!(stage.hub.stats().watches, 0);
            fs::write("/proc/sys/user/max_inotify_instances", "10").expect("a higher limit");
            while stage.said.len() == 1 {
                stage.batch().await;
            }
            assert_eq!((stage.said[1].as_str(), stage.hub.stats().polled), ("Recovered", 0));
            stage.calm().await;
            stage.write("d/f", "more");
            stage.expect([1, 2]).await;
        });
    }
}

#[test]
#[ignore = "needs user and mount namespaces (unshare, mount), and overlayfs in them"]
fn a_file_system_mounted_again_is_watched_again() {
    if !inside("a_file_system_mounted_again_is_watched_again") {
        return;
    }
    each(async |stage| {
        ["lower/d", "upper", "work", "over"].into_iter().for_each(|name| stage.mkdirs(name));
        let layers = ["lower", "upper", "work"].map(|name| format!("{name}dir={}", text(&stage.path(name))));
        let layers = format!("{},userxattr", layers.join(","));
        let over = stage.path("over");
        stage.subscribe(1, "over/d/f", Path);
        let mount = || command("mount", &["-t", "overlay", "-o", &layers, "none", text(&over)]);
        mount();
        for round in 0..5 {
            // For polling, a file system that is mounted again looks the same.
            if round == 0 || stage.backend != BackendKind::Poll {
                stage.until(1).await;
            }
            stage.calm().await;
            stage.write("over/d/f", &round.to_string());
            stage.expect_some([1]).await;
            // The same file system is mounted again at once: everything looks as before, but the watches are gone.
            unmount(stage, "over");
            mount();
        }
        unmount(stage, "over");
    });
}
