//! Join tokens and certificates that are renewed.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mgmt::resource::Keys;
use mgmt::world::{Authority, Invitation};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::cluster_of_hosts::{Cluster, get, in_the_end, managed, member, put, refusal};

const LIFE: Duration = Duration::from_secs(3600);

/// The token with another value of a field.
fn with(token: &str, field: &str, value: &str) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix("mgmt1_").unwrap()).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    json[field] = value.into();
    format!("mgmt1_{}", URL_SAFE_NO_PAD.encode(json.to_string()))
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_token_lets_one_host_in_and_no_token_lets_none_in() {
    let cluster = Cluster::new(LIFE);
    let _web1 = cluster.first().await;
    let token = || cluster.token(Invitation::default());
    // Another authority than the one that answers, and another secret, which costs time.
    let wrong = refusal(cluster.host("web2").join(with(&token(), "authority", &"0".repeat(64)))).await;
    assert!(wrong.contains("not the service of the token"), "{wrong}");
    let began = Instant::now();
    let guessed = refusal(cluster.host("web2").join(with(&token(), "secret", "guessed"))).await;
    assert!(guessed.contains("not known here") && began.elapsed() >= Duration::from_secs(1), "{guessed}");
    let unknown = refusal(cluster.host("web2").join(with(&token(), "id", "other"))).await;
    assert!(unknown.contains("not known here"), "{unknown}");
    let late = refusal(cluster.host("web2").join(cluster.token(Invitation::default().ttl(Duration::ZERO)))).await;
    assert!(late.contains("the time of this token is over"), "{late}");
    // What answers there has no certificate of the authority, or is no join service.
    let plain = listening(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let stranger = refusal(cluster.host("web2").join(cluster.token(Invitation::default().url(plain)))).await;
    assert!(stranger.starts_with("https://127.0.0.1:"), "{stranger}");
    assert!(refusal(cluster.host("web2").join("mgmt1_x")).await.contains("no join token"));
    // The name of a host that is there.
    let taken = refusal(managed(&cluster.prefix("other"), "web1").join(token())).await;
    assert!(taken.contains("a host with the name web1 has joined already"), "{taken}");
    // It has not used up its token.
    let good = token();
    let web2 = cluster.host("web2").join(&good).start().await.unwrap();
    let used = refusal(cluster.host("web3").join(&good)).await;
    assert!(used.contains("was used by another host"), "{used}");
    // The same host needs it no more, nor any other.
    web2.stop().await;
    let web2 = cluster.host("web2").join(&good).start().await.unwrap();
    assert!(get(&*member(&web2.world(), "web2"), Keys::Below("/mgmt/values/".to_owned())).await.is_ok());
    web2.stop().await;
    // After a crash before the answer was kept, it can ask again with its key.
    std::fs::remove_file(cluster.prefix("web2").join("trust/identity/identity.json")).unwrap();
    cluster.host("web2").join(&good).start().await.unwrap().stop().await;
    cluster.host("web2").start().await.unwrap().stop().await;
    // It is this host of this cluster, and no server.
    let renamed = refusal(managed(&cluster.prefix("web2"), "web4")).await;
    assert!(renamed.contains("joined as web2, not as web4"), "{renamed}");
    let serving = refusal(cluster.host("web2").server_urls(["https://127.0.0.1:0"])).await;
    assert!(serving.contains("mgmt cluster token --server"), "{serving}");
    let plain = refusal(cluster.host("web2").server_urls(["http://127.0.0.1:0"])).await;
    assert!(plain.contains("is not encrypted"), "{plain}");
    let other = Cluster::new(LIFE);
    let foreign = Invitation::default().url("https://127.0.0.1:1").token(&other.authority()).unwrap();
    assert!(refusal(cluster.host("web2").join(foreign)).await.contains("another cluster"));
    assert!(Authority::open(cluster.prefix("web2")).unwrap().is_none());
}

/// The address of a program that gives this answer to each question.
async fn listening(answer: &'static [u8]) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // The other side may have gone.
            let _ = stream.read(&mut [0; 64]).await;
            let _ = stream.write_all(answer).await;
        }
    });
    url
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_host_asks_again_until_the_join_service_answers() {
    let cluster = Cluster::new(LIFE);
    let web1 = cluster.first().await;
    let token = cluster.token(Invitation::default());
    web1.stop().await;
    // One with an answer that never comes is asked again too, and so is one that hangs up.
    let hangs_up = cluster.token(Invitation::default().url(listening(b"").await));
    let joining = [("web2", &token), ("web3", &hangs_up)];
    let joining = joining.map(|(host, token)| tokio::spawn(cluster.host(host).join(token).start()));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let [joining, in_vain] = joining;
    assert!(!joining.is_finished() && !in_vain.is_finished());
    in_vain.abort();
    let _web1 = cluster.first().await;
    let web2 = tokio::time::timeout(Duration::from_secs(30), joining).await.expect("in time").unwrap().unwrap();
    let world = member(&web2.world(), "web2");
    in_the_end(Duration::from_secs(10), async || put(&*world, "/mgmt/hosts/web2", "x").await.is_ok()).await;
    // It has used its token once.
    let used = refusal(cluster.host("web3").join(token)).await;
    assert!(used.contains("was used by another host"), "{used}");
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn of_two_hosts_with_one_token_at_once_one_is_let_in() {
    let cluster = Cluster::new(LIFE);
    let _web1 = cluster.first().await;
    for round in 0..3 {
        let token = cluster.token(Invitation::default());
        let hosts: Vec<String> = (0..4).map(|n| format!("web{round}-{n}")).collect();
        let mut joining = tokio::task::JoinSet::new();
        for host in &hosts {
            let start = cluster.host(host).join(&token).start();
            joining.spawn(async move { start.await.map(drop).map_err(|error| error.to_string()) });
        }
        let all = joining.join_all().await;
        let refused: Vec<&String> = all.iter().filter_map(|joined| joined.as_ref().err()).collect();
        assert!(refused.len() == 3 && refused.iter().all(|why| why.contains("was used by another host")), "{all:?}");
    }
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_host_may_serve_if_its_token_permits_it() {
    let cluster = Cluster::new(LIFE);
    let web1 = cluster.first().await;
    let token = cluster.token(Invitation::default().server(true));
    let web2 = cluster.host("web2").join(token).server_urls(["https://127.0.0.1:0"]).start().await.unwrap();
    in_the_end(Duration::from_secs(60), async || web1.servers().len() == 2 && web2.servers().len() == 2).await;
    // A host that joins knows both, and uses the second one while the first one is away.
    let web3 = cluster.joined("web3").await;
    in_the_end(Duration::from_secs(30), async || web3.servers().len() == 2).await;
    let world = member(&web3.world(), "web3");
    in_the_end(Duration::from_secs(20), async || put(&*world, "/mgmt/exports/*/file/web3", "x").await.is_ok()).await;
    web1.stop().await;
    in_the_end(Duration::from_secs(60), async || put(&*world, "/mgmt/exports/*/noop/web3", "x").await.is_ok()).await;
    web2.stop().await;
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn certificates_are_renewed_before_they_end_and_after_they_have_ended() {
    let cluster = Cluster::new(Duration::from_secs(4));
    let web1 = cluster.first().await;
    let web2 = cluster.joined("web2").await;
    let pem = |host: &str, name: &str| std::fs::read(cluster.prefix(host).join("trust/identity").join(name)).unwrap();
    let first = [pem("web2", "host.pem"), pem("web1", "server.pem"), pem("web1", "peer.pem")];
    let (keys, world) = ([pem("web1", "key.pem"), pem("web2", "key.pem")], member(&web2.world(), "web2"));
    // Longer than the certificates of the beginning hold, with new connections all the time.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        let fresh = member(&cluster.world("web2"), "web2");
        for member in [&world, &fresh] {
            in_the_end(Duration::from_secs(2), async || put(&**member, "/mgmt/hosts/web2", "x").await.is_ok()).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let now = [pem("web2", "host.pem"), pem("web1", "server.pem"), pem("web1", "peer.pem")];
    assert!(first.iter().zip(&now).all(|(first, now)| first != now));
    assert_eq!(keys, [pem("web1", "key.pem"), pem("web2", "key.pem")]);
    // Away for longer than they hold: first with the authority, then after it.
    web2.stop().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let expired = member(&cluster.world("web2"), "web2");
    assert!(get(&*expired, Keys::Below("/mgmt/values/".to_owned())).await.is_err());
    let web2 = cluster.host("web2").start().await.unwrap();
    let world = member(&web2.world(), "web2");
    in_the_end(Duration::from_secs(5), async || put(&*world, "/mgmt/hosts/web2", "x").await.is_ok()).await;
    web1.stop().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(put(&*world, "/mgmt/hosts/web2", "x").await.is_err());
    let _web1 = cluster.host("web1").server_urls(["https://127.0.0.1:0"]).start().await.unwrap();
    in_the_end(Duration::from_secs(20), async || put(&*world, "/mgmt/hosts/web2", "x").await.is_ok()).await;
}
