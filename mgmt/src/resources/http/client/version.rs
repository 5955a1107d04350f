//! Versions of what a URL leads to, as servers name them.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use serde::{Deserialize, Serialize};

/// A version, as the server named it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    /// `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// `Last-Modified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<String>,
}

impl Version {
    /// The server has named it.
    pub(super) fn is_named(&self) -> bool {
        self.etag.is_some() || self.modified.is_some()
    }

    /// The server need not send this version.
    pub(super) fn unless(&self, headers: &mut HeaderMap) {
        put(headers, IF_NONE_MATCH, self.etag.as_deref());
        // Only for servers that know no `ETag`: the other one is exact, this one a second.
        put(headers, IF_MODIFIED_SINCE, self.modified.as_deref().filter(|_| self.etag.is_none()));
    }

    /// Only what follows these bytes, if the version is still this one. (RFC 9110, 13.1.5: with a strong validator.)
    pub(super) fn rest(&self, from: u64, headers: &mut HeaderMap) {
        put(headers, RANGE, Some(&format!("bytes={from}-")));
        put(headers, IF_RANGE, self.strong());
    }

    /// A name that no two bodies share.
    pub(super) fn strong(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    // It came from a header.
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}

/// What is remembered of what was fetched into a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fetched {
    pub(super) url: String,
    #[serde(flatten)]
    pub(super) version: Version,
    /// In hexadecimal.
    pub(super) sha256: String,
}
