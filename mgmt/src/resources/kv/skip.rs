//! How values are compared to find the greater one: the field `skipcmpstyle`.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Format, TypeFacts};

/// How two values are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SkipCmpStyle {
    /// As whole numbers: 10 is greater than 9.
    #[default]
    Int,
    /// As texts, byte by byte: `9` is greater than `10`.
    String,
}

impl TypeFacts for SkipCmpStyle {
    const FORMAT: Format = Format::Choice;
}

/// A whole number, with or without a sign.
pub(super) fn number(text: &str) -> Option<i128> {
    text.parse().ok()
}

impl SkipCmpStyle {
    /// The order of two values; `None`: one of them is no whole number.
    pub(super) fn compare(self, one: &str, other: &str) -> Option<Ordering> {
        match self {
            SkipCmpStyle::Int => Some(number(one)?.cmp(&number(other)?)),
            SkipCmpStyle::String => Some(one.cmp(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_their_size_and_texts_byte_by_byte() {
        use Ordering::{Equal, Greater, Less};
        let (int, text) = (SkipCmpStyle::Int, SkipCmpStyle::String);
        for (one, other, by_size, by_bytes) in [
            ("10", "9", Some(Greater), Less),
            ("-1", "1", Some(Less), Less),
            ("007", "7", Some(Equal), Less),
            ("99999999999999999999", "5", Some(Greater), Greater),
            ("1.5", "1", None, Greater),
            ("", "", None, Equal),
        ] {
            assert_eq!(int.compare(one, other), by_size, "{one} {other}");
            assert_eq!(text.compare(one, other), Some(by_bytes), "{one} {other}");
        }
    }
}
