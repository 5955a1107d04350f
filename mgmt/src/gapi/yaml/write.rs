//! Writes resources as a YAML graph.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

/// Words that YAML may read as something else than text.
const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// A resource to write.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    /// Its fields by name, in the order in which they are written.
    pub(crate) fields: Vec<(&'a str, Json)>,
    /// Comments before it.
    pub(crate) notes: &'a [String],
}

/// A graph with these resources, grouped by kind.
pub(crate) fn write_yaml(graph: &str, resources: &[Written<'_>]) -> String {
    let mut yaml = format!("graph: {}\n", scalar(graph));
    let mut kinds: Vec<&str> = Vec::new();
    for resource in resources {
        if !kinds.contains(&resource.kind) {
            kinds.push(resource.kind);
        }
    }
    yaml.push_str(if kinds.is_empty() { "resources: {}\n" } else { "resources:\n" });
    for kind in kinds {
        let _ = writeln!(yaml, "  {}:", scalar(kind));
        for resource in resources.iter().filter(|resource| resource.kind == kind) {
            one(&mut yaml, resource);
        }
    }
    yaml
}

fn one(yaml: &mut String, resource: &Written<'_>) {
    for note in resource.notes {
        let note: String = note.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(yaml, "  # {note}");
    }
    let _ = writeln!(yaml, "  - name: {}", scalar(resource.name));
    for (name, value) in &resource.fields {
        let _ = writeln!(yaml, "    {}: {}", scalar(name), value_of(value));
    }
}

fn value_of(value: &Json) -> String {
    match value {
        Json::String(text) => block(text).unwrap_or_else(|| scalar(text)),
        other => flow(other),
    }
}

/// A value in one line.
fn flow(value: &Json) -> String {
    match value {
        Json::String(text) => scalar(text),
        Json::Array(values) => format!("[{}]", values.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Json::Object(entries) => flow_map(entries),
        plain => plain.to_string(),
    }
}

fn flow_map(entries: &Map<String, Json>) -> String {
    let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{}: {}", quoted(key), flow(value))).collect();
    format!("{{{}}}", entries.join(", "))
}

/// A text of several lines as a literal block, if that has the same text.
fn block(text: &str) -> Option<String> {
    let lines = text.strip_suffix('\n').unwrap_or(text);
    let is_plain = |c: char| c == '\n' || c == '\t' || !needs_escape(c);
    let starts_well = lines.starts_with(|c: char| !c.is_whitespace());
    let is_block = text.contains('\n') && starts_well && !lines.ends_with('\n') && text.chars().all(is_plain);
    is_block.then(|| {
        let head = if text.ends_with('\n') { "|" } else { "|-" };
        let line = |line: &str| if line.is_empty() { String::new() } else { format!("      {line}") };
        let lines: Vec<_> = lines.split('\n').map(line).collect();
        format!("{head}\n{}", lines.join("\n"))
    })
}

/// A text in one line, in quotes if it needs them.
fn scalar(text: &str) -> String {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || "/_.@+-:".contains(c));
    let is_text = starts_well && is_word && !text.ends_with(':') && !WORDS.contains(&&*text.to_ascii_lowercase());
    if is_text { text.to_owned() } else { quoted(text) }
}

/// A text in double quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if needs_escape(c) => drop(write!(quoted, "\\U{:08x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What YAML does not take as it is, or takes as the end of a line.
fn needs_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gapi::yaml::{YamlOptions, read_yaml};

    #[test]
    fn every_text_is_read_as_it_was() {
        let texts = [
            "",
            " ",
            "a",
            "true",
            "No",
            "~",
            "0644",
            "1e3",
            "- a",
            "a: b",
            "a #b",
            "#",
            "'",
            "\"",
            "\\",
            "a\nb",
            "a\nb\n",
            "a\n\n b\n",
            " a\nb\n",
            "\na\n",
            "a\n\n",
            "a\tb\n\tc",
            "a\r\nb",
            "\u{1b}[0m\n",
            "ä\u{85}\u{2028}😀\n…\n",
            "a:",
            "host:80",
            "{a}",
            "[a]",
            "&a",
            "*a",
            "!a",
            "%a\nb",
            "---\na",
            "a\n---\nb\n",
            "|",
            ">",
            "null",
            "=",
            "<<",
            "a \n b \n",
            "\u{feff}x\ny\n",
        ];
        for (number, text) in texts.iter().enumerate() {
            let name = format!("/tmp/{number}{text}").replace(['\0', '/'], "");
            let fields = vec![("content", json!(text)), ("mode", json!("0644"))];
            let path = format!("/{name}");
            let written = Written { kind: "file", name: &path, fields, notes: &["a\n- b".to_owned()] };
            let yaml = write_yaml("g", &[written]);
            let read = read_yaml("g", yaml.as_bytes(), &YamlOptions::default());
            let read = read.unwrap_or_else(|error| panic!("{text:?}: {error}\n{yaml}"));
            let [vertex] = &read.config.vertices[..] else { panic!("{yaml}") };
            assert_eq!(vertex.resource.name(), path, "{yaml}");
            assert_eq!(vertex.resource.to_data(&[]).unwrap()["content"], json!(text), "{yaml}");
        }
    }

    #[test]
    fn resources_are_grouped_by_kind() {
        let of = |kind, name, fields| Written { kind, name, fields, notes: &[] };
        let all = [
            of("file", "/a/", vec![]),
            of("user", "ann", vec![("groups", json!(["a", "b c"]))]),
            of("file", "/a/b", vec![("content", json!("x\ny\n"))]),
        ];
        let yaml = "graph: g\nresources:\n  file:\n  - name: /a/\n  - name: /a/b\n    content: |\n      x\n      y\n  user:\n  \
                    - name: ann\n    groups: [a, \"b c\"]\n";
        assert_eq!(write_yaml("g", &all), yaml);
        assert_eq!(write_yaml("g", &[]), "graph: g\nresources: {}\n");
    }
}
