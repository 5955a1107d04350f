//! The options of a mount: the field `options`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::Accepts;

/// Options: one text with commas (`ro,size=1m`), a list (`[ro, size=1m]`), or a map (`{ro: "", size: 1m}`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MountOptions {
    /// Separated by commas, as in fstab(5).
    Text(String),
    /// One each.
    List(Vec<String>),
    /// The value of each option; an option with an empty value has none.
    Map(BTreeMap<String, String>),
}

impl Default for MountOptions {
    fn default() -> MountOptions {
        MountOptions::List(Vec::new())
    }
}

impl MountOptions {
    /// The options, one each, without `defaults`.
    pub fn to_list(&self) -> Vec<String> {
        let all: Vec<String> = match self {
            MountOptions::Text(text) => vec![text.clone()],
            MountOptions::List(list) => list.clone(),
            MountOptions::Map(map) => map
                .iter()
                .map(|(name, value)| if value.is_empty() { name.clone() } else { format!("{name}={value}") })
                .collect(),
        };
        split(&all.join(","))
    }
}

/// The options in a text with commas, without `defaults`. A comma between quotation marks separates nothing.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut is_quoted = false;
    let all = text.split(|c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    all.map(str::trim).filter(|option| !option.is_empty() && *option != "defaults").map(str::to_owned).collect()
}

macro_rules! text {
    ($($from:ty),+) => {$(
        impl Accepts<$from> for MountOptions {
            fn accept(options: $from) -> MountOptions {
                MountOptions::Text(options.into())
            }
        }
    )+};
}

text!(&str, String, &String);

impl<V: Into<String>, const N: usize> Accepts<[V; N]> for MountOptions {
    fn accept(options: [V; N]) -> MountOptions {
        MountOptions::List(options.into_iter().map(Into::into).collect())
    }
}

impl<V: Into<String>> Accepts<Vec<V>> for MountOptions {
    fn accept(options: Vec<V>) -> MountOptions {
        MountOptions::List(options.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_give_one_list() {
        let map = |pairs: &[(&str, &str)]| {
            MountOptions::Map(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        for options in [
            MountOptions::Text("ro, size=1m,,defaults".to_owned()),
            MountOptions::accept(["ro", "size=1m"]),
            MountOptions::accept(vec!["ro,size=1m"]),
            map(&[("ro", ""), ("size", "1m"), ("defaults", "")]),
        ] {
            assert_eq!(options.to_list(), ["ro", "size=1m"], "{options:?}");
        }
        assert_eq!(split("context=\"a,b\",ro"), ["context=\"a,b\"", "ro"]);
        assert!(MountOptions::default().to_list().is_empty());
    }
}
