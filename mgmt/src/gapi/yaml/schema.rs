//! The JSON schema of YAML files: for editors, which complete and underline by it.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Value as Json, json};

use crate::gapi::yaml::absent::absent_kinds;
use crate::gapi::yaml::compat::old_schema;
use crate::graph::Kinds;
use crate::resource::{Format, KindSpec, fields_schema};

/// The schema (draft 2020-12) of YAML files with resources of these kinds, and of those that other builds have.
pub fn yaml_schema(kinds: &Kinds) -> Schema {
    yaml_schema_with(kinds.iter().map(|kind| kind.spec).collect())
}

/// The same with kinds of which only the description is known.
pub(crate) fn yaml_schema_with(mut specs: Vec<&'static KindSpec>) -> Schema {
    let mut generator = SchemaGenerator::default();
    let absent: Vec<_> = absent_kinds().filter(|spec| specs.iter().all(|known| known.kind != spec.kind)).collect();
    specs.extend(absent);
    let resources: serde_json::Map<_, _> = specs
        .iter()
        .map(|spec| {
            let list =
                json!({ "type": ["array", "null"], "description": spec.doc, "items": resource(spec, &mut generator) });
            (spec.kind.to_owned(), list)
        })
        .collect();
    let names: Vec<_> = specs.iter().map(|spec| spec.kind).collect();
    let text = |what: &str| json!({ "type": "string", "description": what });
    let end = json!({
        "type": "object",
        "required": ["kind", "name"],
        "additionalProperties": false,
        "properties": { "kind": { "enum": names }, "name": text("Its name.") },
    });
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A graph of mgmt",
        "type": "object",
        "required": ["graph"],
        "additionalProperties": false,
        "properties": {
            "graph": { "type": "string", "minLength": 1, "description": "The graph's name." },
            "comment": text("What it is for, in words."),
            "hostname": text("The name of this host, unless the command line says otherwise."),
            "remote": text("Accepted for old files. Has no effect."),
            "resources": {
                "type": ["object", "null"],
                "description": "What shall be: a list for each kind.",
                "additionalProperties": false,
                "properties": resources,
            },
            "edges": {
                "type": ["array", "null"],
                "description": "Who comes before whom.",
                "items": {
                    "type": "object",
                    "required": ["from", "to"],
                    "additionalProperties": false,
                    "properties": {
                        "name": text("A label."),
                        "from": end,
                        "to": end,
                        "notify": { "type": "boolean", "description": "If the first changes, the second is refreshed." },
                    },
                },
            },
            "collect": {
                "type": ["array", "null"],
                "description": "Exported resources (names that begin with `@@`) to take in.",
                "items": {
                    "type": "object",
                    "required": ["kind"],
                    "additionalProperties": false,
                    "properties": { "kind": { "enum": names }, "pattern": text("For files: the directory they go to.") },
                },
            },
        },
        "$defs": generator.take_definitions(true),
    });
    loosen(&mut schema);
    schema.as_object().cloned().unwrap_or_default().into()
}

/// Where a text belongs, a number or a truth value is one too, as it is written: so are files read.
fn loosen(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            let is_choice =
                object.contains_key("const") || object.contains_key("enum") || object.contains_key("pattern");
            if !is_choice && object.get("type").is_some_and(|sort| sort == "string") {
                object.insert("type".to_owned(), json!(["string", "number", "boolean"]));
            }
            object.values_mut().for_each(loosen);
        }
        Json::Array(list) => list.iter_mut().for_each(loosen),
        _ => {}
    }
}

fn resource(spec: &KindSpec, generator: &mut SchemaGenerator) -> Json {
    let mut object = fields_schema(spec, generator).to_value();
    let received: serde_json::Map<_, _> =
        spec.fields.iter().map(|field| (field.name.to_owned(), received(field.doc))).collect();
    if let Some(properties) = object.get_mut("properties").and_then(Json::as_object_mut) {
        for field in spec.fields.iter().filter(|field| field.format == Format::Octal) {
            if let Some(schema) = properties.remove(field.name) {
                // `0644` without quotes is a number to whoever checks by the schema.
                let number = json!({ "type": "integer" });
                properties
                    .insert(field.name.to_owned(), json!({ "description": field.doc, "anyOf": [schema, number] }));
            }
        }
        old_schema(spec.kind, properties);
        let name = json!({ "type": "string", "minLength": 1, "description": "Its name: unique within the kind." });
        properties.insert("name".to_owned(), name);
        properties.insert("meta".to_owned(), meta());
        properties.insert(
            "recv".to_owned(),
            json!({
                "type": ["object", "null"],
                "description": "Fields that receive what other resources send.",
                "additionalProperties": false,
                "properties": received,
            }),
        );
    }
    object["required"] = json!(["name"]);
    object
}

fn received(doc: &str) -> Json {
    json!({
        "type": "object",
        "description": doc,
        "required": ["kind", "name", "key"],
        "additionalProperties": false,
        "properties": {
            "kind": { "type": "string" },
            "name": { "type": "string" },
            "key": { "type": "string", "description": "The output of the sender." },
        },
    })
}

fn meta() -> Json {
    let one = |sort: &str, what: &str| json!({ "type": sort, "description": what });
    json!({
        "type": ["object", "null"],
        "description": "What all kinds have in common.",
        "additionalProperties": false,
        "properties": {
            "autoedge": one("boolean", "May edges be found by the engine. Default: true."),
            "autogroup": one("boolean", "May it be merged with others of its kind. Default: true."),
            "noop": one("boolean", "Check only, never apply. Default: false."),
            "retry": one("integer", "How many more tries after the first failure, -1: for ever. Default: 0."),
            "delay": one("number", "Milliseconds before each further try. Default: 0."),
            "backoff": one("number", "The delay doubles with each failure in a row, up to so many milliseconds."),
            "poll": one("number", "Check every so many seconds, in place of watching; -1: check once. Default: 0, it is watched."),
            "limit": one("number", "Highest rate of checks caused by the watch, per second."),
            "burst": one("integer", "How many such checks may come at once. Default: 1."),
            "timeout": one("number", "Milliseconds that a check or an apply may take."),
            "sema": { "type": ["string", "array"], "description": "Semaphores held meanwhile: `name`, or `name:size`.", "items": { "type": "string" } },
            "rewatch": one("boolean", "A new graph revives it if it has failed for good. Default: false."),
        },
    })
}
