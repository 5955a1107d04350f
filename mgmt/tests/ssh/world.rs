//! Hosts that reach neither one another nor any etcd exchange resources through the host from which they are run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mgmt::resource::{Condition, Member, Transaction, World as _, WorldError, Write};
use mgmt::world::Etcd;

use crate::executable::program;
use crate::hosts::{self, Host, Net, Setup, address, inside, run};

/// So long a loaded machine may take for anything.
const LONG: Duration = Duration::from_secs(120);
/// The prefix here and on each host, where it is in a file system of that host alone.
const PREFIX: &str = "/run/m";

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn mgmt(net: &Net, words: &[&str]) -> Command {
    let mut command = hosts::mgmt(words);
    command.args(["--prefix", PREFIX]);
    if words.contains(&"--remote") || words.first() == Some(&"remote") {
        command.arg("--ssh-config").arg(net.dir().join("config"));
    }
    command
}

pub(crate) fn output(net: &Net, words: &[&str]) -> Output {
    mgmt(net, words).output().unwrap()
}

/// The graph of a host: it exports a file with this content, and collects all into a directory.
pub(crate) fn graph(net: &Net, host: &str, content: &str) -> String {
    let path = net.dir().join(format!("{host}.yaml"));
    let text = format!(
        "graph: g\nremote: ssh://root@{host}\nresources:\n  file:\n  - name: /tmp/all/\n  - name: \"@@/{host}\"\n    \
         content: \"{content}\"\ncollect:\n- {{kind: file, pattern: /tmp/all/}}\n"
    );
    let new = net.dir().join("g.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What a host has collected.
pub(crate) fn there(host: &Host) -> Vec<(String, String)> {
    let files = std::fs::read_dir(host.dir.join("tmp/all")).into_iter().flatten().flatten();
    let mut all: Vec<(String, String)> = files
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read_to_string(file.path()).unwrap_or_default()))
        .collect();
    all.sort();
    all
}

pub(crate) fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

/// A run that stays, and what it logs. It is ended by SIGINT at the end of the test.
pub(crate) struct Staying {
    child: Child,
    log: PathBuf,
}

impl Staying {
    pub(crate) fn start(net: &Net, words: &[&str]) -> Staying {
        Staying::of(net, "log", mgmt(net, words))
    }

    fn of(net: &Net, log: &str, mut command: Command) -> Staying {
        let log = net.dir().join(log);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
        Staying { child: command.spawn().unwrap(), log }
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn wait(&mut self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(self.child.try_wait().unwrap().is_none(), "ended before: {what}: {}", self.logged());
            assert!(began.elapsed() < LONG, "not so yet: {what}: {}", self.logged());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it as ^C does, and waits for its end.
    pub(crate) fn stop(&mut self) -> String {
        run(Command::new("kill").args(["-INT", &self.child.id().to_string()]));
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < LONG, "it does not end: {}", self.logged());
            std::thread::sleep(Duration::from_millis(50));
        }
        self.logged()
    }
}

/// A panic must not leave it.
impl Drop for Staying {
    fn drop(&mut self) {
        // It has ended, or will.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A cluster whose authority is here.
pub(crate) fn begin(net: &Net) {
    let made = output(net, &["cluster", "init"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
}

#[tokio::test]
#[ignore = "needs root, sshd and etcd"]
async fn hosts_that_reach_nothing_exchange_resources_through_the_run() {
    if !inside(module_path!(), "hosts_that_reach_nothing_exchange_resources_through_the_run") {
        return;
    }
    let net = Net::new();
    let hosts = [net.host(Setup::default()), net.host(Setup::default())];
    begin(&net);
    let files = [graph(&net, "h1", "one"), graph(&net, "h2", "two")];
    let ran = output(&net, &["run", "--remote", &files[0], "--remote", &files[1], "-t", "1"]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    for host in &hosts {
        assert_eq!(there(host), pairs(&[("h1", "one"), ("h2", "two")]), "{}", text(&ran.stderr));
        host.until_nothing_is_left().await;
    }
    assert!(Path::new(PREFIX).join("etcd/data").exists());
}

/// Writes a key that does not exist as this member.
async fn put(member: &dyn Member, key: &str) -> Result<(), WorldError> {
    let mut transaction = Transaction::default();
    transaction.conditions.push(Condition { key: "/mgmt".to_owned(), written: None });
    transaction.writes.insert(key.to_owned(), Write::Put(b"x".as_slice().into(), None));
    member.commit(transaction).await.map(drop)
}

/// The arguments and variables of all processes.
fn shown_by_processes() -> String {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let shown =
        processes.flat_map(|process| ["cmdline", "environ"].map(|name| std::fs::read(process.path().join(name))));
    shown.flatten().map(|bytes| text(&bytes)).collect()
}

#[tokio::test]
#[ignore = "needs root, sshd and etcd"]
async fn a_host_has_the_rights_of_its_own_name_and_opens_nothing_to_others() {
    if !inside(module_path!(), "a_host_has_the_rights_of_its_own_name_and_opens_nothing_to_others") {
        return;
    }
    let net = Net::new();
    let hosts = [net.host(Setup::default()), net.host(Setup::default())];
    let third = net.host(Setup::default());
    begin(&net);
    let files = [graph(&net, "h1", "one"), graph(&net, "h2", "two")];
    let mut staying = Staying::start(&net, &["run", "--remote", &files[0], "--remote", &files[1]]);
    let all = pairs(&[("h1", "one"), ("h2", "two")]);
    staying.wait("all have all", || hosts.iter().all(|host| there(host) == all));
    // No way leads from the host to the servers, and it opens none.
    let [h1, _] = &hosts;
    assert_eq!(
        h1.sh("timeout 2 bash -c ': </dev/tcp/10.78.0.1/2379' 2>/dev/null && echo open || echo closed"),
        "closed"
    );
    assert_eq!(h1.sh("awk '$4 == \"0A\" && $2 !~ /:0016$/ { print $2 }' /proc/net/tcp"), "");
    // The engine's own socket for `mgmt status` is the only one.
    let sockets = h1.sh("awk '$4 == \"00010000\" { print $8 }' /proc/net/unix");
    assert!(sockets.lines().all(|path| path.contains("control")), "{sockets}");
    // Its key is there alone, for its user alone, and no process shows it.
    let identity = format!("{PREFIX}/trust/identity");
    assert_eq!(h1.sh(&format!("stat -c '%a %U' {identity} {identity}/key.pem")), "700 root\n600 root");
    assert!(!h1.sh_as("ann", &format!("cat {identity}/key.pem")).status.success());
    let pem = |name: &str| h1.sh(&format!("cat {identity}/{name}.pem"));
    let key = pem("key");
    let secret = key.lines().nth(1).unwrap();
    assert!(!Command::new("grep").args(["-rqF", "--", secret, PREFIX]).status().unwrap().success());
    let shown = shown_by_processes();
    assert!(shown.contains("--remote") && !shown.contains(secret) && !shown.contains("PRIVATE KEY"));
    // With that, it writes what is its own, and nothing else.
    let etcd = Etcd::new(["https://127.0.0.1:2379"]).tls(pem("authority"), pem("host"), &key);
    let member = etcd.member("h2");
    for key in
        ["/mgmt/exports/*/file/h2", "/mgmt/exporters/h2", "/mgmt/hosts/h2", "/mgmt/deploys/head", "/mgmt/servers/size"]
    {
        let written = put(&*member, key).await;
        assert!(matches!(written, Err(WorldError::Denied(_))), "{key}: {written:?}");
    }
    assert!(put(&*member, "/mgmt/grants/h1/values/x").await.is_ok());
    // A plan lets no host in, and leaves nothing there; one of a host that has joined sees what others export.
    let g = net.dir().join("plain.yaml");
    std::fs::write(
        &g,
        "graph: g\nresources:\n  file:\n  - name: /tmp/all/\ncollect:\n- {kind: file, pattern: /tmp/all/}\n",
    )
    .unwrap();
    let g = g.to_str().unwrap();
    let plan = output(&net, &["remote", "plan", "--yaml", g, "root@h3"]);
    let shown = format!("{}{}", text(&plan.stdout), text(&plan.stderr));
    assert!(plan.status.code() == Some(2) && shown.contains("h3 has no certificate of the cluster yet"), "{shown}");
    assert_eq!(third.sh(&format!("test ! -e {PREFIX} && echo nothing")), "nothing");
    let plan = output(&net, &["remote", "plan", "--yaml", g, "root@h1"]);
    assert_eq!(
        (plan.status.code(), text(&plan.stdout)),
        (Some(0), "h1: 2 in sync\n".to_owned()),
        "{}",
        text(&plan.stderr)
    );
    // Another key under a name that is known is refused.
    let ran = output(&net, &["remote", "run", "--yaml", g, "h1=root@h3"]);
    let log = text(&ran.stderr);
    assert!(ran.status.code() == Some(1) && log.contains("mgmt cluster forget h1"), "{log}");
    staying.stop();
    h1.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root, sshd and etcd"]
async fn a_cut_link_and_a_silent_etcd_are_caught_up_with() {
    if !inside(module_path!(), "a_cut_link_and_a_silent_etcd_are_caught_up_with") {
        return;
    }
    let net = Net::new();
    let hosts = [net.host(Setup::default()), net.host(Setup::default())];
    begin(&net);
    let files = [graph(&net, "h1", "one"), graph(&net, "h2", "two")];
    let mut staying = Staying::start(&net, &["run", "--remote", &files[0], "--remote", &files[1]]);
    let have = |one: &str, two: &str| pairs(&[("h1", one), ("h2", two)]);
    staying.wait("all have all", || hosts.iter().all(|host| there(host) == have("one", "two")));
    let [h1, h2] = &hosts;
    // The link is cut: the host keeps what it has, and gets what has changed when it is back.
    h2.cut(true);
    graph(&net, "h1", "three");
    staying.wait("h1 has its own", || there(h1) == have("three", "two"));
    let log = staying.log.clone();
    staying.wait("lost", || std::fs::read_to_string(&log).unwrap_or_default().contains("connecting again in"));
    assert_eq!(there(h2), have("one", "two"));
    h2.cut(false);
    staying.wait("h2 has caught up", || there(h2) == have("three", "two"));
    // The servers stand still: hosts continue on what they know.
    let etcd = run(Command::new("pgrep").args(["-x", "etcd"]));
    run(Command::new("kill").args(["-STOP", &etcd]));
    std::fs::remove_file(h1.dir.join("tmp/all/h2")).unwrap();
    staying.wait("repaired without the world", || there(h1) == have("three", "two"));
    graph(&net, "h2", "four");
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(there(h1), have("three", "two"));
    run(Command::new("kill").args(["-CONT", &etcd]));
    staying.wait("all have caught up", || hosts.iter().all(|host| there(host) == have("three", "four")));
    staying.stop();
    h1.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root, sshd and etcd"]
async fn hosts_of_the_world_and_deploys_are_followed() {
    if !inside(module_path!(), "hosts_of_the_world_and_deploys_are_followed") {
        return;
    }
    let net = Net::new();
    let hosts = [net.host(Setup::default()), net.host(Setup::default())];
    begin(&net);
    let file = |name: &str, content: &str| {
        let path = net.dir().join(name);
        let text = format!("graph: g\nresources:\n  file:\n  - {{name: /tmp/{name}, content: {content}}}\n");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let g = file("one", "1");
    let words = ["remote", "run", "--watch", "--yaml", &g, "root@h1", "--label", "ssh=root@h1"];
    let mut staying = Staying::start(&net, &words);
    staying.wait("it runs", || hosts[0].dir.join("tmp/one").exists());
    // The host is alive in the world, with its address.
    let plan = output(&net, &["remote", "plan", "--world-hosts", "--yaml", &g]);
    assert_eq!(
        (plan.status.code(), text(&plan.stdout)),
        (Some(0), "h1: 1 in sync\n".to_owned()),
        "{}",
        text(&plan.stderr)
    );
    // A deploy is sent to hosts that know nothing of it.
    let deployed = output(&net, &["deploy", "--yaml", &file("two", "1")]);
    assert!(deployed.status.success(), "{}", text(&deployed.stderr));
    let command = mgmt(&net, &["remote", "run", "--watch", "--deploy", "root@h2"]);
    let mut second = Staying::of(&net, "second", command);
    let two = || std::fs::read_to_string(hosts[1].dir.join("tmp/two")).unwrap_or_default();
    second.wait("deployed", || two() == "1");
    assert!(output(&net, &["deploy", "--yaml", &file("two", "2")]).status.success());
    second.wait("deployed again", || two() == "2");
    second.stop();
    staying.stop();
    hosts[0].until_nothing_is_left().await;
}

/// `mgmt` on the host.
fn mgmt_on(host: &Host, words: &[&str]) -> Command {
    let mut command = host.command(program().to_str().expect("a path of cargo"));
    command.args(words).args(["--prefix", PREFIX, "--hostname", &format!("h{}", host.number)]);
    command
}

#[tokio::test]
#[ignore = "needs root, sshd and etcd"]
async fn a_cluster_is_reached_through_a_host_with_the_key_that_was_given() {
    if !inside(module_path!(), "a_cluster_is_reached_through_a_host_with_the_key_that_was_given") {
        return;
    }
    let net = Net::new();
    let jump = net.stranger(Setup::default());
    let closed = net.stranger(Setup { sshd: "AllowTcpForwarding no\n".to_owned(), ..Setup::default() });
    // The servers of the cluster listen on the loopback of the host alone.
    run(&mut mgmt_on(&jump, &["cluster", "init"]));
    let far = net.dir().join("far.yaml");
    std::fs::write(&far, "graph: g\nresources:\n  file:\n  - {name: '@@/far', content: far}\n").unwrap();
    let mut staying = Staying::of(&net, "far", mgmt_on(&jump, &["run", "--yaml", far.to_str().unwrap()]));
    let token = || mgmt_on(&jump, &["cluster", "token"]).output().unwrap();
    staying.wait("it lets hosts in", || token().status.success());
    let token = text(&token().stdout).trim().to_owned();
    let near = net.dir().join("near.yaml");
    let into = net.dir().join("all");
    let graph = format!(
        "graph: g\nresources:\n  file:\n  - name: {0}/\ncollect:\n- {{kind: file, pattern: {0}/}}\n",
        into.display()
    );
    std::fs::write(&near, graph).unwrap();
    let (near, id) = (near.to_str().unwrap(), net.dir().join("key"));
    let key = |host: &Host| std::fs::read_to_string(host.dir.join("hostkey.pub")).unwrap();
    let through = |host: &Host, key: &str, more: &[&str]| {
        let url = format!("ssh://root@{}", address(host.number));
        let words = ["run", "--yaml", near, "--hostname", "near", "-t", "1", "--ssh-url", &url, "--ssh-hostkey", key];
        mgmt(&net, &words).arg("--ssh-id").arg(&id).args(more).output().unwrap()
    };
    let ran = through(&jump, &key(&jump), &["--join", &token]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    assert_eq!(std::fs::read_to_string(into.join("far")).unwrap(), "far");
    assert!(!jump.left().iter().any(|command| command.starts_with("ssh ")), "{:?}", jump.left());
    // Without the name of a key that is right, nothing is sent.
    let ran = through(&jump, &key(&closed), &["--max-runtime", "8"]);
    assert!(text(&ran.stderr).contains("has another key than the one that was given"), "{}", text(&ran.stderr));
    let ran = through(&closed, &key(&closed), &["--max-runtime", "8"]);
    assert!(text(&ran.stderr).contains("AllowTcpForwarding"), "{}", text(&ran.stderr));
    let ran = through(&jump, "nonsense", &[]);
    assert!(text(&ran.stderr).contains("is no public key of a host"), "{}", text(&ran.stderr));
    assert!(!jump.left().iter().any(|command| command.starts_with("ssh ")), "{:?}", jump.left());
    staying.stop();
}
