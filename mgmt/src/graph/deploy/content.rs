//! Content by its SHA-256.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of some content, printed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ContentId([u8; 32]);

impl ContentId {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> ContentId {
        ContentId(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ContentId> for String {
    fn from(id: ContentId) -> String {
        id.to_string()
    }
}

impl FromStr for ContentId {
    type Err = String;

    fn from_str(text: &str) -> Result<ContentId, String> {
        let wrong = || "a SHA-256 has 64 hexadecimal digits in lower case".to_owned();
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let digits: Vec<u8> = text.bytes().map(digit).collect::<Option<_>>().ok_or_else(wrong)?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
        Ok(ContentId(bytes.try_into().map_err(|_| wrong()).and_then(|bytes: [u8; 32]| match digits.len() {
            64 => Ok(bytes),
            _ => Err(wrong()),
        })?))
    }
}

impl TryFrom<String> for ContentId {
    type Error = String;

    fn try_from(text: String) -> Result<ContentId, String> {
        text.parse()
    }
}

/// Content in a world: its SHA-256 and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentRef {
    /// The SHA-256.
    pub sha256: ContentId,
    /// The size in bytes.
    pub bytes: u64,
}

impl ContentRef {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> ContentRef {
        ContentRef { sha256: ContentId::of(bytes), bytes: bytes.len() as u64 }
    }
}
