//! What it costs to look at packages that are as declared.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::graph::GraphConfig;
use mgmt::prelude::*;
use mgmt::runtime::control::{Client, SOCKET};

use crate::asked::poke;
use crate::kit::{median, row, scratch};

const COUNT: usize = 200;
const RUNS: usize = 5;

/// The first packages that this host has installed.
fn names() -> Vec<String> {
    let text = fs::read_to_string("/var/lib/dpkg/status").expect("this host has dpkg");
    let field = |paragraph: &str, name: &str| {
        paragraph.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let installed = text.split("\n\n").filter(|paragraph| paragraph.contains("\nStatus: install ok installed\n"));
    let mut names: Vec<_> = installed.filter_map(|paragraph| field(paragraph, "Package:")).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(COUNT);
    assert_eq!(names.len(), COUNT, "this host has too few packages");
    names
}

/// Nothing is changed, also if there is a newer version.
fn graph(newest: bool, backend: PkgBackend) -> GraphConfig {
    let mut g = Graph::new("packages");
    for name in names() {
        let pkg = Pkg::new(name).allownonfree(true).allowunsupported(true).backend(backend).noop(true);
        g.add(if newest { pkg.newest() } else { pkg });
    }
    g.finish().expect("the graph is right")
}

pub(crate) async fn checked() {
    for (newest, backend, name) in [
        (false, PkgBackend::Apt, "installed, apt"),
        (true, PkgBackend::Apt, "newest, apt"),
        (false, PkgBackend::Packagekit, "installed, PackageKit"),
        (true, PkgBackend::Packagekit, "newest, PackageKit"),
    ] {
        let name = format!("packages {COUNT} {name}");
        if backend == PkgBackend::Packagekit && !Path::new("/run/dbus/system_bus_socket").exists() {
            row(&name, "-", "no system bus here");
            continue;
        }
        let (first, again) = times(newest, backend).await;
        row(&name, &format!("{first:.1?}"), &format!("from the graph to converged; a check of all again {again:.1?}"));
    }
}

/// The medians of the first look, and of another one.
async fn times(newest: bool, backend: PkgBackend) -> (Duration, Duration) {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (_dir, dir) = scratch();
        let (prefix, config) = (dir.join("prefix"), graph(newest, backend));
        let begun = Instant::now();
        let engine = Engine::builder().graph(config).prefix(&prefix).control(true).start().await;
        let engine = engine.expect("it starts");
        engine.converged().await.expect("it converges");
        first.push(begun.elapsed());
        while !prefix.join(SOCKET).exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut client = Client::connect(&prefix).await.expect("it listens");
        for _ in 0..RUNS {
            let begun = Instant::now();
            poke(&mut client, 1).await;
            engine.converged().await.expect("it converges");
            again.push(begun.elapsed());
        }
        engine.stop().await.expect("it stops");
    }
    (median(first).0, median(again).0)
}
