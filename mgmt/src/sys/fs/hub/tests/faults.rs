//! Failures: lost events, limits that are reached, denied permissions, impossible names.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path as StdPath;
use std::task::{Context, Poll};

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::harness::{Stage, each, options, run};
use crate::sys::fs::hub::Watched::{Path, Tree};
use crate::sys::fs::hub::backend::{Backend, Raw, Refusal, Want, WatchId};
use crate::sys::fs::hub::inotify::Inotify;
use crate::sys::fs::hub::{BackendKind, Error, Event, Hub, Options};

fn queued_max() -> usize {
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("a limit of inotify");
    text.trim().parse().expect("a number")
}

/// Changes two files in turn, so that no two successive events are the same.
fn storm(stage: &Stage, count: usize) {
    let mut files = ["d/f", "d/g"].map(|name| fs::File::create(stage.path(name)).expect("a file"));
    for number in 0..count {
        files[number % 2].write_all(b"x").expect("a written byte");
    }
}

#[test]
fn a_burst_of_changes_of_few_files_is_few_events() {
    each(async |stage| {
        stage.mkdirs("d");
        stage.subscribe(1, "d/f", Path);
        stage.subscribe(2, "d/h", Path);
        let mut count = 0;
        for _ in 0..10 {
            storm(stage, 1000);
            let changed = stage.changed().await;
            // Polling can't tell whether a missing file was there in between.
            assert!(stage.backend == BackendKind::Poll || !changed.contains(&2));
            count += usize::from(changed.contains(&1));
        }
        assert_eq!(count, 10);
    });
}

#[test]
fn after_lost_events_everything_is_dirty_and_watched_as_it_is_then() {
    for backend in [BackendKind::Inotify, BackendKind::Notify] {
        run(options(backend), async |stage| {
            stage.mkdirs("d");
            stage.mkdirs("e/a");
            stage.mkdirs("t/a");
            stage.subscribe(1, "d/f", Path);
            stage.subscribe(2, "e/a/f", Path);
            stage.subscribe(3, "t", Tree);
            stage.subscribe(4, "nowhere/at/all", Path);
            stage.changed().await;
            storm(stage, 100_000.max(2 * queued_max()));
            // None of these changes is reported by its own event.
            stage.remove("e");
            stage.mkdirs("e/a");
            stage.rename("t/a", "t/b");
            stage.mkdirs("t/b/c");
            stage.expect([1, 2, 3, 4]).await;
            assert!(stage.said.iter().all(|said| said == "Rescan") && !stage.said.is_empty(), "{:?}", stage.said);
            stage.said.clear();
            stage.calm().await;
            stage.write("e/a/f", "");
            stage.expect([2]).await;
            stage.write("t/b/c/f", "");
            stage.expect([3]).await;
            assert!(stage.said.is_empty(), "no rest: {:?}", stage.said);
        });
    }
}

/// A facility with few watches.
#[derive(Debug)]
struct Scarce {
    inner: Inotify,
    used: std::collections::HashSet<WatchId>,
    max: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

fn count(used: &mut std::collections::HashSet<WatchId>, raw: Raw<'_>, sink: &mut dyn FnMut(Raw<'_>)) {
    if let Raw::At { watch, what, .. } = raw
        && what.dead
    {
        used.remove(&watch);
    }
    sink(raw);
}

impl Backend for Scarce {
    fn arm(&mut self, path: &[u8], want: Want) -> Result<WatchId, Refusal> {
        let watch = self.inner.arm(path, want)?;
        let is_new = self.used.insert(watch);
        if is_new && self.used.len() > self.max.load(std::sync::atomic::Ordering::SeqCst) {
            self.disarm(watch);
            return Err(Refusal::Watches);
        }
        Ok(watch)
    }

    fn disarm(&mut self, watch: WatchId) {
        self.used.remove(&watch);
        self.inner.disarm(watch);
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, sink: &mut dyn FnMut(Raw<'_>)) -> Poll<std::io::Result<()>> {
        let used = &mut self.used;
        self.inner.poll_drain(cx, &mut |raw| count(used, raw, sink))
    }

    fn drain(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> std::io::Result<()> {
        let used = &mut self.used;
        self.inner.drain(&mut |raw| count(used, raw, sink))
    }
}

#[test]
fn without_watches_left_paths_are_polled_with_one_warning_until_there_are_some_again() {
    run(options(BackendKind::Inotify), async |stage| {
        for number in 0..40 {
            stage.mkdirs(format!("d{number}"));
        }
        let max = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(20));
        let inner = Inotify::new().expect("an inotify instance");
        stage.hub.backend = Box::new(Scarce { inner, used: [].into(), max: max.clone() });
        for number in 0..40 {
            stage.subscribe(number, format!("d{number}/f"), Path);
        }
        stage.subscribe(40, "d39", Tree);
        stage.calm().await;
        assert_eq!(stage.said.len(), 1, "{:?}", stage.said);
        assert!(stage.said[0].contains("Degraded(Watches"), "{:?}", stage.said);
        let stats = stage.hub.stats();
        assert!(stats.watches <= 20 && stats.polled > 20, "{stats:?}");
        for number in 0..40 {
            stage.write(format!("d{number}/f"), "");
        }
        stage.expect(0..=40).await;
        // Swaps of subscriptions neither leak nor repeat the warning.
        for _ in 0..100 {
            (0..40).for_each(|number| stage.hub.unsubscribe(number));
            stage.settle();
            (0..40).for_each(|number| stage.subscribe(number, format!("d{number}/f"), Path));
        }
        assert!(stage.hub.stats().watches <= 20);
        stage.calm().await;
        assert_eq!(stage.said.len(), 1, "{:?}", stage.said);
        // Some subscriptions end, and others get their watches.
        (0..30).for_each(|number| stage.hub.unsubscribe(number));
        stage.settle();
        while stage.said.len() == 1 {
            stage.batch().await;
        }
        assert_eq!(stage.said[1], "Recovered");
        assert_eq!(stage.hub.stats().polled, 0);
        stage.calm().await;
        stage.write("d35/f", "more");
        stage.expect([35]).await;
    });
}

#[test]
fn a_thousand_swaps_hold_the_same_watches_and_descriptors() {
    each(async |stage| {
        for number in 0..10 {
            stage.mkdirs(format!("d{number}/e"));
        }
        let descriptors = || fs::read_dir("/proc/self/fd").expect("the descriptors").count();
        let mut before = None;
        for round in 0..1000 {
            for number in 0..10 {
                stage.subscribe(number, format!("d{number}/e/f"), if number % 2 == 0 { Path } else { Tree });
            }
            let stats = stage.hub.stats();
            assert_eq!(stats, before.unwrap_or(stats), "in round {round}");
            before = Some(stats);
            (0..10).for_each(|number| stage.hub.unsubscribe(number));
            stage.settle();
        }
        let stats = stage.hub.stats();
        assert_eq!((stats.keys, stats.nodes, stats.watches, stats.polled), (0, 1, 0, 0));
        // Other tests open and close descriptors at the same time, but fewer than a thousand.
        assert!(descriptors() < 500);
    });
}

#[test]
fn the_watches_of_inotify_itself_do_not_grow() {
    run(options(BackendKind::Inotify), async |stage| {
        for _ in 0..100 {
            stage.mkdirs("a/b/c");
            stage.subscribe(1, "a/b/c/f", Path);
            stage.subscribe(2, "a", Tree);
            stage.remove("a");
            stage.changed().await;
            stage.hub.unsubscribe(1);
            stage.mkdirs("a/x/y");
            stage.changed().await;
            stage.hub.unsubscribe(2);
            stage.remove("a");
        }
        stage.subscribe(1, "a/b/c/f", Path);
        stage.mkdirs("a/b/c");
        stage.changed().await;
        let held: usize = fs::read_dir("/proc/self/fdinfo")
            .expect("the descriptors")
            .flatten()
            .filter_map(|entry| fs::read_to_string(entry.path()).ok())
            .map(|info| info.lines().filter(|line| line.starts_with("inotify wd:")).count())
            .filter(|&count| count == stage.hub.stats().watches)
            .count();
        assert!(held >= 1, "no inotify instance of this process holds {} watches", stage.hub.stats().watches);
    });
}

#[test]
fn ten_thousand_files_of_a_directory_take_one_watch() {
    run(options(BackendKind::Inotify), async |stage| {
        stage.mkdirs("d");
        let depth = stage.path("d").components().count();
        for number in 0..10_000 {
            stage.subscribe(number, format!("d/{number}"), Path);
        }
        assert!(stage.hub.stats().watches <= depth, "{:?}", stage.hub.stats());
        stage.write("d/7777", "");
        stage.write("d/another", "");
        stage.expect([7777]).await;
    });
}

#[test]
fn nothing_is_done_while_nothing_changes() {
    run(options(BackendKind::Inotify), async |stage| {
        stage.mkdirs("d");
        stage.subscribe(1, "d/f", Path);
        stage.subscribe(2, "d", Tree);
        stage.changed().await;
        // Time is paused: if there were a timer, it would fire at once, and this wait would end early.
        tokio::time::pause();
        let quiet = tokio::time::timeout(std::time::Duration::from_secs(86_400), stage.hub.next()).await;
        assert!(quiet.is_err(), "{quiet:?}");
    });
}

/// Takes from this thread the right to look where it is not allowed to, even as root.
fn without_privileges() {
    let mut sets = capabilities(None).expect("the capabilities of the thread");
    let privileges = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    sets.effective.remove(privileges);
    sets.permitted.remove(privileges);
    set_capabilities(None, sets).expect("fewer capabilities");
}

fn chmod(stage: &Stage, name: &str, mode: u32) {
    fs::set_permissions(stage.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn what_may_not_be_looked_at_fails_by_name_and_is_told_when_it_may() {
    std::thread::spawn(|| {
        without_privileges();
        each(async |stage| {
            stage.mkdirs("closed/in");
            stage.write("closed/in/f", "");
            chmod(stage, "closed", 0o000);
            stage.subscribe(1, "closed/in/f", Path);
            stage.subscribe(2, "closed/in", Tree);
            stage.changed().await;
            let failed: Vec<_> = stage.said.iter().filter(|said| said.starts_with("Failed")).collect();
            assert_eq!(failed.len(), 2, "{:?}", stage.said);
            assert!(failed.iter().all(|said| said.contains("w/closed/in") && said.contains("PermissionDenied")));
            stage.said.clear();
            chmod(stage, "closed", 0o700);
            stage.expect_some([1, 2]).await;
            stage.calm().await;
            stage.write("closed/in/f", "more");
            stage.expect_some([1, 2]).await;
            chmod(stage, "closed", 0o000);
            stage.expect_some([1, 2]).await;
            // The first failure may be reported before all nodes have been looked at.
            while stage.said.iter().filter(|said| said.starts_with("Failed")).count() < 2 {
                stage.batch().await;
            }
            chmod(stage, "closed", 0o700);
        });
    })
    .join()
    .expect("a test that passes");
}

#[test]
fn a_directory_that_may_be_entered_but_not_read_is_polled() {
    std::thread::spawn(|| {
        without_privileges();
        each(async |stage| {
            stage.mkdirs("dark");
            chmod(stage, "dark", 0o300);
            stage.subscribe(1, "dark/f", Path);
            stage.calm().await;
            stage.write("dark/f", "1");
            stage.until(1).await;
            let polled = stage.backend != BackendKind::Poll;
            assert_eq!(stage.said.iter().any(|said| said.contains("Unreadable")), polled, "{:?}", stage.said);
            chmod(stage, "dark", 0o700);
            stage.expect_some([1]).await;
            stage.calm().await;
            stage.write("dark/f", "12");
            stage.expect_some([1]).await;
        });
    })
    .join()
    .expect("a test that passes");
}

#[test]
fn odd_names_are_watched_and_impossible_ones_refused() {
    each(async |stage| {
        let odd = ["new\nline", "-rf", " ", "…", "..."].map(|name| name.as_bytes().to_vec());
        let odd: Vec<_> = odd.into_iter().chain([vec![0xff, 0xfe], vec![b'n'; 255]]).collect();
        for (key, name) in odd.iter().enumerate() {
            stage.subscribe(key as u64, OsStr::from_bytes(name), Path);
        }
        // Longer than a name can be: such a path never exists, which is no error.
        stage.subscribe(100, "n".repeat(256), Path);
        for name in &odd {
            stage.write(OsStr::from_bytes(name), "");
        }
        let mut changed = stage.changed().await;
        // Polling can't tell whether a missing file was there in between.
        let also = changed.remove(&100);
        assert!(stage.backend == BackendKind::Poll || !also);
        assert_eq!(changed, (0..odd.len() as u64).collect());
        let nul = stage.hub.subscribe(200, StdPath::new(OsStr::from_bytes(b"/a\0b")), Path);
        assert!(matches!(nul, Err(Error::Nul { .. })), "{nul:?}");
        let long = stage.path("n/".repeat(2049));
        let long = stage.hub.subscribe(200, &long, Path).expect_err("a path that is too long");
        assert!(matches!(long, Error::TooLong { max: 4095, .. }) && long.to_string().len() < 200, "{long}");
        assert_eq!(stage.hub.stats().keys, odd.len() + 1);
    });
}

#[test]
fn spellings_of_one_path_are_one_place() {
    each(async |stage| {
        stage.mkdirs("d");
        stage.subscribe(1, "./d//f/", Path);
        stage.subscribe(2, "d/../d/f", Path);
        stage.calm().await;
        stage.write("d/f", "");
        stage.expect([1, 2]).await;
    });
}

#[test]
fn a_relative_path_is_one_of_the_current_directory() {
    each(async |stage| {
        stage.hub.subscribe(1, StdPath::new("no such file here"), Path).expect("a subscription");
        stage.expect([]).await;
    });
}

#[test]
fn a_hub_works_in_a_runtime_with_threads_and_in_select() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut hub = Hub::new(Options::default());
    hub.subscribe(1, &dir.path().join("f"), Path).expect("a subscription");
    let path = dir.path().join("f");
    let told = runtime.block_on(async {
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(std::time::Duration::from_millis(1));
            loop {
                tokio::select! {
                    biased;
                    _ = ticks.tick() => {}
                    events = hub.next() => return events,
                }
            }
        });
        fs::write(path, "").expect("a written file");
        tokio::time::timeout(super::harness::FOREVER, task).await.expect("in time").expect("no panic")
    });
    assert!(matches!(told[..], [Event::Changed(1, _)]), "{told:?}");
}

#[test]
fn a_file_that_is_made_and_removed_between_two_rounds_of_polling_is_reported() {
    run(options(BackendKind::Poll), async |stage| {
        stage.mkdirs("d");
        stage.subscribe(1, "d/f", Path);
        stage.subscribe(2, "d/e/f", Path);
        stage.subscribe(3, "d/t", Tree);
        stage.calm().await;
        for _ in 0..5 {
            // Its subscriber may have looked in between.
            stage.write("d/f", "");
            stage.remove("d/f");
            stage.expect_some([1, 2, 3]).await;
            stage.calm().await;
        }
    });
}
