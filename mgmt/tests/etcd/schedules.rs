//! Living hosts, and schedules, through etcd.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mgmt::Engine;
use mgmt::resource::Chosen;

use crate::server::Server;

type Known = Arc<Mutex<BTreeMap<String, (Chosen, Vec<String>)>>>;

async fn host(server: &Server, name: &str, known: &Known) -> Engine {
    let (known, host) = (Arc::clone(known), name.to_owned());
    let ttl = Duration::from_secs(2);
    let gapi = mgmt::native(move |_, cx| {
        let chosen = cx.read(&cx.world().schedule("job").pick(2).ttl(ttl));
        let alive = cx.read(&cx.world().hosts()).into_iter().map(|host| host.name).collect();
        known.lock().unwrap().insert(host.clone(), (chosen, alive));
        Ok(())
    });
    Engine::builder().world(server.world()).hostname(name).alive_ttl(ttl).gapi(gapi).start().await.unwrap()
}

fn acting(known: &Known) -> Vec<String> {
    let known = known.lock().unwrap();
    known.iter().filter(|(_, (chosen, _))| chosen.is_chosen).map(|(host, _)| host.clone()).collect()
}

async fn until(what: &str, known: &Known, hosts: &[&str]) {
    let began = Instant::now();
    loop {
        let now = acting(known);
        let agree = |(chosen, alive): &(Chosen, Vec<String>)| chosen.hosts == now && alive == hosts;
        if now.len() == 2 && hosts.iter().all(|host| known.lock().unwrap().get(*host).is_some_and(agree)) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{what}: {:?}", known.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn hosts_agree_on_who_lives_and_who_is_chosen_also_over_the_death_of_etcd() {
    let mut server = Server::start();
    let known = Known::default();
    let names = ["a", "b", "c", "d"];
    let mut engines = BTreeMap::new();
    for name in names {
        engines.insert(name, host(&server, name, &known).await);
    }
    until("all", &known, &names).await;
    let before = acting(&known);
    // Without etcd the leases run out, by the clocks of the hosts.
    server.kill();
    let began = Instant::now();
    while !acting(&known).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", acting(&known));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.again();
    until("all again", &known, &names).await;
    assert!(acting(&known).iter().any(|host| before.contains(host)));
    // A chosen one ends: another one comes, and is seen to.
    let gone = acting(&known)[0].clone();
    let began = Instant::now();
    engines.remove(gone.as_str()).unwrap().stop().await.unwrap();
    known.lock().unwrap().remove(&gone);
    let left: Vec<&str> = engines.keys().copied().collect();
    until("those that are left", &known, &left).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for engine in engines.into_values() {
        engine.stop().await.unwrap();
    }
}
