//! A length of time in a field: a number of seconds in data, a `Duration` in Rust.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::resource::accept::Accepts;

/// A length of time. In data it is a number of seconds, with a fraction if need be, or a text with units (`90s`,
/// `1h 30m`, `250ms`, `2d`); in Rust, give a `Duration`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub Duration);

impl Accepts<Duration> for Seconds {
    fn accept(value: Duration) -> Self {
        Seconds(value)
    }
}

/// The units of texts, in milliseconds.
const UNITS: [(&str, f64); 7] =
    [("ms", 1.0), ("s", 1e3), ("m", 6e4), ("min", 6e4), ("h", 3.6e6), ("d", 8.64e7), ("w", 6.048e8)];

/// The form of a length of time as text, for messages.
pub(crate) const WITH_UNIT: &str = "a time with its unit, such as `250ms`, `90s`, `1h 30m` or `2d`";

/// Reads a length of time with units: one or several numbers, each with a unit, that are added up. `None`: the text has
/// another form, or the time is too long.
pub(crate) fn with_units(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let after = after.trim_start();
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len()));
        let millis = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let part = match number.parse::<u64>() {
            Ok(whole) => Duration::from_millis(whole.checked_mul(millis as u64)?),
            Err(_) => Duration::try_from_secs_f64(number.parse::<f64>().ok()? * millis / 1e3).ok()?,
        };
        sum = sum.checked_add(part)?;
        rest = after.trim_start();
    }
    (!text.trim().is_empty()).then_some(sum)
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
            Text(String),
        }
        const EXPECTED: &str = "a number of seconds, 0 or more";
        match Number::deserialize(deserializer).map_err(|_| D::Error::custom(format!("expected {EXPECTED}")))? {
            Number::Whole(seconds) => Ok(Seconds(Duration::from_secs(seconds))),
            Number::Fraction(seconds) => Duration::try_from_secs_f64(seconds)
                .map(Seconds)
                .map_err(|_| D::Error::invalid_value(Unexpected::Float(seconds), &EXPECTED)),
            Number::Text(text) => with_units(&text)
                .map(Seconds)
                .ok_or_else(|| D::Error::custom(format!("`{text}` is neither {EXPECTED}, nor {WITH_UNIT}"))),
        }
    }
}

/// For serde's `with`: a `Duration` as a number of seconds.
///
/// # Errors
/// The error of the serializer.
pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    Seconds(*duration).serialize(serializer)
}

/// For serde's `with`: a `Duration` from a number of seconds.
///
/// # Errors
/// The value is not a number of seconds.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Seconds::deserialize(deserializer).map(|seconds| seconds.0)
}

/// For serde's `with`: an optional `Duration` as a number of seconds or nothing.
pub(crate) mod option {
    use super::*;

    /// Writes the duration.
    ///
    /// # Errors
    /// The error of the serializer.
    pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(Seconds).serialize(serializer)
    }

    /// Reads the duration.
    ///
    /// # Errors
    /// The value is not a number of seconds.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Seconds>::deserialize(deserializer)?.map(|seconds| seconds.0))
    }
}

/// The JSON schema of a length of time: a number of whatever unit the field has, or a text with units.
pub(crate) fn seconds_schema() -> serde_json::Value {
    serde_json::json!({ "anyOf": [
        { "type": "number", "minimum": 0 },
        { "type": "string", "pattern": r"^\s*([0-9.]+\s*(ms|s|m|min|h|d|w)\s*)+$" }
    ] })
}

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        seconds_schema().try_into().unwrap_or_default()
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
        assert_eq!(serde_json::from_value::<Seconds>(json!("2m")).unwrap(), Seconds(Duration::from_secs(120)));
    }

    #[test]
    fn a_text_has_units() {
        for (text, millis) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            (" 1 h 30 min ", 5_400_000),
            ("1.5s", 1_500),
            ("2d", 172_800_000),
            ("1w", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(with_units(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", " ", "5", "s", "5 5s", "-5s", "5S", "5 seconds", "1..5s", "1e3s", "99999999999999999999w"] {
            assert_eq!(with_units(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_refused_in_words() {
        for data in [json!(-1), json!(-0.5), json!(1e300), json!("5"), json!({ "secs": 5, "nanos": 0 })] {
            let said = serde_json::from_value::<Seconds>(data.clone()).unwrap_err().to_string();
            assert!(said.contains("a number of seconds, 0 or more"), "{data}: {said}");
        }
    }
}
