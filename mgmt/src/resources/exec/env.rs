//! The variables of a command.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::resource::{Accepts, Format, Secret, TypeFacts};

/// The value of a variable: text, or a secret that is shown nowhere. In data a secret is written `{ secret: text }`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum EnvValue {
    /// A text that may be shown.
    Plain(String),
    /// A secret, which is shown nowhere.
    Secret {
        /// The text of the secret.
        secret: Secret<String>,
    },
}

impl EnvValue {
    pub(super) fn plain(&self) -> &str {
        match self {
            EnvValue::Plain(text) => text,
            EnvValue::Secret { secret } => secret.declassify(),
        }
    }
}

/// Not derived: the error names a value that has neither form, and other keys besides `secret`.
impl<'de> Deserialize<'de> for EnvValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EnvValue, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = EnvValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or `{secret: …}`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<EnvValue, E> {
                Ok(EnvValue::Plain(text.to_owned()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<EnvValue, A::Error> {
                let mut found = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "secret" {
                        return Err(de::Error::unknown_field(&key, &["secret"]));
                    }
                    if found.replace(map.next_value()?).is_some() {
                        return Err(de::Error::duplicate_field("secret"));
                    }
                }
                let secret = found.ok_or_else(|| de::Error::missing_field("secret"))?;
                Ok(EnvValue::Secret { secret })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl From<&str> for EnvValue {
    fn from(text: &str) -> EnvValue {
        EnvValue::Plain(text.to_owned())
    }
}

impl From<String> for EnvValue {
    fn from(text: String) -> EnvValue {
        EnvValue::Plain(text)
    }
}

impl From<Secret<String>> for EnvValue {
    fn from(secret: Secret<String>) -> EnvValue {
        EnvValue::Secret { secret }
    }
}

/// The variables of a command, by name. Wherever the words of the command are shown, in an error or a log, a
/// placeholder stands for the secrets (of 4 bytes or more) among its variables. The outputs of the command are not
/// secret, so the command should not print its secrets.
///
/// # In Rust
/// Set from `[("NAME", "value")]`, or built with [`Env::new`]; a received secret becomes a variable with `map`:
///
/// ```
/// use mgmt::prelude::*;
/// use mgmt::resources::Env;
/// let mut g = Graph::new("demo");
/// let pw = g.add(Password::new("admin"));
/// let env = pw.password().map(|p| Env::new().var("WHO", "admin").var("TOKEN", p));
/// g.add(Exec::new("login").cmd("login --batch").env(env));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Env(BTreeMap<String, EnvValue>);

impl TypeFacts for Env {
    const FORMAT: Format = Format::Table;
}

impl Env {
    /// A set without variables.
    pub fn new() -> Env {
        Env::default()
    }

    /// Adds a variable, or replaces the one of that name.
    #[must_use]
    pub fn var(mut self, name: impl Into<String>, value: impl Into<EnvValue>) -> Env {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The secrets among the variables that are long enough to be masked: a very short one occurs in any text.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        const LENGTH_MIN: usize = 4;
        let secrets = self.0.values().filter_map(|value| match value {
            EnvValue::Secret { secret } => Some(secret.declassify().as_str()),
            EnvValue::Plain(_) => None,
        });
        secrets.filter(|secret| secret.trim().len() >= LENGTH_MIN)
    }

    /// The variables, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &EnvValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<K: Into<String>, V: Into<EnvValue>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(vars: I) -> Env {
        Env(vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<K: Into<String>, V: Into<EnvValue>, const N: usize> Accepts<[(K, V); N]> for Env {
    fn accept(vars: [(K, V); N]) -> Env {
        vars.into_iter().collect()
    }
}

impl<K: Into<String>, V: Into<EnvValue>> Accepts<BTreeMap<K, V>> for Env {
    fn accept(vars: BTreeMap<K, V>) -> Env {
        vars.into_iter().collect()
    }
}
