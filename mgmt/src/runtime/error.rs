//! Why an engine does not start, or has ended.

use crate::gapi::{Failure, GapiError};
use crate::graph::Problems;
use crate::journal::JournalError;

/// Why an engine does not start, or has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The graph is wrong: every problem of it.
    #[error(transparent)]
    Graph(#[from] Problems),
    /// The source of graphs failed to make one.
    #[error("no graph: {0}")]
    Gapi(#[source] Failure),
    /// The journal can't be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The system refused something that an engine needs, such as a thread.
    #[error("can't start: {0}")]
    System(#[from] std::io::Error),
    /// The working directory was deleted or moved away while the engine ran, and can't be made again.
    #[error("{0}")]
    Lost(#[source] Failure),
    /// The engine has ended.
    #[error("the engine has ended")]
    Ended,
}

impl EngineError {
    /// An error for an impossible request of the program.
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
