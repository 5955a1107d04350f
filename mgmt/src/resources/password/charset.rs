//! The characters that a password is made of.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Format, TypeFacts};

/// The characters that a password is made of; at each position, all of them are equally likely.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Charset {
    /// `a` to `z` and `A` to `Z`: 5.7 bits a character.
    #[default]
    Letters,
    /// `a` to `z`, `A` to `Z` and `0` to `9`: 5.9 bits a character.
    Alnum,
    /// `0` to `9`: 3.3 bits a character.
    Digits,
    /// The characters of this text, each once: 2 to 256 of them, no control characters.
    Chars(String),
}

impl TypeFacts for Charset {
    const FORMAT: Format = Format::Choice;
}

impl Charset {
    /// The characters of the set.
    pub fn chars(&self) -> &str {
        match self {
            Charset::Letters => "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
            Charset::Alnum => "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            Charset::Digits => "0123456789",
            Charset::Chars(chars) => chars,
        }
    }

    /// What is wrong with it, and what to do about it.
    pub(super) fn problem(&self) -> Option<(String, &'static str)> {
        let chars = self.chars();
        let different: BTreeSet<char> = chars.chars().collect();
        match chars.chars().count() {
            count @ (0 | 1) => Some((
                format!("has {count} characters"),
                "give at least 2: a password of only one character can be guessed at once",
            )),
            count if count > 256 => Some((format!("has {count} characters"), "at most 256 are allowed")),
            count if different.len() < count => {
                Some(("has a character twice, which would make it twice as likely".to_owned(), "give each once"))
            }
            _ if chars.chars().any(char::is_control) => {
                Some(("has a control character, which can't be typed".to_owned(), "leave it out"))
            }
            _ => None,
        }
    }
}
