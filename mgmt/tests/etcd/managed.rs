//! Hosts that run an etcd themselves.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use mgmt::resource::{Keys, Transaction, World, WorldError, Write};
use mgmt::world::{Etcd, Managed, ManagedError, ManagedEtcd};

use crate::authority::Authority;

const SOON: Duration = Duration::from_millis(100);

/// A host that runs a server on this machine, in its own directory.
fn host(dir: &Path, name: &str) -> Managed {
    let program = std::env::var_os("MGMT_ETCD").unwrap_or_else(|| "etcd".into());
    Managed::new(dir.join(name), name).program(program).server_urls(["http://127.0.0.1:0"])
}

async fn put(world: &Etcd, key: &str, value: &str) -> bool {
    let writes = [(key.to_owned(), Write::Put(value.as_bytes().into(), None))].into();
    World::member(world, "test").commit(Transaction { conditions: Vec::new(), writes }).await.is_ok()
}

async fn get(world: &Etcd, key: &str) -> Option<String> {
    let member = World::member(world, "test");
    let found = member.get(vec![Keys::One(key.to_owned())]).await.ok()?;
    Some(String::from_utf8_lossy(&found.entries.get(key)?.value).into_owned())
}

/// Reads until there is an answer.
async fn get_in_the_end(world: &Etcd, key: &str) -> String {
    let began = Instant::now();
    loop {
        if let Some(value) = get(world, key).await {
            return value;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{world:?} does not answer");
        tokio::time::sleep(SOON).await;
    }
}

/// Writes until it succeeds: while servers change, some answers are missing.
async fn put_in_the_end(world: &Etcd, key: &str, value: &str) {
    let began = Instant::now();
    while !put(world, key, value).await {
        assert!(began.elapsed() < Duration::from_secs(30), "{world:?} accepts nothing");
        tokio::time::sleep(SOON).await;
    }
}

/// Waits until each of these hosts knows that many servers.
async fn until_servers(hosts: &[&ManagedEtcd], count: usize, limit: Duration) {
    let began = Instant::now();
    for host in hosts {
        while host.servers().len() != count {
            assert!(began.elapsed() < limit, "{:?} instead of {count} servers", host.servers());
            tokio::time::sleep(SOON).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn the_first_server_keeps_its_data_and_its_ports_over_a_restart_and_its_death() {
    let dir = tempfile::tempdir().unwrap();
    let first = host(dir.path(), "web1").start().await.unwrap();
    let addresses = first.servers();
    assert!(put(&first.world(), "/mgmt/x", "one").await);
    first.stop().await;
    let again = host(dir.path(), "web1").start().await.unwrap();
    assert_eq!(again.servers(), addresses);
    assert_eq!(get(&again.world(), "/mgmt/x").await.as_deref(), Some("one"));
    // Dropped, it is killed; what was written is there all the same.
    assert!(put(&again.world(), "/mgmt/x", "two").await);
    drop(again);
    let last = host(dir.path(), "web1").start().await.unwrap();
    assert_eq!(get(&last.world(), "/mgmt/x").await.as_deref(), Some("two"));
    // Its log is for its owner.
    let log = fs::metadata(dir.path().join("web1/log")).unwrap();
    assert_eq!(log.permissions().mode() & 0o777, 0o600);
    // With data it does not move to addresses of another kind.
    last.stop().await;
    let [ca, certificate, key] = Authority::new().files(dir.path(), "web1");
    let moved = host(dir.path(), "web1").server_urls(["https://127.0.0.1:0"]).tls(ca, certificate, key).start().await;
    let moved = moved.unwrap_err().to_string();
    assert!(moved.contains("let it leave the cluster first"), "{moved}");
}

/// A host with these ports for clients and for servers.
fn at(dir: &Path, name: &str, ports: [u16; 2]) -> Managed {
    let [client, server] = ports.map(|port| [format!("http://127.0.0.1:{port}")]);
    host(dir, name).client_urls(client).server_urls(server)
}

fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// The addresses of all members, as the server at this port tells other servers.
fn peers(port: u16) -> Vec<String> {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return Vec::new() };
    let mut answer = String::new();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    if stream.write_all(b"GET /members HTTP/1.0\r\n\r\n").and_then(|()| stream.read_to_string(&mut answer)).is_err() {
        return Vec::new();
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let members: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let urls = members.as_array().into_iter().flatten().filter_map(|member| member["peerURLs"][0].as_str());
    let mut urls: Vec<String> = urls.map(str::to_owned).collect();
    urls.sort();
    urls
}

/// Waits until the server at the first one of these ports knows servers at all of them.
async fn until_peers(ports: &[u16]) {
    let mut all: Vec<String> = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
    all.sort();
    let began = Instant::now();
    while peers(ports[0]) != all {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?} instead of {all:?}", peers(ports[0]));
        tokio::time::sleep(SOON).await;
    }
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn servers_that_get_other_addresses_become_known_at_them() {
    let dir = tempfile::tempdir().unwrap();
    let (first, then) = (free_ports(), free_ports());
    let web1 = at(dir.path(), "web1", first).ideal_cluster_size(3).start().await.unwrap();
    assert!(put(&web1.world(), "/mgmt/x", "kept").await);
    // The only one.
    web1.stop().await;
    let web1 = at(dir.path(), "web1", then).start().await.unwrap();
    assert_eq!(get_in_the_end(&web1.world(), "/mgmt/x").await, "kept");
    until_peers(&[then[1]]).await;
    // Others join it there.
    let ports = [free_ports(), free_ports()];
    let seeds = [format!("http://127.0.0.1:{}", then[0])];
    let web2 = at(dir.path(), "web2", ports[0]).seeds(seeds.clone()).start().await.unwrap();
    let web3 = at(dir.path(), "web3", ports[1]).seeds(seeds).start().await.unwrap();
    until_servers(&[&web1, &web2, &web3], 3, Duration::from_secs(90)).await;
    // One of three, and then another one: in the end these two know each other without the third one.
    let [mut second, mut third] = ports;
    web2.stop().await;
    second = [second[0], free_ports()[1]];
    let web2 = at(dir.path(), "web2", second).start().await.unwrap();
    until_peers(&[second[1], then[1], third[1]]).await;
    put_in_the_end(&web2.world(), "/mgmt/x", "moved").await;
    web3.stop().await;
    third = free_ports();
    let web3 = at(dir.path(), "web3", third).start().await.unwrap();
    until_peers(&[third[1], then[1], second[1]]).await;
    until_servers(&[&web1, &web2, &web3], 3, Duration::from_secs(60)).await;
    drop(web1);
    put_in_the_end(&web3.world(), "/mgmt/x", "of two").await;
    assert_eq!(get_in_the_end(&web2.world(), "/mgmt/x").await, "of two");
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_server_that_does_not_come_up_is_an_error_with_its_last_lines() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    let error = host(dir.path(), "web1").server_urls([url]).start().await.unwrap_err().to_string();
    assert!(error.contains("etcd has ended (exit code 1)") && error.contains("address already in use"), "{error}");
    // Nothing of it is in the way of the next try.
    drop(host(dir.path(), "web1").start().await.unwrap());
    let silent = dir.path().join("silent");
    fs::write(
        &silent,
        "#!/bin/sh\n[ \"$1\" != --version ] || exec echo 'etcd Version: 3.5.0'\necho begins\nexec sleep 60\n",
    )
    .unwrap();
    fs::set_permissions(&silent, PermissionsExt::from_mode(0o755)).unwrap();
    let late = host(dir.path(), "web2").program(silent).start_max(Duration::from_secs(1));
    let late = late.start().await.unwrap_err().to_string();
    assert!(late.contains("etcd did not answer within 1s") && late.contains("begins"), "{late}");
}

/// Runs etcd, and kills it as soon as its log is there: usually before it has written its members to it.
const SHORT_LIVED: &str = r#"#!/bin/sh
etcd="${MGMT_ETCD_OF_TEST}"
[ "$1" != --version ] || exec "$etcd" --version
"$etcd" "$@" &
until ls "${0%/*}"/*/data/member/wal/*.wal > /dev/null 2>&1; do :; done
kill -9 $!
exit 1
"#;

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_first_server_that_was_killed_before_its_log_had_members_begins_again() {
    let program = std::env::var("MGMT_ETCD").unwrap_or_else(|_| "etcd".to_owned());
    let mut count = 0;
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let short_lived = dir.path().join("short-lived");
        fs::write(&short_lived, SHORT_LIVED.replace("${MGMT_ETCD_OF_TEST}", &program)).unwrap();
        fs::set_permissions(&short_lived, PermissionsExt::from_mode(0o755)).unwrap();
        let killed = host(dir.path(), "web1").program(short_lived).start().await.unwrap_err().to_string();
        assert!(killed.contains("etcd has ended"), "{killed}");
        assert!(dir.path().join("web1/data/member/wal").exists());
        let web1 = host(dir.path(), "web1").start_max(Duration::from_secs(20)).start().await.unwrap();
        assert!(put(&web1.world(), "/mgmt/x", "one").await);
        // Otherwise its log had members already, and is the one that it continues.
        count += usize::from(dir.path().join("web1/data.removed").exists());
        drop(web1);
        // What holds something is kept.
        let web1 = host(dir.path(), "web1").start().await.unwrap();
        assert_eq!(get(&web1.world(), "/mgmt/x").await.as_deref(), Some("one"));
        if count == 2 {
            return;
        }
    }
    panic!("{count} of 10 were killed in time");
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn hosts_join_up_to_the_size_and_leave_when_it_shrinks() {
    let dir = tempfile::tempdir().unwrap();
    let web1 = host(dir.path(), "web1").ideal_cluster_size(2).start().await.unwrap();
    let seeds = web1.servers();
    let join = |name: &str| host(dir.path(), name).seeds(seeds.clone());
    let (web2, web3) = (join("web2").start().await.unwrap(), join("web3").start().await.unwrap());
    let all = [&web1, &web2, &web3];
    until_servers(&all, 2, Duration::from_secs(60)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    until_servers(&all, 2, Duration::ZERO).await;
    web2.set_size(3).await.unwrap();
    until_servers(&all, 3, Duration::from_secs(60)).await;
    put_in_the_end(&web3.world(), "/mgmt/x", "of three").await;
    // A third of them dies, and the first seed at that: the others know one another.
    drop(web1);
    put_in_the_end(&web2.world(), "/mgmt/x", "of two").await;
    put_in_the_end(&web3.world(), "/mgmt/y", "of two").await;
    // It comes back with its data.
    let web1 = join("web1").start().await.unwrap();
    let began = Instant::now();
    while get(&web1.world(), "/mgmt/y").await.as_deref() != Some("of two") {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(SOON).await;
    }
    web1.set_size(1).await.unwrap();
    until_servers(&[&web1, &web2, &web3], 1, Duration::from_secs(60)).await;
    put_in_the_end(&web1.world(), "/mgmt/x", "of one").await;
    assert_eq!(get(&web3.world(), "/mgmt/x").await.as_deref(), Some("of one"));
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn one_that_leaves_is_replaced_first_and_a_dead_one_after_the_time_of_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let web1 = host(dir.path(), "web1").ideal_cluster_size(3).start().await.unwrap();
    let seeds = web1.servers();
    let join = |name: &str| host(dir.path(), name).seeds(seeds.clone());
    let (web2, web3) = (join("web2").start().await.unwrap(), join("web3").start().await.unwrap());
    until_servers(&[&web1, &web2, &web3], 3, Duration::from_secs(90)).await;
    let web4 = join("web4").start().await.unwrap();
    put_in_the_end(&web4.world(), "/mgmt/x", "kept").await;
    // The first one leaves, and with it the only seed that the others were given.
    web1.leave(Duration::from_secs(60)).await;
    assert!(dir.path().join("web1/data.removed").exists() && !dir.path().join("web1/data").exists());
    until_servers(&[&web2, &web3, &web4], 3, Duration::from_secs(30)).await;
    assert!(!web4.servers().contains(&seeds[0]), "{:?}", web4.servers());
    assert_eq!(get(&web4.world(), "/mgmt/x").await.as_deref(), Some("kept"));
    // One dies for good. A host that is new takes its place, with a seed that is one of the two that live.
    let seeds = web4.servers();
    drop(web2);
    let web5 = host(dir.path(), "web5").seeds(seeds).start().await.unwrap();
    let began = Instant::now();
    while !dir.path().join("web5/data/member").exists() {
        assert!(began.elapsed() < Duration::from_secs(150), "{:?}", web3.servers());
        tokio::time::sleep(SOON).await;
    }
    put_in_the_end(&web5.world(), "/mgmt/x", "of three again").await;
    assert_eq!(get(&web3.world(), "/mgmt/x").await.as_deref(), Some("of three again"));
}

/// Writes the same key until there is no space for it.
async fn fill(world: &Etcd) {
    let member = World::member(world, "test");
    for _ in 0..20 {
        let value: std::sync::Arc<[u8]> = vec![b'x'; 1 << 20].into();
        let writes = [("/mgmt/large".to_owned(), Write::Put(value, None))].into();
        match member.commit(Transaction { conditions: Vec::new(), writes }).await {
            Ok(_) => {}
            Err(WorldError::Full(_)) => return,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("there is space for everything");
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_server_without_space_makes_some_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let web1 = host(dir.path(), "web1").ideal_cluster_size(2).space(5 << 20).start().await.unwrap();
    let web2 = host(dir.path(), "web2").seeds(web1.servers()).space(5 << 20).start().await.unwrap();
    until_servers(&[&web1, &web2], 2, Duration::from_secs(60)).await;
    fill(&web1.world()).await;
    assert!(!put(&web2.world(), "/mgmt/x", "refused").await);
    // It is not away: it answers.
    assert_eq!(get(&web2.world(), "/mgmt/x").await, None);
    put_in_the_end(&web2.world(), "/mgmt/x", "accepted").await;
    assert_eq!(get(&web1.world(), "/mgmt/x").await.as_deref(), Some("accepted"));
    // Once more, with what it has learned: not at once.
    fill(&web2.world()).await;
    put_in_the_end(&web1.world(), "/mgmt/x", "again").await;
    assert_eq!(get(&web2.world(), "/mgmt/x").await.as_deref(), Some("again"));
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn servers_with_certificates_accept_hosts_with_certificates_alone() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let secured = |name: &str| {
        let [ca, certificate, key] = authority.files(dir.path(), name);
        host(dir.path(), name).server_urls(["https://127.0.0.1:0"]).tls(ca, certificate, key)
    };
    let web1 = secured("web1").ideal_cluster_size(2).start().await.unwrap();
    let seeds = web1.servers();
    assert!(seeds.iter().all(|url| url.starts_with("https://127.0.0.1:")), "{seeds:?}");
    let web2 = secured("web2").seeds(seeds.clone()).start().await.unwrap();
    until_servers(&[&web1, &web2], 2, Duration::from_secs(60)).await;
    put_in_the_end(&web2.world(), "/mgmt/x", "sealed").await;
    let [ca, certificate, key] = Authority::new().pem("web3");
    let stranger = Etcd::new(seeds.clone()).tls(ca, certificate, key);
    assert!(!put(&stranger, "/mgmt/x", "changed").await);
    assert!(!put(&Etcd::new(seeds.iter().map(|url| url.replace("https", "http"))), "/mgmt/x", "changed").await);
    assert_eq!(get(&web1.world(), "/mgmt/x").await.as_deref(), Some("sealed"));
    // A host that has no certificates at all does not even try.
    let without = host(dir.path(), "web3").server_urls(["https://127.0.0.1:0"]).start().await.unwrap_err();
    assert!(matches!(without, ManagedError::NoCertificates(_)), "{without}");
    // One of two stops: it leaves first, so that the other one continues.
    web1.stop().await;
    put_in_the_end(&web2.world(), "/mgmt/x", "alone").await;
    until_servers(&[&web2], 1, Duration::from_secs(10)).await;
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_host_without_a_server_remembers_the_servers_and_two_programs_never_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let on_v6 = |name: &str| host(dir.path(), name).server_urls(["http://[::1]:0"]);
    let web1 = on_v6("web1").start().await.unwrap();
    assert!(web1.servers()[0].starts_with("http://[::1]:"), "{:?}", web1.servers());
    let second = on_v6("web1").start().await.unwrap_err();
    assert!(matches!(second, ManagedError::InUse(_)), "{second}");
    assert!(put(&web1.world(), "/mgmt/x", "one").await);
    // The seed is one of several, and the only one that lives.
    let client = || Managed::new(dir.path().join("desk"), "desk");
    let seeds = ["http://127.0.0.1:1".to_owned(), web1.servers()[0].clone()];
    let desk = client().seeds(seeds).start().await.unwrap();
    until_servers(&[&desk], 1, Duration::from_secs(20)).await;
    desk.stop().await;
    let desk = client().start().await.unwrap();
    assert_eq!(get(&desk.world(), "/mgmt/x").await.as_deref(), Some("one"));
    assert!(!dir.path().join("desk/data").exists());
}
