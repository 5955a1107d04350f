//! JSON schemas of kinds and of graphs: their content, and that an independent validator agrees with what is read and
//! written.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use mgmt::graph::{GraphData, Kinds, graph_schema};
use mgmt::prelude::*;
use mgmt::resource::{Resource as _, kind_schema};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value as Json, json};

/// A type that is a definition of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
    Green,
}

/// A lamp.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:lamp")]
struct Lamp {
    #[resource(name)]
    place: String,
    /// What it shines like.
    colour: Colour,
    /// From 0 to 100.
    brightness: Option<u8>,
    /// Another one.
    shade: Option<Colour>,
    #[resource(default)]
    tags: Vec<String>,
    /// Opens its door.
    pin: Option<Secret<String>>,
    /// What is written on it.
    #[resource(default = "lamp")]
    label: String,
    #[resource(send)]
    serial: String,
}

impl Converge for Lamp {
    type Drift = Change;
    async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
        Ok(None)
    }
    async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
        Ok(())
    }
}

fn kinds() -> Kinds {
    Kinds::none().with::<Lamp>().with::<Noop>()
}

/// The error of each document that the schema refuses, by Python's `jsonschema`.
fn refused(schema: &Json, documents: &[Json]) -> Vec<Option<String>> {
    const PROGRAM: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
schema, documents = json.load(sys.stdin)
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
json.dump([next((e.message for e in validator.iter_errors(d)), None) for d in documents], sys.stdout)
"#;
    let has_it = |python: &&str| {
        let mut import = Command::new(python);
        import.args(["-c", "from jsonschema import Draft202012Validator"]).stderr(Stdio::null());
        import.status().is_ok_and(|status| status.success())
    };
    let python = ["python3", "/usr/bin/python3"].into_iter().find(has_it).expect("Python has the package `jsonschema`");
    let mut child = Command::new(python)
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    child.stdin.take().unwrap().write_all(json!([schema, documents]).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the schema itself is not one");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_schema_of_a_kind_says_what_its_struct_says() {
    let mut generator = SchemaGenerator::default();
    let schema = kind_schema(Lamp::spec(), &mut generator).to_value();
    assert_eq!(
        schema,
        json!({
            "title": "test:lamp",
            "description": "A lamp.",
            "type": "object",
            "required": ["name", "colour"],
            "additionalProperties": false,
            "properties": {
                "name": {
                    "type": "string",
                    "minLength": 1,
                    "description": "The `place` of the test:lamp: its identity.",
                },
                "colour": { "$ref": "#/$defs/Colour", "description": "What it shines like." },
                "brightness": {
                    "type": "integer",
                    "format": "uint8",
                    "minimum": 0,
                    "maximum": 255,
                    "description": "From 0 to 100.",
                },
                "shade": { "$ref": "#/$defs/Colour", "description": "Another one." },
                "tags": { "type": "array", "items": { "type": "string" } },
                "pin": { "type": "string", "writeOnly": true, "description": "Opens its door." },
                "label": { "type": "string", "description": "What is written on it." },
            },
        })
    );
    assert_eq!(generator.definitions()["Colour"]["enum"], json!(["red", "green"]));
}

#[test]
fn the_schema_of_graphs_knows_each_kind_and_its_definitions() {
    let schema = graph_schema(&kinds()).to_value();
    let known = schema["properties"]["resources"]["items"]["oneOf"].as_array().unwrap();
    let known: Vec<_> = known.iter().map(|kind| kind["properties"]["kind"]["const"].as_str().unwrap()).collect();
    assert_eq!(known, ["noop", "test:lamp"]);
    let definitions: Vec<_> = schema["$defs"].as_object().unwrap().keys().collect();
    assert!(definitions.iter().any(|name| *name == "Colour") && definitions.iter().any(|name| *name == "Meta"));
    assert_eq!(
        graph_schema(&Kinds::none()).to_value()["properties"]["resources"]["items"],
        false,
        "no kind, no resource"
    );
}

#[test]
#[ignore = "needs Python with the package `jsonschema` (Debian: python3-jsonschema)"]
fn a_validator_agrees_on_which_graphs_can_be_read() {
    let lamp = |fields: Json| json!({ "graph": "g", "resources": [{ "kind": "test:lamp", "name": "hall", "fields": fields }] });
    let graph = |more: Json| {
        let mut graph = lamp(json!({ "colour": "red" }));
        graph.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        graph
    };
    let edge = |edge: Json| graph(json!({ "edges": [edge] }));
    let meta = |meta: Json| json!({ "graph": "g", "resources": [{ "kind": "noop", "name": "n", "meta": meta }] });
    let documents = [
        (true, graph(json!({}))),
        (true, json!({ "graph": "empty" })),
        (
            true,
            lamp(json!({ "colour": "green", "brightness": 100, "shade": "red", "tags": ["a", "b"], "pin": "1234" })),
        ),
        (true, edge(json!({ "from": "test:lamp[hall]", "to": "test:lamp[hall]", "notify": true, "origin": "x:1" }))),
        (true, meta(json!({ "retry": -1, "poll": 1.0, "sema": ["disk:2"] }))),
        (true, meta(json!({ "backoff": { "exponential": { "max": 9.0 } } }))),
        (false, json!({ "resources": [] })),
        (false, graph(json!({ "edge": [] }))),
        (false, lamp(json!({ "colour": "blue" }))),
        (false, lamp(json!({ "colour": "red", "brightness": 256 }))),
        (false, lamp(json!({ "colour": "red", "brightness": "100" }))),
        (false, lamp(json!({ "colour": "red", "tags": "a" }))),
        (false, lamp(json!({ "colour": "red", "contrast": 3 }))),
        (false, json!({ "graph": "g", "resources": [{ "kind": "lamp", "name": "hall" }] })),
        (false, json!({ "graph": "g", "resources": [{ "kind": "noop" }] })),
        (
            false,
            json!({ "graph": "g", "resources": [{ "kind": "noop", "name": "n", "comment": "in the wrong place" }] }),
        ),
        (false, edge(json!({ "from": "hall", "to": "test:lamp[hall]" }))),
        (false, edge(json!({ "from": "test:lamp[hall]" }))),
        (false, meta(json!({ "retry": 1.5 }))),
        (false, meta(json!({ "retries": 1 }))),
    ];
    let texts: Vec<_> = documents.iter().map(|(_, document)| document.clone()).collect();
    let refused = refused(&graph_schema(&kinds()).to_value(), &texts);
    for ((is_good, document), refused) in documents.iter().zip(refused) {
        assert_eq!(refused.is_none(), *is_good, "the validator: {refused:?}: {document}");
        let read = serde_json::from_value::<GraphData>(document.clone()).map_err(|error| error.to_string());
        let bound = read.and_then(|data| data.bind(&kinds()).map_err(|problems| problems.to_string()));
        assert_eq!(bound.is_ok(), *is_good, "we: {:?}: {document}", bound.err());
    }
}

#[test]
#[ignore = "needs Python with the package `jsonschema` (Debian: python3-jsonschema)"]
fn a_validator_accepts_what_we_write() {
    let mut g = Graph::new("written");
    let first = g.add(Lamp::new("hall", Colour::Red).pin("1234").tags(["x"]).retry(3).delay(Duration::from_millis(5)));
    let noop = g.add(Noop::new("n\nl").comment("a newline in a name").after(&first).sema("disk:2").limit(2.5));
    g.add(Lamp::new("kitchen", Colour::Green).label(first.serial()).subscribe(&noop).poll(Duration::from_secs(1)));
    let written = serde_json::to_value(g.finish().unwrap()).unwrap();
    assert_eq!(refused(&graph_schema(&kinds()).to_value(), &[written]), [None]);
}

/// Every built-in kind, with fields of every type that they have.
fn built_in() -> GraphConfig {
    let mut g = Graph::new("built in");
    let password = g.add(Password::new("p").length(9_usize));
    let dir = g.add(File::new("/d/").mode("u=rwx,go=").owner("root").group(0_u32).recurse(true).purge(true));
    g.add(File::new("/d/text").content("text").mode(0o644).after(&dir));
    g.add(File::new("/d/bytes").content(vec![0_u8, 255]).basename("b"));
    g.add(File::new("/d/secret").content(password.password()));
    g.add(File::new("/d/link").symlink("text"));
    g.add(File::new("/d/gone").absent());
    let exec = Exec::new("e").cmd("true").args(["a", "b"]).timeout(Duration::from_millis(1500)).watchfiles(["/d/text"]);
    let exec = g.add(exec.creates("/d/made").env([("A", "b")]));
    g.add(Msg::new("m").body(exec.stdout()));
    g.add(Timer::new("t", Duration::from_secs(5)));
    g.add(mgmt::resources::Value::new("v").value("x"));
    g.add(HttpServer::new("s").address("127.0.0.1:0").basic_auth("/admin", "admin", password.hash()));
    g.add(HttpFile::new("/").source("/d"));
    g.finish().unwrap()
}

#[test]
fn a_graph_of_all_built_in_kinds_written_and_read_is_the_same() {
    let config = built_in();
    let written = serde_json::to_value(&config).unwrap();
    let data: GraphData = serde_json::from_value(written.clone()).unwrap();
    let again = data.bind(&mgmt::gapi::builtin_kinds()).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), written);
    let pairs = config.vertices.iter().zip(&again.vertices);
    let differ = pairs.filter(|(one, other)| !one.resource.same(&*other.resource)).map(|(one, _)| one.id().to_string());
    assert_eq!(differ.collect::<Vec<_>>(), [""; 0]);
}

#[test]
#[ignore = "needs Python with the package `jsonschema` (Debian: python3-jsonschema)"]
fn a_validator_accepts_what_we_write_of_all_built_in_kinds() {
    let written = serde_json::to_value(built_in()).unwrap();
    let schema = graph_schema(&mgmt::gapi::builtin_kinds()).to_value();
    assert_eq!(refused(&schema, &[written]), [None]);
}
