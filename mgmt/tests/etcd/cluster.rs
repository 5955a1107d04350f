//! The hosts of a real etcd on the command line: which of them have converged, and deploys in waves.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::running::{Running, command, mgmt, until};
use crate::server::Server;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn start(server: &Server, host: &str, dir: &Path, arguments: &[&str]) -> Running {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join(format!("{host}.log"))).unwrap();
    let prefix = dir.join(format!("{host}.prefix"));
    let mut program = command(server, host, arguments);
    program.args(["--alive-ttl", "2", "--prefix", prefix.to_str().unwrap()]);
    Running(program.stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

/// A graph that converges when that file is there.
fn gated(dir: &Path, name: &str, gate: &str) -> String {
    let (yaml, gate) = (dir.join(format!("{name}.yaml")), dir.join(gate));
    let command = format!("while ! test -e {}; do sleep 0.05; done", gate.display());
    let graph = format!("graph: {name}\nresources:\n  exec:\n  - {{name: gate, cmd: '{command}', shell: /bin/sh}}\n");
    fs::write(&yaml, graph).unwrap();
    yaml.to_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs the program etcd"]
fn the_status_of_the_cluster_and_a_run_that_waits_for_all() {
    let (mut server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let status = |server: &Server, more: &[&str]| mgmt(server, "desk", &[&["cluster", "status"], more].concat());
    let none = status(&server, &[]);
    assert!(none.status.code() == Some(2) && out(&none).contains("no host is alive"), "{none:?}");
    let (slow, quick) = (gated(dir.path(), "slow", "slow"), gated(dir.path(), "quick", "quick"));
    fs::write(dir.path().join("quick"), "").unwrap();
    let _web1 = start(&server, "web1", dir.path(), &["run", "--yaml", &slow, "--label", "role=web"]);
    until("it reports its state", || {
        let text = out(&status(&server, &[]));
        text.contains("web1") && text.contains("converging since") && text.contains("role=web")
    });
    assert_eq!(status(&server, &["-q"]).status.code(), Some(2));
    // It has converged, and waits for the other one.
    let mut web2 = start(&server, "web2", dir.path(), &["run", "--yaml", &quick, "-t", "0", "--cluster"]);
    until("web2 has", || out(&status(&server, &[])).contains("converged since"));
    std::thread::sleep(Duration::from_secs(2));
    assert!(web2.0.try_wait().unwrap().is_none(), "{}", fs::read_to_string(dir.path().join("web2.log")).unwrap());
    let prefix = dir.path().join("web2.prefix");
    let shown = mgmt(&server, "desk", &["status", "--prefix", prefix.to_str().unwrap()]);
    assert!(out(&shown).contains("other hosts: web1 has not converged"), "{shown:?}");
    fs::write(dir.path().join("slow"), "").unwrap();
    assert!(web2.0.wait().unwrap().success(), "{}", fs::read_to_string(dir.path().join("web2.log")).unwrap());
    until("all have converged", || status(&server, &["-q"]).status.success());
    let data: serde_json::Value = serde_json::from_str(&out(&status(&server, &["--json"]))).unwrap();
    assert_eq!((&data["converged"], &data["hosts"][0]["name"]), (&true.into(), &"web1".into()));
    assert_eq!(data["hosts"][0]["state"]["resources"], 1);
    assert_eq!(data["hosts"][0]["labels"]["role"], "web");
    server.kill();
    let away = status(&server, &[]);
    assert_eq!(away.status.code(), Some(1), "{away:?}");
    let unwired =
        Command::new(env!("CARGO_BIN_EXE_mgmt")).args(["cluster", "status"]).env_remove("MGMT_SEEDS").output();
    let unwired = unwired.unwrap();
    assert!(unwired.status.code() == Some(1) && String::from_utf8_lossy(&unwired.stderr).contains("--seeds"));
}

#[test]
#[ignore = "needs the program etcd"]
fn a_deploy_in_waves_continues_when_the_program_that_began_it_is_killed() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    fs::write(dir.path().join("first"), "").unwrap();
    let first = gated(dir.path(), "first", "first");
    assert!(mgmt(&server, "desk", &["deploy", "--yaml", &first]).status.success());
    let hosts = ["web1", "web2", "web3"];
    let _running = hosts.map(|host| start(&server, host, dir.path(), &["run", "--deploy"]));
    until("all have the first one", || {
        let status = mgmt(&server, "desk", &["cluster", "status"]);
        status.status.success() && out(&status).contains("converged: 3 hosts")
    });
    let second = gated(dir.path(), "second", "second");
    let waves = ["--canary", "web2", "--then", "50%", "--then", "all", "--wait", "converged", "--revert"];
    let wrong = mgmt(&server, "desk", &["deploy", "--yaml", &second, "--canary", "web9", "--then", "all"]);
    assert!(wrong.status.code() == Some(1) && String::from_utf8_lossy(&wrong.stderr).contains("web9"), "{wrong:?}");
    let mut begun = start(&server, "desk", dir.path(), &[&["deploy", "--yaml", &second], &waves[..]].concat());
    let show = |server: &Server| out(&mgmt(server, "desk", &["deploy", "list"]));
    until("the first wave is under way", || show(&server).contains("wave 1 of 3 (web2) is under way"));
    until("its progress is reported", || {
        fs::read_to_string(dir.path().join("desk.log")).unwrap().contains("0 of 1 hosts; web2: web2 has not converged")
    });
    begun.0.kill().unwrap();
    begun.0.wait().unwrap();
    let id = show(&server).split_whitespace().next().unwrap().to_owned();
    let shown = out(&mgmt(&server, "desk", &["deploy", "show", &id]));
    for part in ["rollout  wave 1 of 3", "wave 1 (web2) web2", "web2 waits:"] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    let refused = mgmt(&server, "desk", &["deploy", "--yaml", &first]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("under way, in wave 1 of 3"), "{refused:?}");
    fs::write(dir.path().join("second"), "").unwrap();
    until("it is in force", || show(&server).contains("all 3 waves have ended"));
    assert!(show(&server).contains(&format!("* {id}")));
    until("all have converged on it", || {
        let status = mgmt(&server, "desk", &["cluster", "status"]);
        status.status.success() && out(&status).matches(&id).count() == 3
    });
    // One that fails goes back, and its exit code shows it.
    let bad = dir.path().join("bad.yaml");
    fs::write(&bad, "graph: bad\nresources:\n  exec:\n  - {name: bad, cmd: 'false'}\n").unwrap();
    let failed = mgmt(&server, "desk", &[&["deploy", "--yaml", bad.to_str().unwrap()], &waves[..]].concat());
    let err = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(failed.status.code() == Some(1) && err.contains("reverted in wave 1 of 3: web2 has failed"), "{failed:?}");
    until("all have the one before", || {
        let status = mgmt(&server, "desk", &["cluster", "status"]);
        status.status.success() && out(&status).matches(&id).count() == 3
    });
}

#[test]
#[ignore = "needs the program etcd"]
fn a_rollout_that_was_stopped_is_resumed() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    fs::write(dir.path().join("first"), "").unwrap();
    let (first, second) = (gated(dir.path(), "first", "first"), gated(dir.path(), "second", "second"));
    assert!(mgmt(&server, "desk", &["deploy", "--yaml", &first]).status.success());
    let _running = ["web1", "web2"].map(|host| start(&server, host, dir.path(), &["run", "--deploy"]));
    until("all have the first one", || {
        out(&mgmt(&server, "desk", &["cluster", "status"])).contains("converged: 2 hosts")
    });
    let fails = |output: &Output, part: &str| {
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && err.contains(part), "{part:?} in {output:?}");
    };
    let resume = |more: &[&str]| mgmt(&server, "desk", &[&["deploy", "resume"], more].concat());
    fails(&resume(&[]), "no deploy in waves was stopped");
    let waves = ["--canary", "web2", "--then", "all", "--wave-timeout", "2"];
    let late = mgmt(&server, "desk", &[&["deploy", "--yaml", &second], &waves[..]].concat());
    fails(&late, "stopped in wave 1 of 2: web2 has failed");
    let would = resume(&["--noop"]);
    assert!(would.status.success() && out(&would).contains("would continue: wave 1 of 2 (web2)"), "{would:?}");
    assert!(out(&mgmt(&server, "desk", &["deploy", "list"])).contains("stopped in wave 1 of 2"));
    fs::write(dir.path().join("second"), "").unwrap();
    let resumed = resume(&[]);
    assert!(resumed.status.success() && out(&resumed).contains("continues: wave 1 of 2 (web2)"), "{resumed:?}");
    until("all have converged on it", || {
        out(&mgmt(&server, "desk", &["cluster", "status"])).contains("converged: 2 hosts")
    });
    fails(&resume(&[]), "has reached all hosts");
}
