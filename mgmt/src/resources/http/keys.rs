//! What identifies servers and served paths, for passes.

use std::fmt;
use std::path::PathBuf;

use crate::resource::UidKey;

/// A path that an `http:file` serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UrlPath {
    /// The name of the `http:server`; `None`: the only one.
    pub server: Option<String>,
    /// The path, in normal form.
    pub path: PathBuf,
}

impl fmt::Display for UrlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(server) = &self.server {
            write!(f, "{server} ")?;
        }
        self.path.display().fmt(f)
    }
}

impl UidKey for UrlPath {
    const WORD: &'static str = "URL path";
}

/// An address that an `http:server` listens at, as it is declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address(pub String);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UidKey for Address {
    const WORD: &'static str = "address";
}

/// A server that `http:file` resources are served by: the `http:server` of that name, or, with `None`, any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServedBy(pub Option<String>);

impl fmt::Display for ServedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("(any)"))
    }
}

impl UidKey for ServedBy {
    const WORD: &'static str = "HTTP server";
}
