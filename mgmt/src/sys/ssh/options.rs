//! How ssh is used for all hosts of a run.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

/// How long a host may take to answer at all.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How ssh is used for all hosts of a run. What is not set here is left to ssh's own configuration.
#[derive(Clone)]
#[non_exhaustive]
pub struct SshOptions {
    /// The program: a path, or a name that is looked up in `PATH`.
    pub program: PathBuf,
    /// The file to read in place of `~/.ssh/config` and the system's one (`ssh -F`).
    pub config: Option<PathBuf>,
    /// Private keys to try (`ssh -i`).
    pub identities: Vec<PathBuf>,
    /// The user to become there, by sudo.
    pub become_user: Option<String>,
    /// How long a host may take to answer at all; the whole login may take three times as long.
    pub connect_timeout: Duration,
    /// Whether the executable stays there for the next run.
    pub caching: bool,
    /// What answers the questions of ssh and sudo; `None`: they are errors.
    pub answers: Option<Arc<dyn Answers>>,
}

impl Default for SshOptions {
    fn default() -> SshOptions {
        SshOptions {
            program: "ssh".into(),
            config: None,
            identities: Vec::new(),
            become_user: None,
            connect_timeout: CONNECT_TIMEOUT,
            caching: true,
            answers: None,
        }
    }
}

impl fmt::Debug for SshOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshOptions")
            .field("program", &self.program)
            .field("config", &self.config)
            .field("identities", &self.identities)
            .field("become_user", &self.become_user)
            .field("connect_timeout", &self.connect_timeout)
            .field("caching", &self.caching)
            .field("answers", &self.answers.is_some())
            .finish()
    }
}

/// A question of ssh, or of sudo there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// The name of the host.
    pub host: String,
    /// The question, as ssh or sudo words it.
    pub text: String,
    /// What kind of answer it wants.
    pub kind: QuestionKind,
}

/// What kind of answer a question wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuestionKind {
    /// A password, a passphrase or a PIN: what is typed is not shown.
    Secret,
    /// `yes`, `no`, or the fingerprint of a key.
    Key,
    /// None: something has to be done, such as touching a key.
    Notice,
}

/// An answer in the making; `None`: there is none.
pub type Answer = Pin<Box<dyn Future<Output = Option<Zeroizing<String>>> + Send>>;

/// Answers the questions of ssh and sudo: a person at a terminal, or a program. Several hosts may ask at once.
pub trait Answers: Send + Sync {
    /// Answers a question. The future is dropped when the question does not matter any more.
    fn answer(&self, question: Question) -> Answer;
}
