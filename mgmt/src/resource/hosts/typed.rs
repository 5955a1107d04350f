//! Texts as values of a type: a type that is made of a text gets it as it is; all others are read from it as JSON.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde_json::Error;

/// The value of a text. A type that serde makes of a text (`String`, `PathBuf`, `IpAddr`, an enum without content) gets
/// the text as it is. For any other type the text is JSON; a type in an `Option` is the same, and `null` is `None`.
///
/// # Errors
/// The text is no such value.
pub(crate) fn of_text<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    T::deserialize(Text(text))
}

struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn text(&self) -> StrDeserializer<'a, Error> {
        self.0.into_deserializer()
    }

    /// Reads all of the text as JSON.
    fn json<T>(
        &self,
        read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'a>>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut json = serde_json::Deserializer::from_str(self.0);
        let value = read(&mut json)?;
        json.end()?;
        Ok(value)
    }
}

macro_rules! as_text {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.text().deserialize_any(visitor)
        })*
    };
}

macro_rules! as_json {
    ($($method:ident($($name:ident: $argument:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $argument,)* visitor: V) -> Result<V::Value, Error> {
            self.json(|json| json.$method($($name,)* visitor))
        })*
    };
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = Error;

    as_text! { deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf }

    as_json! {
        deserialize_any() deserialize_bool() deserialize_unit() deserialize_seq() deserialize_map()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_identifier() deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str) deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.trim() == "null" { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if variants.contains(&self.0) {
            return self.text().deserialize_enum(name, variants, visitor);
        }
        self.json(|json| json.deserialize_enum(name, variants, visitor))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Role {
        Web,
        Db(u8),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Name(String);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Address {
        host: String,
        port: u16,
    }

    #[test]
    fn a_text_stays_as_it_is_and_any_other_type_is_json() {
        for text in ["", "80", "\"80\"", " null ", "{", "ä\n"] {
            assert_eq!(of_text::<String>(text).unwrap(), text);
            assert_eq!(of_text::<Name>(text).unwrap().0, text);
        }
        assert_eq!(of_text::<u16>("80").unwrap(), 80);
        assert_eq!(of_text::<u16>(" 80\n").unwrap(), 80);
        assert_eq!(of_text::<Option<u16>>("80").unwrap(), Some(80));
        assert_eq!(of_text::<Option<String>>("80").unwrap().as_deref(), Some("80"));
        assert_eq!(of_text::<Option<u16>>("null").unwrap(), None);
        assert!(of_text::<bool>("true").unwrap());
        assert_eq!(of_text::<IpAddr>("10.0.0.1").unwrap().to_string(), "10.0.0.1");
        assert_eq!(of_text::<Vec<String>>("[\"a\"]").unwrap(), ["a"]);
        assert_eq!(of_text::<(u8, String)>("[1, \"a\"]").unwrap(), (1, "a".to_owned()));
        assert_eq!(of_text::<BTreeMap<String, u8>>("{\"a\": 1}").unwrap(), BTreeMap::from([("a".to_owned(), 1)]));
        let address = Address { host: "a".to_owned(), port: 1 };
        assert_eq!(of_text::<Address>("{\"host\": \"a\", \"port\": 1}").unwrap(), address);
        assert_eq!(of_text::<Role>("web").unwrap(), Role::Web);
        assert_eq!(of_text::<Role>("\"web\"").unwrap(), Role::Web);
        assert_eq!(of_text::<Role>("{\"db\": 2}").unwrap(), Role::Db(2));
    }

    #[test]
    fn what_is_no_such_value_is_an_error() {
        for text in ["", "x", "80 80", "65536", "-1", "\"80\""] {
            of_text::<u16>(text).unwrap_err();
        }
        of_text::<IpAddr>("10.0.0").unwrap_err();
        of_text::<Role>("mail").unwrap_err();
        of_text::<Address>("{\"host\": \"a\", \"port\": 1, \"more\": 1}").unwrap_err();
        // Deep nesting must not end the program.
        of_text::<serde_json::Value>(&"[".repeat(1 << 20)).unwrap_err();
    }
}
