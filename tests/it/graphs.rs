//! Graphs as data, and everything that can be wrong with one: told before anything runs, all at once, with places.

use std::path::PathBuf;
use std::sync::Arc;

use mgmt::graph::{Edge, GraphConfig, GraphData, Kinds, Link, Problems, validate};
use mgmt::prelude::*;
use mgmt::resource::{Backoff, Meta, Origin, Salt, Salted, Uid, every};
use mgmt::resources::NoopBuilder;
use proptest::prelude::{Just, Strategy, any, proptest};
use serde_json::{Value as Json, json};

/// A kind that owns a path, sends, receives and keeps a secret.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:box")]
struct Crate {
    #[resource(name)]
    name: String,
    /// What it owns.
    path: Option<String>,
    label: Option<String>,
    note: Option<String>,
    weight: Option<u64>,
    seal: Option<Secret<String>>,
    #[resource(send)]
    number: String,
    #[resource(send)]
    volume: u64,
    #[resource(send)]
    code: Secret<String>,
}

impl Converge for Crate {
    type Drift = Change;
    fn validate(&self, known: &Known<'_>) -> Vec<FieldProblem> {
        every([known.require("weight", self.weight != Some(0), "is 0", "leave it out")])
    }
    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }
    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
    fn uids(&self, known: &Known<'_>) -> Vec<Uid> {
        if !known.is_known("path") {
            return Vec::new();
        }
        self.path.iter().map(|path| Uid::Path(PathBuf::from(path))).collect()
    }
    fn provides(&self, _: &Known<'_>) -> Vec<Uid> {
        assert!(self.note.as_deref() != Some("provides"), "nothing to provide");
        Vec::new()
    }
    fn needs(&self, _: &Known<'_>) -> Vec<mgmt::resource::Need> {
        assert!(self.note.as_deref() != Some("needs"), "nothing to need");
        Vec::new()
    }
}

fn kinds() -> Kinds {
    Kinds::none().with::<Crate>().with::<Noop>()
}

fn graph(declare: impl FnOnce(&mut Graph)) -> Result<GraphConfig, Problems> {
    let mut g = Graph::new("test");
    declare(&mut g);
    let config = g.finish()?;
    validate(&config)?;
    Ok(config)
}

fn add(g: &mut Graph, declared: impl Declare) {
    g.add(declared);
}

#[test]
fn a_kind_that_panics_when_it_is_asked_what_it_provides_or_needs_is_a_problem_of_the_graph() {
    for (note, text) in [("provides", "panicked: nothing to provide"), ("needs", "panicked: nothing to need")] {
        let problems = graph(|g| add(g, Crate::new("a").note(note))).unwrap_err().to_string();
        assert!(problems.contains(text), "{problems}");
    }
}

/// What is wrong with a graph given as data.
fn bind(data: Json) -> Result<GraphConfig, String> {
    let data: GraphData = serde_json::from_value(data).map_err(|error| error.to_string())?;
    let config = data.bind(&kinds()).map_err(|problems| problems.to_string())?;
    validate(&config).map_err(|problems| problems.to_string())?;
    Ok(config)
}

/// What is wrong with a graph of noops of these names and edges, each said on a line of its own.
fn noops(names: &[&str], edges: &[(&str, &str)]) -> Result<GraphConfig, String> {
    let resources = names.iter().enumerate();
    let resources: Vec<_> = resources
        .map(|(n, name)| json!({ "kind": "noop", "name": name, "origin": format!("site.yaml:{}", n + 1) }))
        .collect();
    let edge = |(n, (from, to)): (usize, &(&str, &str))| json!({ "from": format!("noop[{from}]"), "to": format!("noop[{to}]"), "origin": format!("site.yaml:{}", n + 101) });
    let edges: Vec<_> = edges.iter().enumerate().map(edge).collect();
    bind(json!({ "graph": "g", "resources": resources, "edges": edges }))
}

fn messages(problems: &Problems) -> Vec<&str> {
    problems.0.iter().map(|problem| problem.message.as_str()).collect()
}

/// The only problem; it is on a line of this file.
fn message(result: Result<GraphConfig, Problems>) -> String {
    let problems = result.expect_err("something is wrong");
    assert_eq!(problems.0.len(), 1, "{problems}");
    let here = file!().rsplit('/').next().unwrap();
    assert!(problems.0[0].origin.to_string().contains(here), "{problems}");
    problems.0[0].message.clone()
}

#[test]
fn a_graph_written_and_read_is_the_same_graph() {
    let config = graph(|g| {
        let first = g.add(Crate::new("first").path("/a").label("x").weight(3).noop(true).retry(-1));
        let second = g.add(Crate::new("se]co[nd\n\t").label(first.number()).seal(first.code()).after(&first));
        let meta = Noop::new("third").poll(Duration::from_millis(1500)).limit(0.5).sema("disk:2").sema("net");
        let third = g.add(meta.backoff(Duration::from_secs(60)).timeout(Duration::from_secs(9)).subscribe(&second));
        g.add(Crate::new("fourth").weight(first.volume()).note(first.number()).autoedge(false).before(&third));
    });
    let config = config.unwrap();
    let written = serde_json::to_value(&config).unwrap();
    let data: GraphData = serde_json::from_value(written.clone()).unwrap();
    let again = data.bind(&kinds()).unwrap();
    validate(&again).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), written);
    let pairs = config.vertices.iter().zip(&again.vertices);
    assert!(pairs.clone().count() == 4 && pairs.into_iter().all(|(one, other)| one.resource.same(&*other.resource)));
    assert_eq!(config.links.len(), again.links.len());
    let received = again.links[0].wire.receive(&[Arc::new("12".to_owned())]).unwrap();
    assert_eq!(
        received.value.downcast_ref::<String>().map(String::as_str),
        Some("12"),
        "the wire works after the journey"
    );
}

#[test]
fn a_place_survives_any_number_of_journeys() {
    for origin in ["site.yaml:3:7", "src/main.rs:12", "autoedge: b is below a", "https://example.org:80/x", ""] {
        let mut data = json!({ "graph": "g", "resources": [{ "kind": "noop", "name": "n", "fields": {}, "origin": origin }], "edges": [], "sends": [] });
        for _ in 0..3 {
            let again = serde_json::to_value(bind(data.clone()).unwrap()).unwrap();
            assert_eq!(again, data);
            data = again;
        }
    }
}

#[test]
fn a_closure_can_be_written_but_not_read() {
    let config = graph(|g| {
        let first = g.add(Crate::new("first"));
        g.add(Crate::new("second").label(first.number().map(|number| number + "!")));
        g.add(Crate::new("third").weight(first.volume().zip(first.volume()).map(|(one, other)| one + other)));
    });
    let written = serde_json::to_value(config.unwrap()).unwrap();
    assert_eq!(written["sends"][0]["closure"], true);
    let problems = serde_json::from_value::<GraphData>(written).unwrap().bind(&kinds()).unwrap_err();
    let text = |field: &str, to: &str| {
        format!(
            "what `{field}` of test:box[{to}] receives is made by a Rust closure (`map`, `zip`), which can't leave the program that it is compiled into: run the graph there, or send a value as it is"
        )
    };
    assert_eq!(messages(&problems), [text("label", "second"), text("weight", "third")]);
    assert!(problems.0.iter().all(|problem| problem.origin.to_string().contains("graphs.rs:")), "{problems}");
}

#[test]
fn a_secret_is_not_written_and_its_placeholder_is_not_read() {
    let config = graph(|g| {
        g.add(Crate::new("first").seal("canary"));
    });
    let written = serde_json::to_string(&config.unwrap()).unwrap();
    assert!(!written.contains("canary"));
    let problems = serde_json::from_str::<GraphData>(&written).unwrap().bind(&kinds()).unwrap_err();
    let expected = "test:box[first]: `seal` was a secret, which does not travel in a graph: send it from a resource";
    assert_eq!(messages(&problems), [expected]);
    assert!(problems.0[0].origin.to_string().contains("graphs.rs:"), "{problems}");
}

#[test]
fn a_secret_of_a_wrong_type_is_refused_without_its_value() {
    #[derive(Resource, Clone, Debug, PartialEq)]
    #[resource(kind = "test:vault", unwatched)]
    struct Vault {
        #[resource(name)]
        name: String,
        pin: Secret<u32>,
        note: Option<Secret<String>>,
    }
    impl Converge for Vault {
        type Drift = Change;
        async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
            Ok(None)
        }
        async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
            Ok(())
        }
    }
    let kinds = Kinds::none().with::<Vault>();
    let fields = json!({ "pin": "77canary", "note": 7_654_321 });
    let data = json!({ "graph": "g", "resources": [{ "kind": "test:vault", "name": "v", "fields": fields }] });
    let said = serde_json::from_value::<GraphData>(data).unwrap().bind(&kinds).unwrap_err().to_string();
    let read = |fields: &str| {
        let text = format!("graph: g\nresources:\n  test:vault:\n  - name: v\n{fields}");
        let options = mgmt::gapi::YamlOptions { kinds: kinds.clone(), ..mgmt::gapi::YamlOptions::default() };
        mgmt::gapi::read_yaml("g.yaml", text.as_bytes(), &options).unwrap_err().to_string()
    };
    // Of another type for the schema; too large for the type; a list in place of a text.
    let file = read("    pin: 77canary\n    note:\n    - 7654321\n");
    let large = read("    pin: 77654321000\n");
    for said in [&said, &file, &large] {
        assert!(!said.contains("canary") && !said.contains("7654321"), "{said}");
        assert!(said.contains("`pin`: the value, which is secret, is no `Secret<u32>`"), "{said}");
    }
    assert!(file.contains("g.yaml:5") && file.contains("`note`: the value, which is secret"), "{file}");
}

#[test]
fn a_resource_declared_twice_is_told_with_both_places() {
    let problem = noops(&["a", "b", "a"], &[]).unwrap_err();
    let expected = "noop[a] is declared twice: kind and name are its identity; rename one, or make them one\n  at site.yaml:3\n  first at site.yaml:1";
    assert_eq!(problem, expected);
    let other_kind = graph(|g| {
        g.add(Noop::new("a"));
        g.add(Crate::new("a"));
    });
    assert!(other_kind.is_ok(), "the kind is part of the identity");
}

#[test]
fn a_cycle_is_a_story_with_the_line_of_each_step() {
    let problem = noops(&["a", "b", "c", "d"], &[("a", "b"), ("b", "c"), ("c", "d"), ("c", "a")]).unwrap_err();
    let expected = "a cycle of 3 resources, so none of them could ever start: noop[a] must run before noop[b], which must run before noop[c], which must run before noop[a]
  at site.yaml:101
  noop[b] before noop[c] at site.yaml:102
  noop[c] before noop[a] at site.yaml:104";
    assert_eq!(problem, expected);
}

#[test]
fn every_cycle_is_told_and_a_long_one_is_cut_short() {
    let problem = noops(&["a", "b", "c", "d"], &[("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]).unwrap_err();
    assert_eq!(problem.matches("a cycle of 2 resources").count(), 2, "{problem}");
    let names: Vec<_> = (0..1000).map(|n| format!("n{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let edges: Vec<_> = (0..1000).map(|n| (names[n], names[(n + 1) % 1000])).collect();
    let problem = noops(&names, &edges).unwrap_err();
    assert!(problem.starts_with("a cycle of 1000 resources"), "{problem}");
    assert!(problem.contains(", … and 980 more") && problem.len() < 4000, "{problem}");
}

#[test]
fn a_resource_that_waits_for_itself_is_told_so() {
    assert_eq!(noops(&["a"], &[("a", "a")]).unwrap_err(), "noop[a] waits for itself\n  at site.yaml:101");
    let sent = bind(json!({
        "graph": "g",
        "resources": [{ "kind": "test:box", "name": "a" }],
        "sends": [{ "from": [["test:box[a]", "number"]], "to": "test:box[a]", "field": "label", "origin": "x:1" }],
    }));
    assert_eq!(sent.unwrap_err(), "test:box[a] waits for itself\n  at x:1");
}

#[test]
fn a_handle_is_good_only_in_its_own_graph() {
    let mut other = Graph::new("other");
    let foreign = other.add(Crate::new("foreign"));
    let expected = "a handle of another graph: handles are good only in the graph whose `add` returned them";
    assert!(other.has(&foreign));
    let after = graph(|g| {
        g.add(Noop::new("own").after(&foreign));
    });
    assert_eq!(message(after), expected);
    let sent = graph(|g| {
        g.add(Crate::new("own").label(foreign.number()));
    });
    assert_eq!(message(sent), expected);
    let ordered = graph(|g| {
        let own = g.add(Noop::new("own"));
        assert!(!g.has(&foreign));
        g.before(&foreign, &own);
    });
    assert_eq!(message(ordered), expected);
}

#[test]
fn one_path_has_one_owner() {
    let twice = graph(|g| {
        g.add(Crate::new("one").path("/etc/motd"));
        g.add(Crate::new("two").path("/etc/motd"));
        g.add(Crate::new("three").path("/etc/issue"));
    });
    let problems = twice.unwrap_err();
    assert_eq!(
        messages(&problems),
        [
            "test:box[one] and test:box[two] both own the path /etc/motd: they would undo each other's work; leave it to one of them"
        ]
    );
    assert_eq!(problems.0[0].also[0].0, "test:box[one]");
}

#[test]
fn what_is_copied_in_a_cycle_is_refused_with_each_line() {
    let copies = |pairs: &[(&str, &str)]| {
        graph(|g| {
            for (path, source) in pairs {
                add(g, File::new(*path).source(*source));
            }
        })
    };
    let refused = copies(&[("/a", "/b"), ("/b", "/a")]).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("file[/a] is copied to file[/b], which is copied to file[/a]"), "{text}");
    assert_eq!(text.matches("graphs.rs:").count(), 2, "{text}");
    // Of any length, by other spellings, of directories and of what is in them, through fragments.
    for pairs in [
        &[("/a", "/c"), ("/b", "/a"), ("/c", "/b")][..],
        &[("/a", "/./b"), ("/b", "//a")],
        &[("/a/", "/b/"), ("/b/", "/a/")],
        &[("/a/", "/b/sub/"), ("/b/", "/a/sub/")],
    ] {
        let text = message(copies(pairs));
        assert!(text.contains("their contents would change for ever"), "{pairs:?}: {text}");
    }
    let joined = graph(|g| {
        add(g, File::new("/whole").fragments(["/part", "/other"]));
        add(g, File::new("/part").source("/whole"));
    });
    assert!(message(joined).contains("would change for ever"));
    // A chain comes to rest, and so do files of directories that are only kept.
    copies(&[("/b", "/a"), ("/c", "/b"), ("/d", "/b")]).unwrap();
    graph(|g| {
        add(g, File::new("/a/"));
        add(g, File::new("/b/"));
        add(g, File::new("/a/one").source("/b/one"));
        add(g, File::new("/b/two").source("/a/two"));
    })
    .unwrap();
}

#[tokio::test]
async fn a_cycle_of_copies_is_refused_in_a_graph_that_differs_a_little_too() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let copies = |source: &str| {
        let mut g = Graph::new("copies");
        g.add(File::new(at("a")).source(at(source)));
        g.add(File::new(at("b")).source(at("a")));
        g.finish().unwrap()
    };
    std::fs::write(at("c"), "c").unwrap();
    let engine = mgmt::Engine::builder().graph(copies("c")).start().await.unwrap();
    let refused = engine.swap(copies("b")).await.unwrap_err().to_string();
    assert!(refused.contains("would change for ever"), "{refused}");
    engine.stop().await.unwrap();
}

#[test]
fn a_name_may_hold_anything_but_nul_and_has_a_length() {
    let named = |name: &str| graph(|g| add(g, Noop::new(name)));
    for good in ["new\nline", "../x", "-rf", "a]b[c", "\u{202e}", "𝄞", " ", &"x".repeat(4096)] {
        assert!(named(good).is_ok(), "{good:?}");
    }
    assert_eq!(message(named("")), "a noop without a name: give it one");
    assert_eq!(message(named("a\0b")), "noop[a\\u{0}b]: a name can't hold a NUL byte");
    assert_eq!(message(named(&"x".repeat(4097))), "a noop's name is 4097 bytes long: at most 4096 are allowed");
}

#[test]
fn a_bad_metaparameter_is_told_with_what_helps() {
    let noop = || Noop::new("n");
    let told = |builder: NoopBuilder| message(graph(|g| add(g, builder)));
    assert_eq!(told(noop().retry(-2)), "noop[n]: `retry` is -2: give the number of further tries, or -1 for no end");
    for limit in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(told(noop().limit(limit)), "noop[n]: `limit` must be more than 0 checks per second");
    }
    let burst = "noop[n]: `burst` is 0, so with `limit` no check could ever start: give at least 1";
    assert_eq!(told(noop().limit(1.0).burst(0)), burst);
    assert_eq!(told(noop().poll(Duration::ZERO)), "noop[n]: `poll` must be at least a millisecond");
    assert_eq!(told(noop().timeout(Duration::ZERO)), "noop[n]: `timeout` is 0: leave it out for none");
    let form = "write `name` or `name:size`, with a size of at least 1";
    assert_eq!(told(noop().sema("disk:0")), format!("noop[n]: semaphore `disk:0`: {form}"));
    assert_eq!(told(noop().sema(":0")), format!("noop[n]: semaphore `:0`: {form}"));
    assert_eq!(told(noop().sema("disk:x")), format!("noop[n]: semaphore `disk:x`: {form}"));
    assert_eq!(message(graph(|g| add(g, Crate::new("b").weight(0_u64)))), "test:box[b]: `weight` is 0: leave it out");
}

#[test]
fn a_semaphore_has_one_size() {
    let sized = graph(|g| {
        g.add(Noop::new("a").sema("disk:2"));
        g.add(Noop::new("b").sema("disk:2").sema("net"));
        g.add(Noop::new("c").sema("disk:3").sema("net:1"));
    });
    let expected = "noop[c]: the semaphore `disk` has size 3 here and 2 elsewhere: give it one size";
    assert_eq!(message(sized), expected);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let problems = graph(|g| {
        let a = g.add(Crate::new("a").path("/x").retry(-3));
        let b = g.add(Crate::new("b").path("/x").weight(0_u64).after(&a));
        g.add(Noop::new("a\0"));
        g.add(Noop::new("twin"));
        g.add(Noop::new("twin").sema("s:0"));
        g.before(&b, &a);
    })
    .unwrap_err();
    let starts = [
        "noop[twin] is declared twice",
        "test:box[a]: `retry`",
        "test:box[b]: `weight`",
        "test:box[a] and test:box[b] both own",
        "noop[a\\u{0}]",
        "noop[twin]: semaphore",
        "a cycle of 2 resources",
    ];
    assert_eq!(problems.0.len(), starts.len(), "{problems}");
    for (problem, start) in problems.0.iter().zip(starts) {
        assert!(problem.message.starts_with(start), "{problem}");
    }
}

#[test]
fn all_that_is_wrong_with_one_resource_is_told_at_once() {
    let told = |declare: &dyn Fn(&mut Graph)| {
        let problems = graph(|g| declare(g)).unwrap_err();
        problems.0.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    let starts = |told: Vec<String>, starts: &[&str]| {
        assert_eq!(told.len(), starts.len(), "{told:?}");
        for (told, start) in told.iter().zip(starts) {
            assert!(told.starts_with(start), "{told:?} {start}");
        }
    };
    starts(
        told(&|g| add(g, File::new("rel").mode("u=q").owner("").group("").removals_max(0_u32))),
        &[
            "file[rel]: `path` (the name, as none is given) is rel",
            "file[rel]: `mode`",
            "file[rel]: `owner` is empty",
            "file[rel]: `group` is empty",
            "file[rel]: `removals_max` is 0",
        ],
    );
    starts(
        told(&|g| add(g, Exec::new("e").cwd("rel").sig("NO").user("").retry(-2))),
        &[
            "exec[e]: `cmd` is missing",
            "exec[e]: `cwd`",
            "exec[e]: `sig` is `NO`",
            "exec[e]: `user` is empty",
            "exec[e]: `retry` is -2",
        ],
    );
    let chars = mgmt::resources::Charset::Chars("a".to_owned());
    starts(
        told(&|g| add(g, Password::new("p").length(0_usize).charset(chars.clone()))),
        &["password[p]: `length` is 0", "password[p]: `charset` has 1"],
    );
}

#[test]
fn what_is_wrong_with_how_a_graph_was_built_does_not_hide_the_rest() {
    let mut other = Graph::new("other");
    let foreign = other.add(Noop::new("foreign"));
    let mut g = Graph::new("test");
    g.add(Noop::new("n").after(&foreign).retry(-2));
    let problems = g.finish().unwrap_err();
    assert_eq!(problems.0.len(), 2, "{problems}");
    assert!(problems.0[0].message.starts_with("a handle of another graph"), "{problems}");
    assert!(problems.0[1].message.starts_with("noop[n]: `retry` is -2"), "{problems}");
}

#[test]
fn a_program_reports_problems_of_its_own_with_its_line() {
    let problem = graph(|g| g.problem("no host of that name"));
    assert_eq!(message(problem), "no host of that name");
}

#[test]
fn a_thousand_equal_mistakes_are_not_a_thousand_lines() {
    let names = vec!["same"; 1000];
    let problem = noops(&names, &[]).unwrap_err();
    assert!(problem.ends_with("… and 949 more"), "{}", &problem[problem.len() - 100..]);
}

#[test]
fn what_is_wrong_with_data_is_told_at_once_also_beyond_a_broken_resource() {
    let problem = bind(json!({
        "graph": "g",
        "resources": [
            { "kind": "test:bix", "name": "a", "origin": "x:1" },
            { "kind": "test:box", "name": "front", "fields": { "lable": "x", "weight": "heavy" }, "origin": "x:2" },
            { "kind": "test:box", "name": "back", "fields": { "label": "given" }, "origin": "x:3" },
        ],
        "edges": [
            { "from": "test:box[frnot]", "to": "test:box[back]", "origin": "x:4" },
            { "from": "test:box[front]", "to": "noop[n]", "origin": "x:5" },
        ],
        "sends": [
            { "from": [["test:box[front]", "nummer"]], "to": "test:box[back]", "field": "note", "origin": "x:6" },
            { "from": [["test:box[front]", "volume"]], "to": "test:box[back]", "field": "note", "origin": "x:7" },
            { "from": [["test:box[front]", "code"]], "to": "test:box[back]", "field": "label", "origin": "x:8" },
            { "from": [["test:box[front]", "number"]], "to": "test:box[back]", "field": "notes", "origin": "x:9" },
            { "from": [], "to": "test:box[back]", "field": "seal", "origin": "x:10" },
        ],
    }))
    .unwrap_err();
    let expected = "there is no kind `test:bix`: did you mean `test:box`?
  at x:1
test:box[front]: `weight`: invalid type: string \"heavy\", expected u64
  at x:2
test:box[front]: test:box has no field `lable`: did you mean `label`?
  at x:2
test:box[back]: `label` is both given and received: leave it to one of them
  at x:3
an edge from test:box[frnot], which is not in the graph: did you mean `front`?
  at x:4
an edge to noop[n], which is not in the graph
  at x:5
test:box[front] has no output `nummer`: did you mean `number`?
  at x:6
test:box[front] sends `volume` as `u64`, and `note` of test:box[back] takes `String`
  at x:7
test:box[front] sends `code` as `Secret<String>`, and `label` of test:box[back] takes `String`: a secret goes only to fields that keep secrets
  at x:8
test:box[back] has no field `notes`: did you mean `note`?
  at x:9
a send to `seal` of test:box[back] from nowhere
  at x:10";
    assert_eq!(problem, expected);
}

#[test]
fn a_field_receives_from_one_sender() {
    let send = |output: &str, origin: &str| json!({ "from": [["test:box[a]", output]], "to": "test:box[b]", "field": "seal", "origin": origin });
    let problem = bind(json!({
        "graph": "g",
        "resources": [{ "kind": "test:box", "name": "a" }, { "kind": "test:box", "name": "b" }],
        "sends": [send("code", "x:1"), send("number", "x:2")],
    }));
    let expected = "test:box[b]: `seal` receives twice: leave it to one sender\n  at x:2\n  first at x:1";
    assert_eq!(problem.unwrap_err(), expected);
}

#[test]
fn a_kind_in_data_may_be_written_with_capitals() {
    let config = bind(json!({
        "graph": "g",
        "resources": [{ "kind": "Test:Box", "name": "a" }, { "kind": "NOOP", "name": "n" }],
        "edges": [{ "from": "test:box[a]", "to": "Noop[n]" }],
    }));
    let config = config.unwrap();
    assert_eq!((config.edges[0].from, config.edges[0].to), (0, 1));
    let twice =
        bind(json!({ "graph": "g", "resources": [{ "kind": "Noop", "name": "n" }, { "kind": "noop", "name": "n" }] }));
    assert!(twice.unwrap_err().starts_with("noop[n] is declared twice"));
}

#[test]
fn places_that_do_not_exist_are_told_and_never_indexed() {
    let good = graph(|g| {
        let a = g.add(Crate::new("a"));
        g.add(Crate::new("b").label(a.number()));
    });
    let good = good.unwrap();
    type Break = fn(&mut GraphConfig);
    let breaks: &[(&str, Break)] = &[
        ("an edge whose `from` end is not in the graph", |config| config.edges.push(edge(7, 0))),
        ("an edge whose `to` end is not in the graph", |config| config.edges.push(edge(0, 7))),
        ("a send to a resource that is not in the graph", |config| config.links[0].to = 7),
        ("a send to field number 99 of test:box[b], which has no such field", |config| config.links[0].field = 99),
        ("test:box[b] receives from a resource that is not in the graph", |config| config.links[0].sources[0].0 = 7),
        ("test:box[a] has no output number 9", |config| config.links[0].sources[0].1 = 9),
    ];
    for (expected, make) in breaks {
        let mut config = good.clone();
        make(&mut config);
        assert_eq!(messages(&validate(&config).unwrap_err()), [*expected]);
        assert_eq!(messages(&config.to_data().unwrap_err()), [*expected]);
    }
    let link: &Link = &good.links[0];
    assert_eq!((link.to, link.sources.as_slice()), (1, &[(0, 0)][..]));
}

fn edge(from: u32, to: u32) -> Edge {
    Edge { from, to, notify: false, origin: Origin::Unknown }
}

/// Some names, each of few, so that two are often the same; and edges between them.
fn anything() -> impl Strategy<Value = (Vec<u8>, Vec<(u32, u32)>)> {
    (1..12_u32).prop_flat_map(|n| {
        let names = proptest::collection::vec(0..200_u8, n as usize);
        let edges = proptest::collection::vec((0..n, 0..n), 0..16);
        (names, edges, any::<bool>(), Just(n)).prop_map(|(names, edges, is_forward, _)| {
            // Half of them without cycles: by chance alone few would be.
            let edges = edges.into_iter().map(|(a, b)| if is_forward { (a.min(b), a.max(b)) } else { (a, b) });
            (names, edges.filter(|(a, b)| !is_forward || a != b).collect())
        })
    })
}

/// By following every path, which is slow and plain.
fn has_cycle(n: u32, edges: &[(u32, u32)]) -> bool {
    let mut reach: Vec<Vec<bool>> = vec![vec![false; n as usize]; n as usize];
    for (from, to) in edges {
        reach[*from as usize][*to as usize] = true;
    }
    for middle in 0..n as usize {
        for from in 0..n as usize {
            for to in 0..n as usize {
                reach[from][to] |= reach[from][middle] && reach[middle][to];
            }
        }
    }
    (0..n as usize).any(|node| reach[node][node])
}

proptest! {
    #[test]
    fn a_graph_is_valid_if_and_only_if_its_names_are_unique_and_it_has_no_cycle((names, edges) in anything()) {
        let mut g = Graph::new("random");
        for name in &names {
            g.add(Noop::new(name.to_string()));
        }
        let mut config = g.finish().unwrap();
        config.edges = edges.iter().map(|(from, to)| edge(*from, *to)).collect();
        let twice = names.iter().enumerate().filter(|(n, name)| names[..*n].contains(name)).count();
        let count = u32::try_from(names.len()).unwrap();
        let problems = validate(&config).map_or_else(|problems| problems.0, |_| vec![]);
        let told = |start: &str| problems.iter().filter(|problem| problem.message.contains(start)).count();
        assert_eq!(told("is declared twice"), twice);
        assert_eq!(told("a cycle of") + told("waits for itself") > 0, has_cycle(count, &edges));
        assert_eq!(problems.is_empty(), twice == 0 && !has_cycle(count, &edges));
        if problems.is_empty() {
            let written = serde_json::to_value(&config).unwrap();
            let again = serde_json::from_value::<GraphData>(written.clone()).unwrap().bind(&kinds()).unwrap();
            assert_eq!(serde_json::to_value(&again).unwrap(), written);
        }
    }
}

#[test]
fn an_edge_that_notifies_what_can_not_be_refreshed_is_warned_about_once_with_its_place() {
    let mut g = Graph::new("g");
    let first = g.add(Crate::new("first"));
    let told = g.add(Exec::new("told").cmd("true").subscribe(&first));
    let idle = g.add(Crate::new("idle").subscribe((&first, &told)));
    g.notify(&first, &idle);
    g.before(&told, &idle);
    let config = g.finish().unwrap();
    validate(&config).unwrap();
    let warnings: Vec<_> = config.warnings().into_iter().map(|warning| warning.to_string()).collect();
    let line = line!() - 6;
    let expected = |from: &str| {
        format!(
            "{from} notifies test:box[idle], which has nothing to refresh: use `before`, `after` or `order`\n  at {}:{line}",
            file!()
        )
    };
    assert_eq!(warnings, ["test:box[first]", "exec[told]"].map(expected));
}

#[test]
fn a_secret_that_is_recalled_by_its_digest_is_still_a_secret() {
    let mut g = Graph::new("g");
    let password = g.add(Password::new("p"));
    g.add(File::new("/f").content(password.password()));
    let written = serde_json::to_value(g.finish().unwrap().to_data().unwrap()).unwrap();
    let data: GraphData = serde_json::from_value(written).unwrap();
    let config = data.bind(&mgmt::gapi::builtin_kinds()).unwrap();
    let (link, file) = (&config.links[0], &config.vertices[1].resource);
    let digest = Salted::new(Salt::default(), [7; 32]);
    let recalled = link.wire.recall(digest).expect("a file can do with a digest");
    let file = file.with_received(vec![(link.field, recalled)]).unwrap();
    assert_eq!(file.to_data(&[]).unwrap()["content"], mgmt::resource::SECRET_PLACEHOLDER);
}

#[test]
fn lengths_of_time_are_numbers_of_seconds_in_data() {
    let meta = Meta::with(|meta| {
        meta.delay = Duration::from_millis(1500);
        meta.poll = Some(Duration::from_secs(60));
        meta.watch = false;
        meta.backoff = Backoff::Exponential { max: Duration::from_secs(90) };
    });
    let data = serde_json::to_value(&meta).unwrap();
    assert_eq!((&data["delay"], &data["poll"], &data["timeout"]), (&json!(1.5), &json!(60), &Json::Null));
    assert_eq!(data["backoff"], json!({ "exponential": { "max": 90 } }));
    assert_eq!(serde_json::from_value::<Meta>(data).unwrap(), meta);
}

#[test]
fn edges_take_options_lists_of_nodes_and_handles_of_many_kinds() {
    let mut g = Graph::new("edges");
    let (a, b, c) = (g.add(Noop::new("a")), g.add(Msg::new("b")), g.add(Value::new("c").value("x")));
    let none: Option<&NoopHandle> = None;
    g.add(Noop::new("d").after(Some(&a)).before(none));
    let all = vec![a.node(), b.node(), c.node()];
    g.add(Noop::new("e").after(&all));
    g.add(Noop::new("f").after((&a, &b, &c, &all, Some(&b), none)));
    let edges = g.finish().unwrap().edges.into_iter().map(|edge| (edge.from, edge.to));
    let mut edges: Vec<_> = edges.collect();
    edges.dedup();
    assert_eq!(edges[..4], [(0, 3), (0, 4), (1, 4), (2, 4)]);
    assert!(edges[4..].iter().all(|(_, to)| *to == 5) && edges.len() > 6, "{edges:?}");
}

#[test]
fn an_error_becomes_a_standard_one_with_its_source() {
    let failed = || -> Result<(), Box<dyn std::error::Error>> {
        let parsed: mgmt::Result<u8> = "x".parse::<u8>().map_err(mgmt::Error::from);
        parsed?;
        Ok(())
    };
    let error = failed().unwrap_err();
    assert_eq!(error.to_string(), "invalid digit found in string");
    assert!(error.source().unwrap().is::<std::num::ParseIntError>());
}
