//! The lines of the protocol, as types of serde.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::id::ResourceId;
use crate::resource::{CONTROL_SOCKET, Change, seconds};

/// The version of the protocol, in each line.
pub const VERSION: u32 = 1;
/// The name of the socket in the prefix of an engine.
pub const SOCKET: &str = CONTROL_SOCKET;

/// A line of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The version of the protocol that the client speaks: [`VERSION`].
    pub v: u32,
    /// What the client asks for.
    #[serde(flatten)]
    pub ask: Ask,
}

impl Request {
    /// The request in this version.
    pub fn new(ask: Ask) -> Request {
        Request { v: VERSION, ask }
    }
}

/// What a client asks for.
///
/// The `names` of a request select resources. A pattern with a bracket, such as `file[/etc/*]`, is compared with kind
/// and name, any other one with the name alone. `*` stands for any text, `?` for one character; a resource whose name
/// equals the pattern is selected alone. An empty list selects all resources. A pattern that selects none is refused,
/// with the resource that was probably meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ask {
    /// The state of the engine ([`Reply::Engine`]) and of resources ([`Reply::Resource`]).
    Status {
        /// Patterns of names. Default: all resources.
        #[serde(default)]
        names: Vec<String>,
        /// Only resources of this kind. Default: of all kinds.
        #[serde(default)]
        kind: Option<String>,
        /// Only resources that have failed, keep failing, or wait for a cause outside of the graph. Default: no.
        #[serde(default)]
        failed: bool,
    },
    /// The names of resources ([`Reply::Name`]).
    Names {
        /// Patterns of names. Default: all resources.
        #[serde(default)]
        names: Vec<String>,
        /// Only resources of this kind. Default: of all kinds.
        #[serde(default)]
        kind: Option<String>,
    },
    /// Why one resource is in its state ([`Reply::Why`]).
    Why {
        /// The resource.
        id: ResourceId,
    },
    /// The last events ([`Reply::Event`]).
    Events {
        /// Patterns of names. Default: the events of all resources, and those of the engine.
        #[serde(default)]
        names: Vec<String>,
        /// Only events of resources of this kind. Default: of all kinds.
        #[serde(default)]
        kind: Option<String>,
        /// At most this many of the remembered events. Default: all that are remembered.
        #[serde(default)]
        last: Option<usize>,
        /// Continue with the events that follow, until the client closes the connection or the engine ends. Default:
        /// no.
        #[serde(default)]
        follow: bool,
    },
    /// Start no operation until [`Ask::Resume`].
    Pause {
        /// Reply when no operation is under way any more. Default: at once.
        #[serde(default)]
        idle: bool,
    },
    /// Continue after a pause.
    Resume,
    /// Check resources now, also those that have failed for good or wait for their next try.
    Poke {
        /// Patterns of names.
        names: Vec<String>,
    },
    /// Ask the source of graphs for its graph again. Replies when the new graph is in force, or is refused.
    Reload,
}

/// A line of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reply {
    /// The state of the engine.
    Engine(Box<EngineReport>),
    /// The state of a resource.
    Resource(Box<ResourceReport>),
    /// The name of a resource.
    Name {
        /// The resource.
        id: ResourceId,
    },
    /// Why a resource is in its state.
    Why(Box<WhyReport>),
    /// An event.
    Event(Box<EventReport>),
    /// The client was too slow to get all events.
    Missed {
        /// How many events it has missed here.
        events: u64,
    },
    /// The request is answered.
    Done {
        /// How many resources or events the reply had, or, for [`Ask::Poke`], how many resources are checked.
        count: u64,
        /// Whether the engine is in a pause: then nothing begins before [`Ask::Resume`].
        #[serde(default)]
        paused: bool,
    },
    /// The request is not answered.
    Refused {
        /// Why not.
        error: String,
    },
}

/// The state of an engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EngineReport {
    /// The name of the graph.
    pub graph: String,
    /// The number of the graph in force, counted from 1.
    pub generation: u64,
    /// The number of the engine's process.
    pub pid: u32,
    /// The time since the engine started, in seconds.
    #[serde(with = "seconds")]
    pub up: Duration,
    /// How many resources the graph has.
    pub resources: usize,
    /// How many of them are settled.
    pub settled: usize,
    /// How many have failed for good.
    pub failed: usize,
    /// How many operations are under way.
    pub running: usize,
    /// Whether all resources have been settled for the converged timeout.
    pub converged: bool,
    /// Whether the graph can't converge by itself.
    pub hopeless: bool,
    /// Why the other hosts have not converged, if they count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Whether the engine is in a pause.
    pub paused: bool,
}

/// The state of a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResourceReport {
    /// The resource.
    pub id: ResourceId,
    /// What it does or waits for: the word of a [`Standing`](crate::runtime::Standing), or `gone` if it is not in the
    /// graph any more.
    pub state: String,
    /// The resources that the state is about: those that it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<ResourceId>,
    /// How long it has been in this state, in seconds. `None`: longer than the remembered events go back.
    #[serde(default, with = "seconds::option", skip_serializing_if = "Option::is_none")]
    pub since: Option<Duration>,
    /// The operation under way: `check`, `apply`, `refresh`, `leave`, `watch` or `wait`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What the last check found wrong, if it is not repaired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The cause outside of the graph that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// The time until its next try, in seconds.
    #[serde(default, with = "seconds::option", skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Duration>,
    /// The time until its next poll, in seconds.
    #[serde(default, with = "seconds::option", skip_serializing_if = "Option::is_none")]
    pub next_poll: Option<Duration>,
    /// Its private directory, if it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Where it was declared: a line of a program or of a file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
}

/// Why a resource is in its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WhyReport {
    /// The state of the resource.
    pub resource: ResourceReport,
    /// Its last events, the latest at the end.
    pub events: Vec<EventReport>,
    /// The edges from the resources that are settled before it; at most 200.
    pub after: Vec<EdgeReport>,
    /// How many more there are.
    #[serde(default)]
    pub after_more: usize,
    /// The edges to the resources that wait for it; at most 200.
    pub before: Vec<EdgeReport>,
    /// How many more there are.
    #[serde(default)]
    pub before_more: usize,
    /// The resources that owe it a refresh, since they have changed; at most 200.
    pub owed_by: Vec<ResourceId>,
    /// The resources that it owes a refresh; at most 200.
    pub owes: Vec<ResourceId>,
}

/// An edge between the resource that a report is about and another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EdgeReport {
    /// The other resource.
    pub id: ResourceId,
    /// The state of the other resource.
    pub state: String,
    /// Whether the second of the two is refreshed when the first one has changed.
    #[serde(default)]
    pub notify: bool,
    /// The fields of the second that receive values of the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Where the edge was declared, or which pass has added it and why.
    pub at: String,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventReport {
    /// The time of the event, in seconds since the engine started.
    #[serde(with = "seconds")]
    pub at: Duration,
    /// How long ago that was when the line was sent, in seconds.
    #[serde(with = "seconds")]
    pub ago: Duration,
    /// The event as one line of text.
    pub text: String,
    /// Why the check began that led to this event, in words; empty for events that no check led to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The resources whose change has caused the check of this one, as far as the remembered events show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<ResourceId>,
    /// Whether a client has asked for the check ([`Ask::Poke`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
    /// The event as data: an [`EventKind`](crate::runtime::EventKind).
    pub what: Json,
}
