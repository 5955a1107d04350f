//! The examples do what they say.

use std::fs;
use std::path::Path;

#[cfg(feature = "ssh")]
use crate::kit::program::remote_example;
use crate::kit::program::{Ended, Program, Running, example};

fn run(name: &str, prefix: &Path, args: &str) -> Ended {
    Program::new(&example(name)).arg("--prefix").arg(prefix).args(args).run()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn embed_converges_repairs_swaps_and_refuses() {
    let ended = Program::new(&example("embed")).run().code(0);
    assert_eq!(
        ended.out,
        "converged: \"hello\\n\" and \"keep out\\n\"\nrepaired: content of the file\n\
         swapped: \"good evening\\n\" and \"keep out\\n\"\nrefused: true; graphs 2 and 1 go on\n"
    );
}

#[test]
fn send_recv_sends() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    run("send_recv", dir.path(), "-t 0").code(0);
    let password = read(&files.join("password"));
    assert_eq!((password.len(), read(&files.join("kernel")).as_str()), (24, "LINUX\n"));
    assert_eq!(read(&files.join("line")), format!("Linux:{password}\n"));
    run("send_recv", dir.path(), "-t 0").code(0);
    assert_eq!(read(&files.join("password")), password);
    fs::remove_file(files.join("line")).unwrap();
    run("send_recv", dir.path(), "-t 0").code(0);
    let new = read(&files.join("password"));
    assert_ne!(new, password);
    assert_eq!(read(&files.join("line")), format!("Linux:{new}\n"));
}

#[test]
fn refresh_refreshes_once() {
    let dir = tempfile::tempdir().unwrap();
    let service = dir.path().join("service");
    let reloads = || read(&service.join("reloads")).lines().count();
    run("refresh", dir.path(), "-t 0").code(0);
    assert_eq!(reloads(), 1);
    run("refresh", dir.path(), "-t 0").code(0);
    assert_eq!(reloads(), 1);
    fs::write(service.join("keys.conf"), "key = stolen\n").unwrap();
    fs::write(service.join("service.conf"), "port = 1\n").unwrap();
    run("refresh", dir.path(), "plan").code(2).said("2 to repair, 2 to refresh, 1 in sync");
    run("refresh", dir.path(), "-t 0").code(0);
    assert_eq!(reloads(), 2);
}

#[test]
fn custom_kind_keeps_its_lines() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = dir.path().join("lines/hosts");
    fs::create_dir(dir.path().join("lines")).unwrap();
    fs::write(&hosts, "# mine\n127.0.0.1 old.test\n").unwrap();
    run("custom_kind", dir.path(), "-t 0").code(0);
    assert_eq!(read(&hosts), "# mine\n127.0.0.1 localhost\n127.0.0.1 example.test\n");
    assert_eq!(read(&dir.path().join("lines/where")), "example.test is in line 3\n");
    run("custom_kind", dir.path(), "plan").code(0).said("5 in sync");
}

#[test]
fn grouped_writes_all_rows_by_one_statement() {
    let dir = tempfile::tempdir().unwrap();
    let first = run("grouped", dir.path(), "-t 0").code(0);
    assert_eq!(first.out, "21 rows by one statement\n");
    let table = dir.path().join("tables/limits");
    let rows = read(&table);
    assert!(rows.lines().count() == 21 && rows.contains("limit7=700\n") && rows.contains("owner=storage\n"), "{rows}");
    fs::write(&table, rows.replace("limit7=700", "limit7=7").replace("limit8=800", "limit8=8")).unwrap();
    let again = run("grouped", dir.path(), "-t 0").code(0);
    assert_eq!((again.out.as_str(), read(&table)), ("2 rows by one statement\n", rows));
    run("grouped", dir.path(), "check").code(0).said("1 group");
    run("grouped", dir.path(), "graph")
        .code(0)
        .said("subgraph cluster_0 { label=\"row, a group of 21\"; style=dotted;");
    let json = run("grouped", dir.path(), "graph --format json").code(0);
    let data: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(data["groups"][0].as_array().unwrap().len(), 21);
}

#[test]
fn custom_kind_is_woken_by_its_watch() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = dir.path().join("lines/hosts");
    let mut running = Program::new(&example("custom_kind")).arg("--prefix").arg(dir.path()).start();
    running.says("converged in");
    fs::write(&hosts, "127.0.0.1 old.test\n127.0.0.1 example.test\n").unwrap();
    let expected = |_: &Running| {
        let found = fs::read_to_string(&hosts).unwrap_or_default();
        let mut lines: Vec<_> = found.lines().collect();
        lines.sort_unstable();
        lines == ["127.0.0.1 example.test", "127.0.0.1 localhost"]
    };
    running.until("repaired", expected);
    running.signal(rustix::process::Signal::INT);
    running.wait().code(0);
}

#[test]
fn reactive_follows_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::new(&example("reactive"));
    let mut running = program.env("TMPDIR", dir.path()).arg("--prefix").arg(dir.path().join("prefix")).start();
    running.says("write names of hosts into");
    let base = dir.path().join("mgmt-reactive");
    fs::write(base.join("hosts"), "alpha\nbeta\n").unwrap();
    running.until("two hosts", |_| base.join("beta/name").exists() && base.join("alpha/name").exists());
    fs::write(base.join("hosts"), "alpha\n../evil\n").unwrap();
    running.says("`../evil` is no name of a host");
    fs::write(base.join("hosts"), "gamma\n").unwrap();
    running.until("another host", |_| base.join("gamma/name").exists());
    running.signal(rustix::process::Signal::INT);
    running.wait().code(0);
    let mut program = Program::new(&example("reactive"));
    program.env("TMPDIR", dir.path()).arg("--prefix").arg(dir.path().join("prefix")).args("-t 0").run().code(0);
}

#[test]
fn plan_in_ci_passes_for_what_was_reviewed_and_fails_for_anything_else() {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let plan = |reviewed: &Path| {
        let mut program = Program::new(&example("plan_in_ci"));
        program.command.current_dir(root);
        program.env("REVIEWED", reviewed).run()
    };
    let reviewed = root.join("examples/plan_in_ci.txt");
    plan(&reviewed).code(0).said("the plan is what was reviewed");
    let other = dir.path().join("other.txt");
    fs::write(&other, read(&reviewed).replace("workers = 4", "workers = 2")).unwrap();
    plan(&other).code(1).said("the plan is not what was reviewed").said("+workers = 4");
}

#[test]
fn hello_prints_what_the_guide_shows() {
    let chapter = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mgmt/docs/command-line.md"));
    // It writes where everybody may: what is there now decides what the plan is.
    let fresh = !Path::new("/tmp/hello").exists();
    let dir = tempfile::tempdir().unwrap();
    let check = run("hello", dir.path(), "check").code(0);
    assert_eq!(check.out, "hello: 2 resources, 1 edge (1 automatic): no problems\n");
    if fresh {
        let plan = run("hello", dir.path(), "plan").code(2).out;
        assert!(chapter.contains(&format!("$ cargo run --example hello -- plan\n{plan}")), "{plan}");
        assert!(!Path::new("/tmp/hello").exists(), "a plan makes nothing");
    }
}

#[test]
fn noops_counts_seconds_and_bytes() {
    let noops = |args: &str| Program::new(&example("noops")).args(args).run();
    let shape = |text: &str| {
        text.split(|c: char| c.is_ascii_digit() || c == '.').filter(|part| !part.is_empty()).collect::<String>()
    };
    assert_eq!(shape(&noops("1").code(0).out), " nodes converged in  s,  bytes a node\n");
    assert_eq!(shape(&noops("0").code(0).out), " nodes converged in  s,  bytes\n");
    assert!(noops("").code(0).out.starts_with("1000 nodes converged in "));
    assert_eq!(noops("--help").code(0).out, "usage: noops [N] [--every SECONDS]\n");
    let many = noops("20000").code(0).out;
    let bytes: usize = many.split(", ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
    assert!((1..400).contains(&bytes), "{many}");
    for wrong in ["many", "-1", "1.5", "99999999999999999999999", "--every", "5 --every never", "--every -1"] {
        let ended = noops(wrong).code(1);
        assert!(ended.err.starts_with("Error: usage: noops [N] [--every SECONDS]: "), "{}", ended.err);
    }
}

#[test]
fn noops_announced_again_and_again_are_not_touched() {
    let mut running = Program::new(&example("noops")).args("500 --every 0.02").start();
    running.says("graph 4: ");
    // Interrupts are ignored in what a shell runs in the background.
    running.signal(rustix::process::Signal::TERM);
    let out = running.wait().out;
    let mut lines = out.lines();
    assert!(lines.next().unwrap().starts_with("500 nodes converged in "), "{out}");
    for (line, number) in lines.zip(2..) {
        assert!(line.starts_with(&format!("graph {number}: 0 added, 0 changed, 0 removed, 500 kept, in ")), "{out}");
        assert!(line.ends_with(" s; 0 other events"), "{out}");
    }
}

#[test]
fn graph_data_binds_runs_and_is_told_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let ended = Program::new(&example("graph_data")).env("TMPDIR", dir.path()).run().code(0);
    assert_eq!(ended.out, GRAPH_DATA);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

const GRAPH_DATA: &str = "\
good morning world
greeting[world]: `word`: invalid type: integer `5`, expected a string
  at site.json:4

file[DIR/motd]: file has no field `modes`: did you mean `mode`?
  at site.json:5

2 errors
";

#[test]
fn the_schema_of_a_program_knows_its_own_kind() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run("custom_kind", &dir.path().join("prefix"), "schema").code(0);
    let schema: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let line = &schema["properties"]["resources"]["properties"]["entry"];
    assert_eq!(line["description"], "An entry in a text file.");
    let file = schema.pointer("/properties/resources/properties/entry/items/properties/file");
    assert_eq!(file.unwrap()["description"], "The file.", "{line}");
    assert!(schema["properties"]["resources"]["properties"]["password"].is_object());
    assert!(!dir.path().join("prefix").exists(), "nothing is made for it");
}

const SEND_RECV: &str = "\
~ file[PREFIX/files/]
    state: absent → directory
    mode: none → 0755
~ password[admin]
    password: none yet → a new one
? file[PREFIX/files/password]: not known until password[admin] has run
~ exec[kernel]
    cmd: not run yet → run `uname -s`
? file[PREFIX/files/kernel]: not known until exec[kernel] has run
? file[PREFIX/files/line]: not known until password[admin] has run
3 to repair, 3 not known yet
";

const REFRESH: &str = "\
~ file[PREFIX/service/]
    state: absent → directory
    mode: none → 0755
~ file[PREFIX/service/service.conf]
    state: absent → regular file
    content: nothing → 12 bytes
      @@ -0,0 +1 @@
      +port = 8080
~ file[PREFIX/service/keys.conf]
    state: absent → regular file
    content: nothing → 11 bytes
      @@ -0,0 +1 @@
      +key = none
↻ exec[reload]
    asked to refresh, since file[PREFIX/service/service.conf], file[PREFIX/service/keys.conf] would change
↻ exec[check]
    asked to refresh, since exec[reload] would change
3 to repair, 2 to refresh
";

const CUSTOM_KIND: &str = "\
~ file[PREFIX/lines/]
    state: absent → directory
    mode: none → 0755
~ entry[127.0.0.1 localhost]
    entry: absent → present
~ entry[127.0.0.1 example.test]
    entry: absent → present
? file[PREFIX/lines/where]: not known until entry[127.0.0.1 example.test] has run
3 to repair, 1 not known yet, 1 in sync
";

#[test]
fn the_plans_of_a_first_run_are_what_they_were() {
    for (name, plan) in [("send_recv", SEND_RECV), ("refresh", REFRESH), ("custom_kind", CUSTOM_KIND)] {
        let dir = tempfile::tempdir().unwrap();
        let ended = run(name, dir.path(), "plan").code(2);
        assert_eq!(ended.out.replace(dir.path().to_str().unwrap(), "PREFIX"), plan, "{name}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{name}: a plan makes nothing");
    }
}

#[test]
fn the_hosts_of_cluster_know_one_another() {
    // Without the feature `etcd` there is no other world than that.
    let ended = Program::new(&example("cluster")).arg("embedded").run().code(0);
    assert_eq!(ended.out, CLUSTER);
}

const CLUSTER: &str = "10.0.0.3 db\n10.0.0.1 web1\n10.0.0.2 web2\nthe same on all three hosts\n";

#[cfg(feature = "etcd")]
#[test]
#[ignore = "needs the program etcd"]
fn the_hosts_of_cluster_know_one_another_by_an_etcd_that_they_run() {
    let dir = tempfile::tempdir().unwrap();
    let ended = Program::new(&example("cluster")).env("TMPDIR", dir.path()).run().code(0);
    assert_eq!(ended.out, CLUSTER);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "it leaves nothing");
}

#[cfg(feature = "ssh")]
#[test]
fn remote_plans_its_graph_with_the_names_of_the_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::new(&remote_example());
    let ended = program.args("remote plan local:one local:two --prefix").arg(dir.path()).run().code(2);
    assert!(ended.out.contains("one, two:\n  ~ file[/tmp/mgmt-remote/]\n"), "{}", ended.out);
    for host in ["one", "two"] {
        assert!(ended.out.contains(&format!("+this is {host}\n")), "{}", ended.out);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "a plan makes nothing");
}
