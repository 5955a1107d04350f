//! What files mean: the same graph as the one that a program declares.

use std::time::Duration;

use mgmt::gapi::{YamlGraph, YamlOptions, read_yaml};
use mgmt::graph::GraphConfig;
use mgmt::prelude::*;
use mgmt::resource::{Backoff, Meta};
use serde_json::Value as Json;

use crate::kit::forget_origins;

fn read(text: &str) -> YamlGraph {
    read_yaml("g.yaml", text.as_bytes(), &YamlOptions::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A graph as data, without the places where it was declared, and without the names of edges, which programs lack.
fn data(config: &GraphConfig) -> Json {
    let mut data = serde_json::to_value(config).unwrap();
    for list in ["resources", "edges", "sends", "exports", "collects", "awaited"] {
        for entry in data.get_mut(list).and_then(Json::as_array_mut).into_iter().flatten() {
            forget_origins(entry);
            if list == "edges" || list == "awaited" {
                entry.as_object_mut().unwrap().remove("name");
            }
        }
    }
    data
}

fn same(text: &str, declare: impl FnOnce(&mut Graph)) {
    let mut graph = Graph::new("g");
    declare(&mut graph);
    let declared = graph.finish().unwrap();
    let mut read = data(&read(text).config);
    let mut declared = data(&declared);
    // Edges have no order of their own.
    for data in [&mut read, &mut declared] {
        data["edges"].as_array_mut().unwrap().sort_by_key(Json::to_string);
    }
    assert_eq!(serde_json::to_string_pretty(&read).unwrap(), serde_json::to_string_pretty(&declared).unwrap());
}

#[test]
fn an_account_of_digits_is_a_name_first_and_then_a_decimal_number_wherever_it_stands() {
    let text = r#"
graph: g
resources:
  file:
  - {name: /a, owner: 010, group: 0x10}
  - {name: /b, owner: "010", group: 1_000}
  exec:
  - {name: e, cmd: id, user: 010, group: 0x10}
"#;
    same(text, |g| {
        g.add(File::new("/a").owner("010").group("0x10"));
        g.add(File::new("/b").owner("010").group("1_000"));
        g.add(Exec::new("e").cmd("id").user("010").group("0x10"));
    });
    let wrong = r#"
graph: g
resources:
  file:
  - {name: /a, owner: 999999999999, group: 4294967295}
  exec:
  - {name: e, cmd: id, user: 999999999999}
"#;
    let problems = match read_yaml("g.yaml", wrong.as_bytes(), &YamlOptions::default()) {
        Ok(read) => mgmt::graph::validate(&read.config).expect_err("it is refused").to_string(),
        Err(problems) => problems.to_string(),
    };
    for (field, count) in [("`owner`", 1), ("`group`", 1), ("`user`", 1), ("is too large", 3)] {
        assert_eq!(problems.matches(field).count(), count, "{field}: {problems}");
    }
}

#[test]
fn what_is_hardly_meant_as_a_text_is_refused_with_the_way_to_write_it() {
    for (fields, said) in [
        (
            "exec: [{name: e, cmd: env, env: {X: null}}]",
            "leave `X` out, or write \"\" for none, or \"null\" for the word",
        ),
        ("exec: [{name: e, cmd: env, env: {X: ~}}]", "leave `X` out"),
        ("file: [{name: /f, content: {\"a\": 1}}]", "put it in quotes"),
    ] {
        let text = format!("graph: g\nresources:\n  {fields}\n");
        let problems = read_yaml("g.yaml", text.as_bytes(), &YamlOptions::default()).map(drop).expect_err(fields);
        assert!(problems.to_string().contains(said), "{problems}");
    }
    same("graph: g\nresources:\n  exec: [{name: e, cmd: env, env: {X: \"null\"}}]\n", |g| {
        g.add(Exec::new("e").cmd("env").env([("X", "null")]));
    });
}

#[test]
fn a_file_and_a_program_make_the_same_graph() {
    let text = r#"
graph: g
comment: in words
resources:
  file:
  - name: /etc/app
    content: |
      one
      two
    mode: 0644
    owner: root
    group: 0
  - name: copy
    dirname: /etc/
    basename: other
    source: /etc/app
    force: yes
  exec:
  - name: reload
    cmd: reload app
    timeout: 3
    watchfiles: [/etc/app]
  msg:
  - name: m
    body: 5
    priority: Warning
    fields: {n: 1, on: off}
  password:
  - name: p
    length: 0x10
  noop:
  - name: n
  timer:
  - name: t
    interval: 1.5
edges:
- {name: e1, from: {kind: file, name: /etc/app}, to: {kind: exec, name: reload}, notify: true}
- {name: e2, from: {kind: Noop, name: n}, to: {kind: timer, name: t}}
"#;
    same(text, |g| {
        let app = g.add(File::new("/etc/app").content("one\ntwo\n").mode(0o644).owner("root").group("0"));
        g.add(File::new("copy").dirname("/etc/").basename("other").source("/etc/app").force(true));
        g.add(
            Exec::new("reload")
                .cmd("reload app")
                .timeout(Duration::from_secs(3))
                .watchfiles(["/etc/app"])
                .subscribe(&app),
        );
        let fields = [("n", "1"), ("on", "off")];
        g.add(Msg::new("m").body("5").priority(Priority::Warning).fields(fields));
        g.add(Password::new("p").length(16usize));
        let n = g.add(Noop::new("n"));
        g.add(Timer::new("t", Duration::from_millis(1500)).after(&n));
    });
}

#[test]
fn times_may_have_their_units() {
    let text = "
graph: g
resources:
  exec:
  - name: e
    cmd: 'true'
    timeout: 1h 30m
    meta: {delay: 1.5s, backoff: 2min, poll: 1m, timeout: '250ms'}
  timer:
  - name: t
    interval: 2d
";
    same(text, |g| {
        let exec = Exec::new("e").cmd("true").timeout(Duration::from_secs(5400)).delay(Duration::from_millis(1500));
        let exec = exec.backoff(Duration::from_secs(120)).poll(Duration::from_secs(60)).watch(false);
        g.add(mgmt::resource::Declare::timeout(exec, Duration::from_millis(250)));
        g.add(Timer::new("t", Duration::from_secs(2 * 86_400)));
    });
    let wrong = "graph: g\nresources:\n  timer:\n  - {name: t, interval: 5 seconds, meta: {delay: soon}}\n";
    let said = read_yaml("g.yaml", wrong.as_bytes(), &YamlOptions::default()).unwrap_err().to_string();
    let delay = "`delay` takes a number of milliseconds, or a time with its unit";
    for part in ["`5 seconds` is neither a number of seconds", delay] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn metaparameters_have_the_units_of_old() {
    let text = "
graph: g
resources:
  noop:
  - name: a
    meta: {autoedge: false, autogroup: no, noop: true, retry: -1, delay: 1500, backoff: 60000, poll: 5, limit: 0.5, burst: 3, timeout: 250, sema: [disk, 'net:2'], rewatch: true, reset: true, retryreset: true, hidden: true}
  - name: b
    meta: {}
  - name: c
    meta: {timeout: 0, poll: 0, sema: one}
  - name: d
    meta: {poll: -1, sema: [':13', '42', 42]}
";
    same(text, |g| {
        g.add(Noop::new("a").meta(Meta::with(|meta| {
            meta.autoedge = false;
            meta.autogroup = false;
            meta.noop = true;
            meta.retry = -1;
            meta.delay = Duration::from_millis(1500);
            meta.backoff = Backoff::Exponential { max: Duration::from_secs(60) };
            meta.poll = Some(Duration::from_secs(5));
            meta.watch = false;
            meta.limit = Some(0.5);
            meta.burst = 3;
            meta.timeout = Some(Duration::from_millis(250));
            meta.sema = vec!["disk".into(), "net:2".into()];
            meta.rewatch = true;
            meta.reset = true;
            meta.hidden = true;
        })));
        g.add(Noop::new("b"));
        g.add(Noop::new("c").sema("one"));
        g.add(Noop::new("d").watch(false).sema(mgmt::resource::Sema::new("", 13)).sema("42").sema("42"));
    });
}

#[test]
fn a_field_receives_what_another_resource_sends() {
    let text = "
graph: g
resources:
  password:
  - name: p
  file:
  - name: /tmp/secret
    mode: '0600'
    recv: {content: {kind: password, name: p, key: password}}
";
    same(text, |g| {
        let p = g.add(Password::new("p"));
        g.add(File::new("/tmp/secret").mode(0o600).content(p.password()));
    });
}

#[test]
fn a_field_that_is_received_is_not_judged_before_its_value_is_there() {
    let text = "
graph: g
resources:
  exec:
  - {name: says, cmd: echo 127.0.0.1:0}
  - {name: late, recv: {cmd: {kind: exec, name: says, key: stdout}}}
  http:server:
  - {name: web, recv: {address: {kind: exec, name: says, key: stdout}}}
  file:
  - {name: no path, content: x, recv: {path: {kind: exec, name: says, key: stdout}}}
";
    same(text, |g| {
        let says = g.add(Exec::new("says").cmd("echo 127.0.0.1:0"));
        g.add(Exec::new("late").cmd(says.stdout()));
        g.add(HttpServer::new("web").address(says.stdout()));
        g.add(File::new("no path").content("x").path(says.stdout()));
    });
    mgmt::graph::validate(&read(text).config).unwrap();
}

#[test]
fn modes_mean_the_same_however_they_are_written() {
    for mode in ["0644", "0o644", "\"0644\"", "'0644'", "u=rw,go=r"] {
        let read = read(&format!("graph: g\nresources:\n  file:\n  - name: /tmp/a\n    mode: {mode}\n"));
        let json = data(&read.config)["resources"][0]["fields"]["mode"].clone();
        assert_eq!(json, if mode.starts_with('u') { "u=rw,go=r" } else { "0644" }, "{mode}");
    }
}

#[test]
fn text_fields_take_numbers_and_truth_as_they_are_written() {
    for (written, text) in
        [("5", "5"), ("1.50", "1.50"), ("yes", "yes"), ("0x10", "0x10"), ("!!str 7", "7"), ("\"\"", "")]
    {
        let read = read(&format!("graph: g\nresources:\n  file:\n  - name: /tmp/a\n    content: {written}\n"));
        assert_eq!(data(&read.config)["resources"][0]["fields"]["content"], text, "{written}");
    }
    // A key without a value is as good as none.
    let read = read("graph: g\nresources:\n  file:\n  - name: /tmp/a\n    content:\n");
    assert_eq!(data(&read.config)["resources"][0]["fields"].get("content"), None);
}

#[test]
fn an_empty_graph_is_a_graph() {
    for text in ["graph: g\n", "graph: g\nresources:\nedges:\n", "graph: g\nresources: {}\nedges: []\ncollect: []\n"] {
        assert_eq!(read(text).config.vertices.len(), 0);
    }
}

#[test]
fn anchors_and_merges_are_what_they_name() {
    let text = "
graph: g
resources:
  exec:
  - &base {name: a, cmd: 'true', meta: &m {retry: 3}}
  - <<: *base
    name: b
  - {name: c, cmd: 'false', meta: *m}
";
    same(text, |g| {
        g.add(Exec::new("a").cmd("true").retry(3));
        g.add(Exec::new("b").cmd("true").retry(3));
        g.add(Exec::new("c").cmd("false").retry(3));
    });
}

#[test]
fn own_exports_are_collected_and_edges_may_name_them() {
    let text = "
graph: g
resources:
  file:
  - name: '@@/tmp/there/a'
    content: a
  noop:
  - name: n
edges:
- from: {kind: noop, name: n}
  to: {kind: file, name: /tmp/there/a}
collect:
- {kind: file, pattern: /tmp/here/}
";
    same(text, |g| {
        let n = g.add(Noop::new("n"));
        g.export(File::new("/tmp/there/a").content("a"));
        let files = g.collect::<File>().set("dirname", "/tmp/here/");
        g.before(&n, &files.one("/tmp/there/a"));
    });
    let prepared = |noop| {
        let settings = mgmt::graph::Settings::default().noop(noop);
        mgmt::graph::prepare(read(text).config, &settings).unwrap()
    };
    let collected = prepared(false);
    let ids: Vec<_> = collected.config().vertices.iter().map(|vertex| vertex.id().to_string()).collect();
    assert_eq!((ids, collected.config().edges.len()), (vec!["noop[n]".to_owned(), "file[/tmp/there/a]".to_owned()], 1));
    assert_eq!(collected.config().vertices[1].origin.to_string(), "g.yaml:13:3, exported by this host");
    let noop = prepared(true);
    assert_eq!(noop.config().vertices.len(), 1, "nothing is exported in noop");
    assert!(noop.warnings()[0].message.contains("which no host has exported yet"), "{:?}", noop.warnings());
}

#[test]
fn exports_go_to_some_hosts_and_rules_choose_by_host_and_name() {
    let text = "
graph: g
resources:
  file:
  - {name: '@@/a', meta: {export: [web1, web2], retry: 2}}
  - {name: /b, meta: {export: '*', hidden: true}}
  - {name: /c, meta: {export: web3}}
collect:
- {kind: file, from: 'web*', named: [/a, '/b*']}
- {kind: exec, trust: true}
";
    same(text, |g| {
        g.export(File::new("/a").retry(2)).to(["web1", "web2"]);
        g.export(File::new("/b"));
        g.add(File::new("/b").hidden(true));
        g.export(File::new("/c")).to(["web3"]);
        g.add(File::new("/c"));
        g.collect::<File>().from("web*").named("/a").named("/b*");
        g.collect::<Exec>().trust();
    });
}

#[test]
fn an_export_receives_like_a_resource_and_so_does_one_that_is_kept_here_too() {
    let text = "
graph: g
resources:
  exec:
  - {name: says, cmd: date}
  file:
  - {name: '@@/a', recv: {content: {kind: exec, name: says, key: stdout}}}
  - {name: /b, recv: {content: {kind: exec, name: says, key: stdout}}, meta: {export: [web1]}}
";
    same(text, |g| {
        let says = g.add(Exec::new("says").cmd("date"));
        g.export(File::new("/a").content(says.stdout()));
        g.export(File::new("/b").content(says.stdout())).to(["web1"]);
        g.add(File::new("/b").content(says.stdout()));
    });
}

#[test]
fn a_resource_receives_from_what_is_collected() {
    let text = "
graph: g
resources:
  file:
  - {name: /a, recv: {content: {kind: kv, name: port, key: stored}}}
  - {name: '@@/b', recv: {content: {kind: kv, name: port, key: stored}}}
collect:
- {kind: kv, from: db}
";
    same(text, |g| {
        let values = g.collect::<Kv>().from("db");
        g.add(File::new("/a").content(values.one("port").stored()));
        g.export(File::new("/b").content(values.one("port").stored()));
    });
}

#[test]
fn every_resource_and_edge_knows_its_place() {
    let read = read(
        "graph: g\nresources:\n  noop:\n  - name: a\n  - name: b\nedges:\n- from: {kind: noop, name: a}\n  to: {kind: noop, name: b}\n",
    );
    let origins: Vec<_> = read.config.vertices.iter().map(|vertex| vertex.origin.to_string()).collect();
    assert_eq!(origins, ["g.yaml:4:11", "g.yaml:5:11"]);
    assert_eq!(read.config.edges[0].origin.to_string(), "g.yaml:7:3");
}

#[test]
fn kinds_of_other_builds_are_read_field_by_field() {
    let text = "
graph: g
resources:
  svc: [{name: nginx, state: running, startup: enabled}]
  pkg: [{name: nginx, state: installed, allownonfree: true}]
  hostname: [{name: h, static_hostname: web1}]
  nspawn: [{name: c, state: stopped}]
  virt:
  - {name: v, uri: 'qemu:///session', cpus: 1, memory: 524288, boot: [hd], disk: [{type: qcow2, source: ~/x}], transient: true}
";
    assert_eq!(read(text).config.vertices.len(), 5);
}

/// A type with the word *Mode* in its name, which is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
struct Model(u64);

/// A type with the word *Secret* in its name, which is none.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
struct SecretSauce(String);

/// The real thing under another name.
type CarKey = Secret<String>;

#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "car", unwatched)]
struct Car {
    #[resource(name)]
    name: String,
    model: Option<Model>,
    rights: Option<mgmt::sys::fs::Mode>,
    #[resource(send)]
    recipe: SecretSauce,
    #[resource(send)]
    key: CarKey,
}

impl Converge for Car {
    type Drift = Change;
    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }
    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_type_means_is_asked_of_the_type_and_not_of_its_name() {
    use mgmt::resource::{Format, Resource as _};
    let spec = Car::spec();
    let formats: Vec<_> = spec.fields.iter().map(|field| (field.name, field.format, field.secret)).collect();
    assert_eq!(formats, [("model", Format::Plain, false), ("rights", Format::Octal, false)]);
    let secret: Vec<_> = spec.outputs.iter().map(|output| (output.name, output.secret)).collect();
    assert_eq!(secret, [("recipe", false), ("key", true)]);

    let mut options = YamlOptions::default();
    options.kinds = options.kinds.with::<Car>();
    let read = |text: &str| read_yaml("g.yaml", text.as_bytes(), &options);
    let graph = read("graph: g\nresources:\n  car:\n  - {name: c, model: 400, rights: 0644}\n").unwrap();
    let fields = data(&graph.config)["resources"][0]["fields"].clone();
    assert_eq!(fields, serde_json::json!({ "model": 400, "rights": "0644" }));
    let wrong = read(
        "graph: g\nresources:\n  car:\n  - name: c\n    rights: 644\n  msg:\n  - {name: a, recv: {body: {kind: car, name: c, key: recipe}}}\n  - {name: b, recv: {body: {kind: car, name: c, key: key}}}\n",
    );
    let wrong = wrong.unwrap_err().to_string();
    assert!(wrong.contains("car[c]: `rights`: 644 is a decimal number, and a mode is octal"), "{wrong}");
    let why = |name: &str, sent: &str, why: &str| format!("and `body` of msg[{name}] takes a text{why}\n  at {sent}");
    assert!(wrong.contains(&why("a", "g.yaml:7", "")), "{wrong}");
    assert!(wrong.contains(&why("b", "g.yaml:8", ": a secret goes only to fields that keep secrets")), "{wrong}");
}
