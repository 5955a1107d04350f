//! Why a deploy was not published, or can't be read.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use crate::graph::{ContentRef, Deploy, DeployId, Problems};
use crate::id::in_one_line;
use crate::resource::{Why, WorldError};
use crate::sys::clock::rfc3339;

/// Why a deploy was not published, or can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The engine or the program has no world.
    #[error("no world: name the servers of one with `--seeds`, or give the program one (`Builder::world`)")]
    NoWorld,
    /// The world can't be reached, or does not permit it.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The graph is wrong, or can't travel; contains all reasons. Nothing was published.
    #[error(transparent)]
    Graph(#[from] Problems),
    /// The graph, a file or the message is too large. Nothing was published.
    #[error("{0}")]
    TooLarge(String),
    /// Another deploy is in force than the one on which this one is based. Nothing was published.
    #[error(
        "{}; this deploy is based on {}, so nothing was published: look at the other one with `deploy show`, and deploy \
         again with what it has, or replace it with `--force`",
        in_force(.head, .record.as_deref()), .expected.as_ref().map_or("no deploy".to_owned(), |id| format!("deploy {id}"))
    )]
    Overtaken {
        /// The deploy on which the refused one is based. `None`: there was none.
        expected: Option<DeployId>,
        /// The one in force. `None`: there is none.
        head: Option<DeployId>,
        /// Its record, if it can be read.
        record: Option<Box<Deploy>>,
    },
    /// What names the deploy in force can't be read.
    #[error("the world's note of the deploy in force can't be read: replace it by a deploy with `--force`")]
    NoHead,
    /// A deploy in waves is under way.
    #[error(
        "deploy {to} is under way, in wave {wave} of {waves}, so nothing was published: wait for its end (`deploy show \
         {to}`), end it with `deploy revert`, or replace it with `--force`"
    )]
    UnderWay {
        /// That deploy.
        to: DeployId,
        /// Its present wave, counted from 1.
        wave: usize,
        /// The number of its waves.
        waves: usize,
    },
    /// The waves can't be those of a rollout.
    #[error("{0}; nothing was published")]
    Waves(String),
    /// What the world has of a deploy in waves can't be read.
    #[error("{0}: nothing was published; replace it by a deploy with `--force`")]
    NoRollout(String),
    /// Other programs have changed the deploys all the time.
    #[error("other programs change the deploys all the time: nothing was published; try again")]
    Raced,
    /// The world did not answer the last transaction.
    #[error("whether deploy {id} is in force is not known: {error}; `deploy list` shows it when the world is back")]
    Unknown {
        /// The deploy.
        id: DeployId,
        /// Why there is no answer.
        error: WorldError,
    },
    /// No deploy has an ID that begins like this.
    #[error("no deploy has an ID that begins with `{0}`: `deploy list` shows those that are kept")]
    NoSuch(String),
    /// Several deploys have an ID that begins like this.
    #[error("`{begin}` may be {}: give more digits", .ids.iter().map(DeployId::to_string).collect::<Vec<_>>().join(" or "))]
    Ambiguous {
        /// The beginning.
        begin: String,
        /// The IDs.
        ids: Vec<DeployId>,
    },
    /// There is no deploy, none before the one in force, or none that could be resumed.
    #[error("{0}")]
    Nothing(String),
    /// The deploy can't be used as it is in the world.
    #[error("deploy {id} is damaged: {why}; deploy again, or `deploy revert` to another one")]
    Damaged {
        /// The deploy.
        id: DeployId,
        /// What is wrong with it.
        why: String,
    },
    /// A newer program has made the deploy.
    #[error("deploy {id}: {why}")]
    Newer {
        /// The deploy.
        id: DeployId,
        /// The versions.
        why: String,
    },
    /// The world no longer has a content that a deploy refers to.
    #[error("the world lacks the content {} ({} bytes)", .0.sha256, .0.bytes)]
    Lacking(ContentRef),
    /// The content has another hash or another size than it must have.
    #[error("the content {} ({} bytes) does not have that hash", .0.sha256, .0.bytes)]
    WrongContent(ContentRef),
    /// The system refused something.
    #[error("{0}")]
    System(String),
}

impl From<&DeployError> for Why {
    fn from(error: &DeployError) -> Why {
        match error {
            DeployError::World(error) => Why::from(error),
            error => Why::Own(error.to_string()),
        }
    }
}

/// The moment in words.
pub(super) fn moment(seconds: u64) -> String {
    // A number of seconds that no calendar has is not shown.
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds.min(1 << 37))).unwrap_or(UNIX_EPOCH);
    rfc3339(time).replace(".000Z", "Z")
}

fn in_force(head: &Option<DeployId>, record: Option<&Deploy>) -> impl fmt::Display {
    match (head, record) {
        (Some(head), Some(record)) => {
            let message = match record.message.lines().next() {
                Some(line) => format!(" ({})", in_one_line(line)),
                None => String::new(),
            };
            format!("deploy {head}{message} by {}, {}, is in force", in_one_line(&record.by), moment(record.at))
        }
        (Some(head), None) => format!("deploy {head} is in force"),
        (None, _) => "no deploy is in force".to_owned(),
    }
}
