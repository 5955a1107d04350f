//! The identity of a resource: `file[/etc/motd]`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::escape::in_one_line;

/// The longest name that is shown whole, in characters.
const SHOWN_MAX: usize = 4096;

/// The name of a kind of resource, in lower case, such as `file` or `http:server`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KindName(Arc<str>);

impl KindName {
    /// A kind's name. `File` and `file` are the same name.
    pub fn new(name: &str) -> KindName {
        KindName(if name.bytes().any(|b| b.is_ascii_uppercase()) {
            name.to_ascii_lowercase().into()
        } else {
            name.into()
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The identity of a resource: its kind and its name, unique in a graph. Written `file[/etc/motd]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ResourceId {
    /// The kind of the resource.
    pub kind: KindName,
    /// The name of the resource within its kind.
    pub name: String,
}

/// The error for a text that is not a `ResourceId`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name a resource: write it as `kind[name]`, for example `file[/etc/motd]`")]
pub struct NameError(String);

impl ResourceId {
    /// The resource of this kind and name.
    pub fn new(kind: &str, name: impl Into<String>) -> ResourceId {
        ResourceId { kind: KindName::new(kind), name: name.into() }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name may contain any characters; a line of output may not.
        match self.name.char_indices().nth(SHOWN_MAX) {
            None => write!(f, "{}[{}]", self.kind, in_one_line(&self.name)),
            // No graph accepts such a name, so only its beginning is shown.
            Some((end, _)) => {
                let shown = in_one_line(&self.name[..end]);
                write!(f, "{}[{shown}… ({} bytes)]", self.kind, self.name.len())
            }
        }
    }
}

impl std::str::FromStr for ResourceId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<ResourceId, NameError> {
        match text.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(ResourceId::new(kind, name)),
            _ => Err(NameError(text.to_owned())),
        }
    }
}

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> String {
        // Unlike `Display`, without escapes: the text must be read back unchanged.
        format!("{}[{}]", id.kind, id.name)
    }
}

impl TryFrom<String> for ResourceId {
    type Error = NameError;
    fn try_from(text: String) -> Result<ResourceId, NameError> {
        text.parse()
    }
}
