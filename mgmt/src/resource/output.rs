//! Values that are sent from one resource to another: ports, outputs, wires.

use std::any::{Any as Erased, TypeId};
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::resource::accept::Accepts;
use crate::resource::any_value::Any;
use crate::resource::digest::{Digest, Salted, digest_of};
use crate::resource::named::Values;
use crate::resource::origin::Origin;
use crate::resource::secret::Secret;
use crate::resource::spec::FieldSpec;

/// A value that was sent. Shared, never copied.
pub type Value = Arc<dyn Erased + Send + Sync>;

/// A type that can be sent between resources. Implemented for all types with the required traits.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` can't be sent",
    label = "this type can't travel between resources",
    note = "receivers are checked again when the digest of a sent value changes: derive what is missing of `Clone, PartialEq, Hash` for it",
    note = "floating point numbers have no `Hash`: send a whole number of smaller units, or a text"
)]
pub trait Sendable: Clone + PartialEq + Hash + Send + Sync + 'static {}
#[diagnostic::do_not_recommend]
impl<T: Clone + PartialEq + Hash + Send + Sync + 'static> Sendable for T {}

/// An output of a kind: its number, its name and, as a type parameter, the type of its values.
pub struct Port<T> {
    number: u8,
    name: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T> Port<T> {
    /// Made by the derive.
    #[doc(hidden)]
    pub const fn new(number: u8, name: &'static str) -> Self {
        Port { number, name, of: PhantomData }
    }

    /// The number of the output in its kind.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The name of the output.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Clone for Port<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Port<T> {}
impl<T> fmt::Debug for Port<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.name)
    }
}

/// A resource in a graph under construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeRef {
    /// The number of the graph.
    pub graph: u64,
    /// Its index in the graph.
    pub index: u32,
    /// What that is an index of.
    pub sort: NodeSort,
}

/// What a [`NodeRef`] stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NodeSort {
    /// A resource: the index is that of the resource.
    #[default]
    Resource,
    /// All resources that a rule collects: the index is that of the rule.
    Collected,
    /// One of these, by the index of its name in the rule.
    One(u32),
}

/// One output of one resource, as the source of a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The sender.
    pub node: NodeRef,
    /// The number of the output.
    pub port: u8,
    /// The type of the values that are sent.
    pub sent: TypeId,
}

type Receive = Arc<dyn Fn(&[Value]) -> Result<Received, NotReceived> + Send + Sync>;
type Compute = Arc<dyn Fn(&[Value]) -> Result<Value, NotReceived> + Send + Sync>;

/// The reason why sent values give no value of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReceived {
    /// A sender sent a value of another type than that of its port.
    #[error("what it receives is of another type than its sender promised")]
    WrongType,
    /// A `try_map` failed, with this text.
    #[error("{0}")]
    Failed(String),
}

/// A value that a resource has once it has run: typed, and free to be transformed and combined before it is set on a
/// field. Until then it has no text, so `format!("{output}")` does not compile.
#[must_use = "an output does nothing until it is set on a field"]
pub struct Output<T> {
    sources: Vec<Source>,
    /// `None`: the value of the only source, unchanged.
    compute: Option<Compute>,
    /// How the values of the sources are joined, if no closure does it.
    join: Option<Join>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Output<T> {
    fn clone(&self) -> Self {
        Output {
            sources: self.sources.clone(),
            compute: self.compute.clone(),
            join: self.join.clone(),
            of: PhantomData,
        }
    }
}

/// Implemented by no type. An output has its value once its resource has run, so a text with `{output}` that is made
/// with the graph does not compile, and rustc's message contains the name of this trait. Instead, make the text from
/// the value: `output.map(|value| format!("… {value} …"))`; from several values, with `zip` or `Output::all`.
#[doc(hidden)]
pub trait HasItsValueBeforeTheRun {}

impl<T> fmt::Display for Output<T>
where
    Output<T>: HasItsValueBeforeTheRun,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(an output)")
    }
}

impl<T> fmt::Debug for Output<T>
where
    Output<T>: HasItsValueBeforeTheRun,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(an output)")
    }
}

impl<T: Sendable> Output<T> {
    /// The output `port` of the resource `node`.
    pub fn of(node: NodeRef, port: Port<T>) -> Self {
        Output {
            sources: vec![Source { node, port: port.number, sent: TypeId::of::<T>() }],
            compute: None,
            join: Some(Join::One),
            of: PhantomData,
        }
    }

    /// Another value made from this one. `make` must be a pure function: it runs whenever the value changes, and in
    /// plans.
    ///
    /// After a restart, a field made from a secret can be recalled without the secret, as long as the closure gives the
    /// same results for two sample texts as before. If a new version of the program has a closure with other results,
    /// the sender must make the secret again.
    pub fn map<U: Sendable>(self, make: impl Fn(T) -> U + Send + Sync + 'static) -> Output<U> {
        let inner = self.computed();
        let compute: Compute = Arc::new(move |values| Ok(Arc::new(make(inner(values)?))));
        Output { sources: self.sources, compute: Some(compute), join: None, of: PhantomData }
    }

    /// Like [`map`](Output::map), with a function that can fail: the run of the receiver then fails with the error's
    /// text and the place where the output was set on the field, and is tried again according to the receiver's
    /// metaparameters.
    ///
    /// ```
    /// # use mgmt::prelude::*;
    /// # let mut g = Graph::new("length");
    /// let length = g.add(Exec::new("length").cmd("cat /etc/password-length"));
    /// g.add(Password::new("admin").length(length.stdout().try_map(|text| text.trim().parse::<usize>())));
    /// ```
    pub fn try_map<U: Sendable, E: fmt::Display>(
        self,
        make: impl Fn(T) -> Result<U, E> + Send + Sync + 'static,
    ) -> Output<U> {
        let inner = self.computed();
        let compute: Compute = Arc::new(move |values| {
            let made = make(inner(values)?).map_err(|error| NotReceived::Failed(error.to_string()))?;
            Ok(Arc::new(made))
        });
        Output { sources: self.sources, compute: Some(compute), join: None, of: PhantomData }
    }

    /// This value together with another one. The pair is available once both values are.
    pub fn zip<U: Sendable>(self, other: Output<U>) -> Output<(T, U)> {
        let (left, right, cut) = (self.computed(), other.computed(), self.sources.len());
        let mut sources = self.sources;
        sources.extend(other.sources);
        let compute: Compute = Arc::new(move |values| Ok(Arc::new((left(&values[..cut])?, right(&values[cut..])?))));
        Output { sources, compute: Some(compute), join: None, of: PhantomData }
    }

    /// Several outputs of one type as one output with a list.
    pub fn all(outputs: impl IntoIterator<Item = Output<T>>) -> Output<Vec<T>> {
        let (mut sources, mut parts) = (Vec::new(), Vec::new());
        let mut listed = true;
        for output in outputs {
            listed &= output.join == Some(Join::One);
            parts.push((output.computed(), output.sources.len()));
            sources.extend(output.sources);
        }
        let compute: Compute = Arc::new(move |values| {
            let mut rest = values;
            let mut made = Vec::with_capacity(parts.len());
            for (part, count) in &parts {
                let (mine, others) = rest.split_at(*count);
                made.push(part(mine)?);
                rest = others;
            }
            Ok(Arc::new(made))
        });
        Output { sources, compute: Some(compute), join: listed.then_some(Join::List), of: PhantomData }
    }

    /// Whether a closure makes the value.
    pub(crate) fn is_computed(&self) -> bool {
        self.join.is_none()
    }

    fn computed(&self) -> impl Fn(&[Value]) -> Result<T, NotReceived> + Send + Sync + 'static {
        let compute = self.compute.clone();
        move |values| {
            let value = match &compute {
                Some(compute) => compute(values)?,
                None => values.first().ok_or(NotReceived::WrongType)?.clone(),
            };
            value.downcast_ref::<T>().cloned().ok_or(NotReceived::WrongType)
        }
    }
}

impl Output<Any> {
    /// The value as one of type `T`. If it is of another type, the run of the receiver fails.
    ///
    /// ```
    /// # use mgmt::{prelude::*, resources::Value};
    /// # let mut g = Graph::new("length");
    /// let length = g.add(Value::new("length").any(20));
    /// g.add(Password::new("admin").length(length.typed().to::<usize>()));
    /// ```
    pub fn to<T: Sendable + DeserializeOwned>(self) -> Output<T> {
        let join = self.join.clone().filter(|join| *join == Join::One);
        Output { join, ..self.try_map(|any| any.to()) }
    }
}

/// A field's value from a wire, with its type erased.
pub type FieldValue = Box<dyn Erased + Send + Sync>;

/// How a wire makes one value from those of its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Join {
    /// The value of the only source; or what a closure makes of several.
    One,
    /// A list, in the order of the sources.
    List,
    /// Each value has the name at its place.
    Named(Arc<[String]>),
}

/// A wire from one or more outputs to one field, with its types erased.
#[derive(Clone)]
pub struct Wire {
    /// The senders, until the graph's `Link` has them.
    pub sources: Vec<Source>,
    /// How the values of several sources make one.
    pub join: Join,
    /// The wire contains a `map` or `zip`: a Rust closure, which can't leave this process.
    pub closure: bool,
    /// The line that made the wire.
    pub origin: Origin,
    receive: Receive,
    recall: fn(TypeId, Salted) -> Option<FieldValue>,
    /// The type of the sent value.
    sent: TypeId,
}

/// The value that a wire delivers.
pub struct Received {
    /// The field's value.
    pub value: FieldValue,
    /// The digest by which the value can be recalled in a later run; `None` if its type does not support that.
    pub digest: Option<Digest>,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Received(…)")
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("sources", &self.sources).field("closure", &self.closure).finish_non_exhaustive()
    }
}

/// The field's value from data that was received. The error contains the value, which is no secret.
fn parsed(field: &FieldSpec, json: serde_json::Value) -> Result<Received, NotReceived> {
    let value = (field.parse)(json).map_err(|error| NotReceived::Failed(error.to_string()))?;
    Ok(Received { value, digest: None })
}

impl Wire {
    #[track_caller]
    pub(crate) fn new<T, V>(output: Output<V>) -> Wire
    where
        T: Accepts<V> + Send + Sync + 'static,
        V: Sendable,
    {
        let compute = output.computed();
        Wire {
            closure: output.is_computed(),
            join: output.join.unwrap_or(Join::One),
            sources: output.sources,
            origin: Origin::Source(Location::caller()),
            receive: Arc::new(move |values| {
                let field = <T as Accepts<V>>::accept(compute(values)?);
                let digest = field.digest();
                Ok(Received { value: Box::new(field), digest })
            }),
            recall: |_, digest| T::from_digest(digest).map(|field| Box::new(field) as FieldValue),
            sent: TypeId::of::<V>(),
        }
    }

    /// A wire made from data: from an output of type `sent` to the field.
    pub fn from_data(origin: Origin, sent: TypeId, field: &'static FieldSpec) -> Wire {
        let receive = move |values: &[Value]| {
            let value = values.first().ok_or(NotReceived::WrongType)?;
            match (field.convert)(value) {
                Some(received) => Ok(received),
                None => parsed(field, Any::sent(value).ok_or(NotReceived::WrongType)?.json()),
            }
        };
        Wire {
            sources: Vec::new(),
            join: Join::One,
            closure: false,
            origin,
            receive: Arc::new(receive),
            recall: field.recall,
            sent,
        }
    }

    /// A wire made from data: from several outputs to a field that takes a list.
    pub fn list_from_data(origin: Origin, field: &'static FieldSpec) -> Wire {
        let receive = move |values: &[Value]| {
            let all: Option<Vec<_>> = values.iter().map(|value| Any::sent(value).map(Any::json)).collect();
            parsed(field, all.ok_or(NotReceived::WrongType)?.into())
        };
        Wire {
            sources: Vec::new(),
            join: Join::List,
            closure: false,
            origin,
            receive: Arc::new(receive),
            recall: |_, _| None,
            sent: TypeId::of::<Vec<Any>>(),
        }
    }

    /// A wire to a field that takes [`Values`], from an output that computes them.
    pub(crate) fn named(origin: Origin, names: Vec<String>, output: Output<Values>, closure: bool) -> Wire {
        let is_secret = output.sources.iter().any(|source| source.sent == TypeId::of::<Secret<String>>());
        let compute = output.computed();
        Wire { closure, ..Wire::of_names(origin, names, output.sources, is_secret, compute) }
    }

    pub(crate) fn of_names(
        origin: Origin,
        names: Vec<String>,
        sources: Vec<Source>,
        is_secret: bool,
        receive: impl Fn(&[Value]) -> Result<Values, NotReceived> + Send + Sync + 'static,
    ) -> Wire {
        let recall: fn(TypeId, Salted) -> Option<FieldValue> = match is_secret {
            true => |_, digest| Some(Box::new(Values::known(digest, true))),
            false => |_, digest| Some(Box::new(Values::known(digest, false))),
        };
        Wire {
            sources,
            join: Join::Named(names.into()),
            closure: false,
            origin,
            receive: Arc::new(move |values| {
                let values = receive(values)?;
                let digest = values.digest();
                Ok(Received { value: Box::new(values), digest })
            }),
            recall,
            sent: if is_secret { TypeId::of::<Secret<String>>() } else { TypeId::of::<Values>() },
        }
    }

    /// Whether a secret that is sent is still one when it arrives: no closure has made something else of it.
    pub(crate) fn keeps_secrets(&self) -> bool {
        !self.closure || [TypeId::of::<Secret<String>>(), TypeId::of::<Secret<Vec<u8>>>()].contains(&self.sent)
    }

    /// The field's value from the sources' values, in their order.
    ///
    /// # Errors
    /// A value is not of its port's type, or a `try_map` failed.
    pub fn receive(&self, values: &[Value]) -> Result<Received, NotReceived> {
        (self.receive)(values)
    }

    /// A digest of the results of this wire's closures, with sample texts in place of sent secrets and these values for
    /// everything else: closures with the same digest are taken to be the same. `None`: the digest can't be computed.
    pub fn fingerprint(&self, values: &[Option<Value>]) -> Option<Digest> {
        const SAMPLES: [&str; 2] =
            ["aZ09-sample-of-a-secret-text-that-is-long-enough", "bY18_another-sample-of-a-secret-text-of-odd-length"];
        let mut made = Vec::new();
        for sample in SAMPLES {
            let sample = |(source, value): (&Source, &Option<Value>)| -> Option<Value> {
                if source.sent == TypeId::of::<Secret<String>>() {
                    Some(Arc::new(Secret::new(sample.to_owned())))
                } else if source.sent == TypeId::of::<Secret<Vec<u8>>>() {
                    Some(Arc::new(Secret::new(sample.as_bytes().to_vec())))
                } else {
                    value.clone()
                }
            };
            let values: Vec<Value> = self.sources.iter().zip(values).map(sample).collect::<Option<_>>()?;
            made.push(match self.receive(&values) {
                Ok(received) => received.digest?,
                Err(error) => digest_of(&error.to_string()),
            });
        }
        Some(digest_of(&made))
    }

    /// The same wire, which recalls no value of an earlier run: its senders make it again.
    pub(crate) fn without_recall(self) -> Wire {
        Wire { recall: |_, _| None, ..self }
    }

    /// A stand-in for a value received in an earlier run, from its digest.
    pub fn recall(&self, digest: Salted) -> Option<FieldValue> {
        (self.recall)(self.sent, digest)
    }
}
