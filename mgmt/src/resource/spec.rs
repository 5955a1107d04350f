//! What a kind says of itself: made by `#[derive(Resource)]`, read by every front end.

use std::any::TypeId;
use std::fmt::{self, Display};

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value as Json};

use crate::resource::ability::Abilities;
use crate::resource::digest::Salted;
use crate::resource::facts::Format;
use crate::resource::output::{FieldValue, Received, Value};
use crate::resource::problem::FieldProblem;
use crate::resource::secret::Secret;

/// A kind of resource.
pub struct KindSpec {
    /// Its name.
    pub kind: &'static str,
    /// Its documentation.
    pub doc: &'static str,
    /// Its resources may have a watch. (Else the engine does not even ask.)
    pub watched: bool,
    /// Its resources log nothing: their operations get no span, which saves its cost where there are very many.
    pub quiet: bool,
    /// What its watch reports are ticks: to apply one changes nothing but what the resource remembers. It is activity
    /// only if something comes of it: a child that has drifted, or that is refreshed.
    pub ticks: bool,
    /// What of it returns at once.
    pub inline: Inline,
    /// The field that holds the name.
    pub name_field: &'static str,
    /// Its other fields, in order.
    pub fields: &'static [FieldSpec],
    /// Its outputs, in order of their numbers.
    pub outputs: &'static [OutputSpec],
    /// What its resources can do besides being checked and applied.
    pub abilities: Abilities,
    /// What its resources need from the program that embeds the engine: `#[resource(provided = Client)]`.
    pub provided: &'static [ProvidedSpec],
}

/// What of a kind the loop of the engine calls itself, because it returns at once or awaits what takes time. All else
/// is called on threads that may block, so that a kind whose code blocks holds up nothing but its own resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inline {
    /// Nothing: the default.
    Nothing,
    /// `watch`: `#[resource(inline = watch)]`.
    Watch,
    /// `watch`, and the first poll of each operation: `#[resource(inline)]`. This saves a kind that only looks at
    /// memory the way to another thread and back.
    Everything,
}

/// A value that a kind needs from the program.
pub struct ProvidedSpec {
    /// Its type, as written.
    pub type_name: &'static str,
    /// Its type.
    pub type_id: fn() -> TypeId,
}

/// One field of a kind.
pub struct FieldSpec {
    /// Its name.
    pub name: &'static str,
    /// Its documentation.
    pub doc: &'static str,
    /// Must be given.
    pub required: bool,
    /// Its type, as written. For people: what the type means is in the facts below.
    pub type_name: &'static str,
    /// Its values must not be shown.
    pub secret: bool,
    /// How its values are written.
    pub format: Format,
    /// Its JSON schema.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Whether it takes sent values of that type.
    pub takes: fn(TypeId) -> bool,
    /// Its value from a sent one (wires made from data).
    pub convert: fn(&Value) -> Option<Received>,
    /// Its value from the digest of a sent one of that type, see [`Accepts::from_digest`](crate::resource::Accepts::from_digest).
    pub recall: fn(TypeId, Salted) -> Option<FieldValue>,
}

/// One output of a kind.
pub struct OutputSpec {
    /// Its name.
    pub name: &'static str,
    /// Its documentation.
    pub doc: &'static str,
    /// Its type, as written.
    pub type_name: &'static str,
    /// Its values must not be shown.
    pub secret: bool,
    /// Its type.
    pub type_id: fn() -> TypeId,
}

impl FieldSpec {
    /// A secret may be in it: its values are secrets, or it takes one.
    pub fn keeps_secrets(&self) -> bool {
        // No resource sends a value of this type: a field that takes one is of a kind that this build lacks, and takes
        // all.
        struct Anything;
        let takes = |of: TypeId| (self.takes)(of) && !(self.takes)(TypeId::of::<Anything>());
        self.secret || takes(TypeId::of::<Secret<String>>()) || takes(TypeId::of::<Secret<Vec<u8>>>())
    }
}

impl KindSpec {
    /// The number of the output that `from`, a resource of this kind, sends under that name, or what to do without it.
    pub(crate) fn sends(&self, from: &dyn Display, output: &str) -> Result<u8, String> {
        self.output(output).ok_or_else(|| {
            let hint = match self.outputs {
                [] => format!("a {} sends nothing", self.kind),
                outputs => hint(output, outputs.iter().map(|output| output.name), "it sends"),
            };
            format!("{from} has no output `{output}`: {hint}")
        })
    }

    /// What `from` sends by an output of this kind can go to a field of `to`, or why not.
    pub(crate) fn fits(
        &self,
        from: &dyn Display,
        output: u8,
        to: &dyn Display,
        field: &FieldSpec,
    ) -> Result<(), String> {
        let sent = &self.outputs[usize::from(output)];
        if (field.takes)((sent.type_id)()) {
            return Ok(());
        }
        let why = if sent.secret { ": a secret goes only to fields that keep secrets" } else { "" };
        Err(format!(
            "{from} sends `{}` as `{}`, and `{}` of {to} takes `{}`{why}",
            sent.name, sent.type_name, field.name, field.type_name
        ))
    }

    /// The number of the field of that name.
    pub fn field(&self, name: &str) -> Option<u8> {
        self.fields.iter().position(|field| field.name == name).and_then(|n| u8::try_from(n).ok())
    }

    /// The number of the output of that name.
    pub fn output(&self, name: &str) -> Option<u8> {
        self.outputs.iter().position(|output| output.name == name).and_then(|n| u8::try_from(n).ok())
    }
}

impl FieldSpec {
    /// What is wrong with a value that is not of the field's type, without the value.
    pub(crate) fn misfit(&self) -> String {
        format!(": the value, which is secret, is no `{}`", self.type_name)
    }
}

impl fmt::Debug for KindSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KindSpec").field(&self.kind).finish()
    }
}

/// Reads the fields of one resource given as data. Used by the derive.
#[derive(Debug)]
pub struct FieldReader<'a> {
    spec: &'static KindSpec,
    data: &'a mut Map<String, Json>,
    /// Fields that will be received: they need not be given.
    wired: &'a [u8],
    problems: &'a mut Vec<FieldProblem>,
}

impl<'a> FieldReader<'a> {
    /// Reads from `data` and collects what is wrong in `problems`.
    pub fn new(
        spec: &'static KindSpec,
        data: &'a mut Map<String, Json>,
        wired: &'a [u8],
        problems: &'a mut Vec<FieldProblem>,
    ) -> Self {
        FieldReader { spec, data, wired, problems }
    }

    fn parse<T>(&mut self, field: u8, json: Json, parse: fn(Json) -> serde_json::Result<T>) -> Option<T> {
        let field = &self.spec.fields[usize::from(field)];
        let problem = match parse(json) {
            Ok(value) => return Some(value),
            // The text of serde quotes the value.
            Err(_) if field.secret => FieldProblem::new(field.name, field.misfit(), ""),
            Err(problem) => FieldProblem::new(field.name, format_args!(": {problem}"), ""),
        };
        self.problems.push(problem);
        None
    }

    /// The value of a field that must be given, or received: then the placeholder stands in until it is.
    pub fn required<T>(
        &mut self,
        field: u8,
        placeholder: Option<T>,
        parse: fn(Json) -> serde_json::Result<T>,
    ) -> Option<T> {
        let name = self.spec.fields[usize::from(field)].name;
        if let Some(json) = self.data.remove(name) {
            return self.parse(field, json, parse);
        }
        let wired = self.wired.contains(&field);
        let problem = match placeholder {
            Some(placeholder) if wired => return Some(placeholder),
            _ if wired => format!("`{name}` can't be received: its type has no default"),
            _ => format!("{} needs `{name}`", self.spec.kind),
        };
        self.problems.push(FieldProblem::of_key(name, problem, ""));
        None
    }

    /// The value of a field that may be left out. The outer `None`: what was given is wrong.
    pub fn optional<T>(&mut self, field: u8, parse: fn(Json) -> serde_json::Result<T>) -> Option<Option<T>> {
        let name = self.spec.fields[usize::from(field)].name;
        match self.data.remove(name) {
            None | Some(Json::Null) => Some(None),
            Some(json) => self.parse(field, json, parse).map(Some),
        }
    }

    /// The same for a field with a default, whose type may have a value that is written as null.
    pub fn defaulted<T>(&mut self, field: u8, parse: fn(Json) -> serde_json::Result<T>) -> Option<Option<T>> {
        let name = self.spec.fields[usize::from(field)].name;
        match self.data.remove(name) {
            None => Some(None),
            Some(Json::Null) => Some(parse(Json::Null).ok()),
            Some(json) => self.parse(field, json, parse).map(Some),
        }
    }

    /// Whatever is left has no field.
    pub fn finish(self) {
        for (key, _) in std::mem::take(self.data) {
            let hint = hint(&key, self.spec.fields.iter().map(|field| field.name), "its fields are");
            let problem = format!("{} has no field `{key}`", self.spec.kind);
            self.problems.push(FieldProblem::of_key(&key, problem, hint));
        }
    }
}

/// What helps where `word` is none of the known ones: the one that is most like it, or all of them after `list` (as in
/// *there are*).
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str, IntoIter: Clone>, list: &str) -> String {
    let known = known.into_iter();
    match near(word, known.clone()) {
        Some(near) => near,
        None => format!("{list} {}", known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// The same where there may be too many to list them.
pub(crate) fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|near| format!("did you mean `{near}`?"))
}

/// The candidate most like `word`, if any is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody mistypes a novel; and what is much longer or shorter is not meant.
    const WORD_MAX: usize = 200;
    let length = word.chars().count();
    let limit = length / 3 + 1;
    let alike =
        |candidate: &&str| candidate.len() <= 4 * WORD_MAX && candidate.chars().count().abs_diff(length) <= limit;
    candidates
        .into_iter()
        .filter(|candidate| length <= WORD_MAX && alike(candidate))
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        assert_eq!(nearest("contnet", ["content", "mode"]), Some("content"));
        assert_eq!(nearest("Mod", ["content", "mode"]), Some("mode"));
        assert_eq!(nearest("owner", ["content", "mode"]), None);
    }
}
