//! The command `remote` of the program `mgmt`, on real hosts.

use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use crate::executable::program;
use crate::hosts::{self, Host, Net, PASSWORD, Setup, inside, run};

/// So long a loaded machine may take for anything: the executable of a test is large.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The program, with the configuration of ssh for these hosts. What it remembers is in a temporary directory, here and
/// there.
fn mgmt(net: &Net, words: &[&str]) -> Command {
    let mut command = hosts::mgmt(words);
    command.arg("--tmp-prefix").arg("--ssh-config").arg(net.dir().join("config"));
    command
}

fn output(net: &Net, words: &[&str]) -> Output {
    mgmt(net, words).output().unwrap()
}

/// A graph with a file that each host has for itself.
fn graph(net: &Net, content: &str) -> String {
    let path = net.dir().join("g.yaml");
    let text = format!(
        "graph: g\nresources:\n  file:\n  - name: /tmp/out\n    content: \"{content}\"\n  - name: /tmp/copy\n    source: {}\n",
        net.dir().join("source").display()
    );
    std::fs::write(net.dir().join("source"), "carried\n").unwrap();
    let new = net.dir().join("g.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path.to_str().unwrap().to_owned()
}

fn there(host: &Host, name: &str) -> Option<String> {
    std::fs::read_to_string(host.dir.join("tmp").join(name)).ok()
}

/// All that is in the file trees of a host, but the executable that is kept there. A directory changes its time when a
/// temporary one is made in it and removed: that of the files that travel with a plan.
fn tree(host: &Host) -> String {
    let script = "cd \"$1\" && find root home tmp var-tmp -path '*/.cache*' -prune -o \
                  -type d -printf '%p d %m\\n' -o -printf '%p %y %m %s %T@\\n' | sort";
    run(Command::new("sh").args(["-c", script, "sh"]).arg(&host.dir))
}

/// How many runs there are on hosts.
fn far_ends() -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let is_far = |environ: Vec<u8>| environ.windows(13).any(|word| word == b"MGMT_FAR_END=");
    entries.filter(|entry| std::fs::read(entry.path().join("environ")).is_ok_and(is_far)).count()
}

fn wait(child: &mut Child, what: &str, log: &PathBuf, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        let log = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(child.try_wait().unwrap().is_none(), "ended before: {what}: {}", log());
        assert!(began.elapsed() < LONG, "not so yet: {what}: {}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_plan_leaves_hosts_as_they_are_and_a_run_repairs_them_together() {
    if !inside(module_path!(), "a_plan_leaves_hosts_as_they_are_and_a_run_repairs_them_together") {
        return;
    }
    let net = Net::new();
    let hosts = [net.host(Setup::default()), net.host(Setup { shell: "/usr/bin/fish", ..Setup::default() })];
    let third = net.host(Setup::default());
    let g = graph(&net, "hello");
    let names = ["root@h1", "root@h2", "ann@h3"];
    // The first contact makes the directory of the cache.
    let first = output(&net, &["remote", "plan", "--yaml", &g, names[0], names[1], names[2]]);
    assert_eq!(first.status.code(), Some(2), "{}{}", text(&first.stdout), text(&first.stderr));
    let before: Vec<String> = hosts.iter().chain([&third]).map(tree).collect();
    let plan = output(&net, &["remote", "plan", "--yaml", &g, names[0], names[1], names[2]]);
    let shown = text(&plan.stdout);
    assert_eq!(plan.status.code(), Some(2), "{shown}{}", text(&plan.stderr));
    assert!(shown.starts_with("h1, h2, h3:\n  ~ file[/tmp/out]\n"), "{shown}");
    assert!(shown.ends_with("h1: 2 to repair\nh2: 2 to repair\nh3: 2 to repair\n"), "{shown}");
    let after: Vec<String> = hosts.iter().chain([&third]).map(tree).collect();
    assert_eq!(before, after);
    let ran = output(&net, &["remote", "run", "--yaml", &g, names[0], names[1], names[2], "-t", "1"]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    for host in hosts.iter().chain([&third]) {
        assert_eq!((there(host, "out").as_deref(), there(host, "copy").as_deref()), (Some("hello"), Some("carried\n")));
        host.until_nothing_is_left().await;
    }
    let plan = output(&net, &["remote", "plan", "--yaml", &g, names[0], names[1], names[2], "-q"]);
    assert_eq!(text(&plan.stdout), "h1: 2 in sync\nh2: 2 in sync\nh3: 2 in sync\n");
    assert_eq!(plan.status.code(), Some(0));
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_host_that_can_not_be_reached_costs_itself_only() {
    if !inside(module_path!(), "a_host_that_can_not_be_reached_costs_itself_only") {
        return;
    }
    let net = Net::new();
    let (good, strange, away) =
        (net.host(Setup::default()), net.stranger(Setup::default()), net.host(Setup::default()));
    away.cut(true);
    let g = graph(&net, "hello");
    let words = ["remote", "run", "--yaml", &g, "root@h1", "root@h2", "root@h3", "--connect-timeout", "2"];
    let ran = output(&net, &words);
    let log = text(&ran.stderr);
    assert_eq!((ran.status.code(), there(&good, "out").as_deref()), (Some(1), Some("hello")), "{log}");
    assert!(log.contains("INFO h1: converged, 2 changed"), "{log}");
    assert!(log.contains("ERROR h2: failed: its host key is not known here"), "{log}");
    assert!(log.contains("ERROR h3: failed: can't be reached"), "{log}");
    assert!(there(&strange, "out").is_none());
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_run_that_stays_repairs_follows_the_graph_and_connects_again() {
    if !inside(module_path!(), "a_run_that_stays_repairs_follows_the_graph_and_connects_again") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let g = graph(&net, "one");
    let log = net.dir().join("log");
    let mut child = mgmt(&net, &["remote", "run", "--yaml", &g, "root@h1", "--watch"])
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let has = |words: &str| std::fs::read_to_string(&log).unwrap_or_default().contains(words);
    wait(&mut child, "one", &log, || there(&host, "out").as_deref() == Some("one"));
    std::fs::remove_file(host.dir.join("tmp/out")).unwrap();
    wait(&mut child, "repaired", &log, || there(&host, "out").as_deref() == Some("one"));
    graph(&net, "two");
    wait(&mut child, "two", &log, || there(&host, "out").as_deref() == Some("two"));
    // The link is cut: the run there ends by itself, and another one begins when the link is back.
    host.cut(true);
    wait(&mut child, "lost", &log, || has("connecting again in"));
    let began = Instant::now();
    while far_ends() > 0 {
        assert!(began.elapsed() < LONG, "the run there does not end");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::remove_file(host.dir.join("tmp/out")).unwrap();
    host.cut(false);
    wait(&mut child, "back", &log, || there(&host, "out").as_deref() == Some("two"));
    run(Command::new("kill").args(["-INT", &child.id().to_string()]));
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", std::fs::read_to_string(&log).unwrap());
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_file_names_its_host_and_a_password_in_it_is_shown_nowhere() {
    if !inside(module_path!(), "a_file_names_its_host_and_a_password_in_it_is_shown_nowhere") {
        return;
    }
    let net = Net::new();
    let sshd = "PasswordAuthentication yes\nPubkeyAuthentication no\n".to_owned();
    let host = net.host(Setup { sshd, ..Setup::default() });
    let g = graph(&net, "hello");
    let old = net.dir().join("old.yaml");
    let address = format!("remote: ssh://root:{PASSWORD}@{}\n", crate::hosts::address(1));
    std::fs::write(&old, format!("{address}{}", std::fs::read_to_string(g).unwrap())).unwrap();
    let ran = output(&net, &["run", "--remote", old.to_str().unwrap(), "-t", "0"]);
    let log = format!("{}{}", text(&ran.stdout), text(&ran.stderr));
    assert_eq!((ran.status.code(), there(&host, "out").as_deref()), (Some(0), Some("hello")), "{log}");
    assert!(log.contains("the password in `remote`") && !log.contains(PASSWORD), "{log}");
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_run_can_become_another_user() {
    if !inside(module_path!(), "a_run_can_become_another_user") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let g = graph(&net, "hello");
    let ran = output(&net, &["remote", "run", "--yaml", &g, "--become", "ann@h1"]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(host.dir.join("tmp/out")).unwrap());
    assert_eq!(owner, 0);
    host.until_nothing_is_left().await;
}

#[tokio::test]
#[ignore = "needs root and sshd"]
async fn a_file_that_names_its_host_can_be_confirmed() {
    if !inside(module_path!(), "a_file_that_names_its_host_can_be_confirmed") {
        return;
    }
    let net = Net::new();
    let host = net.host(Setup::default());
    let config = net.dir().join("config").to_str().unwrap().to_owned();
    let write = |name: &str, rest: &str| {
        let path = net.dir().join(name);
        let file = "  file:\n  - name: /tmp/out\n    content: new\n";
        let text = format!("graph: g\nremote: ssh://root@h1\nresources:\n{file}{rest}");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ran = |words: &[&str]| {
        let more = ["--ssh-config", &config, "--prefix", "/tmp/prefix"];
        let ran = hosts::mgmt(&[words, &more].concat()).output().unwrap();
        (ran.status.code(), text(&ran.stderr))
    };
    std::fs::write(host.dir.join("tmp/out"), "old").unwrap();
    // What can't be put back is refused before anything is changed, unless it is permitted.
    let command = write("command.yaml", "  exec:\n  - name: n\n    cmd: \"true\"\n    meta: {noop: false}\n");
    let (code, log) = ran(&["run", "--remote", &command, "-t", "0", "--confirm", "60"]);
    assert!(code == Some(1) && log.contains("--confirm-partial"), "{log}");
    assert_eq!(there(&host, "out").as_deref(), Some("old"));
    let (code, log) = ran(&["run", "--remote", &command, "-t", "0", "--confirm", "60", "--confirm-partial"]);
    assert!(code == Some(0) && log.contains("confirmed: what was changed stays"), "{log}");
    assert_eq!(there(&host, "out").as_deref(), Some("new"));
    // A graph that can't converge is put back.
    std::fs::write(host.dir.join("tmp/out"), "old").unwrap();
    let fails = "  exec:\n  - name: n\n    cmd: \"false\"\n    undo: \"true\"\n    meta: {retry: 0}\nedges:\n- name: e\n  from: {kind: file, name: /tmp/out}\n  to: {kind: exec, name: n}\n";
    let (code, log) = ran(&["run", "--remote", &write("fails.yaml", fails), "-t", "0", "--confirm", "60"]);
    assert!(code == Some(1) && log.contains("putting back what was changed"), "{log}");
    assert_eq!(there(&host, "out").as_deref(), Some("old"));
    host.until_nothing_is_left().await;
}

#[test]
#[ignore = "needs the program ssh"]
fn two_names_that_ssh_leads_to_one_host_are_refused_before_anything_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    // Nothing listens there: a connection would fail with another error.
    let config = write("config", "Host web www\n HostName 127.0.0.1\n Port 1\n");
    let graph = write("g.yaml", "graph: g\nresources:\n  noop:\n  - name: n\n");
    let files = ["web", "www"].map(|host| {
        let text = format!("graph: g\nremote: ssh://root@{host}:1\nresources:\n  noop:\n  - name: n\n");
        write(&format!("{host}.yaml"), &text)
    });
    for words in [
        vec!["remote", "plan", "web", "www", "--yaml", &graph],
        vec!["remote", "run", "web", "www", "--yaml", &graph],
        vec!["run", "--remote", &files[0], "--remote", &files[1]],
    ] {
        let mut command = Command::new(program());
        let output = command.args(&words).args(["--tmp-prefix", "--ssh-config", &config]).output().unwrap();
        let shown = text(&output.stderr);
        assert!(output.status.code() == Some(1), "{words:?}: {output:?}");
        assert!(shown.contains("`web` and `www` are one host") && !shown.contains("refused"), "{words:?}: {shown}");
    }
}
