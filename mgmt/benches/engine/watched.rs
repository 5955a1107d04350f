//! Files that are watched: what they cost while nothing happens, and how soon one is repaired.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::runtime::EventKind;

use crate::kit::{file_name, files_graph, median, row, scratch};

fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("there is /proc");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("it has fields").split_whitespace().collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

/// What one durable write of such a file costs on this disk.
fn fsync_cost(dir: &Path) -> Duration {
    let mut times = Vec::new();
    for n in 0..101 {
        let begun = Instant::now();
        let file = fs::File::create(dir.join("probe.new")).expect("there is room");
        (&file).write_all(format!("{n}").as_bytes()).expect("there is room");
        file.sync_all().expect("it syncs");
        fs::rename(dir.join("probe.new"), dir.join("probe")).expect("it renames");
        fs::File::open(dir).expect("it opens").sync_all().expect("it syncs");
        times.push(begun.elapsed());
    }
    median(times).0
}

/// 10 000 watched files: idle, then one after the other broken and repaired.
pub(crate) async fn watched() {
    const COUNT: usize = 10_000;
    let (_keep, dir) = scratch();
    let builder = Engine::builder().graph(files_graph(&dir.join("tree"), COUNT)).prefix(dir.join("prefix"));
    let mut events = builder.events();
    let begun = Instant::now();
    let engine = builder.start().await.expect("it starts");
    engine.converged().await.expect("it converges");
    let first = begun.elapsed();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = cpu_ticks();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = cpu_ticks() - before;
    row(
        "watched 10000: CPU in 5 s idle",
        &format!("{} ms", idle * 10),
        &format!("created and converged in {first:.1?}"),
    );
    let fsync = fsync_cost(&dir);
    while events.try_next().is_some() {}
    let mut times = Vec::new();
    for n in 0..200 {
        let begun = Instant::now();
        fs::write(dir.join("tree").join(file_name(n * 37)), "broken").expect("there is room");
        while let Some(event) = events.next().await {
            if let EventKind::Applied { .. } = event.kind {
                break;
            }
        }
        times.push(begun.elapsed());
    }
    engine.stop().await.expect("it stops");
    let (p50, p99) = median(times);
    let more = format!("p99 {p99:.1?}; one durable write alone costs {fsync:.1?}");
    row("watched 10000: drift to repaired, p50", &format!("{p50:.1?}"), &more);
}
