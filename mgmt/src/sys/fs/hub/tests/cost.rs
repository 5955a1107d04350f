//! The cost of watching. Each test prints its figures, which are meaningful only in a release build, run alone: `cargo
//! test --release -p mgmt --lib hub::tests::cost -- --ignored --nocapture --test-threads=1`.

use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use super::harness::{BACKENDS, FOREVER, options, run};
use crate::sys::fs::hub::Watched::{Path, Tree};

const FILES: u64 = 10_000;
/// Set for a process that runs one test alone.
const ALONE: &str = "MGMT_COST_ALONE";

/// The processor time of this thread: the machine may do other things too.
fn computed() -> Duration {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").expect("the times of the thread");
    Duration::from_nanos(schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number"))
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("the size of the process");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

/// In a process of its own: other tests of this one take memory too.
#[test]
#[ignore = "prints figures: for release builds"]
fn ten_thousand_files() {
    if env::var_os(ALONE).is_none() {
        let name = "sys::fs::hub::tests::cost::ten_thousand_files";
        let mut alone = Command::new(env::current_exe().expect("the path of the tests"));
        let output =
            alone.args([name, "--exact", "--ignored", "--nocapture"]).env(ALONE, "1").output().expect("a process");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        // Not the summary of a run of one test: whoever counts tests would take all others to be left out.
        said.lines().filter(|line| line.contains(" B each")).for_each(|line| println!("{line}"));
        return;
    }
    for backend in BACKENDS {
        run(options(backend), async |stage| {
            stage.mkdirs("d");
            (0..FILES).for_each(|number| stage.write(format!("d/{number}"), ""));
            let paths: Vec<_> = (0..FILES).map(|number| stage.path(format!("d/{number}"))).collect();
            stage.calm().await;
            let (before, start) = (resident_bytes(), computed());
            for (key, path) in paths.iter().enumerate() {
                stage.hub.subscribe(key as u64, path, Path).expect("a subscription");
            }
            let subscribed = computed() - start;
            let each = resident_bytes().saturating_sub(before) / FILES as usize;
            let mut latencies = Vec::new();
            for path in &paths[..200] {
                let start = Instant::now();
                fs::write(path, "x").expect("a written file");
                tokio::time::timeout(FOREVER, stage.hub.next()).await.expect("an event");
                latencies.push(start.elapsed());
            }
            latencies.sort();
            let start = computed();
            (0..FILES).for_each(|key| stage.hub.unsubscribe(key));
            println!(
                "{backend:?}: subscribe 10 000 {subscribed:?}, {each} B each, write to event p50 {:?} p99 {:?}, unsubscribe {:?}",
                latencies[100],
                latencies[197],
                computed() - start
            );
            assert!(each < 1000, "{each} bytes for each file");
        });
    }
}

#[test]
#[ignore = "prints figures: for release builds"]
fn a_tree_of_ten_thousand_directories() {
    for backend in BACKENDS {
        run(options(backend), async |stage| {
            for number in 0..100 {
                (0..100).for_each(|below| stage.mkdirs(format!("t/{number}/{below}")));
            }
            let (before, start) = (resident_bytes(), computed());
            stage.subscribe(1, "t", Tree);
            let each = resident_bytes().saturating_sub(before) / FILES as usize;
            println!("{backend:?}: a tree of 10 100 directories {:?}, {each} B each", computed() - start);
            stage.calm().await;
            let start = Instant::now();
            stage.write("t/77/77/f", "");
            stage.until(1).await;
            println!("{backend:?}: write to event {:?}", start.elapsed());
        });
    }
}

/// The longest time that a tree of 20 000 directories holds the loop: nested and side by side.
#[test]
#[ignore = "prints figures: for release builds"]
fn a_tree_of_twenty_thousand_directories() {
    for backend in BACKENDS {
        for (what, name) in [("in 200 directories", 200), ("in one directory", 1)] {
            run(options(backend), async |stage| {
                (0..20_000).for_each(|number| stage.mkdirs(format!("t/{}/{number}", number % name)));
                let path = stage.path("t");
                let mut held = Vec::new();
                let mut hold = |work: &mut dyn FnMut()| {
                    let start = computed();
                    work();
                    held.push(computed() - start);
                };
                hold(&mut || {
                    stage.hub.begin(1, &path, Tree).expect("a subscription");
                });
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                let mut is_ready = false;
                while !is_ready {
                    hold(&mut || {
                        if let std::task::Poll::Ready(events) = stage.hub.poll_next(&mut cx) {
                            is_ready |=
                                events.iter().any(|event| matches!(event, crate::sys::fs::hub::Event::Ready(1)));
                        }
                    });
                }
                hold(&mut || stage.hub.unsubscribe(1));
                while !stage.hub.is_settled() {
                    hold(&mut || drop(stage.hub.poll_next(&mut cx)));
                }
                let whole: Duration = held.iter().sum();
                println!("{backend:?}, {what}: longest {:?}, whole {whole:?}", held.iter().max());
                // Without optimisation everything takes several times as long.
                let longest = Duration::from_millis(if cfg!(debug_assertions) { 200 } else { 20 });
                assert!(held.iter().max() < Some(&longest), "the loop is held");
            });
        }
    }
}
