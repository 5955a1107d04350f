//! The program `mgmt` as a host that runs a server of etcd.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::running::Running;

fn command(dir: &Path, options: &[&str]) -> Command {
    let yaml = dir.join("graph.yaml");
    fs::write(&yaml, "graph: g\nresources:\n  kv:\n  - {name: x, value: kept}\n").unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_mgmt"));
    program.args(["run", "--hostname", "web1", "--server-urls", "http://127.0.0.1:0", "--yaml"]).arg(yaml);
    program.arg("--prefix").arg(dir.join("prefix")).args(options);
    if let Some(etcd) = std::env::var_os("MGMT_ETCD") {
        program.arg("--etcd").arg(etcd);
    }
    for name in ["MGMT_SEEDS", "MGMT_SERVER_URLS", "MGMT_CLIENT_URLS"] {
        program.env_remove(name);
    }
    program
}

fn start(dir: &Path) -> Running {
    Running(command(dir, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// What the server remembers, as soon as there is something else than before.
fn remembered(dir: &Path, before: &Json) -> Json {
    let read = || fs::read(dir.join("prefix/etcd/server.json")).ok();
    let began = Instant::now();
    loop {
        let now = read().and_then(|bytes| serde_json::from_slice::<Json>(&bytes).ok()).unwrap_or_default();
        let is_known = now["member"].is_u64() && !now["servers"].as_array().is_none_or(Vec::is_empty);
        if is_known && now["process"] != before["process"] {
            return now;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "{now}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn until_gone(pid: &str) {
    let began = Instant::now();
    while runs(pid) {
        assert!(began.elapsed() < Duration::from_secs(20), "{pid} still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(signal: &str, pid: &str) {
    assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
}

/// The process that ends the commands of this one if it is killed.
fn guard_of(pid: u32) -> String {
    let children = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let children = children.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let all: Vec<String> = children.flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    let is_guard = |pid: &&String| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("mgmt-guard"))
    };
    all.iter().find(is_guard).expect("a guard").clone()
}

#[test]
#[ignore = "needs the program etcd"]
fn a_run_that_is_killed_leaves_no_server_and_the_next_one_has_its_data_and_ports() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = start(dir.path());
    let first = remembered(dir.path(), &Json::Null);
    let etcd = first["process"]["pid"].to_string();
    assert!(runs(&etcd));
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    until_gone(&etcd);

    // Also if what ends it does not do so: the next run ends the one that is left.
    let mut run = start(dir.path());
    let second = remembered(dir.path(), &first);
    assert_eq!((&second["addresses"], &second["member"]), (&first["addresses"], &first["member"]));
    let (etcd, guard) = (second["process"]["pid"].to_string(), guard_of(run.0.id()));
    // etcd would end by itself when it writes to a log without a reader.
    let readers = [1, 2].map(|number| fs::File::open(format!("/proc/{etcd}/fd/{number}")).unwrap());
    // A run that is stopped does not replace what would end it.
    signal("-STOP", &run.0.id().to_string());
    signal("-KILL", &guard);
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    assert!(runs(&etcd));
    let output = command(dir.path(), &["-t", "0"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    until_gone(&etcd);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("is not encrypted: every user of this host can read and change"), "{err}");
    let third = remembered(dir.path(), &second);
    assert_eq!(third["addresses"], first["addresses"]);
    until_gone(&third["process"]["pid"].to_string());
    drop(readers);
}

#[test]
#[ignore = "needs the program etcd"]
fn a_command_shows_the_servers_and_sets_how_many_there_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let run = start(dir.path());
    let servers = remembered(dir.path(), &Json::Null)["servers"].clone();
    let seed = servers[0].as_str().unwrap().to_owned();
    let size = |options: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_mgmt"));
        program.args(["cluster", "size", "--seeds", &seed]).args(options).env_remove("MGMT_SEEDS");
        let output = program.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let began = Instant::now();
    // Its record follows a moment after its start.
    while size(&[]).0 != Some(0) {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", size(&[]));
    }
    assert_eq!(size(&[]).1, "servers: 1 of 5: web1\n");
    let (code, out, err) = size(&["3"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(out, "servers: 1 now, and 3 in the end, which are more than the 1 host that can be one now\n");
    let shown: Json = serde_json::from_str(&size(&["--json"]).1).unwrap();
    assert_eq!(shown, serde_json::json!({"ideal": 3, "serving": ["web1"], "ready": []}));
    assert_eq!(size(&["0"]).0, Some(1));
    drop(run);
}

#[test]
fn servers_that_are_not_safe_or_can_t_run_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (options, why) in [
        (&["--etcd", "/nonexistent/etcd"][..], "install the package `etcd-server`"),
        (&["--etcd", "/bin/echo"], "is etcd of an unknown version: 3.4 or later is needed"),
        (&["--no-server", "--tls-ca", "/nonexistent/ca"], "name them with `--seeds`"),
        (&["--tls-ca", "/nonexistent/ca"], "`--tls-ca` needs `--tls-cert`"),
    ] {
        let output = refusing(dir.path(), options).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && err.contains(why), "{options:?}: {output:?}");
    }
    let mut alone = refusing(dir.path(), &["--client-urls", "http://127.0.0.1:0"]);
    let output = alone.env("MGMT_SERVER_URLS", "").arg("--no-server").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!dir.path().join("prefix/etcd/data").exists());
}

/// Without the etcd of the environment.
fn refusing(dir: &Path, options: &[&str]) -> Command {
    let all = command(dir, &[]);
    let given: Vec<_> = all.get_args().map(std::ffi::OsStr::to_owned).collect();
    let kept = given.iter().position(|arg| arg == "--etcd").unwrap_or(given.len());
    let mut program = Command::new(all.get_program());
    program.args(&given[..kept]).args(options).args(["-t", "0"]);
    program.env_remove("MGMT_SEEDS");
    program
}
