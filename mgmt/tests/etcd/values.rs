//! Values that hosts share through etcd.

use std::path::Path;
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::prelude::*;
#[cfg(feature = "testing")]
use mgmt::resource::{Keys, Member, Transaction, World, Write};

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

/// Each host has a connection of its own, as on another machine.
#[cfg(feature = "testing")]
#[derive(Debug)]
struct EachItsOwn(String);

#[cfg(feature = "testing")]
impl World for EachItsOwn {
    fn member(&self, host: &str) -> std::sync::Arc<dyn Member> {
        mgmt::world::Etcd::new([self.0.as_str()]).member(host)
    }
}

/// Asks etcd on a thread of its own: the caller may be in a runtime.
#[cfg(feature = "testing")]
fn ask<T: Send>(url: &str, question: impl AsyncFnOnce(std::sync::Arc<dyn Member>) -> T + Send) -> T {
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(question(EachItsOwn(url.to_owned()).member("another")))
        });
        asked.join().unwrap()
    })
}

#[cfg(feature = "testing")]
#[test]
#[ignore = "needs the program etcd"]
fn a_value_keeps_the_laws_of_all_kinds() {
    use mgmt::testing::laws::{self, Law, Subject};
    let server = Server::start();
    let url = server.url();
    // Each trial has a key of its own.
    let name = |dir: &Path| dir.to_str().unwrap().to_owned();
    let key = move |dir: &Path| format!("/mgmt/values/{}", name(dir).replace('/', "%2F"));
    let breaks = |write: Write| {
        let url = url.clone();
        move |dir: &Path| {
            let transaction = Transaction { conditions: Vec::new(), writes: [(key(dir), write.clone())].into() };
            let written = ask(&url, async |member| member.commit(transaction).await);
            assert!(written.unwrap().is_some());
        }
    };
    let observed = url.clone();
    let kv = Subject::new(move |dir| Kv::new("k").key(name(dir)).value("1"))
        .world(EachItsOwn(url.clone()))
        .break_it(breaks(Write::Remove))
        .break_it(breaks(Write::Put(b"2"[..].into(), None)))
        .observe(move |dir| {
            let keys = vec![Keys::One(key(dir))];
            let found = ask(&observed, async |member| member.get(keys).await).unwrap();
            format!("{:?}", found.entries.values().map(|entry| &entry.value).collect::<Vec<_>>())
        });
    let kept = laws::check(kv);
    assert!(Law::ALL.iter().chain(&[Law::UndoRestores]).all(|law| kept.contains(law)), "{kept:?}");
}
