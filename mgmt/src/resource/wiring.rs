//! Wires of graphs given as data: which outputs a field takes, and how their values make one.

use std::any::TypeId;
use std::fmt::Display;

use schemars::SchemaGenerator;
use serde_json::Value as Json;

use crate::resource::any_value::Any;
use crate::resource::facts::Format;
use crate::resource::named::Values;
use crate::resource::origin::Origin;
use crate::resource::output::Wire;
use crate::resource::spec::{FieldSpec, KindSpec, OutputSpec};

/// An output, and the resource that has it.
pub(crate) struct Sender<'a> {
    /// The resource, for messages.
    pub(crate) id: &'a dyn Display,
    pub(crate) spec: &'static KindSpec,
    pub(crate) port: u8,
    /// The name that the value gets, where values have names.
    pub(crate) name: &'a str,
}

impl Sender<'_> {
    fn output(&self) -> &'static OutputSpec {
        &self.spec.outputs[usize::from(self.port)]
    }

    fn sent(&self) -> TypeId {
        (self.output().type_id)()
    }

    fn misfit(&self, to: &dyn Display, field: &FieldSpec, why: &str) -> String {
        let (sent, why) = (self.output(), if self.output().secret { SECRET } else { why });
        let (id, name, of) = (self.id, sent.name, sent.type_name);
        format!("{id} sends `{name}` as `{of}`, and `{}` of {to} takes `{}`{why}", field.name, field.type_name)
    }
}

const SECRET: &str = ": a secret goes only to fields that keep secrets";

impl FieldSpec {
    /// The wire from one output to this field of `to`. The error is a message.
    pub(crate) fn wire(&'static self, from: &Sender<'_>, to: &dyn Display, origin: Origin) -> Result<Wire, String> {
        let sent = from.sent();
        if self.format == Format::Named {
            return self.wire_of_several(std::slice::from_ref(from), to, origin);
        }
        // What data an `Any` has shows when it arrives.
        let is_any = sent == TypeId::of::<Any>() && !self.secret;
        if (self.takes)(sent) || is_any || (self.format == Format::Any && Any::knows(sent)) {
            return Ok(Wire::from_data(origin, sent, self));
        }
        Err(from.misfit(to, self, ""))
    }

    /// The wire from a list of outputs to this field of `to`: the field gets a list, or values with names. The error is
    /// a message.
    pub(crate) fn wire_of_several(
        &'static self,
        from: &[Sender<'_>],
        to: &dyn Display,
        origin: Origin,
    ) -> Result<Wire, String> {
        let is_named = self.format == Format::Named;
        if !is_named && !self.takes_list() {
            let hint = "a `value` with a `template` makes one of several";
            return Err(format!("`{}` of {to} takes one value, not a list: {hint}", self.name));
        }
        let fits = |sender: &Sender<'_>| match is_named {
            true => Values::knows(sender.sent()),
            false => Any::knows(sender.sent()) && !self.secret,
        };
        if let Some(wrong) = from.iter().find(|sender| !fits(sender)) {
            return Err(wrong.misfit(to, self, ""));
        }
        if !is_named {
            return Ok(Wire::list_from_data(origin, self));
        }
        let names: Vec<String> = from.iter().map(|sender| sender.name.to_owned()).collect();
        if let Some((n, name)) = names.iter().enumerate().find(|(n, name)| names[..*n].contains(name)) {
            let (first, second) = (from.iter().find(|sender| sender.name == name), &from[n]);
            let first = first.map_or(String::new(), |first| format!("{} and ", first.id));
            let problem = format!("{first}{} have the same name `{name}`", second.id);
            return Err(format!("`{}` of {to}: {problem}: give one of them another", self.name));
        }
        let is_secret = from.iter().any(|sender| sender.output().secret);
        Ok(Wire::named_from_data(origin, names, is_secret))
    }

    /// Whether the field's values are lists.
    pub(crate) fn takes_list(&self) -> bool {
        fn is_list(schema: &Json) -> bool {
            let is_named = |sort: &Json| sort == "array";
            let sort = schema.get("type");
            let is_array =
                sort.is_some_and(|sort| is_named(sort) || sort.as_array().is_some_and(|s| s.iter().any(is_named)));
            let choices = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array());
            is_array || choices.flatten().any(is_list)
        }
        self.format == Format::Any || is_list((self.schema)(&mut SchemaGenerator::default()).as_value())
    }
}
