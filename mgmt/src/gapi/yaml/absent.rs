//! Kinds that files may name but this build lacks: their resources are read and checked like others, and fail at run
//! time with one clear message.

use std::any::{Any, TypeId};
#[cfg(feature = "cli")]
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value as Json};

use crate::gapi::yaml::elsewhere::ELSEWHERE;
#[cfg(feature = "cli")]
use crate::graph::GraphConfig;
use crate::id::ResourceId;
use crate::resource::{
    Abilities, AnyDrift, AnyResource, ApplyCx, BoxFuture, CheckCx, DataError, Error, FieldSpec, FieldValue, Format,
    Identify, Inline, KindSpec, OutputSpec, Result, Reversal, SECRET_PLACEHOLDER,
};

/// A resource of a kind that this build lacks.
#[derive(Clone)]
pub(crate) struct Absent {
    pub(crate) spec: &'static KindSpec,
    pub(crate) name: String,
    pub(crate) fields: Map<String, Json>,
}

impl Absent {
    fn error<T: Send + 'static>(&self) -> BoxFuture<Result<T>> {
        refuse(self.spec)
    }
}

/// Replaces every scalar in a value with a placeholder.
fn hide(value: &mut Json) {
    match value {
        Json::Array(values) => values.iter_mut().for_each(hide),
        Json::Object(values) => values.values_mut().for_each(hide),
        _ => *value = Json::String(SECRET_PLACEHOLDER.to_owned()),
    }
}

fn refuse<T: Send + 'static>(spec: &KindSpec) -> BoxFuture<Result<T>> {
    let error = Error::new(format!("this build has no kind `{}`", spec.kind));
    Box::pin(std::future::ready(Err(error)))
}

/// The abilities of such a kind in another build are unknown here, so an edge that notifies it is not refused, nor is
/// `reverse`.
const ABILITIES: Abilities = Abilities {
    refresh: Some(|resource, _| refuse(resource.spec())),
    leave: None,
    prepare: None,
    reverse: Some(Reversal {
        undo: |_, _, _| Box::pin(std::future::ready(Err(Error::new("this build has no such kind")))),
        describe: |_| Err(Error::new("this build has no such kind")),
        owns: |_| Vec::new(),
    }),
    many: None,
    group: None,
    merge: None,
    capture: None,
};

impl Identify for Absent {
    fn kind(&self) -> &'static KindSpec {
        self.spec
    }

    fn id(&self) -> ResourceId {
        ResourceId::new(self.spec.kind, &self.name)
    }
}

impl AnyResource for Absent {
    fn spec(&self) -> &'static KindSpec {
        self.spec
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn same(&self, other: &dyn AnyResource) -> bool {
        other.derived().downcast_ref::<Absent>().is_some_and(|other| {
            self.spec.kind == other.spec.kind && self.name == other.name && self.fields == other.fields
        })
    }

    fn check(self: Arc<Self>, _: CheckCx) -> BoxFuture<Result<Option<AnyDrift>>> {
        self.error()
    }

    fn apply(self: Arc<Self>, _: ApplyCx, _: AnyDrift) -> BoxFuture<Result<()>> {
        self.error()
    }

    fn with_received(&self, _: Vec<(u8, FieldValue)>) -> Option<Arc<dyn AnyResource>> {
        Some(Arc::new(self.clone()))
    }

    fn to_data(&self, _: &[u8]) -> Result<Map<String, Json>, DataError> {
        let mut fields = self.fields.clone();
        for field in self.spec.fields.iter().filter(|field| field.secret) {
            fields.get_mut(field.name).into_iter().for_each(hide);
        }
        Ok(fields)
    }

    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the fields: there may be a password among them.
        write!(f, "{}[{}]", self.spec.kind, self.name)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What this build contains about a kind that it lacks.
pub(crate) fn absent(kind: &str) -> Option<&'static KindSpec> {
    absent_kinds().find(|spec| spec.kind == kind)
}

/// The kinds of a graph that this build lacks: their resources will fail.
#[cfg(feature = "cli")]
pub(crate) fn lacking(config: &GraphConfig) -> BTreeSet<&'static str> {
    let specs = config.vertices.iter().map(|vertex| vertex.resource.spec());
    specs
        .filter(|spec| absent(spec.kind).is_some_and(|absent| std::ptr::eq(absent, *spec)))
        .map(|spec| spec.kind)
        .collect()
}

/// The number of the output with that name, and whether the kind is known to have it. An unknown output has a number
/// too: it never sends a value.
pub(crate) fn absent_output(spec: &KindSpec, name: &str) -> (u8, bool) {
    let last = u8::try_from(spec.outputs.len().saturating_sub(1)).unwrap_or(u8::MAX);
    spec.output(name).map_or((last, false), |number| (number, true))
}

/// The kinds that this build lacks.
pub(crate) fn absent_kinds() -> impl Iterator<Item = &'static KindSpec> {
    ELSEWHERE.iter()
}

pub(super) const fn kind(
    kind: &'static str,
    doc: &'static str,
    fields: &'static [FieldSpec],
    outputs: &'static [OutputSpec],
) -> KindSpec {
    KindSpec {
        kind,
        doc,
        watched: false,
        quiet: false,
        ticks: false,
        inline: Inline::Everything,
        name_field: "name",
        fields,
        outputs,
        abilities: ABILITIES,
        provided: &[],
    }
}

const fn field(
    name: &'static str,
    type_name: &'static str,
    schema: fn(&mut SchemaGenerator) -> Schema,
    doc: &'static str,
) -> FieldSpec {
    FieldSpec {
        name,
        doc,
        required: false,
        type_name,
        secret: false,
        format: Format::Plain,
        schema,
        takes: |_| true,
        convert: |_| None,
        parse: |_| Err(serde::de::Error::custom("this build lacks the kind")),
        recall: |_, _| None,
    }
}

pub(super) const fn text(name: &'static str, doc: &'static str) -> FieldSpec {
    field(name, "String", |generator| generator.subschema_for::<String>(), doc)
}

pub(super) const fn truth(name: &'static str, doc: &'static str) -> FieldSpec {
    field(name, "bool", |generator| generator.subschema_for::<bool>(), doc)
}

pub(super) const fn whole(name: &'static str, doc: &'static str) -> FieldSpec {
    field(name, "u64", |generator| generator.subschema_for::<u64>(), doc)
}

pub(super) const fn texts(name: &'static str, doc: &'static str) -> FieldSpec {
    field(name, "Vec<String>", |generator| generator.subschema_for::<Vec<String>>(), doc)
}

pub(super) const fn any(name: &'static str, doc: &'static str) -> FieldSpec {
    field(name, "any", |_| true.into(), doc)
}

/// A field that must not be shown, whatever its form.
pub(super) const fn secret(name: &'static str, doc: &'static str) -> FieldSpec {
    FieldSpec { secret: true, ..any(name, doc) }
}

/// An output. Its type does not matter here: it never sends.
pub(super) const fn output(name: &'static str) -> OutputSpec {
    OutputSpec { name, doc: "", type_name: "any", secret: false, type_id: TypeId::of::<String> }
}
