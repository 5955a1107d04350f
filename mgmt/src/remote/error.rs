//! Why nothing ran on another machine, or why the run there ended early; and what is reported about a graph there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::graph::{Problem, Problems};
use crate::id::in_one_line;
use crate::resource::Origin;

/// A problem or a warning about a graph, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Note {
    /// What is wrong, and what to do about it.
    pub message: String,
    /// The place of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The line in the file, with the place in it underlined, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

impl Note {
    /// A note without a place.
    pub fn new(message: impl Into<String>) -> Note {
        Note { message: message.into(), place: None, excerpt: None }
    }

    /// The notes of all problems.
    pub(crate) fn all(problems: &[Problem]) -> Vec<Note> {
        problems.iter().map(Note::from).collect()
    }
}

impl From<&Problem> for Note {
    fn from(problem: &Problem) -> Note {
        let place = (!matches!(problem.origin, Origin::Unknown)).then(|| problem.origin.to_string());
        let also = problem.also.iter().map(|(what, origin)| format!("; {what} at {origin}"));
        let message = std::iter::once(problem.message.clone()).chain(also).collect();
        Note { message, place, excerpt: problem.excerpt.clone() }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_one_line(&self.message))?;
        self.place.as_deref().map_or(Ok(()), |place| write!(f, " ({})", in_one_line(place)))
    }
}

fn listed(notes: &[Note]) -> String {
    notes.iter().map(Note::to_string).collect::<Vec<_>>().join("; ")
}

/// Why nothing ran on another machine, or why the run there ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The machine can't be reached, or the executable can't be started there; another try may succeed.
    #[error("{0}")]
    Start(String),
    /// The machine can't be reached now, which can change by itself: the network, or the machine is down or overloaded.
    #[error("{0}")]
    Unreachable(String),
    /// The machine, or what leads to it, refuses this: another try has the same end until something is changed, such as
    /// a key or the executable.
    #[error("{0}")]
    Refused(String),
    /// The process there did not answer as an executable of mgmt does.
    #[error("the process there does not answer as mgmt does: {why}{}", with(.printed))]
    NoFarEnd {
        /// What happened.
        why: String,
        /// The last lines that it has printed.
        printed: Vec<String>,
    },
    /// The executable there is of another version.
    #[error(
        "the executable there speaks version {there} of the protocol, and this one version {here}: let both be built \
         from the same version of mgmt"
    )]
    Version {
        /// The version of the protocol here.
        here: u32,
        /// That there.
        there: u32,
    },
    /// The graph is wrong, or can't travel.
    #[error("{}", listed(.0))]
    Graph(Vec<Note>),
    /// The engine there does not start, or has ended by itself, for this reason.
    #[error("{}", in_one_line(.0))]
    Failed(String),
    /// The connection was lost, or the process there was killed.
    #[error("{why}{}", with(.printed))]
    Lost {
        /// What happened.
        why: String,
        /// The last lines that it has printed.
        printed: Vec<String>,
    },
    /// The connection was lost before the run was confirmed, so the machine puts back what it has changed.
    #[error("{lost}; the run was not confirmed ({why}): that machine puts back what it has changed")]
    Unconfirmed {
        /// How the connection was lost.
        lost: String,
        /// Why it could not be confirmed.
        why: String,
    },
    /// The run has ended already.
    #[error("the run there has ended")]
    Ended,
}

fn with(lines: &[String]) -> String {
    match lines {
        [] => String::new(),
        lines => format!("; it printed: {}", in_one_line(&lines.join(" / "))),
    }
}

impl From<Problems> for RemoteError {
    fn from(Problems(problems): Problems) -> RemoteError {
        RemoteError::Graph(Note::all(&problems))
    }
}
