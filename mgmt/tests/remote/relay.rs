//! Hosts that use the cluster of a program through its runs: processes of this machine, each as a host of its own.
//! Needs the program etcd.

use std::path::PathBuf;
use std::time::Duration;

use mgmt::prelude::*;
use mgmt::remote::{Host, HowEnded, Job, Local, RemoteError, Report, Run, StopStep};
use mgmt::resource::{Keys, World as _};
use mgmt::world::{Authority, Managed, ManagedEtcd, Membership, Relay};
use tempfile::TempDir;

use crate::desk::{Desk, StopAtEnd, text};
use crate::executable::program;
use crate::kit::{parcel, wait};

/// A cluster of the host `desk` alone.
struct Cluster {
    dir: TempDir,
    _servers: ManagedEtcd,
}

impl Cluster {
    async fn start(life: Duration) -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        let prefix = dir.path().join("desk");
        Authority::builder().certificate_life(life).create(&prefix).unwrap();
        let servers = Managed::new(prefix.join("etcd"), "desk").trust(&prefix).server_urls(["https://127.0.0.1:0"]);
        let servers = match std::env::var_os("MGMT_ETCD") {
            Some(etcd) => servers.program(etcd),
            None => servers,
        };
        Cluster { _servers: servers.start().await.unwrap(), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn relay(&self) -> Relay {
        Relay::open(self.path("desk")).unwrap().unwrap()
    }

    fn members(&self) -> Membership {
        Membership::open(self.path("desk")).unwrap()
    }

    /// The job of a host that runs this graph, and stays.
    async fn job(&self, host: &str, declare: impl FnOnce(&mut Graph)) -> Job {
        let job = Job::graph(parcel(declare).await).arguments(["remote", "run", host]).prefix(self.path(host));
        job.relay(self.relay())
    }

    async fn run(&self, host: &str, declare: impl FnOnce(&mut Graph)) -> Run {
        at(host).run(&self.job(host, declare).await).await.unwrap()
    }

    /// The values that all hosts share, by their keys.
    async fn values(&self) -> Vec<(String, String)> {
        let member = self.members().world().member("");
        let seen = member.get(vec![Keys::Below("/mgmt/values/".to_owned())]).await.unwrap();
        seen.entries
            .iter()
            .map(|(key, entry)| (key.clone(), String::from_utf8_lossy(&entry.value).into_owned()))
            .collect()
    }
}

fn at(host: &str) -> Host {
    Host::new(host, Local::program(program()))
}

async fn ends(run: Run) {
    run.stop(StopStep::Drain);
    run.ended().await.unwrap();
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn hosts_share_exports_sealed_ones_and_values_through_the_run() {
    let cluster = Cluster::start(Duration::from_secs(3600)).await;
    let into = cluster.path("into");
    std::fs::create_dir(&into).unwrap();
    let web1 = cluster.run("web1", |g| {
        g.export(File::new("/x/open").content("open"));
        g.export(File::new("/x/sealed").content("closed")).sealed_to(["web2"]);
        g.add(Kv::new("port").value("80"));
        g.add(Kv::new("address").value("10.0.0.1").mapped(true));
    });
    let web1 = web1.await;
    let dir = format!("{}/", into.display());
    let collects = dir.clone();
    // Large, and from the other side.
    let large: String =
        (0..200_000).map(|n: u32| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 28) as u8)).collect();
    let content = large.clone();
    let web2 = cluster.run("web2", move |g| {
        g.collect::<File>().set("dirname", collects);
        g.export(File::new("/x/large").content(content));
    });
    let web2 = web2.await;
    wait("all is collected", || read(&into.join("sealed")) == "closed" && read(&into.join("open")) == "open").await;
    wait("its own too", || read(&into.join("large")) == large).await;
    let has_values = async || {
        let values = cluster.values().await;
        let has = |key: &str, value: &str| values.iter().any(|(k, v)| k == key && v.contains(value));
        has("/mgmt/values/port", "80") && has("/mgmt/values/address/web1", "10.0.0.1")
    };
    while !has_values().await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Each is a host of the cluster, with no right to serve or deploy.
    let hosts: Vec<_> = cluster.members().hosts().await.unwrap();
    let hosts: Vec<_> = hosts.iter().map(|host| (host.name.as_str(), host.serves, host.deploys)).collect();
    assert_eq!(hosts, [("desk", true, true), ("web1", false, false), ("web2", false, false)]);
    ends(web1).await;
    // What a host exports stays, and the next run continues as the same host.
    let again = cluster.run("web1", |g| _ = g.export(File::new("/x/open").content("again"))).await;
    wait("the next run", || read(&into.join("open")) == "again").await;
    ends(again).await;
    ends(web2).await;
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn certificates_are_renewed_through_the_run_and_a_forgotten_host_joins_again() {
    let cluster = Cluster::start(Duration::from_secs(4)).await;
    let web1 = cluster.run("web1", |g| _ = g.add(Kv::new("n").value("0"))).await;
    let pem = || read(&cluster.path("web1/trust/identity/host.pem"));
    let key = || read(&cluster.path("web1/trust/identity/key.pem"));
    wait("joined", || !pem().is_empty()).await;
    let (first, began) = ((pem(), key()), std::time::Instant::now());
    // Longer than the certificates of the beginning hold.
    let mut n = 0;
    while began.elapsed() < Duration::from_secs(12) {
        n += 1;
        let value = n.to_string();
        web1.swap(&parcel(|g| _ = g.add(Kv::new("n").value(value.as_str()))).await).await.unwrap();
        let has = async || cluster.values().await.iter().any(|(key, v)| key == "/mgmt/values/n" && v.contains(&value));
        let (asked, mut came) = (std::time::Instant::now(), false);
        while !came {
            assert!(asked.elapsed() < Duration::from_secs(30), "{n} does not come");
            came = has().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(pem() != first.0 && key() == first.1);
    ends(web1).await;
    // The certificates end meanwhile; and the host is forgotten. To name it where the authority is lets it in again.
    tokio::time::sleep(Duration::from_secs(5)).await;
    cluster.members().forget("web1").await.unwrap();
    let job = cluster.job("web1", |g| _ = g.add(Kv::new("n").value("last"))).await;
    let run = at("web1").run(&job.converged_timeout(Duration::from_secs(1))).await.unwrap();
    assert_eq!(run.ended().await.unwrap().code, 0);
    assert!(cluster.values().await.iter().any(|(key, v)| key == "/mgmt/values/n" && v.contains("last")));
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn an_identity_of_another_name_or_cluster_is_refused() {
    let cluster = Cluster::start(Duration::from_secs(3600)).await;
    let ended = async |cluster: &Cluster, name: &str, prefix: &str| {
        let job = cluster.job(name, |g| _ = g.add(Noop::new("n"))).await.prefix(cluster.path(prefix));
        at(name).run(&job.converged_timeout(Duration::ZERO)).await.unwrap().ended().await
    };
    assert_eq!(ended(&cluster, "web1", "web1").await.unwrap().code, 0);
    let why = |outcome: Result<mgmt::remote::Ended, RemoteError>| match outcome {
        Err(RemoteError::Failed(why)) => why,
        other => panic!("{other:?}"),
    };
    let other_name = why(ended(&cluster, "web2", "web1").await);
    assert!(other_name.contains("as web1, not as web2") && other_name.contains("`web1=ADDRESS`"), "{other_name}");
    // Another machine under the name of this one.
    let taken = why(ended(&cluster, "web1", "elsewhere").await);
    assert!(taken.contains("mgmt cluster forget web1"), "{taken}");
    let second = Cluster::start(Duration::from_secs(3600)).await;
    let job = second.job("web1", |g| _ = g.add(Noop::new("n"))).await.prefix(cluster.path("web1"));
    let run = at("web1").run(&job.converged_timeout(Duration::ZERO)).await.unwrap();
    let foreign = why(run.ended().await);
    assert!(foreign.contains("another cluster"), "{foreign}");
}

/// What a run that begins to stay warns of, and how it has begun.
async fn left(mut run: Run) -> (Vec<String>, Result<mgmt::remote::Ended, RemoteError>) {
    let mut warnings = Vec::new();
    while let Some(report) = run.next().await {
        if let Report::Warning(note) = report {
            warnings.push(note.message);
        }
    }
    (warnings, run.ended().await)
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_run_that_stays_reaches_the_cluster_by_itself_and_renews_its_certificates() {
    let cluster = Cluster::start(Duration::from_secs(4)).await;
    let into = cluster.path("into");
    std::fs::create_dir(&into).unwrap();
    // It joins as it begins.
    let file = cluster.path("file");
    let (watched, collects) = (file.display().to_string(), format!("{}/", into.display()));
    let job = cluster.job("web1", move |g| {
        g.export(File::new("/x/of-web1").content("kept"));
        g.collect::<File>().from("web2").set("dirname", collects);
        g.add(File::new(watched).content("repaired"));
    });
    let _stop = StopAtEnd("web1", cluster.path("web1"));
    let (warnings, begun) = left(at("web1").run(&job.await.detach()).await.unwrap()).await;
    assert_eq!(begun.unwrap().how, HowEnded::Detached);
    assert_eq!(warnings, Vec::<String>::new());
    let web2 = |content: &'static str| {
        let dir = format!("{}/", cluster.path("other").display());
        cluster.run("web2", move |g| {
            g.add(File::new(dir.clone()));
            g.collect::<File>().from("web1").set("dirname", dir);
            g.export(File::new("/x/of-web2").content(content));
        })
    };
    let run = web2("one").await;
    wait("each has what the other exports", || {
        read(&cluster.path("other/of-web1")) == "kept" && read(&into.join("of-web2")) == "one"
    })
    .await;
    ends(run).await;
    // Much later than its first certificates hold, without a near end.
    let first = read(&cluster.path("web1/trust/identity/host.pem"));
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_ne!(read(&cluster.path("web1/trust/identity/host.pem")), first);
    let run = web2("two").await;
    wait("it still collects", || read(&into.join("of-web2")) == "two").await;
    ends(run).await;
    std::fs::write(&file, "drift").unwrap();
    wait("it repairs", || read(&file) == "repaired").await;
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_run_that_would_stay_without_the_cluster_is_refused_before_anything_runs() {
    let cluster = Cluster::start(Duration::from_secs(3600)).await;
    let file = cluster.path("file").display().to_string();
    let path = file.clone();
    let job = cluster.job("web1", move |g| _ = g.add(File::new(path).content("x"))).await;
    let run = at("web1").run(&job.clone().converged_timeout(Duration::ZERO)).await.unwrap();
    assert_eq!(run.ended().await.unwrap().code, 0);
    std::fs::remove_file(&file).unwrap();
    let Cluster { dir, _servers } = cluster;
    _servers.stop().await;
    let _stop = StopAtEnd("web1", dir.path().join("web1"));
    let (_, begun) = left(at("web1").run(&job.detach()).await.unwrap()).await;
    let error = begun.unwrap_err().to_string();
    for part in ["web1 does not reach https://127.0.0.1:", "--advertise-client-urls", "--no-world"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!std::path::Path::new(&file).exists());
}

#[test]
fn a_run_is_not_left_on_hosts_whose_cluster_would_end_with_the_command() {
    let desk = Desk::new();
    Authority::builder().create(desk.path("desk")).unwrap();
    desk.write("g.yaml", &desk.graph("x"));
    let words = ["remote", "run", "local:a", "--yaml", "g.yaml", "--prefix", "desk", "--detach"];
    let output = desk.program(&words).output().unwrap();
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("a run that stays needs one that stays, too") && log.contains("--no-world"), "{log}");
    assert!(desk.read("out").is_none());
}
