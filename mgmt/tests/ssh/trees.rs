//! The kind `remote` on real hosts: a lost link, hosts that lead to hosts, and rings of them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::executable::program;
use crate::hosts::{Host, Net, Setup, inside};

/// So long a loaded machine may take for anything: the executable of a test is large.
const LONG: Duration = Duration::from_secs(180);

/// A run of the program on a graph in YAML, ended with the test.
struct Run {
    child: Child,
    log: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Run {
    fn start(net: &Net, graph: &str, words: &[&str]) -> Run {
        let (yaml, log) = (net.dir().join("site.yaml"), net.dir().join("log"));
        std::fs::write(&yaml, graph).unwrap();
        let mut command = Command::new(program());
        command.args(["run", "--tmp-prefix", "--yaml"]).arg(&yaml).args(words).env_remove("RUST_LOG");
        for name in ["MGMT_PREFIX", "MGMT_CONVERGED_TIMEOUT"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
        Run { child: command.spawn().unwrap(), log }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits while it runs.
    fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !is_so(&self.log()) {
            assert!(self.child.try_wait().unwrap().is_none(), "ended before: {what}: {}", self.log());
            assert!(began.elapsed() < LONG, "not so yet: {what}: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn end(&mut self, signal: Option<&str>) -> Option<i32> {
        if let Some(signal) = signal {
            let id = self.child.id().to_string();
            assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        }
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < LONG, "it has not ended: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn there(host: &Host, name: &str) -> Option<String> {
    std::fs::read_to_string(host.dir.join("tmp").join(name)).ok()
}

/// `remote` resources of a graph, without what they run.
fn remote(host: &str, net: &Net) -> String {
    let config = net.dir().join("config");
    format!(
        "  remote:\n  - name: root@{host}\n    ssh_config: {}\n    prefix: /var/tmp/prefix-{host}\n",
        shown(&config)
    )
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A graph as the text of a field.
fn nested(text: &str) -> String {
    text.lines().map(|line| format!("      {line}\n")).collect()
}

fn file(name: &str) -> String {
    format!("  file:\n  - name: /tmp/{name}\n    content: kept\n")
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_resource_keeps_its_host_and_survives_a_lost_link() {
    if !inside(module_path!(), "a_resource_keeps_its_host_and_survives_a_lost_link") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let leaf = format!("graph: leaf\nresources:\n{}", file("one"));
    let graph = format!("graph: site\nresources:\n{}    graph: |\n{}", remote("h1", &net), nested(&leaf));
    let mut run = Run::start(&net, &graph, &[]);
    let is_kept = || there(&host, "one").as_deref() == Some("kept");
    run.until("converged", |log| is_kept() && log.contains("remote[root@h1]: repaired"));
    std::fs::write(host.dir.join("tmp/one"), "drifted").unwrap();
    run.until("repaired there, and reported here", |log| {
        is_kept() && log.matches("h1: file[/tmp/one]: repaired").count() == 2
    });
    host.cut(true);
    run.until("noticed", |log| log.contains("remote[root@h1]: check waits: h1: the connection was lost"));
    std::fs::write(host.dir.join("tmp/one"), "drifted").unwrap();
    host.cut(false);
    run.until("repaired again", |_| is_kept());
    assert_eq!(run.end(Some("-INT")), Some(0), "{}", run.log());
    host.until_nothing_is_left().await;
    // A key that is not known is a failure, and nothing is sent.
    let stranger = net.stranger(Setup::default());
    let graph = format!("graph: site\nresources:\n{}    graph: |\n{}", remote("h2", &net), nested(&leaf));
    let mut run = Run::start(&net, &graph, &["-t", "1"]);
    assert_eq!(run.end(None), Some(1));
    assert!(run.log().contains("host key is not known here"), "{}", run.log());
    assert!(there(&stranger, "one").is_none());
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn hosts_lead_to_hosts_but_not_back() {
    if !inside(module_path!(), "hosts_lead_to_hosts_but_not_back") {
        return;
    }
    let net = Net::new();
    let hosts = [net.host(Setup::default()), net.host(Setup::default())];
    let leaf = format!("graph: leaf\nresources:\n{}", file("two"));
    let between =
        format!("graph: between\nresources:\n{}{}    graph: |\n{}", file("one"), remote("h2", &net), nested(&leaf));
    let tree = format!("graph: site\nresources:\n{}    graph: |\n{}", remote("h1", &net), nested(&between));
    let mut run = Run::start(&net, &tree, &["-t", "1"]);
    assert_eq!(run.end(None), Some(1));
    assert!(run.log().contains("one level deeper"), "{}", run.log());
    assert!(there(&hosts[0], "one").is_none() && there(&hosts[1], "two").is_none());
    let mut run = Run::start(&net, &tree, &["-t", "1", "--depth", "2"]);
    assert_eq!(run.end(None), Some(0), "{}", run.log());
    assert_eq!((there(&hosts[0], "one").as_deref(), there(&hosts[1], "two").as_deref()), (Some("kept"), Some("kept")));
    assert!(hosts[1].log().contains("from 10.78.0.11"), "h1 has reached it: {}", hosts[1].log());
    hosts[1].until_nothing_is_left().await;
    // From h1 to h2 and back to h1, by another name and in another directory.
    let leaf = format!("graph: leaf\nresources:\n{}", file("three"));
    let back = remote("h1", &net).replace("root@h1", "back=root@10.78.0.11").replace("prefix-h1", "prefix-back");
    let ring = format!("graph: ring\nresources:\n{back}    graph: |\n{}", nested(&leaf));
    let between = format!("graph: between\nresources:\n{}    graph: |\n{}", remote("h2", &net), nested(&ring));
    let ring = format!("graph: site\nresources:\n{}    graph: |\n{}", remote("h1", &net), nested(&between));
    let mut run = Run::start(&net, &ring, &["-t", "1", "--depth", "3"]);
    assert_eq!(run.end(None), Some(1), "{}", run.log());
    assert!(run.log().contains("returns to a host that it came from"), "{}", run.log());
    assert!(there(&hosts[0], "three").is_none());
    hosts[0].until_nothing_is_left().await;
}
