//! Why there is no list of hosts.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::id::in_one_line;
use crate::sys::ssh::{DistinctError, EndpointError, LinkError};

/// Why there is no list of hosts.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostsError {
    /// The file can't be read.
    #[error("the hosts can't be read from {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failure.
        #[source]
        error: Arc<io::Error>,
    },
    /// The file is not what it must be.
    #[error("the hosts can't be read from {}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A line of the file is no address of a host.
    #[error("{}:{line}: {error}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        error: EndpointError,
    },
    /// An address is wrong, or one host is listed twice.
    #[error(transparent)]
    Address(#[from] EndpointError),
    /// ssh can't be asked what its configuration makes of an address.
    #[error(transparent)]
    Ssh(Arc<LinkError>),
    /// Two hosts have the same name.
    #[error("two hosts have the name `{}`: give each a name of its own, with NAME=ADDRESS", in_one_line(.0))]
    Twice(String),
    /// Another failure.
    #[error("{0}")]
    Other(String),
}

impl From<DistinctError> for HostsError {
    fn from(error: DistinctError) -> HostsError {
        match error {
            DistinctError::Endpoint(error) => HostsError::Address(error),
            DistinctError::Link(error) => HostsError::Ssh(Arc::new(error)),
        }
    }
}
