//! The JSON form of a graph as a JSON schema.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value as Json, json};

use crate::graph::data::Kinds;
use crate::resource::{KindSpec, Meta, describe, fields_schema};

/// The schema (draft 2020-12) of [`GraphData`](crate::graph::GraphData) with resources of these kinds.
pub fn graph_schema(kinds: &Kinds) -> Schema {
    graph_schema_with(&kinds.iter().map(|kind| kind.spec).collect::<Vec<_>>())
}

/// The same for kinds of which only the description is known.
pub(crate) fn graph_schema_with(specs: &[&KindSpec]) -> Schema {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let meta = generator.subschema_for::<Meta>().to_value();
    let resources: Vec<_> = specs.iter().map(|spec| resource_schema(spec, &meta, &mut generator)).collect();
    // `oneOf` may not be empty.
    let resource = if resources.is_empty() { Json::Bool(false) } else { json!({ "oneOf": resources }) };
    let list = |what: &str, items: Json| json!({ "type": "array", "description": what, "items": items });
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A graph of mgmt",
        "type": "object",
        "required": ["graph"],
        "additionalProperties": false,
        "properties": {
            "graph": { "type": "string", "description": "The name of the graph, for people." },
            "resources": list("The resources to keep in their declared states.", resource.clone()),
            "edges": list("Order and refreshes. The edges that sends need are added automatically.", edge_schema()),
            "exports": list("The resources that hosts with this graph export.", export_schema(&resource)),
            "collects": list("The rules by which hosts with this graph collect.", collect_schema()),
            "awaited": list("The edges of which an end is collected.", awaited_schema()),
            "sends": list("Values that fields receive from other resources.", send_schema()),
        },
        "$defs": generator.take_definitions(true),
    });
    describe(&mut schema);
    schema.as_object().cloned().unwrap_or_default().into()
}

fn resource_schema(spec: &KindSpec, meta: &Json, generator: &mut SchemaGenerator) -> Json {
    json!({
        "title": spec.kind,
        "description": spec.doc,
        "type": "object",
        "required": ["kind", "name"],
        "additionalProperties": false,
        "properties": {
            "kind": { "const": spec.kind },
            "name": {
                "type": "string",
                "minLength": 1,
                "description": format!("The `{}` of the resource, unique within its kind.", spec.name_field),
            },
            "fields": fields_schema(spec, generator),
            "meta": meta,
            "origin": origin_schema(),
        },
    })
}

fn export_schema(resource: &Json) -> Json {
    json!({
        "type": "object",
        "required": ["resource"],
        "additionalProperties": false,
        "properties": {
            "resource": resource,
            "to": texts("The hosts that may collect it. Default: all."),
        },
    })
}

fn collect_schema() -> Json {
    json!({
        "type": "object",
        "required": ["kind"],
        "additionalProperties": false,
        "properties": {
            "kind": { "type": "string", "description": "The kind of the resources." },
            "from": texts("Patterns of the names of hosts: `*` is any text, `?` any character. Default: all hosts."),
            "named": texts("Patterns of the names of resources. Default: all."),
            "fields": { "type": "object", "description": "Fields that are set on each resource." },
            "trust": { "type": "boolean", "default": false, "description": "Whether the exporting hosts are trusted with a kind that requires it." },
            "closure": { "type": "boolean", "default": false, "description": "Whether a function of a program changes the resources: such a rule is refused." },
            "origin": origin_schema(),
        },
    })
}

fn awaited_schema() -> Json {
    let end = |what: &str| {
        json!({ "description": what, "anyOf": [id_schema("A resource, in the graph or collected."), {
            "type": "object",
            "required": ["collected"],
            "additionalProperties": false,
            "properties": { "collected": { "type": "integer", "minimum": 0, "description": "The number of a rule, from 0." } },
        }] })
    };
    json!({
        "type": "object",
        "required": ["from", "to"],
        "additionalProperties": false,
        "properties": {
            "from": end("The end that must be settled first."),
            "to": end("The end that waits."),
            "notify": { "type": "boolean", "default": false, "description": "Whether `to` is refreshed when `from` has changed." },
            "name": { "type": "string", "description": "The name of the edge, for people." },
            "origin": origin_schema(),
        },
    })
}

fn texts(what: &str) -> Json {
    json!({ "type": "array", "items": { "type": "string" }, "description": what })
}

fn edge_schema() -> Json {
    json!({
        "type": "object",
        "required": ["from", "to"],
        "additionalProperties": false,
        "properties": {
            "from": id_schema("The resource that must be settled first."),
            "to": id_schema("The resource that waits."),
            "notify": { "type": "boolean", "default": false, "description": "Whether `to` is refreshed when `from` has changed." },
            "name": { "type": "string", "description": "The name of the edge, for people." },
            "origin": origin_schema(),
            "automatic": { "type": "boolean", "default": false, "description": "Whether a pass added the edge. Such an edge is left out when the graph is read: the passes over that graph add it." },
        },
    })
}

fn send_schema() -> Json {
    json!({
        "type": "object",
        "required": ["from", "to", "field"],
        "additionalProperties": false,
        "properties": {
            "from": {
                "type": "array",
                "description": "The resources that send, each with the name of its output.",
                "minItems": 1,
                "items": {
                    "type": "array",
                    "minItems": 2,
                    "prefixItems": [id_schema("The resource that sends."), { "type": "string", "description": "The name of its output." }],
                    "items": false,
                },
            },
            "to": id_schema("The resource that receives."),
            "field": { "type": "string", "description": "The name of the field that receives the value." },
            "list": {
                "type": "boolean",
                "default": false,
                "description": "Whether the field receives a list of the values.",
            },
            "names": {
                "type": "array",
                "items": { "type": "string" },
                "description": "The names of the values, where the field receives values with names.",
            },
            "closure": {
                "type": "boolean",
                "default": false,
                "description": "Whether a function of a program makes the value: such a graph runs only in that program.",
            },
            "origin": origin_schema(),
        },
    })
}

fn id_schema(what: &str) -> Json {
    json!({ "type": "string", "pattern": r"^[^\[]+\[[\s\S]+\]$", "description": format!("{what} Written `kind[name]`.") })
}

fn origin_schema() -> Json {
    json!({ "type": "string", "description": "The place of the declaration, as `file:line`." })
}
