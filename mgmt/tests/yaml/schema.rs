//! The schema that editors use: a validator which is not ours agrees on what can be read.

use std::io::Write as _;
use std::process::{Command, Stdio};

use mgmt::gapi::{YamlOptions, read_yaml};
use serde_json::{Value as Json, json};

use crate::kit::{Desk, files, fill, text};

const GOOD: &str = r#"{"graph": "g", "comment": "c", "resources": {
    "file": [{"name": "/tmp/a", "content": "x", "mode": "0644", "meta": {"retry": -1, "delay": "250ms", "sema": ["a", "b:2"]}},
             {"name": "/tmp/b", "recv": {"content": {"kind": "password", "name": "p", "key": "password"}}}],
    "password": [{"name": "p", "length": 12}], "svc": [{"name": "nginx", "state": "running"}],
    "exec": [{"name": "x", "cmd": "true", "env": {"A": "b"}}], "timer": [{"name": "t", "interval": 2.5}], "noop": null},
    "edges": [{"name": "e", "from": {"kind": "file", "name": "/tmp/a"}, "to": {"kind": "exec", "name": "x"}, "notify": true}],
    "collect": [{"kind": "file", "pattern": "/tmp/c/"}]}"#;

const WRONG: [&str; 11] = [
    r#"{"resources": {}}"#,
    r#"{"graph": "g", "types": {}}"#,
    r#"{"graph": "g", "resources": {"fil": []}}"#,
    r#"{"graph": "g", "resources": {"file": [{"content": "x"}]}}"#,
    r#"{"graph": "g", "resources": {"file": [{"name": "/tmp/a", "contnet": "x"}]}}"#,
    r#"{"graph": "g", "resources": {"file": [{"name": "/tmp/a", "force": "perhaps"}]}}"#,
    r#"{"graph": "g", "resources": {"noop": [{"name": "a", "meta": {"retries": 1}}]}}"#,
    r#"{"graph": "g", "resources": {"noop": [{"name": "a", "meta": {"delay": "soon"}}]}}"#,
    r#"{"graph": "g", "resources": {"noop": [{"name": "a", "meta": {"timeout": -5}}]}}"#,
    r#"{"graph": "g", "resources": {"noop": [{"name": "a", "meta": {"poll": -2}}]}}"#,
    r#"{"graph": "g", "edges": [{"from": {"kind": "noop", "name": "a"}}]}"#,
];

fn schema() -> Json {
    let output = Desk::new().mgmt(&["schema"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_schema_knows_every_kind_with_its_documentation() {
    let schema = schema();
    let kinds = schema["properties"]["resources"]["properties"].as_object().unwrap();
    for kind in ["exec", "file", "hostname", "msg", "noop", "nspawn", "password", "pkg", "svc", "timer", "virt"] {
        let properties = &kinds[kind]["items"]["properties"];
        assert!(properties["name"].is_object() && properties["meta"].is_object(), "{kind}");
        assert!(kinds[kind]["description"].as_str().is_some_and(|text| !text.is_empty()), "{kind}");
    }
}

#[test]
fn descriptions_hold_no_rust_and_no_markup_of_its_documentation() {
    fn descriptions(schema: &Json, found: &mut Vec<String>) {
        match schema {
            Json::Object(object) => {
                found.extend(object.get("description").and_then(Json::as_str).map(str::to_owned));
                object.values().for_each(|value| descriptions(value, found));
            }
            Json::Array(list) => list.iter().for_each(|value| descriptions(value, found)),
            _ => {}
        }
    }
    let mut found = vec![];
    descriptions(&schema(), &mut found);
    assert!(found.len() > 100, "{found:?}");
    let rust = ["```", "](", "::", "0o", "let mut ", "Vec<", "Option<", "# In Rust", ".map("];
    let bad: Vec<_> = found.iter().filter(|text| rust.iter().any(|word| text.contains(word))).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn every_key_and_every_sort_of_value_has_a_text_for_those_who_hover_over_it() {
    fn without(schema: &Json, at: &str, found: &mut Vec<String>) {
        let empty = |text: &Json| text.as_str().is_none_or(|text| text.trim().is_empty());
        match schema {
            Json::Object(object) => {
                if object.get("description").is_some_and(|text| !text.is_object() && empty(text)) {
                    found.push(format!("{at}: empty"));
                }
                for (key, value) in object.get("properties").and_then(Json::as_object).into_iter().flatten() {
                    // A definition that is referred to may have the text.
                    if empty(&value["description"]) {
                        found.push(format!("{at} {key}"));
                    }
                }
                object.iter().for_each(|(key, value)| without(value, &format!("{at}/{key}"), found));
            }
            Json::Array(list) => list.iter().for_each(|value| without(value, at, found)),
            _ => {}
        }
    }
    let mut found = vec![];
    without(&schema(), "", &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_time_may_have_a_unit() {
    let schema = schema();
    let kinds = &schema["properties"]["resources"]["properties"];
    let has_units = |time: &Json| time.to_string().contains("(ms|s|m|min|h|d|w)");
    assert!(has_units(&kinds["timer"]["items"]["properties"]["interval"]));
    for key in ["delay", "backoff", "timeout", "poll"] {
        assert!(has_units(&kinds["noop"]["items"]["properties"]["meta"]["properties"][key]), "{key}");
    }
}

/// A Python that has these packages.
fn python(packages: &str) -> &'static str {
    let has_them = |python: &&str| {
        let mut import = Command::new(python);
        import.args(["-c", &format!("import {packages}")]).stderr(Stdio::null());
        import.status().is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"].into_iter().find(has_them).unwrap_or_else(|| panic!("Python has no {packages}"))
}

/// What a program in Python makes of this, as JSON.
fn ask(python: &str, program: &str, input: &Json) -> Json {
    let mut child =
        Command::new(python).args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

/// What this expression gives for each of these documents, `d`; `validator` has our schema. `packages`: what it needs.
fn validated(packages: &str, each: &str, documents: &Json) -> Json {
    let program = format!(
        "
import json, sys, {packages}
schema, documents = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
json.dump([{each} for d in documents], sys.stdout)
"
    );
    ask(python(packages), &program, &json!([schema(), documents]))
}

#[test]
#[ignore = "needs Python with the packages `jsonschema` and `yaml` (Debian: python3-jsonschema, python3-yaml)"]
fn a_validator_accepts_the_whole_corpus() {
    let texts = accepted();
    let each = "[list(map(str, e.path)) + [e.message] for e in validator.iter_errors(yaml.safe_load(d))]";
    let errors = validated("jsonschema, yaml", each, &json!(texts));
    let bad: Vec<_> =
        texts.iter().zip(errors.as_array().unwrap()).filter(|(_, errors)| **errors != json!([])).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

/// The files and the examples of the documents, which the reader accepts.
fn accepted() -> Vec<String> {
    let folders = ["corpus", "converted", "forms"];
    let read = |path| fill(&std::fs::read_to_string(path).unwrap(), std::path::Path::new("/tmp/x"));
    let mut texts: Vec<String> = folders.into_iter().flat_map(files).map(read).collect();
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for path in std::fs::read_dir(docs).unwrap() {
        let text = std::fs::read_to_string(path.unwrap().path()).unwrap();
        let blocks = text.split("\n```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
        texts.extend(blocks.filter(|block| block.contains("graph:")).map(str::to_owned));
    }
    for text in &texts {
        read_yaml("g.yaml", text.as_bytes(), &YamlOptions::default()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
    texts
}

#[test]
fn the_reader_accepts_what_the_validator_is_asked_about() {
    let texts = accepted();
    assert!(texts.iter().any(|text| text.contains("delay: 250ms")));
    assert!(texts.iter().any(|text| text.contains("yaml-language-server")), "the documents have examples");
}

#[test]
#[ignore = "needs Python with the package `jsonschema` (Debian: python3-jsonschema)"]
fn a_validator_agrees_with_us_on_which_files_are_right() {
    let texts: Vec<&str> = std::iter::once(GOOD).chain(WRONG).collect();
    let documents: Vec<Json> = texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let valid = validated("jsonschema", "validator.is_valid(d)", &json!(documents));
    let valid: Vec<bool> = serde_json::from_value(valid).unwrap();
    for (text, valid) in texts.iter().zip(valid) {
        let read = read_yaml("g.json", text.as_bytes(), &YamlOptions::default());
        assert_eq!(read.as_ref().map(|_| ()).map_err(ToString::to_string).is_ok(), valid, "{text}\n{read:?}");
        assert_eq!(valid, *text == GOOD, "{text}");
    }
}
