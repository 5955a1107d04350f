//! What hosts ask of etcd: counted, so that it does not depend on the machine. The benchmark `hosts` does the same with
//! very many hosts, and takes the time.

use std::sync::Arc;
use std::time::Duration;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::world::Etcd;

use crate::authority::Authority;
use crate::crowd::{Counters, Crowd, Terms, calm, load};
use crate::server::Server;

/// Long enough that no lease is renewed meanwhile.
const HOUR: Duration = Duration::from_secs(3600);

fn terms(count: usize) -> Terms {
    Terms { count, apart: true, alive_ttl: HOUR }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the program etcd"]
async fn what_a_host_asks_does_not_depend_on_how_many_hosts_there_are() {
    let mut each = Vec::new();
    for count in [20, 60] {
        let server = Server::start();
        let before = Counters::of(&server);
        let mut crowd = Crowd::start(&server, terms(count)).await;
        let started = calm(&server).await;
        let start = started.requests(&before);
        // Hosts that have nothing to do ask for nothing.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(Counters::of(&server).requests_since(&started), Default::default());
        let before = calm(&server).await;
        crowd.change().await;
        let now = calm(&server).await;
        println!("{count} hosts: {:?} at a change, {start} at the start", now.requests_since(&before));
        assert_eq!(now.streams_since(&before), Default::default(), "a change opens no stream");
        each.push((start as f64 / count as f64, now.requests(&before) as f64 / count as f64));
        crowd.stop().await;
    }
    // All of them are alike but for chance: two of its reports may be one, a question for the progress may be repeated.
    for (start, change) in &each {
        assert!(*start <= 30.0 && *change <= 5.0, "requests of each host at the start and at a change: {each:?}");
    }
    let [(small_start, small_change), (large_start, large_change)] = each[..] else { unreachable!() };
    assert!(large_start < 1.5 * small_start + 1.0 && large_change < 1.5 * small_change + 1.0, "{each:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the program etcd"]
async fn a_host_renews_one_lease_by_one_request() {
    const COUNT: usize = 10;
    let server = Server::start();
    let crowd = Crowd::start(&server, Terms { alive_ttl: Duration::from_secs(3), ..terms(COUNT) }).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = Counters::of(&server);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let requests = Counters::of(&server).requests_since(&before);
    // Once in 0.8 to 1 seconds; nothing else.
    let renewals = requests.get("LeaseKeepAlive").copied().unwrap_or_default() as usize;
    assert!((COUNT * 5..=COUNT * 9).contains(&renewals), "{requests:?}");
    assert_eq!(requests.len(), 1, "{requests:?}");
    crowd.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the program etcd"]
async fn hosts_that_restart_at_once_all_have_again_what_they_had() {
    const COUNT: usize = 50;
    let server = Arc::new(Server::start());
    let mut crowd = Crowd::start(&server, Terms { apart: false, ..terms(COUNT) }).await;
    let before = Counters::of(&server);
    let ((), counts) = load(Arc::clone(&server), crowd.restart(&server)).await;
    let requests = Counters::of(&server).requests(&before);
    println!("{requests} requests, in each tenth of a second: {counts:?}");
    assert!(requests as usize <= COUNT * 40, "{requests}");
    let before = calm(&server).await;
    crowd.change().await;
    assert!(Counters::of(&server).requests(&before) > 0);
    crowd.stop().await;
}

fn values(count: usize, value: &str) -> GraphConfig {
    let mut g = Graph::new("values");
    for n in 0..count {
        g.add(Kv::new(format!("key{n}")).value(value));
    }
    g.finish().unwrap()
}

/// Older versions allow 250 streams on an encrypted connection.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the program etcd"]
async fn any_number_of_values_is_watched_through_one_stream() {
    const COUNT: usize = 400;
    let server = Server::with(Some(Authority::new()));
    let [authority, certificate, key] = server.certificate("web1").map(|path| std::fs::read(path).unwrap());
    let world = Etcd::new([server.url()]).tls(authority, certificate, key);
    let start = |host: &str, graph| Engine::builder().world(world.clone()).hostname(host).graph(graph).start();
    let one = start("one", values(COUNT, "a")).await.unwrap();
    let converged = tokio::time::timeout(Duration::from_secs(60), one.converged()).await;
    converged.expect("all values are set and watched").unwrap();
    // What another host changes is noticed, and mended.
    let two = start("two", values(1, "b")).await.unwrap();
    let mut events = one.events();
    let is_mended = async {
        while let Some(event) = events.next().await {
            if format!("{event:?}").contains("key0") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), is_mended).await.expect("it is noticed");
    two.stop().await.unwrap();
    one.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the program etcd"]
async fn values_of_a_host_cost_etcd_one_stream() {
    const COUNT: usize = 100;
    let server = Server::start();
    let before = Counters::of(&server);
    let engine = Engine::builder().world(server.world()).hostname("one").alive_ttl(HOUR);
    let engine = engine.graph(values(COUNT, "a")).start().await.unwrap();
    engine.converged().await.unwrap();
    let now = calm(&server).await;
    let streams = now.streams_since(&before);
    assert_eq!(streams.get("Watch"), Some(&1), "{streams:?}");
    assert!(now.sum("etcd_debugging_mvcc_watcher_total") as usize >= COUNT);
    engine.stop().await.unwrap();
}
