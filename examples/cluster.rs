//! Three hosts that know one another: each exports its address, and all collect them into a file of hosts.
//!
//! `cargo run --example cluster`. The three engines run in this program, on one world in its memory; on three machines,
//! each would run the same graph with a world that they share. It ends when all files are as they should be.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::world::Embedded;

/// The graph of a host. It is the same on every one, except for what the host has of its own.
fn declare(g: &mut Graph, root: &Path, address: &str) {
    let host = g.hostname().to_owned();
    let (dir, hosts) = (root.join("hosts.d"), root.join("hosts"));
    g.export(File::new(format!("/etc/hosts.d/{host}")).content(format!("{address} {host}\n")));
    // Where each host keeps them is its own choice: here, below its root.
    let parent = g.add(File::new(format!("{}/", dir.display())));
    let into = format!("{}/", dir.display());
    let addresses = g.collect::<File>().named("/etc/hosts.d/*").map(move |file| file.dirname(into.as_str()));
    g.before(&parent, &addresses);
    g.add(File::new(hosts.display().to_string()).fragments([format!("{}/", dir.display())]).after(&addresses));
}

async fn start(world: &Embedded, root: PathBuf, host: &str, address: &'static str) -> Result<Engine, mgmt::Error> {
    std::fs::create_dir_all(&root)?;
    let engine = Engine::builder().world(world.clone()).hostname(host).gapi(mgmt::native(move |g, _| {
        declare(g, &root, address);
        Ok(())
    }));
    Ok(engine.start().await?)
}

/// Waits until a file of hosts has this text, at most ten seconds.
async fn wait_for(hosts: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    for _ in 0..1000 {
        if std::fs::read_to_string(hosts).is_ok_and(|now| now == text) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let now = std::fs::read_to_string(hosts).unwrap_or_default();
    Err(format!("{} is still {now:?}", hosts.display()).into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("mgmt-cluster-{}", std::process::id()));
    let world = Embedded::new();
    let addresses = [("web1", "10.0.0.1"), ("web2", "10.0.0.2"), ("db", "10.0.0.3")];
    let mut engines = Vec::new();
    for (host, address) in addresses {
        engines.push(start(&world, dir.join(host), host, address).await?);
    }
    // The directory is read in the order of names.
    for (host, _) in addresses {
        wait_for(&dir.join(host).join("hosts"), "10.0.0.3 db\n10.0.0.1 web1\n10.0.0.2 web2\n").await?;
    }
    println!("{}", std::fs::read_to_string(dir.join("web1/hosts"))?.trim_end());
    println!("the same on all three hosts");
    for engine in engines {
        engine.stop().await?;
    }
    std::fs::remove_dir_all(dir)?;
    Ok(())
}
