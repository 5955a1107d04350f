//! Why something failed: what was being done, and the error behind it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::resource::Error;

/// Why a source of graphs failed: a sentence for people, and the error that caused it if there is one (`source`).
///
/// Made from a text by `into`, from an error with [`Failure::of`], or from the [`Error`] of a closure.
#[derive(Clone)]
pub struct Failure {
    text: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// What was being done, and the error that ended it. Both are in the text.
    pub fn of(doing: impl fmt::Display, error: impl StdError + Send + Sync + 'static) -> Failure {
        Failure { text: format!("{doing}: {error}"), source: Some(Arc::new(error)) }
    }

    /// An error whose own text names what was being done.
    pub(crate) fn from_error(error: impl StdError + Send + Sync + 'static) -> Failure {
        Failure { text: error.to_string(), source: Some(Arc::new(error)) }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure { text, source: None }
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Failure {
        text.to_owned().into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { text: error.to_string(), source: error.into_source() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("text", &self.text).field("source", &self.source).finish()
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_failure_tells_all_and_keeps_its_source() {
        let failure = Failure::of("/x can't be read", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(failure.to_string(), "/x can't be read: entity not found");
        assert!(failure.source().and_then(|error| error.downcast_ref::<io::Error>()).is_some());
        let failure = Failure::from(Error::from(io::Error::from(io::ErrorKind::NotFound)).context("the hosts"));
        assert_eq!(failure.to_string(), "the hosts: entity not found");
        assert!(failure.source().and_then(|error| error.downcast_ref::<io::Error>()).is_some());
        assert!(Failure::from("no line").source().is_none());
    }
}
