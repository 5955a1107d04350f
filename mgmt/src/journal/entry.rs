//! What can be written down.

use crate::id::{JournalOp, ResourceId};

/// The digest of a value.
pub type Digest = [u8; 32];

/// One thing to remember or to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// What one resource owes another changes.
    Edge(JournalOp<ResourceId>),
    /// A mark of a resource, for example that its password has been generated. `None` takes it away. With it all digests of
    /// what the resource sent are forgotten: a mark of a new value next to the digest of the old one would mean, after a
    /// crash, that the old value is the new one.
    Mark {
        /// The resource.
        of: ResourceId,
        /// What the mark says.
        mark: Option<Vec<u8>>,
    },
    /// The salted digest of the value that an output of a resource last had. `None` forgets it.
    Sent {
        /// The sender.
        of: ResourceId,
        /// The name of its output.
        port: String,
        /// The digest of the value.
        digest: Option<Digest>,
    },
    /// A small value that a resource keeps under a name of its choice. `None` takes it away.
    Value {
        /// The resource.
        of: ResourceId,
        /// The name of the value.
        key: String,
        /// The value.
        value: Option<Vec<u8>>,
    },
    /// On how many counted days the resource has been in no graph, see [`Journal::retain`](super::Journal::retain).
    /// `None`: it is in the graph.
    Absent {
        /// The resource.
        of: ResourceId,
        /// The days.
        days: Option<u16>,
    },
    /// Absences have been counted on this day, counted from 1970-01-01.
    Counted(u64),
    /// The resource is gone: everything about it, also what it owes and is owed.
    Forget {
        /// The resource.
        of: ResourceId,
    },
}

/// What is owed along an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// The notifier began to change something, and whether it did is not known. Counts as a debt if the process ended meanwhile.
    Intent,
    /// The notifier has changed something.
    Debt,
}
