//! Everything that can be wrong with a graph: reported before anything runs, all at once, with places.

mod data;
mod edges;
mod types;

use std::path::PathBuf;

use mgmt::graph::{Edge, GraphConfig, GraphData, Kinds, Problems, Settings, prepare, validate};
use mgmt::prelude::*;
use mgmt::resource::{Meta, Origin, Uid, every};
use mgmt::resources::NoopBuilder;
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
        assert!(self.note.as_deref() != Some("uids"), "nothing to own");
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

/// What is wrong with a graph given as data.
fn bind(data: Json) -> Result<GraphConfig, String> {
    let data: GraphData = serde_json::from_value(data).map_err(|error| error.to_string())?;
    let config = data.bind(&kinds()).map_err(|problems| problems.to_string())?;
    validate(&config).map_err(|problems| problems.to_string())?;
    Ok(config)
}

/// The problems of a graph of noops with these names and edges, one per line.
fn noops(names: &[&str], edges: &[(&str, &str)]) -> Result<GraphConfig, String> {
    let resources = names.iter().enumerate();
    let resources: Vec<_> = resources
        .map(|(n, name)| json!({ "kind": "noop", "name": name, "origin": format!("site.yaml:{}", n + 1) }))
        .collect();
    let edge = |(n, (from, to)): (usize, &(&str, &str))| json!({ "from": format!("noop[{from}]"), "to": format!("noop[{to}]"), "origin": format!("site.yaml:{}", n + 101) });
    let edges: Vec<_> = edges.iter().enumerate().map(edge).collect();
    bind(json!({ "graph": "g", "resources": resources, "edges": edges }))
}

#[test]
fn an_edge_to_itself_hides_no_cycle_through_the_same_resource() {
    let error = noops(&["a", "b", "c"], &[("a", "b"), ("b", "b"), ("b", "c"), ("c", "a"), ("c", "c")]).unwrap_err();
    for text in ["noop[b] waits for itself", "noop[c] waits for itself", "a cycle of 3 resources"] {
        assert_eq!(error.matches(text).count(), 1, "{error}");
    }
}

/// The warnings about a graph.
fn warnings(declare: impl FnOnce(&mut Graph)) -> Vec<String> {
    let prepared = prepare(graph(declare).unwrap(), &Settings::default()).unwrap();
    prepared.warnings().iter().map(|warning| warning.message.clone()).collect()
}

#[test]
fn a_burst_without_a_limit_is_a_warning() {
    let of = |meta: Meta| warnings(|g| add(g, Noop::new("n").meta(meta)));
    let idle = of(Meta::with(|meta| meta.burst = 5));
    assert_eq!(idle, ["noop[n]: `burst` is 5, which has no effect without `limit`: give a limit, or leave it out"]);
    assert!(of(Meta::with(|meta| (meta.burst, meta.limit) = (5, Some(1.0)))).is_empty());
    assert!(of(Meta::with(|meta| meta.burst = 0)).is_empty(), "without a limit it has always been allowed");
}

#[test]
fn a_secret_in_a_file_that_every_user_may_read_is_a_warning() {
    let found = warnings(|g| {
        let p = g.add(Password::new("p"));
        g.add(File::new("/received").content(p.password()).mode(0o644));
        g.add(File::new("/mapped").content(p.password().map(|p| p.map(|p| format!("x{p}")))).mode("a+r"));
        g.add(File::new("/given").content(Secret::new("x".to_owned())).mode(0o604));
        // None of these.
        g.add(File::new("/alone").content(p.password()));
        g.add(File::new("/group").content(p.password()).mode(0o640));
        g.add(File::new("/open").content(p.password().map(|p| p.declassify().len().to_string())).mode(0o644));
        g.add(File::new("/text").content("x").mode(0o644));
    });
    let names: Vec<&str> = found.iter().map(|text| text.split(": `mode`").next().unwrap()).collect();
    assert_eq!(names, ["file[/received]", "file[/mapped]", "file[/given]"], "{found:#?}");
    assert_eq!(
        found[0],
        "file[/received]: `mode` is 0644, so every user may read the file, and its content is a secret: leave it out, \
         which gives 0600, or give for example 0640"
    );
}

fn edge(from: u32, to: u32) -> Edge {
    Edge { from, to, notify: false, name: None, origin: Origin::Unknown }
}

fn messages(problems: &Problems) -> Vec<&str> {
    problems.0.iter().map(|problem| problem.message.as_str()).collect()
}

/// The only problem; it is on a line of the test's file.
#[track_caller]
fn message(result: Result<GraphConfig, Problems>) -> String {
    let problems = result.expect_err("something is wrong");
    assert_eq!(problems.0.len(), 1, "{problems}");
    let here = std::panic::Location::caller().file().rsplit('/').next().unwrap();
    assert!(problems.0[0].origin.to_string().contains(here), "{problems}");
    problems.0[0].message.clone()
}

#[test]
fn a_kind_that_panics_when_it_is_asked_what_it_owns_provides_or_needs_costs_its_edges_and_a_warning() {
    let lost = "edges that follow from it are missing";
    for (note, text) in [
        ("uids", "panicked: nothing to own; that another resource owns the same is not noticed, and edges that follow"),
        ("provides", "panicked: nothing to provide; edges that follow"),
        ("needs", "panicked: nothing to need; edges that follow"),
    ] {
        let config = graph(|g| add(g, Crate::new("a").note(note))).unwrap();
        let prepared = prepare(config, &Settings::default()).unwrap();
        let [warning] = prepared.warnings() else { panic!("{:?}", prepared.warnings()) };
        let warning = warning.to_string();
        assert!(warning.starts_with("test:box[a]: ") && warning.contains(text) && warning.contains(lost), "{warning}");
    }
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
    assert_eq!(told(noop().retry(-2)), "noop[n]: `retry` is -2: give the number of further tries, or -1 for no limit");
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
            "file[rel]: `path` (taken from the name) is rel",
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
    assert!(
        problem.ends_with("\n\n999 errors, of which these are the first 50"),
        "{}",
        &problem[problem.len() - 100..]
    );
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
