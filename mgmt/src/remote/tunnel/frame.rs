//! What both ends of a tunnel tell each other about its streams.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are base64 in a message, and are not shown.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::remote) struct Bytes(pub(super) Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Bytes).map_err(|error| D::Error::custom(format!("no base64: {error}")))
    }
}

/// A part of the conversation about one stream, which has a number of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::remote) enum Frame {
    /// A stream to the server at this address begins. Only the far end begins streams.
    Open(u32, String),
    Data(u32, Bytes),
    /// This number of bytes was taken out of the stream, and as many more may be sent.
    Taken(u32, u32),
    /// The stream has ended, in both directions, and if it has failed, why.
    End(u32, Option<String>),
}
