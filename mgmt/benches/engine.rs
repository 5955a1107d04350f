//! What the engine costs, row by row: `cargo bench -p mgmt --bench engine`, or with the beginning of a row's name to run it alone.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::graph::{Graph, GraphConfig};
use mgmt::prelude::*;
use mgmt::runtime::EventKind;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["child", "noops", shape, count] => {
            return runtime().block_on(noops_once(shape, count.parse().expect("a number")));
        }
        ["child", what, dir] => return runtime().block_on(as_child(what, Path::new(dir))),
        _ => {}
    }
    let wanted =
        |row: &str| arguments.is_empty() || arguments.iter().any(|argument| row.starts_with(argument.as_str()));
    println!("{:<44} {:>12}  more", "row", "figure");
    for shape in ["chain", "layers", "independent"] {
        for count in [1_000, 10_000, 100_000, 1_000_000] {
            if wanted(&format!("noops {shape} {count}")) {
                noops(shape, count);
            }
        }
    }
    if wanted("swap") {
        runtime().block_on(swap());
    }
    if wanted("files") {
        files();
    }
    if wanted("watched") {
        runtime().block_on(watched());
    }
    if wanted("start") {
        start();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads are to be had")
}

fn row(name: &str, figure: &str, more: &str) {
    println!("{name:<44} {figure:>12}  {more}");
}

fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// A graph of noops: a chain; layers of up to a thousand with two parents each; or without edges.
fn shaped(shape: &str, count: usize) -> GraphConfig {
    let mut g = Graph::new("noops");
    let width = 1000.min(count / 10);
    let mut handles: Vec<NoopHandle> = Vec::with_capacity(count);
    for n in 0..count {
        let noop = Noop::new(format!("noop{n}"));
        let noop = match shape {
            "chain" if n > 0 => noop.after(&handles[n - 1]),
            "layers" if n >= width => {
                noop.after([&handles[n - width], &handles[n - width - n % width + (n + 1) % width]])
            }
            _ => noop,
        };
        handles.push(g.add(noop));
    }
    g.finish().expect("the graph is right")
}

/// From a graph in hand to converged, in processes of their own: there the growth of its memory is the engine's alone.
fn noops(shape: &str, count: usize) {
    let (mut times, mut memory) = (Vec::new(), 0);
    for _ in 0..if count >= 1_000_000 { 5 } else { 11 } {
        let output = child("noops", Path::new(shape)).arg(count.to_string()).output().expect("it runs");
        let output = String::from_utf8(output.stdout).expect("it prints text");
        let mut figures = output.split_whitespace().map(|figure| figure.parse::<u64>().expect("it prints numbers"));
        times.push(Duration::from_nanos(figures.next().expect("how long it took")));
        memory = figures.next().expect("how much it needs").max(memory);
    }
    let (p50, _) = median(times);
    let more = format!("{} ns and {} bytes a node", p50.as_nanos() as usize / count, memory as usize / count);
    row(&format!("noops {shape} {count}"), &format!("{p50:.1?}"), &more);
}

/// One engine of `count` noops: prints the nanoseconds to converged, and by how many bytes it made the process grow at its largest.
async fn noops_once(shape: &str, count: usize) {
    let config = shaped(shape, count);
    let before = status_kib("VmRSS") << 10;
    let begun = Instant::now();
    let engine = Engine::builder().graph(config).start().await.expect("it starts");
    engine.converged().await.expect("it converges");
    let took = begun.elapsed();
    println!("{} {}", took.as_nanos(), (status_kib("VmHWM") << 10) - before);
    engine.stop().await.expect("it stops");
}

/// A figure of this process, in KiB.
fn status_kib(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("there is /proc");
    let line = status.lines().find(|line| line.starts_with(name)).expect("it has that figure");
    line.split_whitespace().nth(1).and_then(|figure| figure.parse().ok()).expect("in KiB")
}

/// One of 100 000 changes: from a graph in hand to in force and converged.
async fn swap() {
    const COUNT: usize = 100_000;
    let graph = |changed: usize| {
        let mut g = Graph::new("swap");
        let mut last = None;
        for n in 0..COUNT {
            let noop = Noop::new(format!("noop{n}")).comment(if n == changed { "changed" } else { "same" });
            last = Some(g.add(match &last {
                Some(last) => noop.after(last),
                None => noop,
            }));
        }
        g.finish().expect("the graph is right")
    };
    let engine = Engine::builder().graph(graph(COUNT)).start().await.expect("it starts");
    engine.converged().await.expect("it converges");
    let mut times = Vec::new();
    for n in 0..15 {
        let next = graph(n * 1000);
        let begun = Instant::now();
        engine.swap(next).await.expect("it takes it");
        engine.converged().await.expect("it converges");
        times.push(begun.elapsed());
    }
    engine.stop().await.expect("it stops");
    let (p50, _) = median(times);
    row("swap 1 of 100000", &format!("{p50:.1?}"), "median of 15, the two that differ at once included");
}

fn files_graph(dir: &Path, count: usize) -> GraphConfig {
    let mut g = Graph::new("files");
    let parent = g.add(File::new(format!("{}/", dir.display())));
    for n in 0..count {
        g.add(
            File::new(format!("{}/file{n}", dir.display()))
                .content(format!("content of {n}\n"))
                .mode(0o644)
                .after(&parent),
        );
    }
    g.finish().expect("the graph is right")
}

/// What runs in a process of its own.
async fn as_child(what: &str, dir: &Path) {
    let count = if what == "files" { 500 } else { 1 };
    let builder = Engine::builder().graph(files_graph(&dir.join("tree"), count)).prefix(dir.join("prefix"));
    let mut events = builder.events();
    let engine = builder.start().await.expect("it starts");
    if what == "start" {
        while let Some(event) = events.next().await {
            if let EventKind::InSync { .. } | EventKind::Drifted { .. } = event.kind {
                println!("checked");
                break;
            }
        }
    }
    engine.converged().await.expect("it converges");
    engine.stop().await.expect("it stops");
    // Whoever wanted to know when it began may be gone.
    let _ = writeln!(std::io::stdout(), "{}", status_kib("VmHWM"));
}

fn child(what: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("we have a name"));
    command.args(["child", what]).arg(dir).stdout(Stdio::piped());
    command
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("there is room");
    let path = dir.path().to_owned();
    (dir, path)
}

/// A whole process that finds 500 files in sync.
fn files() {
    let (_keep, dir) = scratch();
    assert!(child("files", &dir).output().expect("it runs").status.success());
    let (mut times, mut peak) = (Vec::new(), 0);
    for _ in 0..21 {
        let begun = Instant::now();
        let output = child("files", &dir).output().expect("it runs");
        times.push(begun.elapsed());
        peak = String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().expect("a number").max(peak);
    }
    let (p50, _) = median(times);
    row("files 500 re-checked, whole process", &format!("{p50:.1?}"), &format!("peak {} MB", peak / 1024));
}

/// From the start of a process to the end of its first check.
fn start() {
    let (_keep, dir) = scratch();
    let mut times = Vec::new();
    for _ in 0..21 {
        let begun = Instant::now();
        let mut process = child("start", &dir).spawn().expect("it runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut line).expect("it speaks");
        times.push(begun.elapsed());
        process.wait().expect("it ends");
    }
    let (p50, _) = median(times);
    row("start to first check", &format!("{p50:.1?}"), "median of 21");
}

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
async fn watched() {
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
        fs::write(dir.join(format!("tree/file{}", n * 37)), "broken").expect("there is room");
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
