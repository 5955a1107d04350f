//! Values in a world: shared and of hosts, those that only grow, and what was there before.

use std::time::Duration;

use mgmt::resource::{Change, Keys, ObstacleKind, Transaction, WatchEvent, World, Write};
use mgmt::resources::{Kv, KvBuilder};
use mgmt::testing::Fake;
use mgmt::world::Embedded;

/// The key of a value in the world.
fn value_key(key: &str, host: Option<&str>) -> String {
    let shared = format!("/mgmt/values/{}", key.replace('/', "%2F"));
    host.map_or(shared.clone(), |host| format!("{shared}/{host}"))
}

fn host(world: &Embedded, name: &str) -> Fake {
    Fake::new().unwrap().world(world.clone(), name)
}

/// What the world has under a key.
async fn stored(world: &Embedded, key: &str, host: Option<&str>) -> Option<String> {
    let key = value_key(key, host);
    let found = world.member("test").get(vec![Keys::One(key.clone())]).await.unwrap();
    found.entries.get(&key).map(|entry| String::from_utf8_lossy(&entry.value).into_owned())
}

async fn put(world: &Embedded, key: &str, value: &[u8]) {
    let writes = [(value_key(key, None), Write::Put(value.into(), None))].into();
    world.member("test").commit(Transaction { conditions: Vec::new(), writes }).await.unwrap();
}

#[tokio::test]
async fn a_value_is_shared_by_all_hosts_and_a_mapped_one_is_that_of_its_host() {
    let world = Embedded::new();
    let (web1, web2) = (host(&world, "web1"), host(&world, "web2"));
    let one = web1.put(Kv::new("a name").key("a/b").value("1"));
    assert_eq!(one.settle().await.unwrap().changes, [Change::new("value", "none", "`1`")]);
    assert_eq!(stored(&world, "a/b", None).await.unwrap(), "1");
    let same = web2.put(Kv::new("k").key("a/b").value("1")).check().await.unwrap();
    assert!(same.in_sync());
    assert_eq!(same.value(Kv::STORED).unwrap(), "1");
    for (host, name) in [(&web1, "web1"), (&web2, "web2")] {
        host.put(Kv::new("k").key("a/b").value(name).mapped(true)).settle().await.unwrap();
        assert_eq!(stored(&world, "a/b", Some(name)).await.unwrap(), name);
    }
    assert_eq!(stored(&world, "a/b", None).await.unwrap(), "1");
    web1.put(Kv::new("k").key("a/b").mapped(true)).settle().await.unwrap();
    assert_eq!(stored(&world, "a/b", Some("web1")).await, None);
    assert_eq!(stored(&world, "a/b", Some("web2")).await.unwrap(), "web2");
    assert!(!web1.prefix().join("pgraph/kv").exists(), "nothing is stored on the host");
}

#[tokio::test]
async fn what_is_no_text_is_drift_and_a_host_that_is_cut_off_waits() {
    let world = Embedded::new();
    let web1 = host(&world, "web1");
    put(&world, "k", b"\xff\x00").await;
    let kv = |value: Option<&str>| match value {
        Some(value) => web1.put(Kv::new("k").value(value)),
        None => web1.put(Kv::new("k")),
    };
    let changes = kv(Some("1")).settle().await.unwrap().changes;
    assert_eq!(changes, [Change::new("value", "2 bytes that are no text", "`1`")]);
    put(&world, "k", b"\xff").await;
    assert!(kv(None).settle().await.unwrap().changed);
    assert_eq!(stored(&world, "k", None).await, None);
    world.cut("web1");
    let error = kv(Some("2")).check().await.unwrap_err();
    assert_eq!(error.obstacle().unwrap().kind, ObstacleKind::NoComponent, "{error}");
    world.mend("web1");
    assert!(kv(Some("2")).settle().await.unwrap().changed);
}

#[tokio::test]
async fn what_was_found_may_have_changed_before_it_is_replaced() {
    let world = Embedded::new();
    let web1 = host(&world, "web1");
    let grows = |value: &str| web1.put(Kv::new("k").value(value).skiplessthan(true));
    put(&world, "k", b"1").await;
    let kv = grows("5");
    let drift = kv.check().await.unwrap().drift.unwrap();
    put(&world, "k", b"7").await;
    let applied = kv.apply(drift).await.unwrap();
    assert!(!applied.changed);
    assert_eq!(applied.value(Kv::STORED).unwrap(), "7");
    assert_eq!(stored(&world, "k", None).await.unwrap(), "7");
    assert!(kv.refresh().await.unwrap().changed, "a refresh sets the declared one");
    assert_eq!(stored(&world, "k", None).await.unwrap(), "5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_grows_never_goes_back_however_many_hosts_set_it() {
    let world = Embedded::new();
    let mut seen = world.member("test").watch(vec![Keys::Below("/mgmt/values/".to_owned())], Default::default());
    let mut hosts = Vec::new();
    for n in 0..8 {
        let world = world.clone();
        hosts.push(tokio::spawn(async move {
            let host = host(&world, &format!("web{n}"));
            for step in 0..20 {
                let value = (step * 8 + n).to_string();
                // Losing all races is an error for which a resource waits.
                let kv = host.put(Kv::new("k").value(value).skiplessthan(true));
                while kv.settle().await.is_err() {}
                tokio::task::yield_now().await;
            }
        }));
    }
    for host in hosts {
        host.await.unwrap();
    }
    let mut last = -1;
    while last < 159 {
        let next = std::future::poll_fn(|cx| seen.as_mut().poll_next(cx)).await.unwrap();
        let mgmt::resource::WorldEvent::Changed(changes) = next else { panic!("{next:?}") };
        let entry = changes.entries[0].1.clone().unwrap();
        let value: i32 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
        assert!(value > last, "{value} after {last}");
        last = value;
    }
}

#[tokio::test]
async fn what_was_in_the_world_comes_back_unless_another_program_has_changed_it() {
    let world = Embedded::new();
    let web1 = host(&world, "web1");
    let reversed = |kv: KvBuilder| web1.put(kv).reversed();
    put(&world, "k", b"before").await;
    let kv = reversed(Kv::new("k").value("1"));
    kv.settle().await.unwrap();
    kv.becomes(Kv::new("k").value("2")).settle().await.unwrap();
    kv.undo().await.unwrap().unwrap();
    assert_eq!(stored(&world, "k", None).await.unwrap(), "before");
    let kv = reversed(Kv::new("other").value("1"));
    kv.settle().await.unwrap();
    put(&world, "other", b"theirs").await;
    let undone = kv.undo().await.unwrap().unwrap();
    assert!(format!("{undone:?}").contains("was changed by another program"), "{undone:?}");
    assert_eq!(stored(&world, "other", None).await.unwrap(), "theirs");
}

#[tokio::test(start_paused = true)]
async fn its_watch_is_that_of_exactly_its_key_and_survives_a_cut() {
    let world = Embedded::new();
    let web1 = host(&world, "web1");
    let kv = web1.put(Kv::new("k").value("1"));
    world.cut("web1");
    let mut watch = kv.listen();
    assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::Ready, "checks do not wait for the world");
    world.mend("web1");
    let mut changed = async || watch.next().await.unwrap().unwrap() == WatchEvent::Changed;
    assert!(changed().await, "it can be reached again");
    put(&world, "other", b"x").await;
    let silent = tokio::time::timeout(Duration::from_millis(50), changed()).await;
    assert!(silent.is_err(), "another key has changed");
    put(&world, "k", b"x").await;
    assert!(changed().await);
    world.cut("web1");
    assert!(changed().await, "changes may be missed");
    world.mend("web1");
    assert!(changed().await);
    assert_eq!(world.watches(), 1);
    drop(watch);
    assert_eq!(world.watches(), 0);
}
