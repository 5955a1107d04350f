//! Converts YAML values to the values of fields. The field's schema decides what a scalar means, so that `content: 5`
//! is a text and `retry: 5` a number.

use std::collections::HashMap;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Number, Value as Json};

use crate::gapi::yaml::tree::{Node, Value};
use crate::resource::{FieldSpec, Format, hint};

/// The schemas of fields, each generated once.
pub(crate) struct Schemas {
    generator: SchemaGenerator,
    /// By the address of the field's description, which is a static.
    known: HashMap<usize, Schema>,
}

impl Schemas {
    pub(crate) fn new() -> Schemas {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        Schemas { generator: settings.into_generator(), known: HashMap::new() }
    }

    fn of(&mut self, spec: &'static FieldSpec) -> &Json {
        let address = std::ptr::from_ref(spec).addr();
        self.known.entry(address).or_insert_with(|| (spec.schema)(&mut self.generator)).as_value()
    }
}

/// The types that a schema allows for a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Takes {
    text: bool,
    whole: bool,
    number: bool,
    truth: bool,
    null: bool,
    list: bool,
    map: bool,
}

impl Takes {
    const ALL: Takes = Takes { text: true, whole: true, number: true, truth: true, null: true, list: true, map: true };

    fn of(schema: &Json) -> Takes {
        let Some(schema) = schema.as_object() else { return Takes::ALL };
        let mut takes = Takes::default();
        let mut said = false;
        match schema.get("type") {
            Some(Json::String(name)) => (said, takes) = (true, takes.with(name)),
            Some(Json::Array(names)) => {
                said = true;
                takes = names.iter().filter_map(Json::as_str).fold(takes, Takes::with);
            }
            _ => {}
        }
        for value in schema.get("enum").and_then(Json::as_array).into_iter().flatten().chain(schema.get("const")) {
            said = true;
            takes = takes.with(match value {
                Json::String(_) => "string",
                Json::Bool(_) => "boolean",
                Json::Number(_) => "number",
                Json::Null => "null",
                Json::Array(_) => "array",
                Json::Object(_) => "object",
            });
        }
        for choice in choices(schema) {
            said = true;
            takes = takes.or(Takes::of(choice));
        }
        if said { takes } else { Takes::ALL }
    }

    fn with(mut self, name: &str) -> Takes {
        match name {
            "string" => self.text = true,
            "integer" => self.whole = true,
            "number" => (self.number, self.whole) = (true, true),
            "boolean" => self.truth = true,
            "null" => self.null = true,
            "array" => self.list = true,
            "object" => self.map = true,
            _ => {}
        }
        self
    }

    fn or(self, other: Takes) -> Takes {
        Takes {
            text: self.text || other.text,
            whole: self.whole || other.whole,
            number: self.number || other.number,
            truth: self.truth || other.truth,
            null: self.null || other.null,
            list: self.list || other.list,
            map: self.map || other.map,
        }
    }

    /// The types in words for messages.
    fn told(self) -> String {
        let mut words = Vec::new();
        if self.text {
            words.push("a text");
        }
        if self.number {
            words.push("a number");
        } else if self.whole {
            words.push("a whole number");
        }
        if self.truth {
            words.push("`true` or `false`");
        }
        if self.list {
            words.push("a list");
        }
        if self.map {
            words.push("a map");
        }
        words.join(" or ")
    }
}

fn choices(schema: &Map<String, Json>) -> impl Iterator<Item = &Json> {
    ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)).filter_map(Json::as_array).flatten()
}

/// A value that does not fit its schema: the part that does not fit, and the problem.
pub(crate) struct Misfit<'a> {
    pub(crate) node: &'a Node,
    pub(crate) problem: String,
}

/// The value of a field.
pub(crate) fn field<'a>(node: &'a Node, spec: &'static FieldSpec, schemas: &mut Schemas) -> Result<Json, Misfit<'a>> {
    if spec.format == Format::Octal
        && let Value::Scalar { text, plain } = &node.value
    {
        return mode(text, *plain).map_err(|problem| Misfit { node, problem });
    }
    let schema = schemas.of(spec);
    if spec.format == Format::Account
        && let Value::Scalar { text, plain } = &node.value
    {
        // An account's name may consist of digits only. If no account has that name, it is a decimal number: `010` is
        // 10.
        let takes = Takes { text: true, null: Takes::of(schema).null, ..Takes::default() };
        return scalar(text, *plain, takes).map_err(|problem| Misfit { node, problem });
    }
    typed(node, schema)
}

/// A mode: `0644`, `0o644` and `"0644"` mean the same; a decimal number is most likely a mistake.
fn mode(text: &str, plain: bool) -> Result<Json, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = !digits.is_empty() && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let decimal =
        plain && !text.starts_with('0') && !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if decimal {
        let meant = if octal { format!(": write 0{text} or \"0{text}\"") } else { String::new() };
        return Err(format!("{text} is a decimal number, and a mode is octal{meant}"));
    }
    if octal && text.starts_with("0o") {
        return Ok(Json::String(format!("0{digits}")));
    }
    Ok(Json::String(text.to_owned()))
}

/// The value in the form that its schema asks for.
pub(crate) fn typed<'a>(node: &'a Node, schema: &Json) -> Result<Json, Misfit<'a>> {
    let takes = Takes::of(schema);
    match &node.value {
        Value::Scalar { text, plain } => scalar(text, *plain, takes).map_err(|problem| Misfit { node, problem }),
        Value::List(nodes) if takes.list => {
            let items = part(schema, "items");
            nodes.iter().map(|node| typed(node, items)).collect::<Result<_, _>>().map(Json::Array)
        }
        Value::Map(entries) if takes.map => {
            let pairs = entries.iter().map(|(key, node)| {
                let schema = property(schema, &key.text);
                not_null(node, schema, &key.text)?;
                typed(node, schema).map(|json| (key.text.clone(), json))
            });
            pairs.collect::<Result<Map<_, _>, _>>().map(Json::Object)
        }
        _ => Err(Misfit { node, problem: format!("takes {}; this is {}", takes.told(), node.sort()) }),
    }
}

/// Refuses a null where a table takes texts: it may mean the word, an empty text, or no entry.
fn not_null<'a>(node: &'a Node, schema: &Json, key: &str) -> Result<(), Misfit<'a>> {
    let takes = Takes::of(schema);
    match &node.value {
        Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "~" | "null" | "Null" | "NULL") && takes.text && !takes.null =>
        {
            let problem =
                format!("takes a text: leave `{key}` out, or write \"\" for none, or \"{text}\" for the word");
            Err(Misfit { node, problem })
        }
        _ => Ok(()),
    }
}

/// The part with that key of the schema, or of the first of its choices that has one.
fn part<'a>(schema: &'a Json, key: &str) -> &'a Json {
    find(schema, &|schema| schema.get(key)).unwrap_or(&Json::Bool(true))
}

fn property<'a>(schema: &'a Json, name: &str) -> &'a Json {
    let own = find(schema, &|schema| schema.get("properties")?.get(name));
    own.or_else(|| find(schema, &|schema| schema.get("additionalProperties"))).unwrap_or(&Json::Bool(true))
}

fn find<'a>(schema: &'a Json, get: &dyn Fn(&'a Map<String, Json>) -> Option<&'a Json>) -> Option<&'a Json> {
    let schema = schema.as_object()?;
    get(schema).or_else(|| choices(schema).find_map(|choice| find(choice, get)))
}

fn scalar(text: &str, plain: bool, takes: Takes) -> Result<Json, String> {
    if !plain {
        return if takes.text { Ok(Json::String(text.to_owned())) } else { Err(misfit(text, takes, "the text")) };
    }
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") && (takes.null || !takes.text || takes == Takes::ALL) {
        return Ok(Json::Null);
    }
    if takes.truth
        && let Some(truth) = truth(text)
    {
        return Ok(Json::Bool(truth));
    }
    if takes.whole
        && let Some(number) = whole(text)
    {
        return Ok(Json::Number(number));
    }
    if takes.number
        && let Some(number) = text.parse().ok().and_then(Number::from_f64)
    {
        return Ok(Json::Number(number));
    }
    if takes.text { Ok(Json::String(text.to_owned())) } else { Err(misfit(text, takes, "")) }
}

fn misfit(text: &str, takes: Takes, what: &str) -> String {
    let blank = if what.is_empty() { "" } else { " " };
    format!("takes {}, not {what}{blank}`{}`", takes.told(), text.escape_debug())
}

/// A truth value in the forms of YAML 1.1, except `y` and `n`.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// A whole number: decimal, or with `0x`, `0o` or `0b`, or octal with a leading `0` as in older files.
fn whole(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let radix =
        |digits: &str, radix| u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']));
    let clean = digits.replace('_', "");
    let number = if let Some(digits) = clean.strip_prefix("0x") {
        radix(digits, 16)?
    } else if let Some(digits) = clean.strip_prefix("0o") {
        radix(digits, 8)?
    } else if let Some(digits) = clean.strip_prefix("0b") {
        radix(digits, 2)?
    } else if clean.len() > 1 && clean.starts_with('0') {
        radix(&clean, 8)?
    } else {
        radix(&clean, 10)?
    };
    if negative { Some(i64::try_from(number).ok()?.checked_neg()?.into()) } else { Some(number.into()) }
}

/// An error message of serde in the words of this library. It does not repeat the value, which is underlined.
pub(crate) fn for_people(problem: &str) -> String {
    if let Some((variant, known)) =
        problem.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected "))
    {
        let known = known.trim_start_matches("one of ").split(" or ").flat_map(|known| known.split(", "));
        let known: Vec<_> = known.filter(|known| *known != "``").collect();
        let hint = hint(variant.trim_matches('`'), known.iter().map(|known| known.trim_matches('`')), "there are");
        return format!("there is no {variant}: {hint}");
    }
    if let Some((key, known)) = problem.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", expected ")) {
        // A kind may have added a remark.
        let (known, remark) = known.split_once(": ").map_or((known, None), |(known, remark)| (known, Some(remark)));
        let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
        let hint = remark.map_or_else(|| hint(key.trim_matches('`'), known, "known here:"), str::to_owned);
        return format!("there is no key {key}: {hint}");
    }
    if let Some(key) = problem.strip_prefix("missing field ") {
        return format!("needs the key {key}");
    }
    let is_expected = problem.starts_with("invalid value: ") || problem.starts_with("invalid type: ");
    match problem.split_once(", expected ") {
        Some((_, expected)) if is_expected => {
            let expected = match expected {
                "u8" => limits(u8::MIN, u8::MAX),
                "u16" => limits(u16::MIN, u16::MAX),
                "u32" => limits(u32::MIN, u32::MAX),
                // What is larger than such a number is no number to the reader.
                "u64" | "usize" => "a whole number, 0 or more".to_owned(),
                "i8" => limits(i8::MIN, i8::MAX),
                "i16" => limits(i16::MIN, i16::MAX),
                "i32" => limits(i32::MIN, i32::MAX),
                "i64" | "isize" => "a whole number".to_owned(),
                "a string" => "a text".to_owned(),
                other => other.to_owned(),
            };
            format!("takes {expected}")
        }
        _ => problem.to_owned(),
    }
}

fn limits<N: std::fmt::Display>(least: N, most: N) -> String {
    format!("a whole number from {least} to {most}")
}

/// A type of Rust in words for people who write data.
pub(crate) fn type_in_words(name: &str) -> String {
    let name = name.replace(' ', "");
    let inner = |outer: &str| name.strip_prefix(outer)?.strip_prefix('<')?.strip_suffix('>');
    if let Some(inner) = inner("Option") {
        return type_in_words(inner);
    }
    if let Some(inner) = inner("Secret") {
        let inner = type_in_words(inner);
        return inner.strip_prefix("a ").map_or_else(|| format!("secret {inner}"), |inner| format!("a secret {inner}"));
    }
    match name.as_str() {
        "Vec<u8>" => "bytes".to_owned(),
        "String" | "PathBuf" => "a text".to_owned(),
        "bool" => "`true` or `false`".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "Seconds" => "a time".to_owned(),
        "Vec<String>" | "Vec<PathBuf>" => "a list of texts".to_owned(),
        _ => format!("`{name}`"),
    }
}
