//! Three hosts that know one another: each exports its address, and all collect them into a file of hosts.
//!
//! `cargo run --example cluster`. The three engines run in this program, on one world in its memory. On three machines,
//! each would run the same graph with a world that they share.
//!
//! `cargo run --example cluster --features etcd` shares an etcd instead, with certificates, as three machines would.
//! Its server runs on the first host (Debian, Ubuntu: the package `etcd-server`), which lets the others in. With the
//! argument `embedded`, it is the world in memory.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::resource::World;
use mgmt::world::Embedded;
#[cfg(feature = "etcd")]
use mgmt::world::{Authority, Invitation, Managed, ManagedEtcd};

/// The graph of a host. It is the same on every one, except for what the host has of its own.
fn declare(g: &mut Graph, root: &Path, address: &str) {
    let host = g.hostname().to_owned();
    let (dir, hosts) = (format!("{}/hosts.d/", root.display()), format!("{}/hosts", root.display()));
    g.export(File::new(format!("/etc/hosts.d/{host}")).content(format!("{address} {host}\n")));
    // Where each host keeps them is its own choice: here, below its root.
    let (parent, into) = (g.add(File::new(dir.as_str())), dir.clone());
    let addresses = g.collect::<File>().named("/etc/hosts.d/*").map(move |file| file.dirname(into.as_str()));
    g.before(&parent, &addresses);
    g.add(File::new(hosts).fragments([dir]).after(&addresses));
}

/// What the hosts share.
enum Shared {
    Embedded(Embedded),
    /// The part of each host in an etcd that they run themselves, and what lets further hosts in.
    #[cfg(feature = "etcd")]
    Etcd(Vec<ManagedEtcd>, Option<Box<Authority>>),
}

impl Shared {
    fn begin() -> Shared {
        #[cfg(feature = "etcd")]
        if std::env::args().nth(1).is_none_or(|world| world != "embedded") {
            return Shared::Etcd(Vec::new(), None);
        }
        Shared::Embedded(Embedded::new())
    }

    /// The world of a host, which keeps its keys and certificates below this directory.
    #[cfg_attr(not(feature = "etcd"), expect(unused_variables, reason = "a world in memory has no keys"))]
    async fn join(&mut self, prefix: &Path, host: &str) -> Result<Arc<dyn World>, Box<dyn Error>> {
        match self {
            Shared::Embedded(world) => Ok(Arc::new(world.clone())),
            #[cfg(feature = "etcd")]
            Shared::Etcd(hosts, authority) => {
                let part = Managed::new(prefix.join("etcd"), host).trust(prefix);
                let part = match authority {
                    Some(authority) => part.join(Invitation::default().token(authority)?),
                    None => {
                        *authority = Some(Box::new(Authority::builder().create(prefix)?));
                        part.server_urls(["https://127.0.0.1:0"])
                    }
                };
                hosts.push(part.start().await?);
                Ok(Arc::new(hosts[hosts.len() - 1].world()))
            }
        }
    }

    #[cfg(feature = "etcd")]
    async fn end(self) {
        let Shared::Etcd(hosts, _) = self else { return };
        for part in hosts {
            part.stop().await;
        }
    }
}

/// Waits until a file of hosts has this text, at most thirty seconds.
async fn wait_for(hosts: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    for _ in 0..3000 {
        if std::fs::read_to_string(hosts).is_ok_and(|now| now == text) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("{} is still {:?}", hosts.display(), std::fs::read_to_string(hosts)).into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let (dir, mut shared) = (temporary.path(), Shared::begin());
    let addresses = [("web1", "10.0.0.1"), ("web2", "10.0.0.2"), ("db", "10.0.0.3")];
    let mut engines = Vec::new();
    for (host, address) in addresses {
        let root = dir.join(host);
        std::fs::create_dir(&root)?;
        let world = shared.join(&root.join("state"), host).await?;
        let graph = mgmt::native(move |g, _| {
            declare(g, &root, address);
            Ok(())
        });
        engines.push(Engine::builder().world(world).hostname(host).gapi(graph).start().await?);
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
    #[cfg(feature = "etcd")]
    shared.end().await;
    Ok(())
}
