//! More exports than one transaction of etcd holds.

use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::runtime::EventKind;

use crate::server::Server;

fn noops(count: usize, mark: &str) -> GraphConfig {
    let mut g = Graph::new("many");
    for n in 0..count {
        g.export(Noop::new(format!("{mark}{n}")));
    }
    g.finish().unwrap()
}

async fn until(what: &str, limit: Duration, holds: impl AsyncFn() -> bool) -> Duration {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the program etcd"]
async fn ten_thousand_exports_of_one_host_change_at_once() {
    const COUNT: usize = 10_000;
    let server = Server::start();
    let mut g = Graph::new("all");
    g.collect::<Noop>().from("many");
    let graph = g.finish().unwrap();
    let collector = Engine::builder().world(server.world()).hostname("all").graph(graph).start().await.unwrap();
    let mut events = collector.events();
    let first = noops(COUNT, "a");
    let exporter = Engine::builder().world(server.world()).hostname("many").graph(first).start().await.unwrap();
    let has = async |count: usize| collector.status().await.unwrap().resources == count;
    let took = until("all are there", Duration::from_secs(60), async || has(COUNT).await).await;
    println!("{COUNT} exports are collected after {took:?}");
    // Half of them go, and others come.
    exporter.swap(noops(COUNT / 2, "b")).await.unwrap();
    let took = until("others are there", Duration::from_secs(60), async || has(COUNT / 2).await).await;
    println!("{} others are collected after {took:?}", COUNT / 2);
    let mut swaps = Vec::new();
    while swaps.len() < 2 {
        let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap().unwrap();
        if let EventKind::Swapped { added, removed, .. } = event.kind
            && added > 0
        {
            swaps.push((added as usize, removed as usize));
        }
    }
    assert_eq!(swaps, [(COUNT, 0), (COUNT / 2, COUNT)], "no part of them is seen before the rest");
    exporter.stop().await.unwrap();
    collector.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the program etcd"]
async fn large_exports_are_as_one_change_too() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let content = |mark: &str| mark.repeat(700_000);
    let graph = |mark: &str| {
        let mut g = Graph::new("large");
        for n in 0..8 {
            g.export(File::new(format!("/x/{n}")).content(content(mark)));
        }
        g.finish().unwrap()
    };
    let mut g = Graph::new("all");
    let into = format!("{}/", dir.path().display());
    g.collect::<File>().map(move |file| file.dirname(into.as_str()));
    let all = g.finish().unwrap();
    let collector = Engine::builder().world(server.world()).hostname("all").graph(all).start().await.unwrap();
    let exporter = Engine::builder().world(server.world()).hostname("large").graph(graph("a")).start().await.unwrap();
    for mark in ["a", "b"] {
        exporter.swap(graph(mark)).await.unwrap();
        let is_there =
            |n: usize| std::fs::read_to_string(dir.path().join(n.to_string())).is_ok_and(|text| text == content(mark));
        until("all are there", Duration::from_secs(30), async || (0..8).all(is_there)).await;
    }
    exporter.stop().await.unwrap();
    collector.stop().await.unwrap();
}
