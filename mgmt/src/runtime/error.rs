//! Why an engine does not start, or has ended.

use crate::gapi::{Failure, GapiError};
use crate::graph::Problems;
use crate::journal::JournalError;

/// Why an engine does not start, or has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The graph is wrong.
    #[error(transparent)]
    Graph(#[from] Problems),
    /// There is no graph.
    #[error("no graph: {0}")]
    Gapi(#[source] Failure),
    /// What this host remembers can't be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The system refused something that an engine needs.
    #[error("can't start: {0}")]
    System(#[from] std::io::Error),
    /// Its prefix was deleted or moved away while it ran, and can't be made again.
    #[error("{0}")]
    Lost(#[source] Failure),
    /// It has ended.
    #[error("the engine has ended")]
    Ended,
}

impl EngineError {
    /// Something that the program asked for can't be.
    pub(crate) fn wrong(what: String) -> EngineError {
        EngineError::System(std::io::Error::new(std::io::ErrorKind::InvalidInput, what))
    }
}

impl From<GapiError> for EngineError {
    fn from(error: GapiError) -> EngineError {
        match error {
            GapiError::Problems(problems) => EngineError::Graph(problems),
            GapiError::Failed(why) => EngineError::Gapi(why),
        }
    }
}
