//! Keys of older files that have another form now or never had an effect: accepted, with a warning where one is due.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::gapi::yaml::document::Document;
use crate::gapi::yaml::draft::Draft;
use crate::gapi::yaml::tree::Place;

/// Whether a kind formerly had this field.
pub(crate) fn is_old(kind: &str, field: &str) -> bool {
    matches!((kind, field), ("exec", "pollint" | "state"))
}

/// Fields in which an empty text has always meant "not given".
const EMPTY: &[(&str, &[&str])] = &[
    ("exec", &["shell", "watchcmd", "watchshell", "ifcmd", "ifshell"]),
    ("file", &["path", "dirname", "basename", "source", "state"]),
    ("line", &["state"]),
    ("msg", &["priority"]),
];

/// The output that a kind formerly had under this name.
pub(crate) fn output(kind: &str, name: &str) -> Option<&'static str> {
    match (kind, name) {
        ("gzip", "content") => Some("compressed"),
        ("kv", "value") => Some("stored"),
        ("value", "any") => Some("typed"),
        _ => None,
    }
}

/// The field that the `pattern` of a rule of `collect` sets: the directory for collected files.
pub(crate) fn pattern_field(kind: &str) -> Option<&'static str> {
    (kind == "file").then_some("dirname")
}

/// The fields that set the content of a file.
const CONTENTS: [&str; 3] = ["content", "source", "fragments"];

pub(crate) fn adapt(document: &mut Document<'_>, draft: &mut Draft) {
    let kind = draft.kind.spec().kind;
    for (_, fields) in EMPTY.iter().filter(|(of, _)| *of == kind) {
        for field in *fields {
            if draft.fields.get(*field).and_then(Json::as_str) == Some("") {
                draft.fields.remove(*field);
            }
        }
    }
    match kind {
        "exec" => exec(document, draft),
        "file" => file(document, draft),
        "kv" => {
            // Older files have the numbers of the styles.
            if let Some(Json::String(style)) = draft.fields.get_mut("skipcmpstyle") {
                match style.as_str() {
                    "0" => *style = "int".to_owned(),
                    "1" => *style = "string".to_owned(),
                    _ => {}
                }
            }
        }
        "tar" => {
            // Older files have the numbers of the formats; 0 leaves the choice to the kind.
            let number = draft.fields.get("format").and_then(Json::as_str).map(str::to_owned);
            let word = match number.as_deref() {
                Some("0") => None,
                Some("2") => Some("ustar"),
                Some("4") => Some("pax"),
                Some("8") => Some("gnu"),
                _ => return,
            };
            draft.fields.remove("format");
            draft.fields.extend(word.map(|word| ("format".to_owned(), word.into())));
        }
        "msg" => {
            // Older files write `Notice` with a capital.
            if let Some(Json::String(priority)) = draft.fields.get_mut("priority") {
                *priority = priority.to_ascii_lowercase();
            }
        }
        _ => {}
    }
}

fn place(draft: &Draft, field: &str) -> Place {
    draft.places.iter().find(|(name, _, _)| name == field).map_or(draft.place, |(_, key, _)| *key)
}

fn exec(document: &mut Document<'_>, draft: &mut Draft) {
    let id = format!("exec[{}]", draft.name);
    if draft.fields.remove("state").is_some() {
        document.warn(place(draft, "state"), format!("{id}: `state` has no effect: leave it out"));
    }
    let Some(pollint) = draft.fields.remove("pollint") else { return };
    let at = place(draft, "pollint");
    let seconds = match &pollint {
        Json::Number(number) => number.as_u64(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    };
    match seconds {
        None => document.complain(at, format!("{id}: `pollint` takes a number of seconds")),
        Some(0) => {}
        Some(_) if draft.fields.contains_key("watchcmd") => {
            document.complain(at, format!("{id}: `pollint` with `watchcmd`: leave one of them out"));
        }
        Some(seconds) => {
            document.warn(at, format!("{id}: `pollint` is an old name: write `meta: {{poll: {seconds}}}`"));
            draft.meta.poll.get_or_insert(Duration::from_secs(seconds));
            draft.meta.watch = false;
        }
    }
}

fn file(document: &mut Document<'_>, draft: &mut Draft) {
    let id = format!("file[{}]", draft.name);
    let text = |field: &str| draft.fields.get(field).and_then(Json::as_str);
    let name = draft.name.strip_prefix("@@").unwrap_or(&draft.name);
    let absent = text("state") == Some("absent");
    let directory = text("basename").or(text("path")).unwrap_or(name).ends_with('/') && text("symlink").is_none();
    let (fields, why): (&[&str], &str) = if absent {
        (&CONTENTS, "what is absent holds nothing")
    } else if directory {
        (&CONTENTS[..1], "a directory holds no text: it is made, and stays empty")
    } else {
        return;
    };
    for field in fields {
        if draft.fields.remove(*field).is_some() {
            document.warn(place(draft, field), format!("{id}: `{field}` has no effect: {why}"));
        }
    }
}

/// Adds what older files may contain besides the fields of a kind to its schema.
pub(crate) fn old_schema(kind: &str, properties: &mut serde_json::Map<String, Json>) {
    let also = |properties: &mut serde_json::Map<String, Json>, field: &str, more: Json| {
        if let Some(schema) = properties.remove(field) {
            let what = schema.get("description").cloned().unwrap_or_default();
            properties.insert(field.to_owned(), json!({ "description": what, "anyOf": [schema, more] }));
        }
    };
    let deprecated = |what: &str| json!({ "deprecated": true, "description": what });
    match kind {
        "exec" => {
            properties.insert("pollint".to_owned(), deprecated("The old name of `meta: {poll: …}`."));
            properties.insert("state".to_owned(), deprecated("Accepted for old files. Has no effect."));
        }
        "file" | "line" => also(properties, "state", json!({ "const": "" })),
        "kv" => also(properties, "skipcmpstyle", json!({ "enum": [0, 1] })),
        "tar" => also(properties, "format", json!({ "enum": [0, 2, 4, 8] })),
        "msg" => {
            let capital = ["Emerg", "Alert", "Crit", "Err", "Warning", "Notice", "Info", "Debug", ""];
            also(properties, "priority", json!({ "enum": capital }));
        }
        _ => {}
    }
}
