//! Values that hosts share: written by `kv`, and read by closures.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::resource::{Keys, Transaction, World, Write};
use mgmt::runtime::EventKind;
use mgmt::world::Embedded;

use crate::kit::{a_while, until, within};

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// As another program writes it.
async fn put(world: &Embedded, key: &str, value: Option<&[u8]>) {
    let write = value.map_or(Write::Remove, |value| Write::Put(value.into(), None));
    let writes = [(format!("/mgmt/values/{key}"), write)].into();
    world.member("another").commit(Transaction { conditions: Vec::new(), writes }).await.unwrap();
}

async fn get(world: &Embedded, key: &str) -> Option<String> {
    let key = format!("/mgmt/values/{key}");
    let found = world.member("another").get(vec![Keys::One(key.clone())]).await.unwrap();
    found.entries.get(&key).map(|entry| String::from_utf8_lossy(&entry.value).into_owned())
}

/// A host that writes the shared port and the addresses of all hosts into its file. How often its closure has run.
async fn balancer(world: &Embedded, file: &Path, noop: bool) -> (Engine, Arc<AtomicUsize>) {
    let (runs, file) = (Arc::new(AtomicUsize::new(0)), file.to_owned());
    let counted = Arc::clone(&runs);
    let gapi = mgmt::native(move |g, cx| {
        counted.fetch_add(1, Ordering::Relaxed);
        let port: Option<u16> = cx.read(&cx.world().value("port"));
        let addresses: BTreeMap<String, String> = cx.read(&cx.world().values("address"));
        g.add(File::new(file.to_str().unwrap()).content(format!("{port:?} {addresses:?}")));
        Ok(())
    });
    let builder = Engine::builder().world(world.clone()).hostname("balancer").gapi(gapi).noop(noop);
    (builder.start().await.unwrap(), runs)
}

async fn host(world: &Embedded, name: &str, values: &[mgmt::resources::KvBuilder]) -> Engine {
    let mut g = Graph::new(name);
    for value in values {
        g.add(value.clone());
    }
    Engine::builder().world(world.clone()).hostname(name).graph(g.finish().unwrap()).start().await.unwrap()
}

#[tokio::test]
async fn closures_read_what_hosts_share_and_run_again_only_when_it_has_changed() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let file = dir.path().join("f");
    let address = |address: &str| Kv::new("address").value(address).mapped(true);
    let web1 = host(&world, "web1", &[address("10.0.0.1"), Kv::new("port").value("80")]).await;
    web1.converged().await.unwrap();
    let (balancer, runs) = balancer(&world, &file, false).await;
    balancer.converged().await.unwrap();
    assert_eq!(text(&file), r#"Some(80) {"web1": "10.0.0.1"}"#, "the first graph knows what is there");
    assert_eq!(runs.load(Ordering::Relaxed), 2, "once to learn what it reads, and once with that");
    assert_eq!(
        world.watches_below("/mgmt/values"),
        3,
        "two of the values that web1 keeps, and one for all that is read"
    );
    let web2 = host(&world, "web2", &[address("10.0.0.2")]).await;
    until("it follows", || text(&file) == r#"Some(80) {"web1": "10.0.0.1", "web2": "10.0.0.2"}"#).await;
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    // What it does not read, and what is the same.
    let generation = balancer.status().await.unwrap().generation;
    put(&world, "other", Some(b"1")).await;
    put(&world, "port/web1", Some(b"1")).await;
    put(&world, "address", Some(b"1")).await;
    put(&world, "port", Some(b"80")).await;
    a_while().await;
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    assert_eq!(balancer.status().await.unwrap().generation, generation);
    // Values stay when their host has gone.
    web2.stop().await.unwrap();
    web1.swap(Graph::new("empty").finish().unwrap()).await.unwrap();
    a_while().await;
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    put(&world, "port", None).await;
    until("it is gone", || text(&file).starts_with("None")).await;
    balancer.stop().await.unwrap();
    web1.stop().await.unwrap();
    until("no watches", || world.watches() == 0).await;
}

#[tokio::test]
async fn a_bad_value_counts_as_absent_and_spoils_only_itself() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let file = dir.path().join("f");
    for (key, value) in
        [("port", &b"65536"[..]), ("address/bad", b"\xff"), ("address/good", b"1"), ("address/%ZZ", b"1")]
    {
        put(&world, key, Some(value)).await;
    }
    let (balancer, _) = balancer(&world, &file, false).await;
    until("the good one is there", || text(&file) == r#"None {"good": "1"}"#).await;
    put(&world, "port", Some(b" 81\n")).await;
    until("it is a port", || text(&file) == r#"Some(81) {"good": "1"}"#).await;
    balancer.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_read_is_watched_only_as_long_as_a_graph_reads_it() {
    let world = Embedded::new();
    let (sender, keys) = tokio::sync::watch::channel(vec![]);
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let gapi = mgmt::native(move |g, cx| {
        counted.fetch_add(1, Ordering::Relaxed);
        for key in cx.read(&keys) {
            let key: &str = key;
            let value: Option<String> = cx.read(&cx.world().value(key));
            g.add(Noop::new(format!("{key}={}", value.unwrap_or_default())));
        }
        Ok(())
    });
    let engine = Engine::builder().world(world.clone()).hostname("web1").gapi(gapi).start().await.unwrap();
    a_while().await;
    assert_eq!(world.watches_below("/mgmt/values"), 0);
    let has = async |name: &str| {
        let id = name.parse().unwrap();
        within(async {
            while engine.resource(&id).await.unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    };
    put(&world, "b", Some(b"1")).await;
    sender.send(vec!["a", "b"]).unwrap();
    has("noop[b=1]").await;
    until("one watch for both", || world.watches_below("/mgmt/values") == 1).await;
    sender.send(vec!["a"]).unwrap();
    has("noop[a=]").await;
    a_while().await;
    let before = runs.load(Ordering::Relaxed);
    put(&world, "b", Some(b"2")).await;
    a_while().await;
    assert_eq!(runs.load(Ordering::Relaxed), before, "b is not read any more");
    put(&world, "a", Some(b"3")).await;
    has("noop[a=3]").await;
    sender.send(vec![]).unwrap();
    until("none", || world.watches_below("/mgmt/values") == 0).await;
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_host_that_is_cut_off_keeps_what_it_has_read_and_begins_with_nothing_after_a_restart() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let file = dir.path().join("f");
    put(&world, "port", Some(b"80")).await;
    let (engine, runs) = balancer(&world, &file, false).await;
    until("it is there", || text(&file) == "Some(80) {}").await;
    world.cut("balancer");
    put(&world, "port", Some(b"81")).await;
    world.compact();
    fs::remove_file(&file).unwrap();
    until("it is kept", || text(&file) == "Some(80) {}").await;
    let before = runs.load(Ordering::Relaxed);
    engine.reload().await.unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), before + 1);
    assert_eq!(text(&file), "Some(80) {}");
    world.mend("balancer");
    until("it has caught up", || text(&file) == "Some(81) {}").await;
    engine.stop().await.unwrap();
    // One wait for what is read and what is collected.
    world.cut("balancer");
    let began = Instant::now();
    let target = file.clone();
    let gapi = mgmt::native(move |g, cx| {
        let port: Option<u16> = cx.read(&cx.world().value("port"));
        g.collect::<File>();
        g.add(File::new(target.to_str().unwrap()).content(format!("{port:?}")));
        Ok(())
    });
    let engine = Engine::builder().world(world.clone()).hostname("balancer").gapi(gapi).start().await.unwrap();
    let took = began.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
    until("it begins with nothing", || text(&file) == "None").await;
    let began = Instant::now();
    engine.reload().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "it does not wait again");
    world.mend("balancer");
    until("it follows", || text(&file) == "Some(81)").await;
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_plan_reads_values_and_writes_none() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    put(&world, "port", Some(b"80")).await;
    let before = world.revision();
    let file = dir.path().join("f");
    let declared = move |g: &mut Graph, cx: &mgmt::gapi::Cx| {
        let port: u16 = cx.read(&cx.world().value("port")).unwrap_or_default();
        g.add(File::new(file.to_str().unwrap()).content(format!("{port}")));
        g.add(Kv::new("port").value("81"));
        Ok(())
    };
    let builder = || Engine::builder().world(world.clone()).hostname("web1").gapi(mgmt::native(declared.clone()));
    let plan = builder().plan().await.unwrap().to_string();
    assert!(plan.contains("80") && plan.contains("`80` → `81`"), "{plan}");
    let engine = builder().noop(true).start().await.unwrap();
    engine.converged().await.unwrap();
    engine.stop().await.unwrap();
    assert_eq!(world.revision(), before);
}

#[tokio::test]
async fn a_value_waits_for_a_world_that_is_away_and_uses_up_no_try() {
    let world = Embedded::new();
    world.cut("web1");
    let mut g = Graph::new("web1");
    g.add(Kv::new("port").value("80").retry(0));
    let builder = Engine::builder().world(world.clone()).hostname("web1").graph(g.finish().unwrap());
    let mut events = builder.events();
    let engine = builder.start().await.unwrap();
    let waits = within(async {
        loop {
            if let EventKind::Waiting { error, .. } = events.next().await.unwrap().kind {
                break error;
            }
        }
    })
    .await;
    assert!(waits.contains("the world can't be reached"), "{waits}");
    a_while().await;
    world.mend("web1");
    engine.converged().await.unwrap();
    assert_eq!(get(&world, "port").await.unwrap(), "80");
    // What another program changes is mended.
    put(&world, "port", Some(b"81")).await;
    within(async {
        while get(&world, "port").await.unwrap() != "80" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    engine.stop().await.unwrap();
    assert_eq!(get(&world, "port").await.unwrap(), "80", "it stays");
}
