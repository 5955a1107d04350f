//! A kind as a JSON schema, for editors and for whoever writes graphs as data.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value as Json, json};

use crate::resource::spec::{FieldSpec, KindSpec};

/// A resource of this kind as an object: its `name`, and its fields with their documentation. Types that several fields share become definitions of
/// the generator. A secret is `writeOnly`: it is read from data, and never written to it.
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
        object.insert("description".to_owned(), spec.doc.into());
    }
    object.insert("required".to_owned(), required.into());
    if let Some(Json::Object(properties)) = object.get_mut("properties") {
        properties.insert("name".to_owned(), name);
    }
    object
}

/// The fields alone, none of them required: what one receives from another resource isn't given.
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
    schema.to_value()
}
