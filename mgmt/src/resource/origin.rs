//! The origin of a resource or an edge: the place where it was declared, or the pass that added it.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::id::{ResourceId, in_one_line};

/// The origin of a part of a graph.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A line of a Rust program.
    Source(&'static Location<'static>),
    /// A place in a file of data.
    File(Arc<Span>),
    /// A pass of the engine, and its reason.
    Pass(Arc<Reason>),
    /// Another host, which exports it.
    Host(Arc<Offerer>),
    /// Not recorded.
    Unknown,
}

/// A place in a file of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: String,
    /// The line, from 1; 0: unknown.
    pub line: usize,
    /// The column, from 1; 0: unknown.
    pub column: usize,
}

/// The reason why a pass of the engine added a part of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The pass.
    pub pass: &'static str,
    /// The reason, in words.
    pub why: String,
}

/// A host that exports a resource, which this graph collects.
#[derive(Clone, Debug)]
pub struct Offerer {
    /// The host; empty: the one that the graph is for, if that is not known.
    pub host: String,
    /// The resource.
    pub id: ResourceId,
    /// Where the rule was declared that collects it.
    pub collected: Origin,
}

impl Origin {
    /// The host that exports the resource, if it was collected and the host is known.
    pub fn exporter(&self) -> Option<&str> {
        match self {
            Origin::Host(offerer) => Some(offerer.host.as_str()).filter(|host| !host.is_empty()),
            _ => None,
        }
    }

    /// The line that called the caller of this function.
    #[track_caller]
    pub fn here() -> Origin {
        Origin::Source(Location::caller())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Source(at) => write!(f, "{}:{}", at.file(), at.line()),
            Origin::File(span) => match (span.line, span.column) {
                (0, _) => f.write_str(&span.file),
                (line, 0) => write!(f, "{}:{line}", span.file),
                (line, column) => write!(f, "{}:{line}:{column}", span.file),
            },
            Origin::Pass(reason) => write!(f, "{}: {}", reason.pass, reason.why),
            Origin::Host(offerer) if offerer.host.is_empty() => {
                write!(f, "{}, exported by this host", offerer.collected)
            }
            Origin::Host(offerer) => write!(f, "{}, exported by {}", offerer.collected, in_one_line(&offerer.host)),
            Origin::Unknown => f.write_str("(unknown)"),
        }
    }
}
