//! Graphs as data: written, read, and what can be wrong with them there.

use std::sync::Arc;

use mgmt::graph::{GraphConfig, GraphData, Kinds, Link, validate};
use mgmt::prelude::*;
use mgmt::resource::{Backoff, Meta, Salt, Salted};
use serde_json::{Value as Json, json};

use super::*;

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
    assert!(problems.0.iter().all(|problem| problem.origin.to_string().contains("data.rs:")), "{problems}");
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
    assert!(problems.0[0].origin.to_string().contains("data.rs:"), "{problems}");
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
    for (said, sort) in [(&said, "of the type `Secret<u32>`"), (&file, "a whole number"), (&large, "a whole number")] {
        assert!(!said.contains("canary") && !said.contains("7654321"), "{said}");
        assert!(said.contains(&format!("`pin`: the value, which is secret, is not {sort}")), "{said}");
    }
    assert!(file.contains("g.yaml:5") && file.contains("`note`: the value, which is secret"), "{file}");
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

a send to `seal` of test:box[back] without a sender
  at x:10

11 errors";
    assert_eq!(problem, expected);
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
