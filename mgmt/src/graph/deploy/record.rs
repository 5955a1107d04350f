//! The record of a deploy: what it consists of, on which one it is based, who made it and when.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::graph::deploy::content::{ContentId, ContentRef};

/// The version of the format that this program writes, and the highest that it reads.
const FORMAT: u32 = 1;
/// The most bytes of a record.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 10;
/// The most bytes of the message of a deploy.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// The most bytes of a deploy: its graph and its files.
pub(crate) const DEPLOY_BYTES_MAX: u64 = 64 << 20;
/// The number of digits of an ID.
const ID_DIGITS: usize = 12;

/// The name of a deploy: the first 12 hexadecimal digits of the SHA-256 of its record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DeployId(String);

impl DeployId {
    /// That of a record with this SHA-256.
    pub(crate) fn of(record: &ContentId) -> DeployId {
        DeployId(record.to_string()[..ID_DIGITS].to_owned())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeployId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DeployId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<DeployId> for String {
    fn from(id: DeployId) -> String {
        id.0
    }
}

impl FromStr for DeployId {
    type Err = String;

    fn from_str(text: &str) -> Result<DeployId, String> {
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if text.len() != ID_DIGITS || !text.chars().all(is_digit) {
            return Err(format!("the ID of a deploy has {ID_DIGITS} hexadecimal digits in lower case"));
        }
        Ok(DeployId(text.to_owned()))
    }
}

impl TryFrom<String> for DeployId {
    type Error = String;

    fn try_from(text: String) -> Result<DeployId, String> {
        text.parse()
    }
}

/// The record of a deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Deploy {
    /// The version of the format.
    pub(crate) format: u32,
    /// One more than that of the parent; the first one has 1.
    pub number: u64,
    /// The deploy that was in force before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<DeployId>,
    /// The deploy whose content it has again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverts_to: Option<DeployId>,
    /// The user and the host that made it.
    pub by: String,
    /// When it was made, in seconds since 1970, by the clock of that host.
    pub at: u64,
    /// What it is for, in the words of the user. Empty: no word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The name of the graph.
    pub name: String,
    /// The number of resources in the graph.
    pub resources: u64,
    /// The number of files that it carries.
    pub files: u64,
    /// The bytes of the graph and of all different files.
    pub bytes: u64,
    /// The graph as JSON data.
    pub graph: ContentRef,
    /// The list of the files that it carries. `None`: it carries none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<ContentRef>,
}

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("it was made by a newer program (format {0}; this one reads up to {FORMAT}): update this program")]
    Newer(u32),
    #[error("{0}")]
    Damaged(String),
}

impl Deploy {
    /// A record without content, in the format of this program.
    pub(crate) fn new(graph: ContentRef) -> Deploy {
        Deploy {
            format: FORMAT,
            number: 1,
            parent: None,
            reverts_to: None,
            by: String::new(),
            at: 0,
            message: String::new(),
            name: String::new(),
            resources: 0,
            files: 0,
            bytes: graph.bytes,
            graph,
            carried: None,
        }
    }

    /// The same content as a new deploy.
    pub(crate) fn again(&self) -> Deploy {
        Deploy { format: FORMAT, parent: None, reverts_to: None, message: String::new(), ..self.clone() }
    }

    /// The record as bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        // Numbers and texts have a form as JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether it is the same graph with the same files.
    pub(crate) fn has_content_of(&self, other: &Deploy) -> bool {
        (&self.graph, &self.carried) == (&other.graph, &other.carried)
    }

    /// The record that these bytes of a world are.
    pub(crate) fn read(bytes: &[u8]) -> Result<Deploy, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let damaged = |why: String| RecordError::Damaged(why);
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(damaged(format!("it has {} bytes, and at most {RECORD_BYTES_MAX} are read", bytes.len())));
        }
        let unread = |error: serde_json::Error| damaged(format!("it can't be read: {error}"));
        let Version { format } = serde_json::from_slice(bytes).map_err(unread)?;
        if format > FORMAT {
            return Err(RecordError::Newer(format));
        }
        let deploy: Deploy = serde_json::from_slice(bytes).map_err(unread)?;
        let contents = [Some(deploy.graph), deploy.carried];
        if contents.iter().flatten().any(|content| content.bytes > DEPLOY_BYTES_MAX) {
            return Err(damaged(format!(
                "its graph is larger than the {DEPLOY_BYTES_MAX} bytes that a deploy can have"
            )));
        }
        Ok(deploy)
    }
}

/// What names the deploy in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) id: DeployId,
    /// The SHA-256 of its record.
    pub(crate) sha256: ContentId,
}

impl Head {
    /// The head that names this record.
    pub(crate) fn of(record: &[u8]) -> Head {
        let sha256 = ContentId::of(record);
        Head { id: DeployId::of(&sha256), sha256 }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None`: these bytes are no head.
    pub(crate) fn read(bytes: &[u8]) -> Option<Head> {
        let head: Head = serde_json::from_slice(bytes).ok()?;
        (head.id == DeployId::of(&head.sha256)).then_some(head)
    }
}
