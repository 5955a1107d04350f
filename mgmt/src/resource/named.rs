//! Values under names: what several resources send to one field, each by its name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::panic::Location;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::resource::accept::{Accepts, Input, IntoInput};
use crate::resource::any_value::{Any, IntoAny, Plain};
use crate::resource::digest::{Digest, Salted, digest_of};
use crate::resource::error::{Error, Result};
use crate::resource::facts::{Format, TypeFacts};
use crate::resource::origin::Origin;
use crate::resource::output::{NotReceived, Output, Sendable, Value, Wire};
use crate::resource::secret::{SECRET_PLACEHOLDER, Secret};

/// Values, each with a name: given as a map, or received from several resources. Some of them may be secrets.
#[derive(Clone)]
pub struct Values(Form);

#[derive(Clone)]
enum Form {
    Whole(BTreeMap<String, One>),
    /// Received in an earlier run; the values themselves were not kept.
    Known {
        digest: Salted,
        secret: bool,
    },
}

/// One of the values.
#[derive(Clone, PartialEq, Eq, Hash)]
enum One {
    Plain(Any),
    Secret(Secret<String>),
}

impl One {
    fn sent(value: &Value) -> Option<One> {
        let secret = value.downcast_ref::<Secret<String>>().cloned().map(One::Secret);
        secret.or_else(|| Any::sent(value).map(One::Plain))
    }
}

/// The values with the secrets among them: for a template, whose result is then a secret.
#[cfg(feature = "template")]
struct Open<'a>(&'a BTreeMap<String, One>);

#[cfg(feature = "template")]
impl Serialize for Open<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Shown<'a> {
            Plain(&'a Any),
            Secret(&'a str),
        }
        serializer.collect_map(self.0.iter().map(|(name, one)| match one {
            One::Plain(any) => (name, Shown::Plain(any)),
            One::Secret(secret) => (name, Shown::Secret(secret.declassify())),
        }))
    }
}

/// A text that was made from [`Values`].
#[derive(Debug)]
#[cfg_attr(not(feature = "template"), expect(dead_code, reason = "only a template makes one"))]
pub(crate) enum Filled {
    /// No secret is in it.
    Plain(String),
    /// One of the values is a secret.
    Secret(Secret<String>),
}

impl Values {
    /// Whether one of the values is a secret.
    pub fn is_secret(&self) -> bool {
        match &self.0 {
            Form::Whole(values) => values.values().any(|one| matches!(one, One::Secret(_))),
            Form::Known { secret, .. } => *secret,
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Form::Whole(values) if values.is_empty())
    }

    /// The stand-in for values that were received in an earlier run.
    pub(crate) fn known(digest: Salted, secret: bool) -> Values {
        Values(Form::Known { digest, secret })
    }

    /// The salted digest, if the values themselves are not known.
    pub(crate) fn remembered(&self) -> Option<Salted> {
        match self.0 {
            Form::Whole(_) => None,
            Form::Known { digest, .. } => Some(digest),
        }
    }

    /// The digest of all values with their names. `None`: they are not known.
    pub(crate) fn digest(&self) -> Option<Digest> {
        match &self.0 {
            Form::Whole(values) => Some(digest_of(values)),
            Form::Known { .. } => None,
        }
    }

    /// The template, filled with the values. `None`: they are not known.
    #[cfg(feature = "template")]
    pub(crate) fn fill(&self, template: &str) -> Option<Result<Filled>> {
        let Form::Whole(values) = &self.0 else { return None };
        let is_secret = self.is_secret();
        let text = crate::resource::template::fill(template, &Open(values), is_secret);
        Some(text.map(|text| if is_secret { Filled::Secret(Secret::new(text)) } else { Filled::Plain(text) }))
    }

    /// The same in a build without templates.
    #[cfg(not(feature = "template"))]
    pub(crate) fn fill(&self, _: &str) -> Option<Result<Filled>> {
        Some(Err(Error::new("this build has no templates: it lacks the feature `template`")))
    }

    fn receive(names: &[String], values: &[Value]) -> std::result::Result<Values, NotReceived> {
        let one = |(name, value): (&String, &Value)| Some((name.clone(), One::sent(value)?));
        let all: Option<_> = names.iter().zip(values).map(one).collect();
        all.map(|all| Values(Form::Whole(all))).ok_or(NotReceived::WrongType)
    }

    /// Whether values of this type can be received under a name.
    pub(crate) fn knows(sent: std::any::TypeId) -> bool {
        sent == std::any::TypeId::of::<Secret<String>>() || Any::knows(sent)
    }
}

impl Default for Values {
    /// No values.
    fn default() -> Values {
        Values(Form::Whole(BTreeMap::new()))
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Values) -> bool {
        let same = match (&self.0, &other.0) {
            (Form::Whole(one), Form::Whole(other)) => return one == other,
            (Form::Known { digest: one, .. }, Form::Known { digest: other, .. }) => one == other,
            (Form::Known { digest, .. }, Form::Whole(values)) | (Form::Whole(values), Form::Known { digest, .. }) => {
                digest.is_of(&digest_of(values))
            }
        };
        same && self.is_secret() == other.is_secret()
    }
}

impl Hash for Values {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Form::Whole(values) => values.hash(state),
            Form::Known { digest, .. } => digest.digest().hash(state),
        }
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Whole(values) => {
                let shown = values.iter().map(|(name, one)| match one {
                    One::Plain(any) => (name, any as &dyn fmt::Debug),
                    One::Secret(secret) => (name, secret as &dyn fmt::Debug),
                });
                f.debug_map().entries(shown).finish()
            }
            Form::Known { .. } => f.write_str("(as received before)"),
        }
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Shown<'a> {
            Plain(&'a Any),
            Secret(&'static str),
        }
        match &self.0 {
            Form::Whole(values) => serializer.collect_map(values.iter().map(|(name, one)| match one {
                One::Plain(any) => (name, Shown::Plain(any)),
                // Read again, it would not be a secret any more: it never travels.
                One::Secret(_) => (name, Shown::Secret(SECRET_PLACEHOLDER)),
            })),
            Form::Known { .. } => serializer.serialize_str("(as received before)"),
        }
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Values, D::Error> {
        let values = BTreeMap::<String, Any>::deserialize(deserializer)?;
        Ok(Values(Form::Whole(values.into_iter().map(|(name, any)| (name, One::Plain(any))).collect())))
    }
}

impl JsonSchema for Values {
    fn schema_name() -> Cow<'static, str> {
        "Values".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, Any>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

impl TypeFacts for Values {
    const FORMAT: Format = Format::Named;
}

/// Reads a map in JSON.
impl FromStr for Values {
    type Err = Error;

    fn from_str(text: &str) -> Result<Values> {
        Ok(serde_json::from_str(text)?)
    }
}

impl<V: Plain, const N: usize> Accepts<[(&str, V); N]> for Values {
    fn accept(values: [(&str, V); N]) -> Values {
        Values(Form::Whole(
            values.into_iter().map(|(name, value)| (name.to_owned(), One::Plain(value.any()))).collect(),
        ))
    }
}

/// Outputs of several resources, each under a name: for a field that takes [`Values`], and for a text that a template
/// makes of them. `T` is the type of such a text: `String`, or `Secret<String>` as soon as one of the values is a
/// secret, so that rustc keeps it from where it may be shown.
///
/// ```
/// # use mgmt::prelude::*;
/// # let mut g = Graph::new("named");
/// let host = g.add(Exec::new("host").cmd("hostname -f"));
/// let password = g.add(Password::new("app"));
/// let url = Named::new()
///     .and("host", host.stdout().map(|name| name.trim().to_owned()))
///     .and_secret("password", password.password())
///     .template("postgres://app:{{ password | urlencode }}@{{ host }}/app\n");
/// g.add(File::new("/etc/app/database").content(url).mode(0o600));
/// ```
#[must_use = "it does nothing until it is set on a field"]
pub struct Named<T = String> {
    names: Vec<String>,
    outputs: Vec<Output<One>>,
    is_computed: bool,
    of: PhantomData<fn() -> T>,
}

impl Named {
    /// No values yet.
    pub fn new() -> Named {
        Named { names: Vec::new(), outputs: Vec::new(), is_computed: false, of: PhantomData }
    }
}

impl Default for Named {
    fn default() -> Named {
        Named::new()
    }
}

impl<T> fmt::Debug for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Named").field(&self.names).finish()
    }
}

impl<T> Named<T> {
    fn with<U>(mut self, name: String, is_computed: bool, output: Output<One>) -> Named<U> {
        // A later value of the same name replaces the earlier one.
        if let Some(place) = self.names.iter().position(|other| *other == name) {
            self.names.remove(place);
            drop(self.outputs.remove(place));
        }
        self.names.push(name);
        self.outputs.push(output);
        Named {
            names: self.names,
            outputs: self.outputs,
            is_computed: self.is_computed || is_computed,
            of: PhantomData,
        }
    }

    /// Adds a value that is no secret.
    pub fn and<V: Sendable + IntoAny>(self, name: impl Into<String>, output: Output<V>) -> Named<T> {
        let is_computed = output.is_computed();
        self.with(name.into(), is_computed, output.map(|value| One::Plain(value.into_any())))
    }

    /// Adds a secret: what is made of the values is then a secret too.
    pub fn and_secret(self, name: impl Into<String>, output: Output<Secret<String>>) -> Named<Secret<String>> {
        let is_computed = output.is_computed();
        self.with(name.into(), is_computed, output.map(One::Secret))
    }

    fn values(self) -> Output<Values> {
        let names = self.names;
        let make = move |all: Vec<One>| Values(Form::Whole(names.iter().cloned().zip(all).collect()));
        Output::all(self.outputs).map(make)
    }
}

/// Templates.
#[cfg(feature = "template")]
impl Named<String> {
    /// The text that this template makes of the values: the language is that of [`render`](crate::render). If the
    /// template is wrong, or uses a name without a value, the run of the resource that receives the text fails.
    pub fn template(self, template: impl Into<String>) -> Output<String> {
        let template = template.into();
        self.values().try_map(move |values| match values.fill(&template) {
            Some(Ok(Filled::Plain(text))) => Ok(text),
            Some(Err(error)) => Err(error.to_string()),
            _ => Err("the values are not known".to_owned()),
        })
    }
}

/// Templates over secrets.
#[cfg(feature = "template")]
impl Named<Secret<String>> {
    /// The same for values with a secret among them: the text is a secret.
    pub fn template(self, template: impl Into<String>) -> Output<Secret<String>> {
        let template = template.into();
        self.values().try_map(move |values| match values.fill(&template) {
            Some(Ok(Filled::Plain(text))) => Ok(Secret::new(text)),
            Some(Ok(Filled::Secret(text))) => Ok(text),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the values are not known".to_owned()),
        })
    }
}

/// Marks a setter's argument as values under names.
#[derive(Debug)]
pub enum ByNames {}

#[diagnostic::do_not_recommend]
impl<T> IntoInput<Values, ByNames> for Named<T> {
    #[track_caller]
    fn into_input(self) -> Input<Values> {
        let (names, is_computed) = (self.names.clone(), self.is_computed);
        let output = self.values();
        let wire = Wire::named(Origin::Source(Location::caller()), names, output, is_computed);
        Input::Wire(wire, Values::default())
    }
}

impl Wire {
    /// A wire made from data: from one output for each of these names to a field that takes [`Values`].
    pub fn named_from_data(origin: Origin, names: Vec<String>, is_secret: bool) -> Wire {
        let all = names.clone();
        let receive = move |values: &[Value]| Values::receive(&all, values);
        Wire::of_names(origin, names, Vec::new(), is_secret, receive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values(Form::Whole(BTreeMap::from([
            ("host".to_owned(), One::Plain("web".any())),
            ("pin".to_owned(), One::Secret(Secret::new("canary".to_owned()))),
        ])))
    }

    #[test]
    fn a_secret_among_the_values_is_not_shown() {
        assert_eq!(format!("{:?}", values()), r#"{"host": Any(String("web")), "pin": (secret)}"#);
        assert_eq!(serde_json::to_string(&values()).unwrap(), r#"{"host":"web","pin":"(secret)"}"#);
        assert!(values().is_secret());
        assert!(!Values::accept([("host", "web")]).is_secret());
    }

    #[test]
    fn values_are_compared_with_what_is_remembered_of_them() {
        let salted = Salted::new(crate::resource::Salt([3; 32]), values().digest().unwrap());
        assert_eq!(Values::known(salted, true), values());
        assert_ne!(Values::known(salted, false), values());
        assert_ne!(Values::known(salted, true), Values::default());
    }

    #[cfg(feature = "template")]
    #[test]
    fn a_text_made_of_a_secret_is_one_and_so_are_its_errors() {
        let fill = |template: &str| values().fill(template).unwrap();
        match fill("{{ host }}:{{ pin }}").unwrap() {
            Filled::Secret(text) => assert_eq!(text.declassify(), "web:canary"),
            Filled::Plain(text) => panic!("shown: {text}"),
        }
        for wrong in ["{{ pins }}", "{{ pin + 1 }}", "{{ pin | int }}", "{{ pin.x.y }}", "{{ host"] {
            let error = fill(wrong).unwrap_err().to_string();
            assert!(!error.contains("canary") && error.contains("the template"), "{error}");
        }
    }
}
