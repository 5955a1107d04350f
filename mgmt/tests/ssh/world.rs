//! Hosts that reach neither one another nor any etcd exchange resources through the host from which they are run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::hosts::{Host, Net, Setup, inside, run};

/// So long a loaded machine may take for anything.
const LONG: Duration = Duration::from_secs(120);
/// The prefix here and on each host, where it is in a file system of that host alone.
const PREFIX: &str = "/run/m";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn mgmt(net: &Net, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mgmt"));
    command.args(words).args(["--prefix", PREFIX]);
    if words.contains(&"--remote") || words.first() == Some(&"remote") {
        command.arg("--ssh-config").arg(net.dir().join("config"));
    }
    for name in ["MGMT_PREFIX", "MGMT_CCONNS", "MGMT_SSH_PRIV_ID_RSA", "MGMT_CONVERGED_TIMEOUT", "MGMT_SEEDS", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(net: &Net, words: &[&str]) -> Output {
    mgmt(net, words).output().unwrap()
}

/// The graph of a host: it exports a file with this content, and collects all into a directory.
fn graph(net: &Net, host: &str, content: &str) -> String {
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
fn there(host: &Host) -> Vec<(String, String)> {
    let files = std::fs::read_dir(host.dir.join("tmp/all")).into_iter().flatten().flatten();
    let mut all: Vec<(String, String)> = files
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read_to_string(file.path()).unwrap_or_default()))
        .collect();
    all.sort();
    all
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

/// A run that stays, and what it logs. It is ended by SIGINT at the end of the test.
struct Staying {
    child: Child,
    log: PathBuf,
}

impl Staying {
    fn start(net: &Net, words: &[&str]) -> Staying {
        let log = net.dir().join("log");
        let child = mgmt(net, words).stderr(std::fs::File::create(&log).unwrap()).stdout(Stdio::null()).spawn().unwrap();
        Staying { child, log }
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn wait(&mut self, what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(self.child.try_wait().unwrap().is_none(), "ended before: {what}: {}", self.logged());
            assert!(began.elapsed() < LONG, "not so yet: {what}: {}", self.logged());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it as ^C does, and waits for its end.
    fn stop(mut self) -> String {
        run(Command::new("kill").args(["-INT", &self.child.id().to_string()]));
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < LONG, "it does not end: {}", self.logged());
            std::thread::sleep(Duration::from_millis(50));
        }
        self.logged()
    }
}

/// A cluster whose authority is here.
fn begin(net: &Net) {
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
