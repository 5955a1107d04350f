//! The program `mgmt` with servers on its command line.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use mgmt::resource::{Keys, World};

use crate::authority::Authority;
use crate::server::Server;

const EXPORTS: &str = "graph: web1\nresources:\n  file:\n  - {name: '@@/x/a', content: from web1}\n";

fn collects(dir: &Path) -> String {
    format!("graph: web2\ncollect:\n- {{kind: file, from: web1, pattern: {}/}}\n", dir.display())
}

/// Runs `mgmt` on this graph as the host of that name.
fn mgmt(dir: &Path, command: &str, host: &str, graph: &str, options: &[&str]) -> Output {
    let yaml = dir.join(format!("{host}.yaml"));
    fs::write(&yaml, graph).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_mgmt"));
    program.args([command, "--hostname", host, "--tmp-prefix", "--yaml"]).arg(yaml).args(options);
    program.env_remove("MGMT_SEEDS").output().unwrap()
}

fn fails(output: &Output, why: &str) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && err.contains(why), "{why:?} in {output:?}");
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "needs the program etcd"]
fn one_run_exports_and_another_collects() {
    let (server, dir) = (Server::with(Some(Authority::new())), tempfile::tempdir().unwrap());
    let options = |host: &str| {
        let [ca, certificate, key] = server.certificate(host).map(|path| path.to_str().unwrap().to_owned());
        let seeds = format!("https://127.0.0.1:1,{}", server.url());
        ["--seeds", &seeds, "--tls-ca", &ca, "--tls-cert", &certificate, "--tls-key", &key].map(str::to_owned)
    };
    let run = |command: &str, host: &str, graph: &str, more: &[&str]| {
        let options = options(host);
        let all: Vec<&str> = options.iter().map(String::as_str).chain(more.iter().copied()).collect();
        mgmt(dir.path(), command, host, graph, &all)
    };
    // In noop nothing is published, and nothing is there.
    succeeds(&run("run", "web1", EXPORTS, &["-t", "0", "--noop"]));
    succeeds(&run("plan", "web2", &collects(dir.path()), &[]));
    succeeds(&run("run", "web1", EXPORTS, &["-t", "0"]));
    let plan = run("plan", "web2", &collects(dir.path()), &[]);
    let shown = String::from_utf8_lossy(&plan.stdout);
    assert!(plan.status.code() == Some(2) && shown.contains("exported by web1"), "{plan:?}");
    assert!(!dir.path().join("a").exists());
    succeeds(&run("run", "web2", &collects(dir.path()), &["-t", "0"]));
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "from web1");
    succeeds(&run("plan", "web2", &collects(dir.path()), &[]));
}

#[test]
#[ignore = "needs the program etcd"]
fn on_this_host_alone_no_certificates_are_needed_and_the_environment_can_name_the_server() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let run = mgmt(dir.path(), "run", "web1", EXPORTS, &["-t", "0", "-s", &server.url(), "--no-server"]);
    succeeds(&run);
    let err = String::from_utf8_lossy(&run.stderr);
    assert_eq!(err.matches("is not encrypted: every user of this host can read and change").count(), 1, "{err}");
    let yaml = dir.path().join("web2.yaml");
    fs::write(&yaml, collects(dir.path())).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_mgmt"));
    program.args(["run", "-t", "0", "--hostname", "web2", "--tmp-prefix", "--yaml"]).arg(yaml);
    succeeds(&program.env("MGMT_SEEDS", server.url()).output().unwrap());
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "from web1");
}

#[tokio::test]
#[ignore = "needs the program etcd"]
async fn a_host_is_alive_with_its_labels_as_long_as_it_runs() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let stop = dir.path().join("stop");
    let wait = format!("while ! test -e {}; do sleep 0.05; done", stop.display());
    let graph = format!("graph: g\nresources:\n  exec:\n  - {{name: wait, cmd: '{wait}', shell: /bin/sh}}\n");
    let world = World::member(&server.world(), "test");
    let alive = async || {
        let found = world.get(vec![Keys::One("/mgmt/hosts/web1".to_owned())]).await.unwrap();
        found.entries.values().next().map(|entry| String::from_utf8_lossy(&entry.value).into_owned())
    };
    let (at, url) = (dir.path().to_owned(), server.url());
    let run = tokio::task::spawn_blocking(move || {
        let options = ["-t", "0", "--seeds", &url, "--label", "role=web,zone=a", "--label", "n=1", "--alive-ttl", "5"];
        mgmt(&at, "run", "web1", &graph, &options)
    });
    let labels = r#""labels":{"n":"1","role":"web","zone":"a"}"#;
    let began = Instant::now();
    while !alive().await.is_some_and(|host| host.contains(labels)) {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", alive().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fs::write(&stop, "").unwrap();
    succeeds(&run.await.unwrap());
    assert_eq!(alive().await, None);
    fails_to_parse(&mgmt(dir.path(), "run", "web1", "graph: g\n", &["--label", "role"]));
}

/// The command line is wrong.
fn fails_to_parse(output: &Output) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && err.contains("`role` is no label: give NAME=VALUE"), "{output:?}");
}

#[test]
fn a_run_that_could_not_publish_what_it_exports_has_not_converged() {
    let dir = tempfile::tempdir().unwrap();
    let away = ["-t", "0", "--seeds", "http://127.0.0.1:1"];
    let output = mgmt(dir.path(), "run", "web1", EXPORTS, &away);
    fails(&output, "exports[web1] waits: what this host exports is not published: the world can't be reached");
    // It concerns those alone that export.
    let graph = format!("graph: g\nresources:\n  file:\n  - {{name: {}/made, content: x}}\n", dir.path().display());
    succeeds(&mgmt(dir.path(), "run", "web1", &graph, &away));
    assert!(dir.path().join("made").exists());
}

#[test]
fn servers_that_can_t_be_used_are_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let graph = format!("graph: g\nresources:\n  file:\n  - {{name: {}/made, content: x}}\n", dir.path().display());
    for (options, why) in [
        (&["--seeds", "http://10.0.0.1:2379"][..], "http://10.0.0.1:2379 is not encrypted"),
        (&["--seeds", "10.0.0.1:2379"], "is no address of an etcd server"),
        (&["--seeds", "https://10.0.0.1:2379"], "needs certificates"),
        (&["--tls-key", "/nonexistent/key"], "name them with `--seeds`"),
        (&["--seeds", "https://10.0.0.1:2379", "--tls-key", "/nonexistent/key"], "needs `--tls-ca`"),
    ] {
        for command in ["run", "plan"] {
            fails(&mgmt(dir.path(), command, "web1", &graph, options), why);
        }
    }
    assert!(!dir.path().join("made").exists());
}
