//! A length of time in a field: a number of seconds in data, a `Duration` in Rust.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::resource::accept::Accepts;

/// A length of time. In data it is a number of seconds, with a fraction if need be; in Rust give a `Duration`, or a
/// whole number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub Duration);

impl Accepts<Duration> for Seconds {
    fn accept(value: Duration) -> Self {
        Seconds(value)
    }
}

impl Accepts<u64> for Seconds {
    fn accept(seconds: u64) -> Self {
        Seconds(Duration::from_secs(seconds))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanos() == 0 {
            serializer.serialize_u64(self.0.as_secs())
        } else {
            serializer.serialize_f64(self.0.as_secs_f64())
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Number {
            Whole(u64),
            Fraction(f64),
        }
        const EXPECTED: &str = "a number of seconds, 0 or more";
        match Number::deserialize(deserializer).map_err(|_| D::Error::custom(format!("expected {EXPECTED}")))? {
            Number::Whole(seconds) => Ok(Seconds(Duration::from_secs(seconds))),
            Number::Fraction(seconds) => Duration::try_from_secs_f64(seconds)
                .map(Seconds)
                .map_err(|_| D::Error::invalid_value(Unexpected::Float(seconds), &EXPECTED)),
        }
    }
}

/// For serde's `with`: a `Duration` as a number of seconds.
///
/// # Errors
/// Those of the serializer.
pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    Seconds(*duration).serialize(serializer)
}

/// The same, read.
///
/// # Errors
/// It is no number of seconds.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Seconds::deserialize(deserializer).map(|seconds| seconds.0)
}

/// For serde's `with`: an optional `Duration` as a number of seconds or nothing.
pub(crate) mod option {
    use super::*;

    /// Writes it.
    ///
    /// # Errors
    /// Those of the serializer.
    pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(Seconds).serialize(serializer)
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is no number of seconds.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Seconds>::deserialize(deserializer)?.map(|seconds| seconds.0))
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0 })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn seconds_are_a_number_in_data_and_come_back_the_same() {
        for (seconds, data) in
            [(Seconds(Duration::from_secs(5)), json!(5)), (Seconds(Duration::from_millis(1500)), json!(1.5))]
        {
            assert_eq!(serde_json::to_value(seconds).unwrap(), data);
            assert_eq!(serde_json::from_value::<Seconds>(data).unwrap(), seconds);
        }
        assert_eq!(serde_json::from_value::<Seconds>(json!(2.0)).unwrap(), Seconds(Duration::from_secs(2)));
    }

    #[test]
    fn what_is_no_length_of_time_is_refused_in_words() {
        for data in [json!(-1), json!(-0.5), json!(1e300), json!("5"), json!({ "secs": 5, "nanos": 0 })] {
            let said = serde_json::from_value::<Seconds>(data.clone()).unwrap_err().to_string();
            assert!(said.contains("a number of seconds, 0 or more"), "{data}: {said}");
        }
    }
}
