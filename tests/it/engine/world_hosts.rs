//! Which hosts are alive: each engine keeps an entry under a lease.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mgmt::Engine;
use mgmt::resource::{Keys, World};
use mgmt::runtime::Builder;
use mgmt::world::Embedded;

use crate::kit::{a_while, until};

/// The time of leases: the shortest one.
const TTL: Duration = Duration::from_secs(1);

fn host(world: &Embedded, name: &str) -> Builder {
    Engine::builder().world(world.clone()).hostname(name).alive_ttl(TTL)
}

/// The hosts that each graph of an observer has seen, with their labels.
async fn observer(world: &Embedded) -> (Engine, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&seen);
    let gapi = mgmt::native(move |_, cx| {
        let hosts = cx.read(&cx.world().hosts());
        let host = |host: &mgmt::resource::AliveHost| format!("{}{:?}", host.name, host.labels);
        noted.lock().unwrap().push(hosts.iter().map(host).collect::<Vec<_>>().join(" "));
        Ok(())
    });
    let engine = Engine::builder().world(world.clone()).hostname("observer").noop(true).gapi(gapi);
    (engine.start().await.unwrap(), seen)
}

#[tokio::test]
async fn a_host_is_alive_with_its_labels_until_its_engine_ends_and_one_in_noop_is_not() {
    let world = Embedded::new();
    let (observer, seen) = observer(&world).await;
    let last = || seen.lock().unwrap().last().cloned().unwrap_or_default();
    let web = host(&world, "web").label("role", "web").label("zone", "a").label("zone", "b").start().await.unwrap();
    until("web", || last() == r#"web{"role": "web", "zone": "b"}"#).await;
    let db = host(&world, "db").start().await.unwrap();
    until("both, by name", || last() == r#"db{} web{"role": "web", "zone": "b"}"#).await;
    let graphs = seen.lock().unwrap().len();
    // The leases are renewed, which changes nothing.
    tokio::time::sleep(TTL * 5 / 2).await;
    assert_eq!(seen.lock().unwrap().len(), graphs);
    let noop = host(&world, "noop").noop(true).start().await.unwrap();
    a_while().await;
    assert_eq!(seen.lock().unwrap().len(), graphs);
    let began = std::time::Instant::now();
    web.stop().await.unwrap();
    until("it is gone at once", || last() == "db{}").await;
    assert!(began.elapsed() < TTL);
    for engine in [db, noop, observer] {
        engine.stop().await.unwrap();
    }
    until("no watches", || world.watches() == 0).await;
}

#[tokio::test]
async fn a_host_that_is_cut_off_leaves_with_its_lease_and_comes_back() {
    let world = Embedded::new();
    let (observer, seen) = observer(&world).await;
    let last = || seen.lock().unwrap().last().cloned().unwrap_or_default();
    let web = host(&world, "web").start().await.unwrap();
    until("web", || last() == "web{}").await;
    world.cut("web");
    until("its lease has run out", || last().is_empty()).await;
    world.mend("web");
    until("it is back", || last() == "web{}").await;
    world.lose_all();
    until("it is back after a loss of all data", || last() == "web{}").await;
    // As if it was killed, and started again before its lease has run out: the entry is taken over at once.
    world.cut("web");
    let stopped = tokio::time::Instant::now();
    web.stop().await.unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(10));
    world.mend("web");
    let web = host(&world, "web").label("is", "new").start().await.unwrap();
    until("it is there", || last() == r#"web{"is": "new"}"#).await;
    web.stop().await.unwrap();
    observer.stop().await.unwrap();
}

#[tokio::test]
async fn of_two_engines_with_one_name_each_keeps_what_is_its_own() {
    let world = Embedded::new();
    let entry = async || {
        let found = world.member("test").get(vec![Keys::One("/mgmt/hosts/web".to_owned())]).await.unwrap();
        found.entries.get("/mgmt/hosts/web").map(|entry| String::from_utf8_lossy(&entry.value).into_owned())
    };
    let has = async |text: &str| {
        for _ in 0..1000 {
            if entry().await.is_some_and(|entry| entry.contains(text)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{text}: {:?}", entry().await);
    };
    let first = host(&world, "web").label("n", "first").start().await.unwrap();
    has("first").await;
    let second = host(&world, "web").label("n", "second").start().await.unwrap();
    has("second").await;
    // Both have reported their states by then.
    tokio::time::sleep(TTL).await;
    let revision = world.revision();
    tokio::time::sleep(TTL * 3).await;
    assert_eq!(world.revision(), revision, "they do not replace each other's entries again and again");
    second.stop().await.unwrap();
    has("first").await;
    first.stop().await.unwrap();
    assert_eq!(entry().await, None);
}

#[tokio::test]
async fn without_a_world_this_host_is_the_only_one() {
    let seen = Arc::<Mutex<String>>::default();
    let noted = Arc::clone(&seen);
    let gapi = mgmt::native(move |_, cx| {
        *noted.lock().unwrap() = format!("{:?}", cx.read(&cx.world().hosts()));
        Ok(())
    });
    let engine = Engine::builder().hostname("alone").label("a", "b").gapi(gapi).start().await.unwrap();
    engine.stop().await.unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.contains("name: \"alone\"") && seen.contains("{\"a\": \"b\"}"), "{seen}");
}
