//! `Any`: a value of any type that serde knows, as data.

use std::any::{Any as Erased, TypeId};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::resource::accept::Accepts;
use crate::resource::error::{Error, Result};
use crate::resource::facts::{Format, TypeFacts};
use crate::resource::output::Value;
use crate::resource::seconds::Seconds;

/// A value of any type that serde knows, as data: a text, a number, `true` or `false`, a list, a map, or nothing.
///
/// ```
/// # use mgmt::resource::Any;
/// let ports = Any::of(&[80, 443]).unwrap();
/// assert_eq!(ports.to::<Vec<u16>>().unwrap(), [80, 443]);
/// assert_eq!(ports.text(), "[80,443]");
/// ```
///
/// A [`Secret`](crate::resource::Secret) in the value becomes a placeholder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Any(Json);

impl Any {
    /// The value as data.
    ///
    /// # Errors
    /// The value has no form as data: a map whose keys are no texts, for example.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Any> {
        Ok(Any(serde_json::to_value(value)?))
    }

    /// The value as one of type `T`.
    ///
    /// # Errors
    /// It is of another type.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(T::deserialize(&self.0)?)
    }

    /// The value as a text: a text as it is, anything else as JSON.
    pub fn text(&self) -> String {
        match &self.0 {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    pub(crate) fn json(self) -> Json {
        self.0
    }

    /// The value that was sent, if it is of one of the types that the built-in kinds send and that are no secrets.
    pub(crate) fn sent(value: &Value) -> Option<Any> {
        PLAIN.iter().find_map(|(_, read)| read(&**value))
    }

    /// Whether [`sent`](Any::sent) knows this type.
    pub(crate) fn knows(sent: TypeId) -> bool {
        PLAIN.iter().any(|(of, _)| of() == sent)
    }
}

/// Reads JSON.
impl FromStr for Any {
    type Err = Error;

    fn from_str(text: &str) -> Result<Any> {
        Ok(Any(serde_json::from_str(text)?))
    }
}

/// As a text, see [`Any::text`].
impl fmt::Display for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl JsonSchema for Any {
    fn schema_name() -> Cow<'static, str> {
        "Any".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }

    fn inline_schema() -> bool {
        true
    }
}

impl TypeFacts for Any {
    const FORMAT: Format = Format::Any;
}

type Read = fn(&(dyn Erased + Send + Sync)) -> Option<Any>;

fn read<T: Plain + Clone + 'static>(value: &(dyn Erased + Send + Sync)) -> Option<Any> {
    value.downcast_ref::<T>().cloned().map(Plain::any)
}

macro_rules! plain {
    ($($plain:ty),+; $($sent:ty),+) => {
        $(impl Plain for $plain {
            fn any(self) -> Any {
                Any(Json::from(self))
            }
        })+
        /// The types of sent values that are no secrets.
        const PLAIN: &[(fn() -> TypeId, Read)] = &[
            (TypeId::of::<Any>, |value| value.downcast_ref::<Any>().cloned()),
            (TypeId::of::<Seconds>, |value| Any::of(value.downcast_ref::<Seconds>()?).ok()),
            $((TypeId::of::<$plain>, read::<$plain>),)+
            $((TypeId::of::<$sent>, read::<$sent>)),+
        ];
    };
}

plain!(bool, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, String;
    Vec<String>, Vec<u8>, Vec<u64>, BTreeMap<String, String>);

/// A type whose values are no secrets, and have a form as data: texts, numbers, `true` and `false`, and lists and maps
/// of these. Other types go with [`Any::of`].
pub trait Plain {
    /// The value as data.
    fn any(self) -> Any;
}

impl Plain for &str {
    fn any(self) -> Any {
        self.to_owned().any()
    }
}

impl<T: Plain> Plain for Vec<T> {
    fn any(self) -> Any {
        Any(self.into_iter().map(|value| value.any().0).collect())
    }
}

impl<T: Plain, const N: usize> Plain for [T; N] {
    fn any(self) -> Any {
        Any(self.into_iter().map(|value| value.any().0).collect())
    }
}

impl<T: Plain> Plain for Option<T> {
    fn any(self) -> Any {
        self.map_or_else(Any::default, Plain::any)
    }
}

impl<T: Plain> Plain for BTreeMap<String, T> {
    fn any(self) -> Any {
        Any(self.into_iter().map(|(key, value)| (key, value.any().0)).collect())
    }
}

/// A value that is no secret: an [`Any`], or one of a [`Plain`] type.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` does not become an `Any` by itself",
    label = "this is no plain value",
    note = "of a type that serde knows, make one with `.try_map(|value| Any::of(&value))`",
    note = "a secret goes with `and_secret`, and what is made of it is a secret"
)]
pub trait IntoAny {
    /// The value as data.
    fn into_any(self) -> Any;
}

impl IntoAny for Any {
    fn into_any(self) -> Any {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<V: Plain> IntoAny for V {
    fn into_any(self) -> Any {
        self.any()
    }
}

impl<V: Plain> Accepts<V> for Any {
    fn accept(value: V) -> Any {
        value.any()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Secret;

    #[test]
    fn a_value_keeps_its_type_and_has_a_text() {
        for (any, text) in [
            (Any::accept("a b"), "a b"),
            (Any::accept(7_u16), "7"),
            (Any::accept(vec![true, false]), "[true,false]"),
            (Any::accept(None::<String>), "null"),
            (Any::accept(BTreeMap::from([("k".to_owned(), "v")])), r#"{"k":"v"}"#),
            (r#"{"a": [1, {"b": null}]}"#.parse::<Any>().unwrap(), r#"{"a":[1,{"b":null}]}"#),
        ] {
            assert_eq!(any.text(), text);
            assert_eq!(any.to_string(), text);
            assert_eq!(Any::of(&any).unwrap(), any);
        }
        assert_eq!(Any::accept(7_u16).to::<u8>().unwrap(), 7);
        assert!(Any::accept(700_u16).to::<u8>().is_err());
    }

    #[test]
    fn a_secret_is_no_plain_value() {
        assert!(!Any::knows(TypeId::of::<Secret<String>>()));
        let secret: Value = std::sync::Arc::new(Secret::new("canary".to_owned()));
        assert_eq!(Any::sent(&secret), None);
        assert!(!Any::of(&Secret::new("canary".to_owned())).unwrap().text().contains("canary"));
    }
}
