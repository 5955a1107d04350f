//! A host without a network: an etcd on unix sockets below the prefix.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use mgmt::resource::Keys;
use mgmt::world::{Authority, Etcd, Managed, ManagedEtcd};

use crate::cluster_of_hosts::{get, in_the_end, member, put, refusal};

fn host(dir: &Path) -> Managed {
    let managed = Managed::new(dir, "web1").no_network();
    match std::env::var_os("MGMT_ETCD") {
        Some(etcd) => managed.program(etcd),
        None => managed,
    }
}

async fn start(dir: &Path) -> ManagedEtcd {
    host(dir).start().await.unwrap()
}

/// The process that a run has started last.
fn process(dir: &Path) -> String {
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("server.json")).unwrap()).unwrap();
    kept["process"]["pid"].to_string()
}

/// The sockets of TCP at which a process listens, as lines of the kernel.
fn listens(pid: &str) -> Vec<String> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links: Vec<String> =
        fds.filter_map(|fd| Some(fs::read_link(fd.path()).ok()?.to_string_lossy().into_owned())).collect();
    let table = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    let both = [table("tcp"), table("tcp6")].join("\n");
    let is_own = |line: &&str| {
        let parts: Vec<&str> = line.split_whitespace().collect();
        parts.get(3) == Some(&"0A") && links.contains(&format!("socket:[{}]", parts[9]))
    };
    both.lines().filter(is_own).map(str::to_owned).collect()
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_server_without_a_network_listens_on_sockets_of_its_user_alone() {
    let dir = tempfile::tempdir().unwrap();
    // Longer than the path of a socket can be.
    let dir = dir.path().join("d".repeat(120)).join("etcd");
    let first = start(&dir).await;
    let sockets = dir.join("sockets");
    assert_eq!(fs::metadata(&sockets).unwrap().permissions().mode() & 0o7777, 0o700);
    let all: Vec<_> = fs::read_dir(&sockets).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(all.len(), 2, "{all:?}");
    for path in &all {
        let found = fs::symlink_metadata(path).unwrap();
        assert!(found.file_type().is_socket() && found.permissions().mode() & 0o7777 == 0o600, "{found:?}");
        assert_eq!(found.uid(), fs::metadata(&dir).unwrap().uid());
    }
    assert_eq!(listens(&process(&dir)), [] as [String; 0]);
    let world = member(&first.world(), "web1");
    put(&*world, "/mgmt/x", "one").await.unwrap();
    // Another program of this user knows it by its directory.
    let other = member(&Etcd::on_sockets_in(&dir), "desk");
    assert_eq!(get(&*other, Keys::One("/mgmt/x".to_owned())).await.unwrap(), ["/mgmt/x"]);
    in_the_end(Duration::from_secs(10), async || first.servers() == [format!("unix:{}/client:0", sockets.display())])
        .await;
    // Killed, it leaves its sockets, which are in no way of the next one; its clients find that one.
    drop(first);
    assert!(sockets.join("client:0").exists());
    let again = start(&dir).await;
    in_the_end(Duration::from_secs(20), async || {
        get(&*other, Keys::One("/mgmt/x".to_owned())).await.is_ok_and(|keys| keys == ["/mgmt/x"])
    })
    .await;
    again.stop().await;
    // Its directory may be elsewhere the next time.
    let moved = dir.with_file_name("moved");
    fs::rename(&dir, &moved).unwrap();
    let again = start(&moved).await;
    let world = member(&again.world(), "web1");
    assert_eq!(get(&*world, Keys::One("/mgmt/x".to_owned())).await.unwrap(), ["/mgmt/x"]);
    again.stop().await;
    // With this data it does not go to the network.
    let network = Managed::new(&moved, "web1").server_urls(["http://127.0.0.1:0"]);
    assert!(refusal(network).await.contains("known to others at unix://peer:0"));
}

#[tokio::test]
async fn what_has_no_sense_without_a_network_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("etcd");
    for (managed, part) in [
        (host(&path).seeds(["https://10.0.0.1:2379"]), "`--seeds`"),
        (host(&path).server_urls(["https://10.0.0.1:2380"]), "the addresses of the server"),
        (host(&path).join("mgmt1_x"), "`--join`"),
        (host(&path).tls("a", "b", "c"), "`--tls-ca`"),
    ] {
        let why = refusal(managed).await;
        assert!(why.contains(part) && why.contains("without a network"), "{why}");
    }
    Authority::builder().create(dir.path()).unwrap();
    let why = refusal(host(&path).trust(dir.path())).await;
    assert!(why.contains("an authority"), "{why}");
    assert!(!path.exists());
}

#[cfg(all(feature = "cli", feature = "yaml"))]
#[test]
#[ignore = "needs the program etcd"]
fn a_run_without_a_network_keeps_its_values_and_other_commands_find_it() {
    use std::process::{Command, Output};

    let dir = tempfile::tempdir().unwrap();
    let yaml = dir.path().join("graph.yaml");
    fs::write(&yaml, "graph: g\nresources:\n  kv:\n  - {name: x, value: kept}\n").unwrap();
    let mgmt = |words: &[&str], more: &[&str]| -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_mgmt"));
        program.args(words).arg("--no-network").arg("--prefix").arg(dir.path().join("prefix")).args(more);
        if let Some(etcd) = std::env::var_os("MGMT_ETCD").filter(|_| words[0] == "run") {
            program.arg("--etcd").arg(etcd);
        }
        for name in ["MGMT_SEEDS", "MGMT_SERVER_URLS", "MGMT_CLIENT_URLS", "MGMT_JOIN"] {
            program.env_remove(name);
        }
        program.output().unwrap()
    };
    let text = |output: &Output| {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let yaml = yaml.to_str().unwrap();
    let run = ["run", "--hostname", "web1", "-t", "0", "--yaml", yaml];
    for option in [["--seeds", "https://a:1"], ["--join", "x"], ["--server-urls", "https://a:1"], ["--tls-ca", "/x"]] {
        let refused = mgmt(&run, &option);
        assert!(refused.status.code() == Some(1) && text(&refused).contains("`--no-network`"), "{refused:?}");
    }
    // In noop nothing is started.
    assert!(mgmt(&run, &["--noop"]).status.code().is_some());
    assert!(!dir.path().join("prefix/etcd/data").exists());
    let first = mgmt(&run, &["--server-space", "64MiB"]);
    assert!(first.status.success(), "{}", text(&first));
    // What is in the store is in sync in the next run: nothing is set.
    let again = mgmt(&run, &[]);
    assert!(text(&first).contains("kv[x]") && !text(&again).contains("kv[x]"), "{}{}", text(&first), text(&again));
    assert!(again.status.success(), "{}", text(&again));
    let gone = mgmt(&["cluster", "status"], &[]);
    assert!(gone.status.code() == Some(1) && text(&gone).contains("client:0"), "{gone:?}");
}
