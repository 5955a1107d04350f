//! Schedules: some of the hosts that take part are chosen, and all agree on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::resource::Chosen;
use mgmt::world::Embedded;

use crate::kit::until;

/// The time of leases: the shortest one.
const TTL: Duration = Duration::from_secs(1);

type Known = Arc<Mutex<BTreeMap<String, Chosen>>>;

/// A host that takes part in the schedule `job`, and notes what it knows of it.
async fn host(world: &Embedded, name: &str, pick: u32, persist: bool, known: &Known) -> Engine {
    let (known, host) = (Arc::clone(known), name.to_owned());
    let gapi = mgmt::native(move |g, cx| {
        let schedule = cx.world().schedule("job").pick(pick).ttl(TTL).persist(persist).data(format!("of {host}"));
        let chosen = cx.read(&schedule);
        if chosen.is_chosen {
            g.add(Noop::new("work"));
        }
        known.lock().unwrap().insert(host.clone(), chosen);
        Ok(())
    });
    Engine::builder().world(world.clone()).hostname(name).alive_ttl(TTL).gapi(gapi).start().await.unwrap()
}

/// The hosts that count themselves as chosen.
fn acting(known: &Known) -> Vec<String> {
    let known = known.lock().unwrap();
    known.iter().filter(|(_, chosen)| chosen.is_chosen).map(|(host, _)| host.clone()).collect()
}

/// All of these hosts agree on this number of others.
fn agree(known: &Known, hosts: &[&str], count: usize) -> bool {
    let acting = acting(known);
    let known = known.lock().unwrap();
    acting.len() == count && hosts.iter().all(|host| known.get(*host).is_some_and(|chosen| chosen.hosts == acting))
}

#[tokio::test]
async fn all_hosts_agree_and_moves_are_minimal() {
    let (world, known) = (Embedded::new(), Known::default());
    let mut engines = BTreeMap::new();
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        engines.insert(name, host(&world, name, 2, false, &known).await);
        assert!(acting(&known).len() <= 2);
    }
    until("two of five", || agree(&known, &names, 2)).await;
    let before = acting(&known);
    assert_eq!(known.lock().unwrap()["a"].data, before.iter().map(|host| format!("of {host}")).collect::<Vec<_>>());
    // One that is not chosen leaves: nothing moves.
    let other = *names.iter().find(|name| !before.contains(&name.to_string())).unwrap();
    engines.remove(other).unwrap().stop().await.unwrap();
    known.lock().unwrap().remove(other);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(acting(&known), before);
    // A chosen one leaves: one comes, at once.
    let gone = before[0].clone();
    let began = std::time::Instant::now();
    engines.remove(gone.as_str()).unwrap().stop().await.unwrap();
    known.lock().unwrap().remove(&gone);
    let left: Vec<&str> = engines.keys().copied().collect();
    until("another one comes", || agree(&known, &left, 2)).await;
    assert!(began.elapsed() < TTL);
    assert!(acting(&known).contains(&before[1]), "the other one stays");
    for engine in engines.into_values() {
        engine.stop().await.unwrap();
    }
    until("no watches", || world.watches() == 0).await;
}

#[tokio::test]
async fn a_host_that_is_cut_off_stops_before_another_one_takes_its_place() {
    let (world, known) = (Embedded::new(), Known::default());
    let a = host(&world, "a", 1, false, &known).await;
    until("a", || acting(&known) == ["a"]).await;
    let b = host(&world, "b", 1, false, &known).await;
    until("b knows", || agree(&known, &["a", "b"], 1)).await;
    world.cut("a");
    let mut changes = vec![vec!["a".to_owned()]];
    for _ in 0..1500 {
        let now = acting(&known);
        if changes.last() != Some(&now) {
            changes.push(now);
        }
        if changes.last().is_some_and(|last| last == &["b"]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(changes, [vec!["a".to_owned()], vec![], vec!["b".to_owned()]]);
    world.mend("a");
    until("a knows, and b stays", || agree(&known, &["a", "b"], 1) && acting(&known) == ["b"]).await;
    for engine in [a, b] {
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_host_that_persists_keeps_its_place_over_a_restart_and_no_longer_than_its_time() {
    let (world, known) = (Embedded::new(), Known::default());
    let a = host(&world, "a", 1, true, &known).await;
    until("a", || acting(&known) == ["a"]).await;
    let b = host(&world, "b", 1, true, &known).await;
    until("b knows", || agree(&known, &["a", "b"], 1)).await;
    a.stop().await.unwrap();
    known.lock().unwrap().remove("a");
    tokio::time::sleep(TTL / 4).await;
    let a = host(&world, "a", 1, true, &known).await;
    assert_eq!(acting(&known), ["a"], "its first graph knows it");
    tokio::time::sleep(TTL * 2).await;
    assert_eq!(acting(&known), ["a"]);
    a.stop().await.unwrap();
    known.lock().unwrap().remove("a");
    until("its time is over", || acting(&known) == ["b"]).await;
    b.stop().await.unwrap();
}

#[tokio::test]
async fn a_graph_that_reads_the_schedule_no_more_leaves_it_and_one_in_noop_only_looks() {
    let (world, known) = (Embedded::new(), Known::default());
    let (sender, reads) = tokio::sync::watch::channel(true);
    let noted = Arc::clone(&known);
    let gapi = mgmt::native(move |_, cx| {
        if cx.read(&reads) {
            noted.lock().unwrap().insert("a".to_owned(), cx.read(&cx.world().schedule("job").ttl(TTL)));
        } else {
            noted.lock().unwrap().remove("a");
        }
        Ok(())
    });
    let a = Engine::builder().world(world.clone()).hostname("a").gapi(gapi).start().await.unwrap();
    until("a", || acting(&known) == ["a"]).await;
    let b = host(&world, "b", 1, false, &known).await;
    until("b knows", || agree(&known, &["a", "b"], 1)).await;
    sender.send(false).unwrap();
    until("b", || acting(&known) == ["b"]).await;
    let seen = Known::default();
    let noted = Arc::clone(&seen);
    let gapi = mgmt::native(move |_, cx| {
        noted.lock().unwrap().insert("c".to_owned(), cx.read(&cx.world().schedule("job").pick(5)));
        Ok(())
    });
    let before = world.transactions("/mgmt/schedules");
    let c = Engine::builder().world(world.clone()).hostname("c").noop(true).gapi(gapi).start().await.unwrap();
    until("it knows", || seen.lock().unwrap()["c"].hosts == ["b"]).await;
    assert_eq!(world.transactions("/mgmt/schedules"), before);
    for engine in [a, b, c] {
        engine.stop().await.unwrap();
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A host with the kind, which writes what it sends into its file.
async fn declared(world: &Embedded, dir: &Path, name: &str, schedule: mgmt::resources::ScheduleBuilder) -> Engine {
    let builder = Engine::builder().world(world.clone()).hostname(name).label("host", name);
    builder.graph(graph(dir, name, schedule)).start().await.unwrap()
}

fn graph(dir: &Path, name: &str, schedule: mgmt::resources::ScheduleBuilder) -> GraphConfig {
    let mut g = Graph::new(name);
    let job = g.add(schedule.ttl(TTL));
    let line = job
        .chosen()
        .zip(job.hosts())
        .zip(job.hosts_data())
        .map(|((chosen, hosts), data)| format!("{chosen} {} {}", hosts.join(","), data.join(",")));
    g.add(File::new(dir.join(name).to_str().unwrap()).content(line));
    g.finish().unwrap()
}

#[tokio::test]
async fn the_kind_sends_whether_the_host_is_chosen_and_withdraws() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let dir = dir.path();
    let job =
        |host: &str| Schedule::new("job").strategy(mgmt::resources::PickOrder::Alphabetical).data(format!("at {host}"));
    let a = declared(&world, dir, "a", job("a")).await;
    until("a", || text(&dir.join("a")) == "true a at a").await;
    let b = declared(&world, dir, "b", job("b")).await;
    until("b", || text(&dir.join("b")) == "false a at a").await;
    a.swap(graph(dir, "a", job("a").withdraw(true))).await.unwrap();
    until("b takes its place", || text(&dir.join("b")) == "true b at b").await;
    until("a sends it", || text(&dir.join("a")) == "false b at b").await;
    a.swap(graph(dir, "a", job("a"))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(text(&dir.join("a")), "false b at b", "b stays");
    // Both, and then only one that has a label.
    let two = |host: &str| job(host).max(2u32);
    a.swap(graph(dir, "a", two("a"))).await.unwrap();
    b.swap(graph(dir, "b", two("b"))).await.unwrap();
    until("both", || text(&dir.join("a")) == "true a,b at a,at b" && text(&dir.join("b")) == "true a,b at a,at b")
        .await;
    let only = |host: &str| two(host).only(BTreeMap::from([("host".to_owned(), "a".to_owned())]));
    a.swap(graph(dir, "a", only("a"))).await.unwrap();
    b.swap(graph(dir, "b", only("b"))).await.unwrap();
    until("only a", || text(&dir.join("a")) == "true a at a" && text(&dir.join("b")) == "false a at a").await;
    // It leaves with its resource.
    a.swap(Graph::new("empty").finish().unwrap()).await.unwrap();
    until("none", || text(&dir.join("b")) == "false  ").await;
    let plan = Engine::builder().world(world.clone()).hostname("b").graph(graph(dir, "b", only("b")));
    let plan = plan.plan().await.unwrap().to_string();
    assert!(!plan.contains("takes part"), "{plan}");
    let plan = Engine::builder().world(world.clone()).hostname("new").graph(graph(dir, "new", job("new")));
    let plan = plan.plan().await.unwrap().to_string();
    assert!(plan.contains("takes part"), "{plan}");
    for engine in [a, b] {
        engine.stop().await.unwrap();
    }
    until("no watches", || world.watches() == 0).await;
}

#[tokio::test]
async fn without_a_world_the_host_is_the_only_one() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::builder().hostname("a").graph(graph(dir.path(), "a", Schedule::new("job").data("x")));
    let engine = engine.start().await.unwrap();
    engine.converged().await.unwrap();
    assert_eq!(text(&dir.path().join("a")), "true a x");
    engine.stop().await.unwrap();
}

/// Hosts are cut off and reached again, stop and start, in an order that the seed determines.
async fn storm(seed: u64) {
    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
    let (world, known) = (Embedded::new(), Known::default());
    let mut state = seed;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (mut engines, mut moves) = (BTreeMap::new(), 0);
    let mut last = Vec::new();
    for _ in 0..60 {
        let name = NAMES[draw(5) as usize];
        match draw(4) {
            0 => world.cut(name),
            1 => world.mend(name),
            _ if engines.contains_key(name) && draw(2) == 0 => {
                let engine: Engine = engines.remove(name).unwrap();
                engine.stop().await.unwrap();
                known.lock().unwrap().remove(name);
            }
            _ if !engines.contains_key(name) => {
                let engine = host(&world, name, 2, draw(2) == 0, &known).await;
                engines.insert(name, engine);
            }
            _ => world.compact(),
        }
        for _ in 0..1 + draw(40) {
            let acting = acting(&known);
            assert!(acting.len() <= 2, "seed {seed}: {acting:?}");
            moves += usize::from(acting != last);
            last = acting;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
    // When all can reach the world again, all agree.
    NAMES.iter().for_each(|name| world.mend(name));
    let names: Vec<&str> = engines.keys().copied().collect();
    let count = names.len().min(2);
    for _ in 0..2000 {
        if agree(&known, &names, count) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(agree(&known, &names, count), "seed {seed}: {:?}", known.lock().unwrap());
    assert!(moves > 5, "seed {seed}: {moves} moves");
    for engine in engines.into_values() {
        engine.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn never_more_than_n_hosts_act_whichever_are_cut_off_or_stop() {
    for seed in 0..8 {
        storm(seed).await;
    }
}
