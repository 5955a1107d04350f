//! Converts a graph to a Rust program that declares the same graph.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value as Json;

use crate::cli::convert_exchange::one;
use crate::graph::{Awaited, End, GraphConfig, Link, Vertex};
use crate::resource::{Backoff, FieldSpec, Format, Join, Meta, SECRET_PLACEHOLDER, Seconds};
use crate::resources::Exec;

/// The source text of the program, as one file. Its function `declare` makes the graph. `config` must be valid.
///
/// # Errors
/// The graph has something that can't be written as Rust: a kind that this build lacks, a secret, or a closure.
pub fn to_rust(config: &GraphConfig) -> Result<String, String> {
    to_rust_with(config, "converted from YAML", &[])
}

/// Like [`to_rust`]: with the origin that the program names, and for each resource, the comments before it.
pub(crate) fn to_rust_with(config: &GraphConfig, origin: &str, notes: &[Vec<String>]) -> Result<String, String> {
    let order = order(config);
    // What is collected is not declared.
    let done = config.vertices.iter().map(|vertex| Awaited::of(vertex).is_some()).collect();
    let mut writer = Writer { config, variables: variables(config), body: String::new(), done };
    writer.rules()?;
    for place in order {
        if writer.done[place] {
            continue;
        }
        for note in notes.get(place).into_iter().flatten() {
            let note: String = note.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = writeln!(writer.body, "    // {note}");
        }
        writer.resource(place)?;
    }
    writer.exchange()?;
    let mut program = format!("//! The graph {:?}, {origin}.\n\n", config.name);
    if writer.body.contains("Duration::") {
        program.push_str("use std::time::Duration;\n\n");
    }
    program.push_str("use mgmt::prelude::*;\n\n");
    let _ = writeln!(program, "fn main() -> mgmt::ExitCode {{\n    mgmt::main!({:?}, declare)\n}}\n", config.name);
    program.push_str("/// Declares the resources, their order, and what they send one another.\n");
    if config.vertices.iter().any(|vertex| vertex.resource.as_any().is::<Exec>()) {
        program.push_str("// Commands of YAML graphs inherit the environment; here they have `PATH` alone: give `.env(…)` what else they need.\n");
    }
    let graph = if writer.body.is_empty() { "_" } else { "g" };
    let _ =
        writeln!(program, "pub fn declare({graph}: &mut Graph) -> mgmt::Result<()> {{\n{}    Ok(())\n}}", writer.body);
    Ok(program)
}

/// The resources in the order in which they are declared, but each sender before its receivers.
fn order(config: &GraphConfig) -> Vec<usize> {
    let mut order = Vec::with_capacity(config.vertices.len());
    let mut seen = vec![false; config.vertices.len()];
    for first in 0..config.vertices.len() {
        // No recursion: a long chain would overflow the stack.
        let mut stack = vec![first];
        while let Some(place) = stack.last().copied() {
            let sources = config.links.iter().filter(|link| link.to as usize == place).flat_map(|link| &link.sources);
            match sources.map(|(from, _)| *from as usize).find(|from| !seen[*from] && !stack.contains(from)) {
                Some(from) => stack.push(from),
                None => {
                    stack.pop();
                    if !std::mem::replace(&mut seen[place], true) {
                        order.push(place);
                    }
                }
            }
        }
    }
    order
}

/// For each resource the name of its variable; `None` if no other resource refers to it.
fn variables(config: &GraphConfig) -> Vec<Option<String>> {
    let mut needed = vec![false; config.vertices.len()];
    for edge in &config.edges {
        (needed[edge.from as usize], needed[edge.to as usize]) = (true, true);
    }
    for (from, _) in config.all_links().flat_map(|(link, _)| &link.sources) {
        needed[*from as usize] = true;
    }
    for edge in &config.awaited {
        for end in [&edge.from, &edge.to] {
            if let End::Vertex(place) = end {
                needed[*place as usize] = true;
            }
        }
    }
    let mut taken = BTreeSet::new();
    let name = |(vertex, needed): (&Vertex, bool)| {
        if let Some(id) = Awaited::of(vertex) {
            return one(config, id);
        }
        let text = format!("{}_{}", vertex.resource.spec().kind, vertex.resource.name());
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let base = words.collect::<Vec<_>>().join("_").to_ascii_lowercase();
        let mut name = base.clone();
        let mut number = 1;
        while needed && !taken.insert(name.clone()) {
            number += 1;
            name = format!("{base}_{number}");
        }
        needed.then_some(name)
    };
    config.vertices.iter().zip(needed).map(name).collect()
}

/// A resource in the making.
pub(super) struct Expression {
    new: String,
    setters: Vec<String>,
    /// Metaparameters with the name of a field, which need the path of their trait.
    hidden: Vec<(&'static str, String)>,
}

pub(super) struct Writer<'a> {
    pub(super) config: &'a GraphConfig,
    variables: Vec<Option<String>>,
    pub(super) body: String,
    done: Vec<bool>,
}

impl Writer<'_> {
    pub(super) fn variable(&self, place: u32) -> &str {
        self.variables[place as usize].as_deref().unwrap_or_default()
    }

    fn resource(&mut self, place: usize) -> Result<(), String> {
        let at = u32::try_from(place).unwrap_or(u32::MAX);
        let links: Vec<&Link> = self.config.links.iter().filter(|link| link.to == at).collect();
        let mut expression = self.expression(&self.config.vertices[place], &links)?;
        expression.setters.extend(self.early_edges(at));
        let bind = self.variables[place].as_ref().filter(|_| self.is_named_later(at));
        let bind = bind.map_or(String::new(), |name| format!("let {name} = "));
        self.add(&format!("{bind}g.add"), &expression, "");
        self.done[place] = true;
        Ok(())
    }

    /// Writes a statement that adds a resource: a function, the resource, and what follows.
    pub(super) fn add(&mut self, function: &str, expression: &Expression, then: &str) {
        let Expression { new, setters, hidden } = expression;
        let one_line: String = setters.iter().map(|setter| format!(".{setter}")).collect();
        let mut resource = format!("{new}{one_line}");
        for (name, value) in hidden {
            resource = format!("mgmt::resource::Declare::{name}({resource}, {value})");
        }
        let line = format!("    {function}({resource}){then};");
        if line.chars().count() <= 100 || !hidden.is_empty() {
            let _ = writeln!(self.body, "{line}");
        } else {
            let setters: String = setters.iter().map(|setter| format!("\n            .{setter}")).collect();
            let _ = writeln!(self.body, "    {function}(\n        {new}{setters},\n    ){then};");
        }
    }

    /// The resource as an expression, with what it receives.
    pub(super) fn expression(&self, vertex: &Vertex, links: &[&Link]) -> Result<Expression, String> {
        let (spec, id) = (vertex.resource.spec(), vertex.id());
        if crate::gapi::builtin_kinds().get(spec.kind).is_none() {
            return Err(format!("{id}: this build has no kind `{}`, so it has no form in Rust", spec.kind));
        }
        let wired: Vec<u8> = links.iter().map(|link| link.field).collect();
        let data = vertex.resource.to_data(&wired).map_err(|problem| format!("{id}: {problem}"))?;
        let (mut required, mut setters) = (Vec::new(), Vec::new());
        for (number, field) in (0u8..).zip(spec.fields) {
            let link = links.iter().find(|link| link.field == number);
            let value = match (link, data.get(field.name)) {
                (Some(link), _) => self.received(link, field)?,
                (None, Some(json)) => {
                    literal(field, json).map_err(|problem| format!("{id}: `{}`: {problem}", field.name))?
                }
                (None, None) => continue,
            };
            if field.required { required.push(value) } else { setters.push(format!("{}({value})", setter(field.name))) }
        }
        // Where a field has the same name as a metaparameter, the metaparameter needs the path of its trait.
        let (hidden, metas): (Vec<_>, Vec<_>) =
            metas(&vertex.meta()).into_iter().partition(|(name, _)| spec.field(name).is_some());
        setters.extend(metas.into_iter().map(|(name, value)| format!("{name}({value})")));
        let arguments = std::iter::once(format!("{:?}", vertex.resource.name())).chain(required);
        let new = format!("{}::new({})", type_name(spec.kind), arguments.collect::<Vec<_>>().join(", "));
        Ok(Expression { new, setters, hidden })
    }

    /// Whether a resource that is written later refers to this one.
    fn is_named_later(&self, place: u32) -> bool {
        let later = |other: u32| !self.done[other as usize];
        let edges = self.config.edges.iter().any(|edge| {
            // The later end of an edge refers to the earlier one.
            (edge.from == place && later(edge.to)) || (edge.to == place && later(edge.from))
        });
        let end = End::Vertex(place);
        let awaited = self.config.awaited.iter().any(|edge| edge.from == end || edge.to == end);
        let mut links = self.config.all_links();
        edges || awaited || links.any(|(link, _)| link.sources.iter().any(|(from, _)| *from == place))
    }

    fn received(&self, link: &Link, field: &FieldSpec) -> Result<String, String> {
        if link.wire.closure {
            return Err("a closure can't be written back as Rust".to_owned());
        }
        let spec = |(from, port): &(u32, u8)| {
            &self.config.vertices[*from as usize].resource.spec().outputs[usize::from(*port)]
        };
        let outputs: Vec<_> =
            link.sources.iter().map(|source| format!("{}.{}()", self.variable(source.0), spec(source).name)).collect();
        Ok(match &link.wire.join {
            Join::One => {
                let sends_any = link.sources.first().is_some_and(|source| spec(source).type_name == "Any");
                let is_other = sends_any && field.format != Format::Any;
                let to = if is_other { format!(".to::<{}>()", field.type_name) } else { String::new() };
                outputs.concat() + &to
            }
            Join::List => format!("Output::all([{}])", outputs.join(", ")),
            Join::Named(names) => {
                let and = |((name, output), source): ((&String, &String), &(u32, u8))| {
                    let and = if spec(source).secret { "and_secret" } else { "and" };
                    format!(".{and}({name:?}, {output})")
                };
                let all = names.iter().zip(&outputs).zip(&link.sources).map(and);
                format!("Named::new(){}", all.collect::<String>())
            }
        })
    }

    /// Whether `from` sends a value to `to`: the link orders them already, so that no `after` is needed.
    fn is_sent(&self, from: u32, to: u32) -> bool {
        self.config.links.iter().any(|link| link.to == to && link.sources.iter().any(|(source, _)| *source == from))
    }

    /// The setters for edges between this resource and those that are written already.
    fn early_edges(&self, place: u32) -> Vec<String> {
        let mut setters = Vec::new();
        for edge in &self.config.edges {
            if edge.to == place && self.done[edge.from as usize] && (edge.notify || !self.is_sent(edge.from, place)) {
                let how = if edge.notify { "subscribe" } else { "after" };
                setters.push(format!("{how}(&{})", self.variable(edge.from)));
            } else if edge.from == place && self.done[edge.to as usize] {
                let how = if edge.notify { "notify" } else { "before" };
                setters.push(format!("{how}(&{})", self.variable(edge.to)));
            }
        }
        setters
    }
}

/// The name of the type of a kind.
pub(super) fn type_name(kind: &str) -> String {
    kind.split([':', '_']).map(capital).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// Words that are names in Rust only with `r#` before them, as far as a field could be called so.
const KEYWORDS: [&str; 17] = [
    "as", "break", "const", "else", "enum", "for", "if", "in", "loop", "match", "mod", "move", "ref", "static", "type",
    "use", "where",
];

/// The name of the setter of a field.
fn setter(field: &str) -> String {
    if KEYWORDS.contains(&field) { format!("r#{field}") } else { field.to_owned() }
}

/// The types of numbers; any other type of a field that is a number is made from one.
const NUMBERS: [&str; 12] = ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "f32", "f64"];

/// A field's value as an argument of its setter.
fn literal(field: &FieldSpec, json: &Json) -> Result<String, String> {
    let name = field.type_name.replace(' ', "");
    let plain = name.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')).unwrap_or(&name);
    value(plain, field.format, json)
}

/// A value as an expression of the type with this name.
fn value(name: &str, format: Format, json: &Json) -> Result<String, String> {
    Ok(match json {
        Json::Array(_) | Json::Object(_) if matches!(format, Format::Any | Format::Named) => {
            format!("{:?}.parse::<mgmt::resource::{name}>()?", json.to_string())
        }
        Json::Number(value) if format == Format::Any => value.to_string(),
        Json::String(text) if text == SECRET_PLACEHOLDER => {
            return Err("a secret is not written into a program: send it from a `password`".to_owned());
        }
        Json::String(text) if format == Format::Choice => {
            format!("{name}::{}", capital(text))
        }
        Json::String(text) => format!("{text:?}"),
        Json::Bool(truth) => truth.to_string(),
        Json::Number(_) if format == Format::Seconds => {
            let seconds: Seconds = serde_json::from_value(json.clone()).map_err(|error| error.to_string())?;
            duration(seconds.0)
        }
        Json::Number(value) if format == Format::Account => format!("{value}u32"),
        Json::Number(value) if format == Format::Levels => format!("{value}u16"),
        Json::Number(value) if !NUMBERS.contains(&name) => format!("{name}::from({value})"),
        Json::Number(value) => format!("{value}{name}"),
        Json::Array(values) => {
            let inner = name.strip_prefix("Vec<").and_then(|rest| rest.strip_suffix('>')).unwrap_or("String");
            if values.is_empty() {
                return Ok(format!("Vec::<{inner}>::new()"));
            }
            let of_each = if format == Format::Choice { format } else { Format::Plain };
            let values: Result<Vec<_>, _> = values.iter().map(|json| value(inner, of_each, json)).collect();
            format!("[{}]", values?.join(", "))
        }
        Json::Object(entries) if format == Format::Table => {
            let entry = |(key, json): (&String, &Json)| {
                value("String", Format::Plain, json).map(|value| format!("({key:?}, {value})"))
            };
            let entries: Result<Vec<_>, _> = entries.iter().map(entry).collect();
            format!("[{}]", entries?.join(", "))
        }
        Json::Object(_) if name == "RemoteGraph" => {
            let text = json.to_string();
            if text.contains(SECRET_PLACEHOLDER) {
                return Err("a secret in it is not written into a program: send it from a `password`".to_owned());
            }
            format!("{text:?}.parse::<mgmt::remote::RemoteGraph>()?")
        }
        Json::Object(_) | Json::Null => return Err(format!("{json} has no form in Rust")),
    })
}

/// The metaparameters that differ from their defaults: each setter and its argument.
fn metas(meta: &Meta) -> Vec<(&'static str, String)> {
    let usual = Meta::default();
    let mut setters = Vec::new();
    let mut set = |differs: bool, name: &'static str, value: String| {
        if differs {
            setters.push((name, value));
        }
    };
    let time = |time: Option<Duration>| time.map_or(String::new(), duration);
    set(meta.noop != usual.noop, "noop", meta.noop.to_string());
    set(meta.alert != usual.alert, "alert", meta.alert.to_string());
    set(meta.hidden != usual.hidden, "hidden", meta.hidden.to_string());
    set(!meta.ignore.is_empty(), "ignore", format!("{:?}", meta.ignore));
    set(meta.retry != usual.retry, "retry", meta.retry.to_string());
    set(meta.delay != usual.delay, "delay", duration(meta.delay));
    if let Backoff::Exponential { max } = meta.backoff {
        set(true, "backoff", duration(max));
    }
    set(meta.watch != usual.watch, "watch", meta.watch.to_string());
    set(meta.poll.is_some(), "poll", time(meta.poll));
    set(meta.limit.is_some(), "limit", format!("{:?}", meta.limit.unwrap_or_default()));
    set(meta.burst != usual.burst, "burst", meta.burst.to_string());
    set(meta.timeout.is_some(), "timeout", time(meta.timeout));
    for sema in &meta.sema {
        set(true, "sema", format!("{:?}", sema.to_string()));
    }
    set(meta.autoedge != usual.autoedge, "autoedge", meta.autoedge.to_string());
    set(meta.autogroup != usual.autogroup, "autogroup", meta.autogroup.to_string());
    set(meta.reverse != usual.reverse, "reverse", meta.reverse.to_string());
    set(meta.rewatch != usual.rewatch, "rewatch", meta.rewatch.to_string());
    set(meta.reset != usual.reset, "reset", meta.reset.to_string());
    set(meta.converged_timeout.is_some(), "converged_timeout", time(meta.converged_timeout));
    setters
}

fn duration(time: Duration) -> String {
    if time.subsec_nanos() == 0 {
        format!("Duration::from_secs({})", time.as_secs())
    } else if time.subsec_nanos().is_multiple_of(1_000_000) {
        format!("Duration::from_millis({})", time.as_millis())
    } else {
        format!("Duration::from_nanos({})", time.as_nanos())
    }
}
