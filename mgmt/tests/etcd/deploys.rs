//! Deploys through a real etcd: from the command line, and larger than one of its transactions.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::running::{Running, command, mgmt, until};
use crate::server::Server;

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn fails(output: &Output, parts: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    parts.iter().for_each(|part| assert!(err.contains(part), "{part:?} in {err}"));
}

/// A host that follows deploys. It prints to a file, so that what it has printed can be read meanwhile.
fn follow(server: &Server, host: &str, prefix: &Path, log: &Path) -> Running {
    let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut program = command(server, host, &["run", "--deploy", "--prefix", prefix.to_str().unwrap()]);
    Running(program.stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn id(output: &Output) -> String {
    let data: serde_json::Value = serde_json::from_str(&succeeds(output)).unwrap();
    data["id"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs the program etcd"]
fn a_graph_of_five_mebibytes_is_deployed_shown_and_reverted() {
    let (mut server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let path = |name: &str| dir.path().join(name);
    let yaml = path("graph.yaml");
    // No two parts are alike.
    let large: Vec<u8> = (0..5 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(path("large.source"), &large).unwrap();
    fs::create_dir(path("site.source")).unwrap();
    fs::write(path("site.source/index"), "one").unwrap();
    let shown = |name: &str| path(name).display().to_string();
    let graph = |content: &str| {
        format!(
            "graph: site\nresources:\n  file:\n  - {{name: {}, content: {content}}}\n  - {{name: {}, source: {}}}\n  \
             - {{name: {}/, source: {}/}}\n",
            shown("small"),
            shown("large"),
            shown("large.source"),
            shown("site"),
            shown("site.source"),
        )
    };
    let yaml_text = yaml.to_str().unwrap().to_owned();
    let deploy = |server: &Server, content: &str, more: &[&str]| {
        fs::write(&yaml, graph(content)).unwrap();
        mgmt(server, "desk", &[&["deploy", "--yaml", &yaml_text], more].concat())
    };
    // Before the first one: a host waits, and all others report it.
    fails(&mgmt(&server, "web1", &["plan", "--deploy", "--tmp-prefix"]), &["there is no deploy yet"]);
    assert!(succeeds(&mgmt(&server, "web1", &["deploy", "list"])).contains("no deploy yet"));
    let prefixes = ["prefix1", "prefix2"].map(path);
    let hosts = |server: &Server| {
        let pair = [("web1", &prefixes[0]), ("web2", &prefixes[1])];
        pair.map(|(host, prefix)| follow(server, host, prefix, &path(&format!("{host}.log"))))
    };
    let running = hosts(&server);
    until("it waits", || text(&path("web1.log")).contains("there is no deploy yet"));
    // In noop nothing is published.
    let would = succeeds(&deploy(&server, "one", &["--noop"]));
    assert!(
        would.contains("would be deployed: site: 3 resources, 2 files") && would.contains("site.source"),
        "{would}"
    );
    assert!(succeeds(&mgmt(&server, "web1", &["deploy", "list", "--json"])).contains("\"deploys\": []"));
    let first = id(&deploy(&server, "one", &["--json", "-m", "the first"]));
    until("it is in force", || text(&path("small")) == "one" && text(&path("site/index")) == "one");
    until("the large one too", || fs::read(path("large")).is_ok_and(|there| there == large));
    // The same again; then another one, from what has changed in a directory.
    assert!(succeeds(&deploy(&server, "one", &[])).contains("nothing was published"));
    fs::write(path("site.source/index"), "two").unwrap();
    let second = id(&deploy(&server, "one", &["--json", "--parent", &first[..5]]));
    until("it is in force", || text(&path("site/index")) == "two");
    fails(
        &deploy(&server, "three", &["--parent", &first]),
        &[&first, &second, "desk", "nothing was published", "--force"],
    );
    let details = succeeds(&mgmt(&server, "desk", &["deploy", "show"]));
    for part in [&*second, &first, "(in force)", "source", "with other content", "large.source"] {
        assert!(details.contains(part), "{part:?} in {details}");
    }
    let listed = succeeds(&mgmt(&server, "desk", &["deploy", "list"]));
    assert!(listed.lines().count() == 2 && listed.starts_with(&format!("* {second}")), "{listed}");
    assert!(listed.contains("the first"), "{listed}");
    fails(&mgmt(&server, "desk", &["deploy", "show", "nothing"]), &["begins with `nothing`", "deploy list"]);
    // Without etcd, also after a restart, it stays.
    drop(running);
    server.kill();
    fs::remove_file(path("small")).unwrap();
    fs::remove_file(path("large")).unwrap();
    let running = hosts(&server);
    until("it is there without etcd", || text(&path("small")) == "one");
    until("the large one too", || fs::read(path("large")).is_ok_and(|there| there == large));
    server.again();
    // Others find what it was.
    succeeds(&mgmt(&server, "desk", &["deploy", "revert", "-m", "back"]));
    until("the first is in force again", || text(&path("site/index")) == "one");
    let plan = mgmt(&server, "web3", &["plan", "--deploy", "--tmp-prefix"]);
    assert_eq!(plan.status.code(), Some(0), "{plan:?}");
    let graph = succeeds(&mgmt(&server, "web3", &["graph", "--deploy", "--tmp-prefix"]));
    assert!(graph.contains("small"), "{graph}");
    drop(running);
}

#[test]
#[ignore = "needs the program etcd"]
fn what_can_t_travel_is_refused_with_its_places_in_the_file() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let yaml = dir.path().join("graph.yaml");
    let graph = "graph: site\nresources:\n  file:\n  - {name: /x/a, source: /nonexistent/one}\n  - name: /x/b/\n    \
                 source: /nonexistent/two/\n";
    fs::write(&yaml, graph).unwrap();
    let yaml = yaml.to_str().unwrap();
    let refused = mgmt(&server, "desk", &["deploy", "--yaml", yaml]);
    fails(&refused, &["/nonexistent/one", "graph.yaml:4", "/nonexistent/two", "graph.yaml:5", "--on-hosts"]);
    let done = mgmt(&server, "desk", &["deploy", "--yaml", yaml, "--on-hosts", "/nonexistent"]);
    assert!(succeeds(&done).contains("0 files"));
    // One run, without following.
    let once = mgmt(&server, "web1", &["run", "--deploy", "-t", "0", "--noop", "--tmp-prefix"]);
    assert!(!once.status.success(), "the sources are missing: {once:?}");
}

#[test]
fn a_world_and_one_source_are_needed() {
    let run = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_mgmt"));
        program.args(arguments).env_remove("MGMT_SEEDS").output().unwrap()
    };
    for command in
        [&["run", "--deploy", "--tmp-prefix"][..], &["plan", "--deploy", "--tmp-prefix"], &["deploy", "list"]]
    {
        fails(&run(command), &["no world", "--seeds"]);
    }
    fails(&run(&["run", "--deploy", "--yaml", "x.yaml"]), &["leave out --yaml"]);
    fails(&run(&["deploy"]), &["no graph"]);
}
