//! What the derive needs from a field's type.

use std::any::{Any, TypeId};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::resource::accept::{Accepts, Input, IntoInput};
use crate::resource::digest::Salted;
use crate::resource::output::{FieldValue, NodeRef, Output, Port, Received, Sendable, Value};
use crate::resource::seconds::Seconds;

/// A type that a field of a resource may have. Implemented for all types with the required traits. A `Duration` is a
/// number of seconds in data; inside other types, use [`Seconds`] instead.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` can't be written as data",
    label = "graphs travel as data: this type can't",
    note = "derive what is missing of `Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema` for it, or keep it out of the resource"
)]
pub trait FieldType: Sized {
    /// The value as data.
    ///
    /// # Errors
    /// The value has no form as data (for example, a path that is not UTF-8).
    fn to_json(&self) -> serde_json::Result<Json>;
    /// The value from data.
    ///
    /// # Errors
    /// The data is not of this type.
    fn from_json(json: Json) -> serde_json::Result<Self>;
    /// The JSON schema of the type.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
    /// Whether the two values are equal.
    fn equal(&self, other: &Self) -> bool;
}

#[diagnostic::do_not_recommend]
impl<T: Clone + Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static> FieldType for T {
    fn to_json(&self) -> serde_json::Result<Json> {
        match (self as &dyn Any).downcast_ref::<Duration>() {
            Some(duration) => serde_json::to_value(Seconds(*duration)),
            None => serde_json::to_value(self),
        }
    }

    fn from_json(json: Json) -> serde_json::Result<Self> {
        if TypeId::of::<T>() != TypeId::of::<Duration>() {
            return serde_json::from_value(json);
        }
        let Seconds(duration) = serde_json::from_value(json)?;
        let same: Box<dyn Any> = Box::new(duration);
        Ok(*same.downcast::<T>().unwrap_or_else(|_| unreachable!("it is of this type")))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        match TypeId::of::<T>() == TypeId::of::<Duration>() {
            true => generator.subschema_for::<Seconds>(),
            false => generator.subschema_for::<T>(),
        }
    }

    fn equal(&self, other: &Self) -> bool {
        self == other
    }
}

/// Whether two optional fields are equal.
pub fn equal_options<T>(one: &Option<T>, other: &Option<T>, equal: fn(&T, &T) -> bool) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => equal(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// The value of a field's `default = …`.
pub fn default<T, M>(value: impl IntoInput<T, M>) -> T {
    match value.into_input() {
        Input::Value(value) | Input::Wire(_, value) => value,
    }
}

/// An output of a handle.
pub fn output<T: Sendable>(node: NodeRef, port: Port<T>) -> Output<T> {
    Output::of(node, port)
}

/// Finds out whether a type implements a trait without requiring it: `(&Probe::<T>::NEW).placeholder()` resolves to the
/// first trait below if its bound holds, and otherwise to the second, by the order in which rustc looks up methods.
#[derive(Debug)]
pub struct Probe<T>(PhantomData<T>);

impl<T> Probe<T> {
    /// The value to call the methods on.
    pub const NEW: Self = Probe(PhantomData);
}

/// Implemented if the type has a default.
pub trait WithDefault<T> {
    /// The type's default.
    fn placeholder(&self) -> Option<T>;
}
impl<T: Default> WithDefault<T> for Probe<T> {
    fn placeholder(&self) -> Option<T> {
        Some(T::default())
    }
}
/// Used if the type has no default.
pub trait WithoutDefault<T> {
    /// Always `None`.
    fn placeholder(&self) -> Option<T>;
}
impl<T> WithoutDefault<T> for &Probe<T> {
    fn placeholder(&self) -> Option<T> {
        None
    }
}

/// Finds out in the same way whether a field of type `T` accepts values of type `V`.
#[derive(Debug)]
pub struct Take<T, V>(PhantomData<(T, V)>);

impl<T, V> Take<T, V> {
    /// The value to call the methods on.
    pub const NEW: Self = Take(PhantomData);
}

/// Implemented if the field accepts the values.
pub trait Takes {
    /// Whether the field accepts values of the type with this id.
    fn takes(&self, id: TypeId) -> bool;
    /// The field's value from a sent one.
    fn take(&self, value: &Value) -> Option<Received>;
    /// The stand-in for a value of the type with this id, received in an earlier run.
    fn recall(&self, sent: (TypeId, Salted)) -> Option<FieldValue>;
}
impl<T: Accepts<V> + Send + Sync + 'static, V: Sendable> Takes for Take<T, V> {
    fn takes(&self, id: TypeId) -> bool {
        id == TypeId::of::<V>()
    }
    fn take(&self, value: &Value) -> Option<Received> {
        let field = T::accept(value.downcast_ref::<V>()?.clone());
        let digest = <T as Accepts<V>>::digest(&field);
        Some(Received { value: Box::new(field), digest })
    }
    fn recall(&self, (id, digest): (TypeId, Salted)) -> Option<FieldValue> {
        if id != TypeId::of::<V>() {
            return None;
        }
        <T as Accepts<V>>::from_digest(digest).map(|field| Box::new(field) as FieldValue)
    }
}
/// Used if the field does not accept the values.
pub trait Refuses {
    /// Always false.
    fn takes(&self, id: TypeId) -> bool;
    /// Always `None`.
    fn take(&self, value: &Value) -> Option<Received>;
    /// Always `None`.
    fn recall(&self, sent: (TypeId, Salted)) -> Option<FieldValue>;
}
impl<T, V> Refuses for &Take<T, V> {
    fn takes(&self, _: TypeId) -> bool {
        false
    }
    fn take(&self, _: &Value) -> Option<Received> {
        None
    }
    fn recall(&self, _: (TypeId, Salted)) -> Option<FieldValue> {
        None
    }
}

/// The functions of a `FieldSpec` for a field of the given type, tried for each type that outputs can have.
#[doc(hidden)]
#[macro_export]
macro_rules! __takes {
    ($method:ident, $field:ty, $argument:expr, $none:expr, $join:ident) => {{
        use $crate::resource::private::Take;
        // A glob import of both traits, since rustc warns of a trait that is imported by name and not used.
        use $crate::resource::private::either::*;
        let none = $none;
        none.$join(|| (&Take::<$field, $field>::NEW).$method($argument))
            .$join(|| (&Take::<$field, ::std::string::String>::NEW).$method($argument))
            .$join(|| (&Take::<$field, $crate::resource::Secret<::std::string::String>>::NEW).$method($argument))
            .$join(|| (&Take::<$field, ::std::vec::Vec<u8>>::NEW).$method($argument))
            .$join(|| (&Take::<$field, u64>::NEW).$method($argument))
            .$join(|| (&Take::<$field, bool>::NEW).$method($argument))
    }};
}

/// A `bool` with an `or_else` like that of `Option`, so that one macro serves both.
#[derive(Clone, Copy, Debug)]
pub struct Not(pub bool);

impl Not {
    /// True if this is true or the other returns true.
    #[must_use]
    pub fn or_else(self, other: impl FnOnce() -> bool) -> Not {
        Not(self.0 || other())
    }
}
