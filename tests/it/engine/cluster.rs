//! What hosts report of themselves, and engines that have converged only when all hosts have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::gapi::{Cluster, ClusterStatus};
use mgmt::prelude::*;
use mgmt::resource::{ClusterHost, Condition, HostState, Keys, Transaction, World as _, Write};
use mgmt::runtime::{Builder, EventKind};
use mgmt::world::Embedded;

use crate::kit::desk::{Act, Desk, Op};

/// The time of leases: the shortest one.
const TTL: Duration = Duration::from_secs(1);

async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..1500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within fifteen seconds: {what}");
}

async fn a_while() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

/// A host whose graph is one probe of that name.
fn host(world: &Embedded, desk: &Desk, name: &str) -> Builder<impl mgmt::gapi::Gapi> {
    let mut g = Graph::new("site");
    g.add(desk.probe(name));
    let builder = Engine::builder().world(world.clone()).hostname(name).label("is", name).alive_ttl(TTL);
    builder.graph(g.finish().unwrap())
}

async fn status(world: &Embedded) -> ClusterStatus {
    Cluster::new(world, "desk").status().await.unwrap()
}

async fn state(world: &Embedded, name: &str) -> Option<HostState> {
    let of = |host: ClusterHost| (host.name == name).then_some(host.state).flatten();
    status(world).await.hosts.into_iter().find_map(of)
}

async fn has(world: &Embedded, name: &str, holds: impl Fn(&HostState) -> bool) {
    until(name, || async { state(world, name).await.is_some_and(|state| holds(&state)) }).await;
}

#[tokio::test]
async fn a_host_reports_what_has_failed_and_that_it_has_recovered() {
    let (world, desk) = (Embedded::new(), Desk::new());
    let obstacles = status(&world).await.obstacles;
    assert_eq!(obstacles, ["no host is alive"]);
    desk.always("web1", Op::Check, Act::Fail("no\nluck \u{1b}[1m"));
    let engine = host(&world, &desk, "web1").start().await.unwrap();
    has(&world, "web1", |state| state.failed == 1 && state.hopeless && !state.converged).await;
    let all = status(&world).await;
    let [web1] = &all.hosts[..] else { panic!("{all:?}") };
    assert_eq!((web1.name.as_str(), &web1.alive.labels["is"]), ("web1", &"web1".to_owned()));
    let state = web1.state.as_ref().unwrap();
    let trouble = &state.troubles[0];
    assert_eq!((trouble.resource.as_str(), trouble.state.as_str()), ("probe[web1]", "failed"));
    assert!(trouble.error.contains("no\\nluck") && !trouble.error.contains('\u{1b}'), "{}", trouble.error);
    assert_eq!((state.graph.as_str(), state.resources, state.generation), ("site", 1, 1));
    assert!(!all.is_converged() && all.obstacles[0].starts_with("web1 can't converge: probe[web1] is failed"));
    // A state that does not change is not written again.
    let writes = world.transactions("/mgmt/states");
    tokio::time::sleep(TTL * 2).await;
    assert_eq!(world.transactions("/mgmt/states"), writes);
    desk.always("web1", Op::Check, Act::Outdated);
    desk.once("web1", Op::Check, Act::Silent);
    let mut g = Graph::new("other");
    g.add(desk.probe("another"));
    engine.swap(g.finish().unwrap()).await.unwrap();
    has(&world, "web1", |state| state.converged && state.graph == "other" && state.generation == 2).await;
    let all = status(&world).await;
    assert!(all.is_converged() && all.hosts[0].state.as_ref().unwrap().troubles.is_empty(), "{all:?}");
    let noop = host(&world, &desk, "noop").noop(true).start().await.unwrap();
    a_while().await;
    assert_eq!(status(&world).await.hosts.len(), 1, "in noop nothing is written");
    engine.stop().await.unwrap();
    noop.stop().await.unwrap();
    let left = world.member("desk").get(vec![Keys::Below("/mgmt/".to_owned())]).await.unwrap();
    assert!(left.entries.is_empty(), "{:?}", left.entries);
}

#[tokio::test]
async fn a_host_that_flaps_does_not_write_all_the_time() {
    let (world, desk) = (Embedded::new(), Desk::new());
    let engine = host(&world, &desk, "web1").start().await.unwrap();
    has(&world, "web1", |state| state.converged).await;
    let (began, mut number) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(4) {
        number += 1;
        let mut g = Graph::new(format!("graph {number}"));
        g.add(desk.probe(&format!("probe {number}")));
        engine.swap(g.finish().unwrap()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let writes = world.transactions("/mgmt/states");
    assert!(number > 100 && writes <= 14, "{number} graphs, {writes} writes");
    // What it has come to is reported in the end.
    let last = format!("graph {number}");
    has(&world, "web1", |state| state.converged && state.graph == last).await;
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn hosts_that_wait_for_one_another_converge_together_and_a_slow_one_is_named() {
    let (world, desk) = (Embedded::new(), Desk::new());
    let gate = desk.gate("web2", Op::Check);
    let mut engines = Vec::new();
    for name in ["web1", "web2", "web3"] {
        engines.push(host(&world, &desk, name).converged_cluster(true).start().await.unwrap());
    }
    let mut events = engines[0].events();
    gate.reached().await;
    for name in ["web1", "web3"] {
        has(&world, name, |state| state.converged).await;
    }
    // Longer than all have to be converged for.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for engine in &engines {
        assert!(!engine.is_converged());
    }
    let status = engines[0].status().await.unwrap();
    assert!(!status.converged && !status.hopeless && status.settled == 1);
    let why = status.cluster.unwrap();
    assert!(why.contains("web2 has not converged"), "{why}");
    gate.open();
    for engine in &engines {
        tokio::time::timeout(Duration::from_secs(10), engine.converged()).await.unwrap().unwrap();
    }
    assert_eq!(engines[0].status().await.unwrap().cluster, None);
    // One that ends leaves the others as they are.
    engines.remove(1).stop().await.unwrap();
    a_while().await;
    assert!(engines.iter().all(Engine::is_converged));
    // One that comes later does not.
    let gate = desk.gate("web4", Op::Check);
    let late = host(&world, &desk, "web4").start().await.unwrap();
    until("web1 waits for it", || async { !engines[0].is_converged() }).await;
    gate.open();
    until("all have converged again", || async { engines.iter().all(Engine::is_converged) }).await;
    let mut seen = Vec::new();
    while let Some(event) = events.try_next() {
        if matches!(event.kind, EventKind::Converged | EventKind::Unconverged) {
            seen.push(event.kind);
        }
    }
    assert_eq!(seen, [EventKind::Converged, EventKind::Unconverged, EventKind::Converged]);
    for engine in engines.into_iter().chain([late]) {
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_failing_host_makes_the_others_hopeless_and_one_that_dies_does_not_count_any_more() {
    let (world, desk) = (Embedded::new(), Desk::new());
    desk.always("web3", Op::Check, Act::Fail("broken"));
    let web1 = host(&world, &desk, "web1").converged_cluster(true).start().await.unwrap();
    let web2 = host(&world, &desk, "web2").converged_cluster(true).start().await.unwrap();
    let web3 = host(&world, &desk, "web3").start().await.unwrap();
    let hopeless = async |engine: &Engine| engine.status().await.unwrap().hopeless;
    until("it is hopeless", || async { hopeless(&web1).await && hopeless(&web2).await }).await;
    let status = web1.status().await.unwrap();
    let why = status.cluster.unwrap();
    assert!(why.contains("web3 can't converge: probe[web3] is failed: broken"), "{why}");
    assert!(!status.converged && status.failed == 0 && status.settled == 1);
    // What they report is their own state, so that nothing depends on what they wait for.
    has(&world, "web1", |state| state.converged && !state.hopeless).await;
    // As if it was killed: it counts until its lease has ended.
    world.cut("web3");
    until("the others have converged", || async { web1.is_converged() && web2.is_converged() }).await;
    assert!(!hopeless(&web1).await);
    assert_eq!(status_names(&world).await, ["web1", "web2"]);
    world.mend("web3");
    until("it is back", || async { !web1.is_converged() }).await;
    for engine in [web1, web2, web3] {
        engine.stop().await.unwrap();
    }
}

async fn status_names(world: &Embedded) -> Vec<String> {
    status(world).await.hosts.into_iter().map(|host| host.name).collect()
}

#[tokio::test]
async fn without_the_world_the_cluster_has_not_converged_and_one_without_any_does_not_start() {
    let (world, desk) = (Embedded::new(), Desk::new());
    let web1 = host(&world, &desk, "web1").converged_cluster(true).start().await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), web1.converged()).await.unwrap().unwrap();
    world.cut("web1");
    until("it has not converged", || async { !web1.is_converged() }).await;
    let status = web1.status().await.unwrap();
    assert!(!status.hopeless && status.cluster.unwrap().contains("the world can't be reached"));
    // After a while, it is no longer a hiccup: a run with a timeout would end here.
    until("it is hopeless", || async { web1.status().await.unwrap().hopeless }).await;
    world.mend("web1");
    until("it has converged again", || async { web1.is_converged() }).await;
    web1.stop().await.unwrap();
    let refused = Engine::builder().converged_cluster(true).start().await.unwrap_err().to_string();
    assert!(refused.contains("--cluster") && refused.contains("--seeds"), "{refused}");
}

#[tokio::test]
async fn a_host_with_a_lease_and_no_state_of_its_present_run_is_not_converged() {
    let (world, desk) = (Embedded::new(), Desk::new());
    let put = async |key: &str, value: &str| {
        let writes = BTreeMap::from([(key.to_owned(), Write::Put(Arc::from(value.as_bytes()), None))]);
        let conditions: Vec<Condition> = Vec::new();
        world.member("other").commit(Transaction { conditions, writes }).await.unwrap().unwrap();
    };
    // A host that has started again just now: what it has reported before does not count.
    put("/mgmt/hosts/web9", r#"{"version": "9", "run": 2}"#).await;
    put("/mgmt/states/web9", r#"{"run": 1, "converged": true}"#).await;
    let web1 = host(&world, &desk, "web1").converged_cluster(true).start().await.unwrap();
    has(&world, "web1", |state| state.converged).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let why = web1.status().await.unwrap().cluster.unwrap();
    assert_eq!(why, "web9 has not reported its state yet");
    assert_eq!(status(&world).await.obstacles, [why]);
    put("/mgmt/states/web9", r#"{"run": 2, "converged": true}"#).await;
    until("all have converged", || async { web1.is_converged() }).await;
    assert!(status(&world).await.is_converged());
    web1.stop().await.unwrap();
}
