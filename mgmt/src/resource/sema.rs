//! Semaphores that resources name in their metaparameters.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// A semaphore, and the number of resources that may hold it at once. As text, and in data: `name`, or `name:size`;
/// `:size` is the semaphore with an empty name.
///
/// ```
/// use mgmt::resource::Sema;
///
/// assert_eq!(Sema::from("disk:2"), Sema::new("disk", 2));
/// assert_eq!(Sema::from("disk"), Sema::new("disk", 1));
/// assert_eq!(Sema::new("disk", 1).to_string(), "disk");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Sema {
    name: String,
    /// 0: the given text is not a semaphore; `name` contains the text.
    size: u32,
}

impl Sema {
    /// A semaphore that at most `size` resources may hold at once; `size` is at least 1.
    pub fn new(name: impl Into<String>, size: u32) -> Sema {
        Sema { name: name.into(), size }
    }

    /// The name of the semaphore.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of resources that may hold the semaphore at once.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The mistake in the semaphore; `None` if it is valid. A text that is not a semaphore is kept and reported here,
    /// so that its graph can report it with all other problems.
    pub fn problem(&self) -> Option<String> {
        (self.size == 0).then(|| format!("semaphore `{self}`: write `name` or `name:size`, with a size of at least 1"))
    }
}

impl From<&str> for Sema {
    fn from(text: &str) -> Sema {
        match text.rsplit_once(':') {
            None => Sema::new(text, u32::from(!text.is_empty())),
            Some((name, size)) => match size.parse() {
                Ok(size) if size > 0 => Sema::new(name, size),
                _ => Sema::new(text, 0),
            },
        }
    }
}

impl From<String> for Sema {
    fn from(text: String) -> Sema {
        Sema::from(text.as_str())
    }
}

impl From<&String> for Sema {
    fn from(text: &String) -> Sema {
        Sema::from(text.as_str())
    }
}

impl From<Sema> for String {
    fn from(sema: Sema) -> String {
        sema.to_string()
    }
}

impl fmt::Display for Sema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With `:size`, since a name with a colon would be read as a name with a size, and an empty name as no
        // semaphore.
        match self.size {
            0 => f.write_str(&self.name),
            1 if !self.name.contains(':') && !self.name.is_empty() => f.write_str(&self.name),
            size => write!(f, "{}:{size}", self.name),
        }
    }
}

impl JsonSchema for Sema {
    fn schema_name() -> Cow<'static, str> {
        "Sema".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_read_back_the_same() {
        for (text, name, size) in [
            ("a", "a", 1),
            ("a:2", "a", 2),
            ("a:b:1", "a:b", 1),
            ("a:1", "a", 1),
            ("42", "42", 1),
            (":13", "", 13),
            (":1", "", 1),
        ] {
            let sema = Sema::from(text);
            assert_eq!((sema.name(), sema.size(), sema.problem()), (name, size, None), "{text}");
            assert_eq!(Sema::from(sema.to_string()), sema, "{text}");
        }
    }

    #[test]
    fn what_is_none_has_a_problem_with_its_text() {
        for text in ["", ":", ":0", "a:0", "a:b", "a:-1", "a:99999999999"] {
            let sema = Sema::from(text);
            let problem = sema.problem().unwrap_or_else(|| panic!("{text} is none"));
            assert!(problem.starts_with(&format!("semaphore `{text}`: ")), "{problem}");
            assert_eq!(serde_json::to_value(&sema).unwrap(), text);
        }
    }
}
