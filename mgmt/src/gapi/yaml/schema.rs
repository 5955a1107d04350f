//! The JSON schema of YAML files, for editors that complete and check by it.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Value as Json, json};

use crate::gapi::yaml::absent::absent_kinds;
use crate::gapi::yaml::compat::old_schema;
use crate::graph::Kinds;
use crate::resource::{FieldSpec, Format, KindSpec, describe, fields_schema, seconds_schema};

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
    let capitals: serde_json::Map<_, _> = names
        .iter()
        .map(|name| {
            let pointer = name.replace('~', "~0").replace('/', "~1");
            let same = json!({ "$ref": format!("#/properties/resources/properties/{pointer}") });
            (format!("^(?!{name}$){}$", any_case(name)), same)
        })
        .collect();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A graph of mgmt",
        "type": "object",
        "required": ["graph"],
        "additionalProperties": false,
        "properties": {
            "graph": { "type": "string", "minLength": 1, "description": "The name of the graph." },
            "comment": { "description": "A remark; it has no effect." },
            "hostname": text("The name of this host, unless the option `--hostname` gives another."),
            "remote": { "type": "string", "description": "The host on which `run --remote FILE` runs the graph: `ssh://USER@HOST:PORT`, by default as the user `mgmt` at port 22. Other commands ignore it." },
            "resources": {
                "type": ["object", "null"],
                "description": "The resources to keep in their declared states: a list for each kind.",
                "additionalProperties": false,
                "properties": resources,
                // Editors complete the names above; these are the other spellings.
                "patternProperties": capitals,
            },
            "edges": {
                "type": ["array", "null"],
                "description": "The order of resources: `from` comes before `to`.",
                "items": edge(&names),
            },
            "collect": {
                "type": ["array", "null"],
                "description": "Exported resources (names that begin with `@@`) to take in.",
                "items": rule(&names),
            },
        },
        "$defs": generator.take_definitions(true),
    });
    loosen(&mut schema);
    describe(&mut schema);
    inherit(&mut schema);
    schema.as_object().cloned().unwrap_or_default().into()
}

fn text(what: &str) -> Json {
    json!({ "type": "string", "description": what })
}

fn kind(names: &[&str], what: &str) -> Json {
    let all: Vec<String> = names.iter().map(|name| any_case(name)).collect();
    let pattern = format!("^({})$", all.join("|"));
    json!({ "anyOf": [{ "enum": names }, { "type": "string", "pattern": pattern }], "description": what })
}

/// A regular expression for a kind however it is capitalised, as the reader takes it.
fn any_case(kind: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphabetic() {
        true => format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()),
        false => c.to_string(),
    };
    kind.chars().map(letter).collect()
}

fn edge(names: &[&str]) -> Json {
    let end = |what: &str| {
        json!({
            "type": "object",
            "description": what,
            "required": ["kind", "name"],
            "additionalProperties": false,
            "properties": {
                "kind": kind(names, "The kind of this resource."),
                "name": text("The name of this resource."),
            },
        })
    };
    json!({
        "type": "object",
        "required": ["from", "to"],
        "additionalProperties": false,
        "properties": {
            "name": { "description": "A label, which pictures of the graph show." },
            "from": end("The resource that comes first."),
            "to": end("The resource that waits for `from`."),
            "notify": { "type": "boolean", "description": "Whether `to` is refreshed when `from` has changed. Default: false." },
        },
    })
}

/// A rule of `collect`.
fn rule(names: &[&str]) -> Json {
    json!({
        "type": "object",
        "required": ["kind"],
        "additionalProperties": false,
        "properties": {
            "kind": kind(names, "The kind of the resources to take in."),
            "from": texts("Hosts to collect from, as patterns: `*` is any text, `?` any character. Default: all."),
            "named": texts("Names of the resources, as patterns. Default: all."),
            "trust": { "type": "boolean", "default": false, "description": "Whether the exporting hosts are trusted with a kind that requires it, such as `exec`." },
            "pattern": or_nothing(text("The directory for collected files: it begins and ends with `/`.")),
        },
    })
}

/// A text, or a list of texts.
fn texts(what: &str) -> Json {
    let list = json!({ "type": "array", "items": { "type": "string", "minLength": 1 } });
    json!({ "description": what, "anyOf": [{ "type": "string", "minLength": 1 }, list] })
}

/// The words for truth that files may contain besides `true` and `false`. Under YAML 1.2 they are texts to an editor.
const TRUTH: &str = "^([Yy]es|YES|[Oo]n|ON|[Nn]o|NO|[Oo]ff|OFF)$";

/// Allows numbers and truth values wherever a text is allowed, and `yes` where a truth value is, since files are read
/// that way.
fn loosen(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            let is_choice =
                object.contains_key("const") || object.contains_key("enum") || object.contains_key("pattern");
            if !is_choice && object.get("type").is_some_and(|sort| sort == "string") {
                object.insert("type".to_owned(), json!(["string", "number", "boolean"]));
            }
            if object.get("type").is_some_and(|sort| sort == "boolean") {
                object.remove("type");
                object.insert(
                    "anyOf".to_owned(),
                    json!([{ "type": ["boolean"] }, { "type": "string", "pattern": TRUTH }]),
                );
            }
            object.values_mut().for_each(loosen);
        }
        Json::Array(list) => list.iter_mut().for_each(loosen),
        _ => {}
    }
}

/// A map with one key may have its text itself: the key gets it too, since editors show the text of the key.
fn inherit(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            let text = object.get("description").filter(|text| text.is_string()).cloned();
            let properties = object.get_mut("properties").and_then(Json::as_object_mut);
            if let (Some(text), Some(only)) = (text, properties.filter(|all| all.len() == 1))
                && let Some(key) = only.values_mut().next().and_then(Json::as_object_mut)
            {
                key.entry("description").or_insert(text);
            }
            object.values_mut().for_each(inherit);
        }
        Json::Array(list) => list.iter_mut().for_each(inherit),
        _ => {}
    }
}

/// The schema with this text for people in place of its own.
fn described(schema: Json, what: &str) -> Json {
    match schema {
        Json::Object(mut object) => {
            object.insert("description".to_owned(), what.into());
            Json::Object(object)
        }
        _ => json!({ "description": what }),
    }
}

/// The same schema for a key that may also stand without a value, which means that it is not given.
fn or_nothing(schema: Json) -> Json {
    let Json::Object(mut object) = schema else { return schema };
    if object.len() == 1 && object.contains_key("description") {
        return Json::Object(object);
    }
    let what = object.remove("description");
    let mut schema = json!({ "anyOf": [object, { "type": "null" }] });
    if let (Some(object), Some(what)) = (schema.as_object_mut(), what) {
        object.insert("description".to_owned(), what);
    }
    schema
}

fn resource(spec: &KindSpec, generator: &mut SchemaGenerator) -> Json {
    let mut object = fields_schema(spec, generator).to_value();
    // Of the fields of kinds that this build lacks, most are known by name only.
    let doc = |name: &str, doc: &str| match doc {
        "" => format!("The field `{name}` of the kind `{}`, which this build lacks.", spec.kind),
        doc => doc.to_owned(),
    };
    let received: serde_json::Map<_, _> =
        spec.fields.iter().map(|field| (field.name.to_owned(), received(field, &doc(field.name, field.doc)))).collect();
    if let Some(properties) = object.get_mut("properties").and_then(Json::as_object_mut) {
        for field in spec.fields {
            let mut schema = properties.remove(field.name).unwrap_or(Json::Bool(true));
            if field.format == Format::Octal {
                // To a validator, `0644` without quotes is a number.
                schema = json!({ "anyOf": [schema, { "type": "integer" }] });
            }
            let schema = or_nothing(described(schema, &doc(field.name, field.doc)));
            properties.insert(field.name.to_owned(), schema);
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

fn received(field: &FieldSpec, doc: &str) -> Json {
    let mut one = json!({
        "type": "object",
        "description": "An output of another resource.",
        "required": ["kind", "name", "key"],
        "additionalProperties": false,
        "properties": {
            "kind": { "type": "string", "description": "The kind of the resource that sends." },
            "name": { "type": "string", "description": "The name of the resource that sends." },
            "key": { "type": "string", "description": "The name of the output that is sent." },
        },
    });
    if field.format == Format::Named {
        one["properties"]["as"] =
            json!({ "type": "string", "description": "The name of the value. Default: the name of the resource." });
    }
    if field.format != Format::Named && !field.takes_list() {
        return described(one, doc);
    }
    json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }], "description": doc })
}

fn meta() -> Json {
    let one = |sort: &str, what: &str| or_nothing(json!({ "type": sort, "description": what }));
    let time = |what: &str| or_nothing(described(seconds_schema(), what));
    let poll = json!({ "anyOf": [seconds_schema(), { "const": -1 }] });
    let texts = json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    let (sema, ignore) = (texts.clone(), texts);
    json!({
        "type": ["object", "null"],
        "description": "Settings that every kind has.",
        "additionalProperties": false,
        "properties": {
            "autoedge": one("boolean", "Whether edges to and from the resource may be added automatically. Default: true."),
            "autogroup": one("boolean", "Whether the resource may be grouped with others of its kind. Default: true."),
            "noop": one("boolean", "Check the resource, never repair it. Default: false."),
            "alert": one("boolean", "Check the resource, never repair it, and report drift as an alert. Default: false."),
            "hidden": one("boolean", "Keep the resource in the graph and do not run it: it is not watched, checked or repaired. Default: false."),
            "ignore": or_nothing(described(ignore, "Fields that are neither compared nor repaired, as if they were not given.")),
            "retry": one("integer", "How many more tries follow the first failure; -1: no limit. Default: 0."),
            "delay": time("The pause before each further try, in milliseconds or with a unit (`250ms`). Default: 0."),
            "backoff": time("The longest delay, in milliseconds or with a unit (`2m`): the delay doubles with each failure in a row up to this. Default: it stays the same."),
            "poll": or_nothing(described(poll, "The time between checks, which replace the watch, in seconds or with a unit (`5m`); -1: check once. Default: 0, the resource is watched.")),
            "limit": one("number", "The highest rate of checks that the watch causes, per second. Default: no limit."),
            "burst": one("integer", "How many such checks may follow each other at once before `limit` applies. Default: 1."),
            "timeout": time("The longest time of a check or a repair, in milliseconds or with a unit (`30s`). Default: no limit."),
            "export": self::texts("The hosts that may collect it; `*`: all. The resource runs here too, unless its name begins with `@@`."),
            "sema": or_nothing(described(sema, "Semaphores to hold during each check and repair: `name`, or `name:size`, where at most `size` resources (default 1) hold one at once.")),
            "reverse": one("boolean", "Whether what the resource changed is undone when it has left the graph. Default: false."),
            "converged_timeout": time("How long the resource must have been in sync and quiet before the graph counts as converged, in seconds or with a unit (`2m`). Default: no time of its own."),
            "reset": one("boolean", "Whether every new graph gives the resource all its tries back, also if it leaves the resource as it is. Default: false."),
            "retryreset": { "anyOf": [{ "const": true }, { "type": "null" }], "description": "A success gives the resource its tries back: always true." },
            "rewatch": one("boolean", "Whether any new graph gives a resource that has failed for good its tries back. Default: false."),
        },
    })
}
