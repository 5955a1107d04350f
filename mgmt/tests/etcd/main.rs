//! Hosts that export and collect through a real etcd. Needs the program `etcd`: from PATH, or at `MGMT_ETCD`.

#[cfg(all(feature = "cli", feature = "yaml"))]
#[path = "../../src/sys/spaces/again.rs"]
mod again;
mod authority;
#[cfg(all(feature = "cli", feature = "yaml"))]
mod cluster;
mod cluster_of_hosts;
mod costs;
mod crowd;
#[cfg(all(feature = "cli", feature = "yaml"))]
mod deploys;
#[cfg(all(feature = "cli", feature = "yaml"))]
mod faults;
#[cfg(all(feature = "cli", feature = "yaml"))]
mod five_commands;
mod joining;
mod large;
mod linear;
mod managed;
#[cfg(all(feature = "cli", feature = "yaml"))]
mod program;
mod rights;
#[cfg(all(feature = "cli", feature = "yaml"))]
mod running;
mod schedules;
mod server;
#[cfg(all(feature = "cli", feature = "yaml"))]
mod serving;
mod sockets;
mod tls;
mod values;

use std::path::Path;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;

use server::Server;

/// Each host exports its address, and collects all of them and what is for it alone, below its directory.
fn declared(host: &str, address: &str, dir: &Path) -> GraphConfig {
    let mut g = Graph::new(host);
    g.export(File::new(format!("/hosts/{host}")).content(address));
    for other in ["web1", "web2", "web3"] {
        g.export(File::new(format!("/keys/{host}-{other}")).content(address)).to([other]);
    }
    let into = format!("{}/", dir.display());
    g.collect::<File>().map(move |file| file.dirname(into.as_str()));
    g.finish().unwrap()
}

/// All files of a directory, by name.
fn files(dir: &Path) -> Vec<(String, String)> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut files: Vec<_> = files.map(|path| (name(&path), text(&path))).collect();
    files.sort();
    files
}

/// What a host must have if the hosts have these addresses.
fn expected(host: &str, addresses: &[&str; 3]) -> Vec<(String, String)> {
    let of = |n: usize| [format!("web{}", n + 1), format!("web{}-{host}", n + 1)];
    let mut all: Vec<_> = (0..3).flat_map(|n| of(n).map(|name| (name, addresses[n].to_owned()))).collect();
    all.sort();
    all
}

async fn until_all_have(dirs: &[tempfile::TempDir], addresses: &[&str; 3], limit: Duration) {
    let began = Instant::now();
    for (n, dir) in dirs.iter().enumerate() {
        let expected = expected(&format!("web{}", n + 1), addresses);
        while files(dir.path()) != expected {
            assert!(began.elapsed() < limit, "web{}: {:?} instead of {expected:?}", n + 1, files(dir.path()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn hosts_keep_what_they_export_to_one_another_also_over_the_death_of_etcd() {
    let mut server = Server::start();
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut engines = Vec::new();
    for (n, dir) in dirs.iter().enumerate() {
        let host = format!("web{}", n + 1);
        let graph = declared(&host, &format!("10.0.0.{n}"), dir.path());
        engines.push(Engine::builder().world(server.world()).hostname(host).graph(graph).start().await.unwrap());
    }
    until_all_have(&dirs, &["10.0.0.0", "10.0.0.1", "10.0.0.2"], Duration::from_secs(20)).await;
    // One changes.
    engines[0].swap(declared("web1", "10.0.1.0", dirs[0].path())).await.unwrap();
    until_all_have(&dirs, &["10.0.1.0", "10.0.0.1", "10.0.0.2"], Duration::from_secs(5)).await;
    // Without etcd all is kept, and each host follows its own graph.
    server.kill();
    std::fs::remove_file(dirs[2].path().join("web1")).unwrap();
    until_all_have(&dirs, &["10.0.1.0", "10.0.0.1", "10.0.0.2"], Duration::from_secs(5)).await;
    engines[1].swap(declared("web2", "10.0.1.1", dirs[1].path())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(std::fs::read_to_string(dirs[1].path().join("web2")).unwrap(), "10.0.1.1");
    assert_eq!(std::fs::read_to_string(dirs[2].path().join("web2")).unwrap(), "10.0.0.1");
    // With etcd again, all catch up.
    server.again();
    until_all_have(&dirs, &["10.0.1.0", "10.0.1.1", "10.0.0.2"], Duration::from_secs(40)).await;
    engines[2].swap(declared("web3", "10.0.1.2", dirs[2].path())).await.unwrap();
    until_all_have(&dirs, &["10.0.1.0", "10.0.1.1", "10.0.1.2"], Duration::from_secs(10)).await;
    for engine in engines {
        engine.stop().await.unwrap();
    }
}
