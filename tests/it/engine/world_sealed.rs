//! Exports that are sealed for certain hosts: these alone can read them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use mgmt::prelude::*;
use mgmt::resource::{Keys, Transaction, World as _, Write};
use mgmt::runtime::EventKind;
use mgmt::world::Embedded;
use mgmt::{Engine, graph::GraphConfig};

use crate::engine::world::{collecting, exporting, published, text};
use crate::kit::{a_while, until, within};

const CANARY: &str = "canary-3f9a";

/// Exports a secret to these hosts, and a file that is none to all.
fn sealing(to: &[&str], secret: &str) -> GraphConfig {
    let mut g = Graph::new("db");
    let password = g.add(Value::new("password").value("app"));
    let secret = secret.to_owned();
    let line = password.value().map(move |user| Secret::new(format!("{user}:{secret}")));
    g.export(File::new("/x/password").content(line)).sealed_to(to.iter().copied());
    g.export(File::new("/x/open").content("open"));
    g.finish().unwrap()
}

/// A host that keeps its key below `dir`.
async fn start(world: &Embedded, dir: &Path, host: &str, graph: GraphConfig) -> Engine {
    let builder = Engine::builder().prefix(dir.join(host)).world(world.clone()).hostname(host);
    builder.graph(graph).start().await.unwrap()
}

/// A host that collects all files below `dir`; and all that its engine reports.
async fn collector(world: &Embedded, dir: &Path, host: &str) -> (Engine, Arc<Mutex<String>>) {
    let kept = dir.join(format!("{host}.d"));
    fs::create_dir_all(&kept).unwrap();
    let engine = start(world, dir, host, collecting(&kept)).await;
    let (seen, mut events) = (Arc::new(Mutex::new(String::new())), engine.events());
    let seen_here = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let EventKind::Drifted { .. } | EventKind::Applied { .. } | EventKind::Warning { .. } = &event.kind {
                *seen_here.lock().unwrap() += &serde_json::to_string(&event).unwrap();
            }
        }
    });
    (engine, seen)
}

fn password(dir: &Path, host: &str) -> String {
    text(&dir.join(format!("{host}.d/password")))
}

/// All that the world has.
async fn everything(world: &Embedded) -> BTreeMap<String, Arc<[u8]>> {
    let found = world.member("spy").get(vec![Keys::Below("/mgmt/".to_owned())]).await.unwrap();
    found.entries.into_iter().map(|(key, entry)| (key, entry.value)).collect()
}

#[tokio::test]
async fn a_secret_reaches_the_hosts_that_it_is_sealed_for_and_nothing_else_shows_it() {
    let (world, temporary) = (Embedded::new(), tempfile::tempdir().unwrap());
    let dir = temporary.path();
    let (web1, seen) = collector(&world, dir, "web1").await;
    let (web3, _) = collector(&world, dir, "web3").await;
    let db = start(&world, dir, "db", sealing(&["web1", "web2"], CANARY)).await;
    let whole = format!("app:{CANARY}");
    until("web1 has it", || password(dir, "web1") == whole).await;
    until("web3 has what is for all", || text(&dir.join("web3.d/open")) == "open").await;
    // One of its hosts has never run: that is why not all is published.
    let id = "exports[db]".parse().unwrap();
    let error = within(async {
        loop {
            if let Some(error) = db.resource(&id).await.unwrap().and_then(|status| status.error) {
                return error;
            }
            a_while().await;
        }
    })
    .await;
    assert!(error.contains("web2 has no key yet"), "{error}");
    assert!(!db.is_converged());
    let (web2, _) = collector(&world, dir, "web2").await;
    until("web2 has it", || password(dir, "web2") == whole).await;
    within(db.converged()).await.unwrap();
    // An edit is repaired, and neither the world nor an event shows the secret.
    fs::write(dir.join("web1.d/password"), "other").unwrap();
    until("it is repaired", || password(dir, "web1") == whole).await;
    assert!(!dir.join("web3.d/password").exists());
    for (key, value) in everything(&world).await {
        assert!(!String::from_utf8_lossy(&value).contains(CANARY), "{key}");
    }
    let seen = seen.lock().unwrap().clone();
    assert!(seen.contains("(secret)") && !seen.contains(CANARY), "{seen}");
    // A restart writes nothing; another secret is another export.
    let before = published(&world);
    db.stop().await.unwrap();
    let db = start(&world, dir, "db", sealing(&["web1", "web2"], CANARY)).await;
    within(db.converged()).await.unwrap();
    assert_eq!(published(&world), before);
    db.swap(sealing(&["web1", "web2"], "next")).await.unwrap();
    for host in ["web1", "web2"] {
        until("it has changed", || password(dir, host) == "app:next").await;
    }
    assert_eq!(published(&world), before + 1, "for both hosts in one transaction");
    for engine in [db, web1, web2, web3] {
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_host_that_is_made_again_has_another_key_and_gets_what_is_sealed_for_it_again() {
    let (world, temporary) = (Embedded::new(), tempfile::tempdir().unwrap());
    let dir = temporary.path();
    let db = start(&world, dir, "db", sealing(&["web1"], CANARY)).await;
    let (web1, _) = collector(&world, dir, "web1").await;
    until("web1 has it", || password(dir, "web1").ends_with(CANARY)).await;
    within(db.converged()).await.unwrap();
    web1.stop().await.unwrap();
    let key = dir.join("web1/trust/seal.key");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&key).unwrap()) & 0o777, 0o600);
    fs::remove_dir_all(dir.join("web1")).unwrap();
    fs::remove_file(dir.join("web1.d/password")).unwrap();
    let (web1, _) = collector(&world, dir, "web1").await;
    until("web1 has it again", || password(dir, "web1").ends_with(CANARY)).await;
    for engine in [db, web1] {
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_sealed_is_nothing_in_the_name_of_another_host() {
    let (world, temporary) = (Embedded::new(), tempfile::tempdir().unwrap());
    let dir = temporary.path();
    let (web1, seen) = collector(&world, dir, "web1").await;
    let db = start(&world, dir, "db", sealing(&["web1"], CANARY)).await;
    until("web1 has it", || password(dir, "web1").ends_with(CANARY)).await;
    within(db.converged()).await.unwrap();
    // A host gives out as its own what it has seen.
    let sealed = everything(&world).await.into_iter().filter(|(key, _)| key.starts_with("/mgmt/exports/web1/"));
    let sealed: Vec<_> = sealed.collect();
    assert!(sealed.iter().any(|(_, value)| value.starts_with(b"mgmt-sealed-1 age1")), "{sealed:?}");
    let copied = sealed.into_iter().map(|(key, value)| (key.replace("/db", "/evil"), Write::Put(value, None)));
    let writes: BTreeMap<String, Write> = copied.collect();
    world.member("evil").commit(Transaction { conditions: Vec::new(), writes }).await.unwrap().unwrap();
    until("it is left out", || seen.lock().unwrap().contains("which evil exports, is left out")).await;
    assert!(seen.lock().unwrap().contains("it is sealed, and this host has no key that opens it"));
    // It does not take the place of the real one either.
    db.swap(exporting(&[("/x/open", "open")])).await.unwrap();
    within(db.converged()).await.unwrap();
    let id = "file[/x/password]".parse().unwrap();
    within(async {
        while web1.resource(&id).await.unwrap().is_some() {
            a_while().await;
        }
    })
    .await;
    fs::remove_file(dir.join("web1.d/password")).unwrap();
    a_while().await;
    assert_eq!(password(dir, "web1"), "");
    for engine in [db, web1] {
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_sealed_export_names_its_hosts_and_a_secret_that_is_not_sealed_is_refused_with_the_remedy() {
    let mut g = Graph::new("db");
    let none: [&str; 0] = [];
    g.export(File::new("/x/none").content("x")).sealed_to(none);
    g.export(File::new("/x/open").content(Secret::new(CANARY.to_owned())));
    let engine = Engine::builder().graph(g.finish().unwrap());
    let problems = engine.world(Embedded::new()).start().await.unwrap_err().to_string();
    assert!(problems.contains("it is for no host"), "{problems}");
    assert!(problems.contains("`content` is a secret, which does not travel to other hosts"), "{problems}");
    assert!(problems.contains("`sealed_to`") && !problems.contains(CANARY), "{problems}");
}
