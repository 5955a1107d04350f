//! Exports whose fields receive values, resources that receive from what is collected, and a graph that has converged
//! only when the world has its exports.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::world::Embedded;
use mgmt::{Engine, graph::GraphConfig};

use crate::engine::world::{collecting, exporting, published, start, text};
use crate::kit::{a_while, until, within};

/// Exports a file into which the output of a command goes.
fn measured(source: &Path, to: &str) -> GraphConfig {
    let mut g = Graph::new("measured");
    let measure = Exec::new("measure").cmd(format!("/bin/cat {}", source.display())).watchfiles([source]);
    let measure = g.add(measure.retry(-1).delay(Duration::from_millis(50)));
    g.export(File::new("/x/fixed").content("fixed"));
    g.export(File::new("/x/measured").content(measure.stdout().map(|text| format!("<{}>", text.trim())))).to([to]);
    g.finish().unwrap()
}

#[tokio::test]
async fn an_export_that_receives_is_published_once_its_value_is_known_and_again_when_it_changes() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let (source, kept) = (dir.path().join("source"), dir.path().join("kept"));
    fs::create_dir(&kept).unwrap();
    let (fixed, received) = (kept.join("fixed"), kept.join("measured"));
    let collector = start(&world, "web2", collecting(&kept)).await;
    // The command fails: its file is missing. What does not need it is published.
    let exporter = start(&world, "web1", measured(&source, "web2")).await;
    until("the other export is there", || text(&fixed) == "fixed").await;
    a_while().await;
    assert!(!received.exists() && !exporter.is_converged());
    fs::write(&source, "one").unwrap();
    until("it is published", || text(&received) == "<one>").await;
    within(exporter.converged()).await.unwrap();
    fs::write(&source, "two").unwrap();
    until("it is published again", || text(&received) == "<two>").await;
    let before = published(&world);
    // A restart writes nothing: until the value is known again, what was published holds.
    exporter.stop().await.unwrap();
    let exporter = start(&world, "web1", measured(&source, "web2")).await;
    within(exporter.converged()).await.unwrap();
    a_while().await;
    assert_eq!((published(&world), text(&received)), (before, "<two>".to_owned()));
    exporter.stop().await.unwrap();
    fs::remove_file(&source).unwrap();
    let exporter = start(&world, "web1", measured(&source, "web2")).await;
    a_while().await;
    assert_eq!((published(&world), exporter.is_converged()), (before, false));
    // It is withdrawn when the graph no longer has it, known or not.
    exporter.swap(exporting(&[("/x/fixed", "fixed")])).await.unwrap();
    until("it is withdrawn", || published(&world) > before).await;
    let id = "file[/x/measured]".parse().unwrap();
    within(async {
        while collector.resource(&id).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    within(exporter.converged()).await.unwrap();
    exporter.stop().await.unwrap();
    collector.stop().await.unwrap();
}

#[tokio::test]
async fn a_host_collects_its_own_exports_that_receive_also_without_a_world() {
    for world in [Some(Embedded::new()), None] {
        let dir = tempfile::tempdir().unwrap();
        let (source, kept) = (dir.path().join("source"), dir.path().join("measured"));
        fs::write(&source, "one").unwrap();
        let mut graph = measured(&source, "web1");
        graph.collects = collecting(dir.path()).collects;
        let builder = Engine::builder().hostname("web1").graph(graph);
        let engine = match &world {
            Some(world) => builder.world(world.clone()).start().await.unwrap(),
            None => builder.start().await.unwrap(),
        };
        until("it is there", || text(&kept) == "<one>").await;
        fs::write(&source, "two").unwrap();
        until("it has changed", || text(&kept) == "<two>").await;
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_receives_from_a_collected_resource_waits_for_it_and_follows_it() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let port = dir.path().join("port");
    let mut g = Graph::new("balancer");
    let rule = g.collect::<Value>().from("db*");
    let value = rule.one("port");
    g.add(File::new(port.to_str().unwrap()).content(value.value().map(|port| format!("port {port}"))));
    g.add(File::new(dir.path().join("other").to_str().unwrap()).content("other"));
    // What it receives it can export again.
    g.export(File::new("/x/port").content(value.value()));
    let balancer = start(&world, "web1", g.finish().unwrap()).await;
    until("what does not wait is there", || text(&dir.path().join("other")) == "other").await;
    let id = "awaited[value[port]]".parse().unwrap();
    let waits = within(async {
        loop {
            let status = balancer.resource(&id).await.unwrap().expect("it is in the graph");
            if let Some(error) = status.error {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(waits.contains("no host exports value[port] yet"), "{waits}");
    assert!(!port.exists() && !balancer.is_converged());
    let ports = |port: &str| {
        let mut g = Graph::new("db");
        g.export(Value::new("port").any(port));
        g.export(Value::new("other").any("not this"));
        g.finish().unwrap()
    };
    let db = start(&world, "db1", ports("1")).await;
    until("it is there", || text(&port) == "port 1").await;
    within(balancer.converged()).await.unwrap();
    let again = dir.path().join("again");
    fs::create_dir(&again).unwrap();
    let collector = start(&world, "web2", collecting(&again)).await;
    until("it is exported again", || text(&again.join("port")) == "1").await;
    db.swap(ports("2")).await.unwrap();
    until("it has followed", || text(&port) == "port 2" && text(&again.join("port")) == "2").await;
    // When it is withdrawn, what was received stays.
    db.swap(GraphConfig::default()).await.unwrap();
    within(async {
        while balancer.resource(&id).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    a_while().await;
    assert_eq!(text(&port), "port 2");
    for engine in [collector, balancer, db] {
        engine.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_the_graph_declares_itself_takes_the_place_of_an_equal_one_that_is_awaited() {
    let (world, dir) = (Embedded::new(), tempfile::tempdir().unwrap());
    let port = dir.path().join("port");
    let mut g = Graph::new("balancer");
    let value = g.collect::<Value>().one("port");
    g.add(Value::new("port").any("1"));
    g.add(File::new(port.to_str().unwrap()).content(value.value()));
    let balancer = start(&world, "web1", g.finish().unwrap()).await;
    let mut g = Graph::new("db");
    g.export(Value::new("port").any("1"));
    let db = start(&world, "db1", g.finish().unwrap()).await;
    until("it is there", || text(&port) == "1").await;
    within(balancer.converged()).await.unwrap();
    balancer.stop().await.unwrap();
    db.stop().await.unwrap();
}

#[tokio::test]
async fn a_host_is_converged_when_the_world_has_its_exports() {
    let world = Embedded::new();
    world.cut("web1");
    let exporter = start(&world, "web1", exporting(&[("/x/a", "one")])).await;
    let id = "exports[web1]".parse().unwrap();
    let waits = within(async {
        loop {
            let status = exporter.resource(&id).await.unwrap().expect("it is part of the graph");
            if let Some(error) = status.error {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(waits.contains("what this host exports is not published: the world can't be reached"), "{waits}");
    assert!(!exporter.is_converged());
    world.mend("web1");
    within(exporter.converged()).await.unwrap();
    assert_eq!(published(&world), 1);
    // Each change counts, whatever is published already.
    world.cut("web1");
    exporter.swap(exporting(&[("/x/a", "two")])).await.unwrap();
    a_while().await;
    assert!(!exporter.is_converged());
    world.mend("web1");
    within(exporter.converged()).await.unwrap();
    assert_eq!(published(&world), 2);
    exporter.stop().await.unwrap();
}
