//! Other machines through the system's `ssh`: an endpoint, a connection to it, the executable there, and its run. ssh
//! is a child process; nothing of its protocol is written here, so keys, agents, jumps and the list of known hosts work
//! as they are configured.

mod den;
mod desk;
mod diagnosis;
mod effective;
mod elf;
mod endpoint;
mod error;
mod executable;
#[cfg(feature = "etcd")]
mod forward;
mod hints;
mod keeper;
mod link;
mod options;
mod place;
mod run;
mod session;
mod sudo;
mod words;

pub use effective::{DistinctError, distinct_as_resolved};
pub use endpoint::{Endpoint, EndpointError, distinct};
pub use error::{LinkError, LinkProblem};
pub use executable::Executable;
#[cfg(feature = "etcd")]
pub use forward::{Forward, Forwarded, HostKey, HostKeyError};
pub use link::Link;
pub use options::{Answer, Answers, CONNECT_TIMEOUT, Question, QuestionKind, SshOptions};
pub use place::{Refused, There};
pub use run::{EARLY_BYTES_MAX, Running, Start};
