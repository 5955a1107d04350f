//! Domains of a real libvirt with QEMU, which each test starts for itself, with all its files, in namespaces of its own.

mod absence;
#[path = "../../src/sys/spaces/again.rs"]
mod again;
mod changes;
mod daemon;
mod laws;
mod yaml;

use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::resources::VirtBuilder;
use mgmt::testing::TempDir;

use daemon::Daemon;

/// A machine of 16 MiB that has neither a disk nor a system, and so hears no request to shut down.
fn tiny(name: &str) -> VirtBuilder {
    Virt::new(name).memory(VirtMemory::mib(16)).cpus(1).shutdown(Duration::ZERO)
}

/// Waits until this holds. Returns how long that took.
fn wait(what: &str, holds: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}\n{}", Daemon::log());
        std::thread::sleep(Duration::from_millis(2));
    }
    begun.elapsed()
}

async fn start(graph: Graph, dir: &TempDir) -> Engine {
    Engine::builder().graph(graph.finish().unwrap()).prefix(dir.path().join("prefix")).start().await.unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it takes no longer than a minute")
}

/// Runs a test on a runtime of its own.
fn on_runtime(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}
