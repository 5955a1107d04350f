//! Many engines in one process.

use std::fs;
use std::process::Command;

use mgmt::prelude::*;
use mgmt::{Doors, Engine};

use crate::kit::within;

const ENGINES: usize = 1000;
/// The most threads for what may block.
const BLOCKING: usize = 4;

/// What this process takes: threads, open files, bytes of memory.
#[derive(Debug)]
struct Taken {
    threads: usize,
    files: usize,
    memory: usize,
}

fn taken() -> Taken {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| -> usize {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let files = fs::read_dir("/proc/self/fd").unwrap().count();
    Taken { threads: field("Threads:"), files, memory: field("VmRSS:") << 10 }
}

fn graph(n: usize) -> GraphConfig {
    let mut g = Graph::new(format!("small-{n}"));
    let value = g.add(Value::new("value").value(format!("{n}")));
    let noop = g.add(Noop::new("first").after(&value));
    g.add(Timer::new("timer", Duration::from_secs(3600)).after(&noop));
    g.finish().unwrap()
}

/// Runs a helper below in a process of its own: what others take is not to be measured.
pub fn alone(helper: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", helper, "--ignored", "--nocapture"])
        .env("MGMT_ALONE", helper)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

/// Whether this is the process in which the helper has work to do.
pub fn is_alone(helper: &str) -> bool {
    std::env::var_os("MGMT_ALONE").is_some_and(|wanted| wanted == helper)
}

#[test]
#[ignore = "a part of another test, in a process of its own"]
fn thousand() {
    if !is_alone("engine::many::thousand") {
        return;
    }
    // What may block runs on threads that all engines share: these are enough for all of them.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(BLOCKING).enable_all().build().unwrap();
    runtime.block_on(async {
        let first = Engine::builder().graph(graph(0)).start().await.unwrap();
        within(first.converged()).await.unwrap();
        let before = taken();
        let mut engines = vec![first];
        for n in 1..=ENGINES {
            engines.push(Engine::builder().graph(graph(n)).start().await.unwrap());
        }
        for engine in &engines {
            within(engine.converged()).await.unwrap();
        }
        let after = taken();
        println!("{before:?} {after:?}");
        assert!(after.threads <= before.threads + BLOCKING, "{before:?} {after:?}");
        assert!(after.files <= before.files + 4, "{before:?} {after:?}");
        let each = after.memory.saturating_sub(before.memory) / ENGINES;
        assert!(each <= 1 << 20, "an engine takes {each} bytes");
        for engine in &engines {
            engine.shut_down();
        }
        for engine in engines {
            within(engine.ended()).await.unwrap();
        }
        let ended = taken();
        assert!(ended.threads <= before.threads + BLOCKING && ended.files <= before.files + 4, "{before:?} {ended:?}");
    });
}

#[test]
fn a_thousand_engines_without_a_prefix_take_no_thread_no_file_and_a_megabyte_each_at_most() {
    alone("engine::many::thousand");
}

const SHARING: usize = 300;

#[test]
#[ignore = "a part of another test, in a process of its own"]
fn sharing() {
    if !is_alone("engine::many::sharing") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |n: usize| dir.path().join(format!("{n}"));
    runtime.block_on(async {
        let doors = Doors::new();
        let mut engines = Vec::new();
        for n in 0..SHARING {
            let mut g = Graph::new(format!("watching-{n}"));
            g.add(File::new(path(n).display().to_string()).content(format!("{n}\n")));
            let builder = Engine::builder().doors(doors.clone()).graph(g.finish().unwrap());
            engines.push(builder.start().await.unwrap());
        }
        for engine in &engines {
            within(engine.converged()).await.unwrap();
        }
        let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        assert_eq!(links.filter(|link| link.ends_with("anon_inode:inotify")).count(), 1);
        let is_back = async |n: usize| {
            while fs::read_to_string(path(n)).ok() != Some(format!("{n}\n")) {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        // Half of them end; the others go on.
        let rest = engines.split_off(SHARING / 2);
        for engine in engines {
            within(engine.stop()).await.unwrap();
        }
        (0..SHARING).for_each(|n| fs::remove_file(path(n)).unwrap());
        for n in SHARING / 2..SHARING {
            within(is_back(n)).await;
        }
        assert!((0..SHARING / 2).all(|n| !path(n).exists()), "an engine that has ended repairs nothing");
        for engine in rest {
            within(engine.stop()).await.unwrap();
        }
        doors.close().await;
    });
}

#[test]
fn three_hundred_engines_watch_files_by_one_inotify_instance() {
    alone("engine::many::sharing");
}
