//! The JSON schema of YAML files, for editors that complete and check by it.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Value as Json, json};

use crate::gapi::yaml::absent::absent_kinds;
use crate::gapi::yaml::compat::old_schema;
use crate::graph::Kinds;
use crate::resource::{Format, KindSpec, describe, fields_schema};

/// The schema (draft 2020-12) of YAML files with resources of these kinds, and of the kinds that only other builds
/// have.
pub fn yaml_schema(kinds: &Kinds) -> Schema {
    yaml_schema_with(kinds.iter().map(|kind| kind.spec).collect())
}

/// The same for kinds of which only the description is known.
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
        "properties": { "kind": { "enum": names }, "name": text("The name of the resource.") },
    });
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A graph of mgmt",
        "type": "object",
        "required": ["graph"],
        "additionalProperties": false,
        "properties": {
            "graph": { "type": "string", "minLength": 1, "description": "The name of the graph." },
            "comment": text("A remark; it has no effect."),
            "hostname": text("The name of this host, unless the option `--hostname` gives another."),
            "remote": text("Accepted for old files. Has no effect."),
            "resources": {
                "type": ["object", "null"],
                "description": "The resources to keep in their declared states: a list for each kind.",
                "additionalProperties": false,
                "properties": resources,
            },
            "edges": {
                "type": ["array", "null"],
                "description": "The order of resources: `from` comes before `to`.",
                "items": {
                    "type": "object",
                    "required": ["from", "to"],
                    "additionalProperties": false,
                    "properties": {
                        "name": text("A label."),
                        "from": end,
                        "to": end,
                        "notify": { "type": "boolean", "description": "Whether `to` is refreshed when `from` has changed. Default: false." },
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
                    "properties": { "kind": { "enum": names }, "pattern": text("The directory for collected files.") },
                },
            },
        },
        "$defs": generator.take_definitions(true),
    });
    loosen(&mut schema);
    describe(&mut schema);
    schema.as_object().cloned().unwrap_or_default().into()
}

/// Allows numbers and truth values wherever a text is allowed, since files are read that way.
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
                // To a validator, `0644` without quotes is a number.
                let number = json!({ "type": "integer" });
                properties
                    .insert(field.name.to_owned(), json!({ "description": field.doc, "anyOf": [schema, number] }));
            }
        }
        old_schema(spec.kind, properties);
        let name = json!({ "type": "string", "minLength": 1, "description": "The name of the resource, unique within its kind." });
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
            "key": { "type": "string", "description": "The name of the output that is sent." },
        },
    })
}

fn meta() -> Json {
    let one = |sort: &str, what: &str| json!({ "type": sort, "description": what });
    json!({
        "type": ["object", "null"],
        "description": "Settings that every kind has.",
        "additionalProperties": false,
        "properties": {
            "autoedge": one("boolean", "Whether edges to and from the resource may be added automatically. Default: true."),
            "autogroup": one("boolean", "Whether the resource may be merged with others of its kind. Default: true."),
            "noop": one("boolean", "Check the resource, never repair it. Default: false."),
            "retry": one("integer", "How many more tries follow the first failure; -1: no limit. Default: 0."),
            "delay": one("number", "The pause before each further try, in milliseconds. Default: 0."),
            "backoff": one("number", "The longest delay, in milliseconds: the delay doubles with each failure in a row up to this. Default: it stays the same."),
            "poll": one("number", "The seconds between checks, which replace the watch; -1: check once. Default: 0, the resource is watched."),
            "limit": one("number", "The highest rate of checks that the watch causes, per second. Default: no limit."),
            "burst": one("integer", "How many such checks may follow each other at once before `limit` applies. Default: 1."),
            "timeout": one("number", "The longest time of a check or a repair, in milliseconds. Default: no limit."),
            "sema": { "type": ["string", "array"], "description": "Semaphores to hold during each check and repair: `name`, or `name:size`, where at most `size` resources (default 1) hold one at once.", "items": { "type": "string" } },
            "rewatch": one("boolean", "Whether any new graph gives a resource that has failed for good its tries back. Default: false."),
        },
    })
}
