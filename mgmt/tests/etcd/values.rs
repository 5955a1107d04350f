//! Values that hosts share through etcd.

use std::path::Path;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;

use crate::server::Server;

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

async fn until(what: &str, path: &Path, expected: &str) {
    let began = Instant::now();
    while text(path) != expected {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}: {:?}", text(path));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn step(value: &str) -> GraphConfig {
    let mut g = Graph::new("steps");
    g.add(Kv::new("step").value(value).skiplessthan(true));
    g.finish().unwrap()
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn values_reach_other_hosts_grow_and_wait_for_etcd() {
    let mut server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let target = file.clone();
    let reader = mgmt::native(move |g, cx| {
        let step: Option<u32> = cx.read(&cx.world().value("step"));
        let names = cx.read(&cx.world().values::<String>("name"));
        g.add(File::new(target.to_str().unwrap()).content(format!("{step:?} {names:?}")));
        g.add(Kv::new("name").value(cx.hostname()).mapped(true));
        Ok(())
    });
    let reader = Engine::builder().world(server.world()).hostname("reader").gapi(reader).start().await.unwrap();
    until("its own", &file, r#"None {"reader": "reader"}"#).await;
    let (one, two) = (Engine::builder().world(server.world()), Engine::builder().world(server.world()));
    let one = one.hostname("one").graph(step("3")).start().await.unwrap();
    until("a step", &file, r#"Some(3) {"reader": "reader"}"#).await;
    let two = two.hostname("two").graph(step("2")).start().await.unwrap();
    two.converged().await.unwrap();
    two.swap(step("5")).await.unwrap();
    until("the next one", &file, r#"Some(5) {"reader": "reader"}"#).await;
    server.kill();
    one.swap(step("7")).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    until("what was known", &file, r#"Some(5) {"reader": "reader"}"#).await;
    server.again();
    until("it has caught up", &file, r#"Some(7) {"reader": "reader"}"#).await;
    for engine in [reader, one, two] {
        engine.stop().await.unwrap();
    }
}
