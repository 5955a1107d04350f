//! From nothing to three hosts, with the program `mgmt`; and what is left if it is killed on the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::running::Running;

/// `mgmt` on the prefix of this host.
fn mgmt(dir: &Path, host: &str, words: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mgmt"));
    program.arg("--prefix").arg(dir.join(host)).args(words);
    for name in ["MGMT_SEEDS", "MGMT_SERVER_URLS", "MGMT_CLIENT_URLS", "MGMT_JOIN", "MGMT_JOIN_URL", "MGMT_PREFIX"] {
        program.env_remove(name);
    }
    program
}

/// Each host exports a file, and collects those of all.
fn run(dir: &Path, host: &str, words: &[&str]) -> Command {
    let (yaml, into) = (dir.join(format!("{host}.yaml")), into(dir, host));
    fs::create_dir_all(&into).unwrap();
    let graph = format!(
        "graph: {host}\nresources:\n  file:\n  - {{name: '@@/x/{host}', content: from {host}}}\n\
         collect:\n- {{kind: file, pattern: {}/}}\n",
        into.display()
    );
    fs::write(&yaml, graph).unwrap();
    let mut program = mgmt(dir, host, &["run", "--hostname", host]);
    program.arg("--yaml").arg(yaml).args(words);
    if let Some(etcd) = std::env::var_os("MGMT_ETCD") {
        program.arg("--etcd").arg(etcd);
    }
    program
}

fn into(dir: &Path, host: &str) -> PathBuf {
    dir.join(format!("{host}.d"))
}

/// What it reports is in a file.
fn started(dir: &Path, host: &str, command: &mut Command) -> Running {
    let log = fs::File::create(dir.join(format!("{host}.log"))).unwrap();
    Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn token(dir: &Path, more: &[&str]) -> String {
    let began = Instant::now();
    loop {
        let output = mgmt(dir, "web1", &["cluster", "token"]).args(more).output().unwrap();
        if output.status.success() {
            return String::from_utf8(output.stdout).unwrap().trim().to_owned();
        }
        // The first host is still starting.
        assert!(text(&output).contains("is not known yet") && began.elapsed() < Duration::from_secs(40), "{output:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn until_files(dir: &Path, host: &str, files: &[&str]) {
    let began = Instant::now();
    loop {
        let has = |name: &&str| {
            fs::read_to_string(into(dir, host).join(name)).is_ok_and(|text| text == format!("from {name}"))
        };
        let count = fs::read_dir(into(dir, host)).unwrap().count();
        if count == files.len() && files.iter().all(has) {
            return;
        }
        if began.elapsed() > Duration::from_secs(40) {
            let logs =
                ["web1", "web2"].map(|host| fs::read_to_string(dir.join(format!("{host}.log"))).unwrap_or_default());
            let etcd = fs::read_to_string(dir.join(host).join("etcd/log")).unwrap_or_default();
            let last: Vec<&str> = etcd.lines().rev().take(20).collect();
            panic!("{host}: {count} files instead of {files:?}\n{}\n{}", logs.join("\n"), last.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs the program etcd"]
fn five_commands_lead_from_nothing_to_three_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let begun = mgmt(dir, "web1", &["cluster", "init"]).output().unwrap();
    assert!(begun.status.success() && text(&begun).contains("fingerprint"), "{begun:?}");
    let again = mgmt(dir, "web1", &["cluster", "init"]).output().unwrap();
    assert!(
        again.status.code() == Some(1) && text(&again).contains("has the authority of a cluster already"),
        "{again:?}"
    );
    let early = mgmt(dir, "web1", &["cluster", "token"]).output().unwrap();
    assert!(text(&early).contains("start `mgmt run` on this prefix first"), "{early:?}");
    let _web1 = started(dir, "web1", &mut run(dir, "web1", &["--server-urls", "https://127.0.0.1:0"]));
    let _web2 = started(dir, "web2", &mut run(dir, "web2", &["--join", &token(dir, &[])]));
    let file = dir.join("token");
    fs::write(&file, token(dir, &["--ttl", "10m", "--for", "rack 3"])).unwrap();
    let web3 = started(dir, "web3", &mut run(dir, "web3", &["--join", &format!("@{}", file.display())]));
    for host in ["web1", "web2", "web3"] {
        until_files(dir, host, &["web1", "web2", "web3"]);
    }
    // Commands on the prefix of a host need no options.
    let status = mgmt(dir, "web2", &["cluster", "status", "-q"]);
    let began = Instant::now();
    let mut status = status;
    while !status.output().unwrap().status.success() {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", status.output());
    }
    let hosts = mgmt(dir, "web1", &["cluster", "hosts"]).output().unwrap();
    assert_eq!(text(&hosts), "web1  may serve and deploy\nweb2\nweb3\n");
    let refused = mgmt(dir, "web2", &["cluster", "hosts"]).output().unwrap();
    assert!(text(&refused).contains("may not change which hosts are in the cluster"), "{refused:?}");
    let yaml = dir.join("site.yaml");
    fs::write(&yaml, "graph: site\n").unwrap();
    let deploy = || mgmt(dir, "web2", &["deploy", "--hostname", "web2", "--yaml"]).arg(&yaml).output().unwrap();
    let denied = deploy();
    assert!(denied.status.code() == Some(1) && text(&denied).contains("does not permit it"), "{denied:?}");
    assert!(mgmt(dir, "web1", &["cluster", "allow", "web2", "deploy"]).output().unwrap().status.success());
    let deployed = deploy();
    assert!(deployed.status.success(), "{deployed:?}");
    // A token does nothing in noop, and what it gave is used there.
    let noop = run(dir, "web4", &["--noop", "-t", "0", "--join", &token(dir, &[])]).output().unwrap();
    assert!(text(&noop).contains("joining a cluster changes it"), "{noop:?}");
    drop(web3);
    let noop = run(dir, "web3", &["--noop", "-t", "0"]).output().unwrap();
    assert!(noop.status.success(), "{noop:?}");
    assert!(mgmt(dir, "web1", &["cluster", "forget", "web3"]).output().unwrap().status.success());
    // What it exported is kept by no host any more: it would be there again at once.
    for host in ["web1", "web2"] {
        let began = Instant::now();
        let file = into(dir, host).join("web3");
        while file.exists() {
            assert!(began.elapsed() < Duration::from_secs(20), "{host} still has what web3 exported");
            fs::remove_file(&file).unwrap();
            std::thread::sleep(Duration::from_millis(500));
        }
        until_files(dir, host, &["web1", "web2"]);
    }
    let out = run(dir, "web3", &["-t", "0", "--max-runtime", "20"]).output().unwrap();
    assert!(out.status.code() == Some(1), "{out:?}");
}

#[test]
#[ignore = "needs the program etcd"]
fn what_is_killed_on_the_way_to_a_cluster_can_be_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // It takes some milliseconds: it is killed at any of its steps.
    for round in 0..40_u64 {
        let host = format!("init{round}");
        let mut child = started(dir, &host, &mut mgmt(dir, &host, &["cluster", "init"]));
        std::thread::sleep(Duration::from_micros(500 * round));
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        let again = mgmt(dir, &host, &["cluster", "init"]).output().unwrap();
        assert!(again.status.success() || text(&again).contains("already"), "{again:?}");
        let names = fs::read_dir(dir.join(&host).join("trust")).unwrap();
        assert_eq!(names.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>(), ["authority"]);
    }
    // The first run: it starts etcd, sets up its users, and starts it again.
    assert!(mgmt(dir, "web1", &["cluster", "init"]).output().unwrap().status.success());
    for round in 0..8_u64 {
        let first = started(dir, "web1", &mut run(dir, "web1", &["--server-urls", "https://127.0.0.1:0"]));
        std::thread::sleep(Duration::from_millis(150 * (round + 1)));
        drop(first);
    }
    // One of them may have come so far that it made its file.
    fs::remove_file(into(dir, "web1").join("web1")).ok();
    let _web1 = started(dir, "web1", &mut run(dir, "web1", &["--server-urls", "https://127.0.0.1:0"]));
    until_files(dir, "web1", &["web1"]);
    // A host that joins.
    let word = token(dir, &[]);
    for round in 0..6_u64 {
        let joining = started(dir, "web2", &mut run(dir, "web2", &["--join", &word]));
        std::thread::sleep(Duration::from_millis(60 * (round + 1)));
        drop(joining);
    }
    let _web2 = started(dir, "web2", &mut run(dir, "web2", &["--join", &word]));
    for host in ["web1", "web2"] {
        until_files(dir, host, &["web1", "web2"]);
    }
}

#[test]
fn what_can_t_be_joined_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (words, why) in [
        (&["--join", "x"][..], "this is no join token"),
        (&["--join", "mgmt1_x", "--seeds", "http://127.0.0.1:1"], "leave out addresses with http://"),
        (&["--join", "@/nonexistent/token"], "`--join @/nonexistent/token`"),
        (&["--noop", "--join", "mgmt1_x"], "joining a cluster changes it"),
        (&["--missing-max", "5"], "is for a server of etcd: give `--server-urls` too"),
        (&["--server-space", "5000000"], "is for a server of etcd: give `--server-urls` too"),
    ] {
        let output = run(dir, "web1", words).args(["-t", "0"]).output().unwrap();
        assert!(output.status.code() == Some(1) && text(&output).contains(why), "{words:?}: {output:?}");
    }
    let output = mgmt(dir, "web1", &["cluster", "token"]).output().unwrap();
    assert!(text(&output).contains("make it with `mgmt cluster init`"), "{output:?}");
    let output = mgmt(dir, "web1", &["cluster", "forget", "web2"]).output().unwrap();
    assert!(text(&output).contains("belongs to no cluster"), "{output:?}");
}

#[test]
#[ignore = "needs the program etcd"]
fn a_run_that_can_t_join_yet_reports_it_once_and_can_be_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert!(mgmt(dir, "web1", &["cluster", "init"]).output().unwrap().status.success());
    // No port is free that no program listens at: the first one is for the system alone.
    let token = token(dir, &["--join-url", "https://127.0.0.1:1"]);
    let mut web2 = started(dir, "web2", &mut run(dir, "web2", &["--join", &token]));
    let log = || fs::read_to_string(dir.join("web2.log")).unwrap_or_default();
    let began = Instant::now();
    while !log().contains("https://127.0.0.1:1: ") {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(3));
    assert!(web2.0.try_wait().unwrap().is_none(), "{}", log());
    assert!(log().matches("asking the join service").count() == 1 && log().contains("tried again"), "{}", log());
    let interrupted = Command::new("kill").args(["-INT", &web2.0.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let began = Instant::now();
    while web2.0.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(5), "it does not end: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    // A token that is refused is an error at once.
    let refused = run(dir, "web3", &["--join", "mgmt1_x"]).output().unwrap();
    assert!(refused.status.code() == Some(1) && text(&refused).contains("no join token"), "{refused:?}");
}
