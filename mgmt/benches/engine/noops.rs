//! Graphs of noops: what a node costs, and what a swap costs that changes one of many.

use std::path::Path;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::graph::{Graph, GraphConfig};
use mgmt::prelude::*;

use crate::kit::{child, median, row, status_kib};

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
pub(crate) fn noops(shape: &str, count: usize) {
    let (mut times, mut memory) = (Vec::new(), 0);
    let times_max = match count {
        10_000_000.. => 3,
        1_000_000.. => 5,
        _ => 11,
    };
    for _ in 0..times_max {
        // Without this glibc keeps large blocks that are freed, the test program's own too, if ones of their size were
        // freed before: the figure would depend on that.
        let mut child = child("noops", Path::new(shape));
        child.arg(count.to_string()).env("MALLOC_MMAP_THRESHOLD_", "131072");
        let output = child.output().expect("it runs");
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
pub(crate) async fn noops_once(shape: &str, count: usize) {
    let config = shaped(shape, count);
    let before = status_kib("VmRSS") << 10;
    let begun = Instant::now();
    let engine = Engine::builder().graph(config).start().await.expect("it starts");
    engine.converged().await.expect("it converges");
    let took = begun.elapsed();
    println!("{} {}", took.as_nanos(), (status_kib("VmHWM") << 10) - before);
    engine.stop().await.expect("it stops");
}

/// One of 100 000 changes: from a graph in hand to in force and converged.
pub(crate) async fn swap() {
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
