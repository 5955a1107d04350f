//! Why an engine does not start, or has ended.

use std::fmt;

use crate::gapi::{DeployError, Failure, GapiError};
use crate::graph::Problems;
use crate::id::{Palette, Role, Shown};
use crate::journal::JournalError;

/// Why an engine does not start, or has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The graph is wrong; contains all of its problems.
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
    /// The graph was not deployed.
    #[error(transparent)]
    Deploy(DeployError),
    /// The engine has ended.
    #[error("the engine has ended")]
    Ended,
}

impl EngineError {
    /// The error as a program prints it: `error:` before each thing that is wrong, in colour if the palette has any.
    pub fn painted(&self, palette: Palette) -> impl fmt::Display + '_ {
        Shown(move |f: &mut fmt::Formatter<'_>| match self {
            EngineError::Graph(problems) => write!(f, "{}", problems.painted(palette)),
            EngineError::Gapi(why) => {
                write!(f, "{} no graph: {}", palette.paint(Role::Error, "error:"), why.in_lines())
            }
            error => write!(f, "{} {error}", palette.paint(Role::Error, "error:")),
        })
    }

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
