//! The JSON schema of a kind, for editors and for people who write graphs as data.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value as Json, json};

use crate::resource::spec::{FieldSpec, KindSpec};

/// A resource of this kind as an object: its `name`, and its fields with their documentation. Types that several fields
/// share become definitions of the generator. A secret is `writeOnly`: it is read from data, but never written to it.
pub fn kind_schema(spec: &KindSpec, generator: &mut SchemaGenerator) -> Schema {
    let mut object = fields_schema(spec, generator);
    let name = json!({
        "type": "string",
        "minLength": 1,
        "description": format!("The `{}` of the {}: its identity.", spec.name_field, spec.kind),
    });
    let required = spec.fields.iter().filter(|field| field.required).map(|field| field.name);
    let required: Vec<_> = std::iter::once("name").chain(required).collect();
    object.insert("title".to_owned(), spec.kind.into());
    if !spec.doc.is_empty() {
        object.insert("description".to_owned(), description(spec.doc).into());
    }
    object.insert("required".to_owned(), required.into());
    if let Some(Json::Object(properties)) = object.get_mut("properties") {
        properties.insert("name".to_owned(), name);
    }
    object
}

/// The fields without the name. None is required, since a field that receives its value from another resource is left
/// out.
pub fn fields_schema(spec: &KindSpec, generator: &mut SchemaGenerator) -> Schema {
    let field = |field: &FieldSpec| (field.name.to_owned(), field_schema(field, generator));
    let properties: Map<String, Json> = spec.fields.iter().map(field).collect();
    schemars::json_schema!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn field_schema(field: &FieldSpec, generator: &mut SchemaGenerator) -> Json {
    let mut schema = (field.schema)(generator);
    if !field.doc.is_empty() {
        schema.insert("description".to_owned(), field.doc.into());
    }
    let mut schema = schema.to_value();
    describe(&mut schema);
    schema
}

/// Rewrites all descriptions in a schema for people who write data: see [`description`].
pub(crate) fn describe(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            if let Some(Json::String(text)) = object.get_mut("description") {
                *text = description(text);
            }
            object.values_mut().for_each(describe);
        }
        Json::Array(list) => list.iter_mut().for_each(describe),
        _ => {}
    }
}

/// A doc comment without the parts for Rust programmers: blocks of code, the targets of links, and everything from the
/// first heading on (`# In Rust`). Each paragraph becomes one line.
fn description(doc: &str) -> String {
    let mut paragraphs = vec![String::new()];
    let mut is_code = false;
    for line in doc.lines().map(str::trim).take_while(|line| !line.starts_with("# ")) {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code || line.is_empty() {
            paragraphs.push(String::new());
        } else if let Some(paragraph) = paragraphs.last_mut() {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line);
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    without_links(&paragraphs.join("\n\n"))
}

/// ``[`text`](target)`` and ``[`text`]`` become `` `text` ``.
fn without_links(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        plain.push_str(before);
        let Some((word, after)) = link.split_once("`]") else {
            plain.push_str("[`");
            rest = link;
            continue;
        };
        plain.push_str(&format!("`{word}`"));
        let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::description;

    #[test]
    fn a_description_has_no_code_no_targets_and_nothing_below_a_heading() {
        let doc = "A path; with [`symlink`](Builder::symlink)\nit is [`Other`].\n\n```\nlet x = 1;\n```\nA list: `[0, 2]`.\n\n\
                   # In Rust\nA number: `0o644`.";
        assert_eq!(description(doc), "A path; with `symlink` it is `Other`.\n\nA list: `[0, 2]`.");
        assert_eq!(description("An open [`word"), "An open [`word");
        assert_eq!(description(""), "");
    }
}
