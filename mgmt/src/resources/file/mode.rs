//! `Mode`: permissions as a field; an invalid text is kept, to be reported with the resource.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::resource::{Accepts, Format, TypeFacts};
use crate::sys::fs;

/// Permissions: `0o644`, `"0644"`, or symbolic as for chmod, `"u=rw,go=r"`.
///
/// In data always text: a number such as 644 could be read as decimal or as octal, and is refused.
#[derive(Clone, PartialEq)]
pub struct Mode(Form);

impl TypeFacts for Mode {
    const FORMAT: Format = Format::Octal;
}

#[derive(Clone, PartialEq)]
enum Form {
    Mode(fs::Mode),
    /// A setter can't fail: the graph's validation reports it.
    Wrong {
        given: String,
        problem: String,
    },
}

impl Mode {
    /// The mode, or the reason why it is invalid.
    pub(super) fn get(&self) -> Result<&fs::Mode, String> {
        match &self.0 {
            Form::Mode(mode) => mode.validate().map(|()| mode).map_err(|error| error.to_string()),
            Form::Wrong { problem, .. } => Err(problem.clone()),
        }
    }
}

impl Accepts<u32> for Mode {
    fn accept(bits: u32) -> Mode {
        Mode(Form::Mode(fs::Mode::from(bits)))
    }
}

impl Accepts<&str> for Mode {
    fn accept(text: &str) -> Mode {
        Mode(match text.parse() {
            Ok(mode) => Form::Mode(mode),
            Err(error) => Form::Wrong { given: text.to_owned(), problem: error.to_string() },
        })
    }
}

impl Accepts<String> for Mode {
    fn accept(text: String) -> Mode {
        Mode::accept(text.as_str())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Mode(mode) => mode.fmt(f),
            Form::Wrong { given, .. } => f.write_str(given),
        }
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mode({self})")
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
        fs::Mode::deserialize(deserializer).map(|mode| Mode(Form::Mode(mode)))
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        fs::Mode::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        fs::Mode::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_texts_of_one_mode_are_equal_and_travel_as_text() {
        let mode = Mode::accept(0o644);
        assert_eq!(mode, Mode::accept("0644"));
        assert_eq!(serde_json::to_value(&mode).unwrap(), json!("0644"));
        assert_eq!(serde_json::from_value::<Mode>(json!("0644")).unwrap(), mode);
        let symbolic = Mode::accept("u=rw,go=r");
        assert_eq!(serde_json::from_value::<Mode>(serde_json::to_value(&symbolic).unwrap()).unwrap(), symbolic);
    }

    #[test]
    fn a_number_in_data_is_refused_and_a_decimal_in_code_too() {
        let error = serde_json::from_value::<Mode>(json!(644)).unwrap_err().to_string();
        assert!(error.contains("\"0644\""), "{error}");
        let error = Mode::accept(644).get().unwrap_err();
        assert!(error.contains("0o644"), "{error}");
    }

    #[test]
    fn a_wrong_text_is_kept_and_reported() {
        let mode = Mode::accept("u~rw");
        assert_eq!(mode.to_string(), "u~rw");
        assert!(mode.get().unwrap_err().contains("`u~rw` is not a mode"));
    }
}
