//! What hosts with valid certificates may and may not do, and what a hostile one can.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use mgmt::Engine;
use mgmt::prelude::*;
use mgmt::resource::{Keys, Revision, WorldError, WorldEvent};
use mgmt::world::{Etcd, Invitation, Membership};

use crate::authority::Authority as Pki;
use crate::cluster_of_hosts::{Cluster, get, in_the_end, member, put, remove};

const LIFE: Duration = Duration::from_secs(3600);

fn is_denied<T>(result: &Result<T, WorldError>) -> bool {
    matches!(result, Err(WorldError::Denied(_)))
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_host_writes_its_own_keys_alone_and_reads_what_is_for_it() {
    let cluster = Cluster::new(LIFE);
    let _web1 = cluster.first().await;
    let (_web2, _web3) = (cluster.joined("web2").await, cluster.joined("web3").await);
    let (web2, web3) = (member(&cluster.world("web2"), "web2"), member(&cluster.world("web3"), "web3"));
    // Its own, as soon as it has asked for it.
    for key in [
        "/mgmt/exports/web3/file/web2/x/1",
        "/mgmt/exports/*/file/web2",
        "/mgmt/exporters/web2",
        "/mgmt/hosts/web2",
        "/mgmt/values/port",
        "/mgmt/values/port/web2",
        "/mgmt/schedules/backup/candidates/web2",
        "/mgmt/schedules/backup/chosen",
    ] {
        in_the_end(Duration::from_secs(20), async || put(&*web2, key, "x").await.is_ok()).await;
    }
    // Nothing of others, also under their names.
    for host in ["web2", "web3", "root", ""] {
        let hostile = member(&cluster.world("web2"), host);
        for key in [
            "/mgmt/exports/web1/file/web3/x/1",
            "/mgmt/exports/*/file/web3",
            "/mgmt/exports/*/file/web2-a/x/1",
            "/mgmt/exporters/web3",
            "/mgmt/hosts/web3",
            "/mgmt/states/web1",
            "/mgmt/values/port/web3",
            "/mgmt/schedules/backup/candidates/web3",
            "/mgmt/grants/web3/values/x",
            "/mgmt/servers/size",
            "/mgmt/servers/election",
            "/mgmt/servers/volunteers/web2",
            "/mgmt/deploys/head",
            "/mgmt/blobs/index/x",
            "/mgmt",
            "/other",
        ] {
            let written = put(&*hostile, key, "x").await;
            assert!(is_denied(&written), "{host} {key}: {written:?}");
            assert!(is_denied(&remove(&*hostile, key).await), "{host} {key}");
        }
    }
    // It reads what is for it and for all.
    let below = |prefix: &str| Keys::Below(prefix.to_owned());
    assert_eq!(get(&*web3, below("/mgmt/exports/web3/")).await.unwrap(), ["/mgmt/exports/web3/file/web2/x/1"]);
    assert!(get(&*web3, below("/mgmt/exports/*/")).await.is_ok());
    for keys in [
        below("/mgmt/exports/web1/"),
        below("/mgmt/exports/"),
        below("/mgmt/"),
        below(""),
        below("/mgmt/grants/web2/"),
        Keys::One("/mgmt/exporters/web2".to_owned()),
        Keys::One("/mgmt/exports/web1/file/web2".to_owned()),
    ] {
        let read = get(&*web3, keys.clone()).await;
        assert!(is_denied(&read), "{keys:?}: {read:?}");
        let watched = web3.watch(vec![keys.clone()], Revision(1)).next().await;
        assert!(matches!(watched, Some(WorldEvent::Lost(_))), "{keys:?}: {watched:?}");
    }
    // A host that serves decides which ones may deploy.
    let members = Membership::open(cluster.prefix("web1")).unwrap();
    assert!(Membership::open(cluster.prefix("web2")).unwrap_err().to_string().contains("may not change which hosts"));
    members.set_deploys("web2", true).await.unwrap();
    in_the_end(Duration::from_secs(5), async || put(&*web2, "/mgmt/deploys/head", "x").await.is_ok()).await;
    assert!(is_denied(&put(&*web3, "/mgmt/deploys/head", "x").await));
    members.set_deploys("web2", false).await.unwrap();
    in_the_end(Duration::from_secs(5), async || is_denied(&put(&*web2, "/mgmt/deploys/head", "y").await)).await;
    let hosts: Vec<(String, bool)> =
        members.hosts().await.unwrap().into_iter().map(|host| (host.name, host.deploys)).collect();
    assert_eq!(hosts, [("web1".to_owned(), true), ("web2".to_owned(), false), ("web3".to_owned(), false)]);
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn without_a_certificate_of_the_cluster_no_program_is_let_in() {
    let cluster = Cluster::new(LIFE);
    let web1 = cluster.first().await;
    let _web2 = cluster.joined("web2").await;
    let urls = web1.servers();
    let trust = cluster.prefix("web2").join("trust/identity");
    let read = |name: &str| std::fs::read(trust.join(name)).unwrap();
    let works = async |world: Etcd| get(&*member(&world, "x"), Keys::One("/mgmt".to_owned())).await.is_ok();
    assert!(works(Etcd::new(&urls).tls(read("authority.pem"), read("host.pem"), read("key.pem"))).await);
    // In the clear, and with certificates of another authority.
    assert!(!works(Etcd::new(urls.iter().map(|url| url.replace("https", "http")))).await);
    let other = Pki::new().files(cluster.prefix("web2").as_path(), "web2");
    let [_, certificate, key] = other.map(|file| std::fs::read(file).unwrap());
    assert!(!works(Etcd::new(&urls).tls(read("authority.pem"), &certificate, &key)).await);
    // A certificate of a host does not make it a server for others.
    let kept = std::fs::read(cluster.prefix("web1").join("etcd/server.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    let peer = kept["addresses"]["server"][0].as_str().unwrap().to_owned();
    let shown = shakes_hands(
        &peer,
        &cluster.prefix("web1").join("trust/identity/servers.pem"),
        &trust.join("host.pem"),
        &trust.join("key.pem"),
    );
    assert!(!shown, "a host is let in as a server");
    let own = cluster.prefix("web1").join("trust/identity");
    assert!(shakes_hands(&peer, &own.join("servers.pem"), &own.join("peer.pem"), &own.join("key.pem")));
}

/// Whether what listens there accepts this certificate.
fn shakes_hands(url: &str, authority: &std::path::Path, certificate: &std::path::Path, key: &std::path::Path) -> bool {
    use std::io::{Read as _, Write as _};

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

    let (host, port) = url.strip_prefix("https://").unwrap().rsplit_once(':').unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_file(certificate).unwrap()],
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = std::net::TcpStream::connect((host, port.parse().unwrap())).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let asked = stream.write_all(b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok() && (stream.read_to_string(&mut answer).is_ok() || !answer.is_empty()) && answer.contains("200 OK")
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_server_that_has_lost_its_data_lets_no_host_in_before_its_users_are_set_up() {
    let cluster = Cluster::new(LIFE);
    let web1 = cluster.first().await;
    cluster.joined("web2").await.stop().await;
    let world = cluster.world("web2").at(web1.servers());
    assert!(get(&*member(&world, "web2"), Keys::Below("/mgmt/values/".to_owned())).await.is_ok());
    web1.stop().await;
    std::fs::remove_dir_all(cluster.prefix("web1").join("etcd/data")).unwrap();
    // It has a valid certificate, and the new etcd knows no user.
    let hostile = tokio::spawn(async move {
        let member = member(&world, "web2");
        let began = std::time::Instant::now();
        let mut answers = 0;
        while began.elapsed() < Duration::from_secs(6) {
            let written = put(&*member, "/mgmt/deploys/head", "x").await;
            assert!(written.is_err(), "it was let in");
            answers += usize::from(written.is_err_and(|error| error.to_string().contains("permission denied")));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        answers
    });
    let web1 = cluster.first().await;
    assert!(hostile.await.unwrap() > 0, "no server has refused it");
    let head = get(&*member(&web1.world(), "web1"), Keys::Below("/mgmt/deploys/".to_owned())).await.unwrap();
    assert!(head.is_empty(), "{head:?}");
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_forgotten_host_is_let_in_no_more_and_a_new_one_of_its_name_inherits_nothing() {
    let cluster = Cluster::new(LIFE);
    let _web1 = cluster.first().await;
    let old = cluster.joined("web2").await;
    let web2 = member(&cluster.world("web2"), "web2");
    for key in [
        "/mgmt/exports/*/file/web2",
        "/mgmt/exports/*/file/web2/a%2Fb/1",
        "/mgmt/values/port/web2",
        "/mgmt/exporters/web2",
    ] {
        in_the_end(Duration::from_secs(20), async || put(&*web2, key, "x").await.is_ok()).await;
    }
    // A second one of that name is refused as long as there is one.
    let again = Cluster::new(LIFE);
    let token = || cluster.token(Invitation::default());
    let why = crate::cluster_of_hosts::refusal(again.host("web2").join(token())).await;
    assert!(why.contains("has joined already") && why.contains("mgmt cluster forget web2"), "{why}");
    let members = Membership::open(cluster.prefix("web1")).unwrap();
    assert!(members.forget("web9").await.unwrap_err().to_string().contains("no host with the name web9"));
    assert!(members.forget("web1").await.unwrap_err().to_string().contains("can't forget itself"));
    members.forget("web2").await.unwrap();
    assert!(put(&*web2, "/mgmt/hosts/web2", "x").await.is_err());
    assert!(get(&*web2, Keys::Below("/mgmt/values/".to_owned())).await.is_err());
    // A new connection of it neither.
    assert!(get(&*member(&cluster.world("web2"), "web2"), Keys::Below("/mgmt/values/".to_owned())).await.is_err());
    let web1 = member(&cluster.world("web1"), "web1");
    for prefix in ["/mgmt/exports/*/", "/mgmt/values/", "/mgmt/hosts/"] {
        let left = get(&*web1, Keys::Below(prefix.to_owned())).await.unwrap();
        assert!(left.iter().all(|key| !key.contains("web2")), "{left:?}");
    }
    drop(old);
    // The new one must ask for all again.
    let new = again.host("web2").join(token()).start().await.unwrap();
    let world = member(&new.world(), "web2");
    assert!(get(&*world, Keys::One("/mgmt/exporters/web2".to_owned())).await.unwrap().is_empty());
    in_the_end(Duration::from_secs(20), async || put(&*world, "/mgmt/exports/*/file/web2", "y").await.is_ok()).await;
    assert!(put(&*member(&cluster.world("web2"), "web2"), "/mgmt/hosts/web2", "x").await.is_err());
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_host_that_compacts_and_moves_the_leader_all_the_time_spoils_nothing() {
    let cluster = Cluster::new(LIFE);
    let web1 = cluster.first().await;
    let (web2, _web3) = (cluster.joined("web2").await, cluster.joined("web3").await);
    let trust = cluster.prefix("web3").join("trust/identity");
    let read = |name: &str| std::fs::read(trust.join(name)).unwrap();
    let tls = etcd_client::TlsOptions::new()
        .ca_certificate(etcd_client::Certificate::from_pem(read("authority.pem")))
        .identity(etcd_client::Identity::from_pem(read("host.pem"), read("key.pem")));
    let options = etcd_client::ConnectOptions::new().with_tls(tls);
    let client = etcd_client::Client::connect(web1.servers(), Some(options)).await.unwrap();
    let (compacted, count) = (Arc::new(AtomicU64::new(0)), 20);
    let counted = Arc::clone(&compacted);
    let hostile = tokio::spawn(async move {
        loop {
            // Each compaction needs a change since the last one.
            let _ = client.kv_client().put("/mgmt/hosts/web3", "x", None).await;
            let (status, newest) =
                (client.maintenance_client().status().await, client.kv_client().get("/mgmt", None).await);
            let (Ok(status), Ok(newest)) = (status, newest) else { continue };
            let revision = newest.header().unwrap().revision();
            counted.fetch_add(client.kv_client().compact(revision, None).await.is_ok().into(), Ordering::Relaxed);
            // There is one member, which leads: this moves the leader to itself, as often as etcd lets it.
            let _ = client.maintenance_client().move_leader(status.header().unwrap().member_id()).await;
            assert!(client.maintenance_client().defragment().await.is_err());
            assert!(client.auth_client().auth_disable().await.is_err());
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let into = format!("{}/", dir.path().display());
    let graph = |text: String| {
        let mut g = Graph::new("web1");
        g.export(File::new("/x/changing").content(text));
        g.finish().unwrap()
    };
    let engine = |world: Etcd, host: &str, graph| Engine::builder().world(world).hostname(host).graph(graph);
    let mut collects = Graph::new("web2");
    collects.collect::<File>().map(move |file| file.dirname(into.as_str()));
    let exports = engine(web1.world(), "web1", graph("0".to_owned())).start().await.unwrap();
    let collector = engine(web2.world(), "web2", collects.finish().unwrap()).start().await.unwrap();
    for n in 1..10 {
        exports.swap(graph(n.to_string())).await.unwrap();
        let file = dir.path().join("changing");
        in_the_end(Duration::from_secs(15), async || {
            std::fs::read_to_string(&file).is_ok_and(|text| text == n.to_string())
        })
        .await;
    }
    in_the_end(Duration::from_secs(10), async || compacted.load(Ordering::Relaxed) >= count).await;
    assert!(!hostile.is_finished(), "etcd let it do more");
    hostile.abort();
    exports.stop().await.unwrap();
    collector.stop().await.unwrap();
}
