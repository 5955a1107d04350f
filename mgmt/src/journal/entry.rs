//! The entries of the journal.

use crate::id::{JournalOp, ResourceId};

/// The digest of a value.
pub type Digest = [u8; 32];

/// One thing to remember or to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A change of what one resource owes another.
    Edge(JournalOp<ResourceId>),
    /// A mark of a resource, for example that its password has been generated. `None` removes the mark. All digests of
    /// what the resource sent are forgotten with it: after a crash, a mark of a new value together with the digest of
    /// the old one would mean that the old value is the new one.
    Mark {
        /// The resource.
        of: ResourceId,
        /// The content of the mark.
        mark: Option<Vec<u8>>,
    },
    /// The salted digest of the last value of a resource's output. `None` forgets it.
    Sent {
        /// The sender.
        of: ResourceId,
        /// The name of its output.
        port: String,
        /// The digest of the value.
        digest: Option<Digest>,
    },
    /// A small value that a resource keeps under a name of its choice. `None` removes it.
    Value {
        /// The resource.
        of: ResourceId,
        /// The name of the value.
        key: String,
        /// The value.
        value: Option<Vec<u8>>,
    },
    /// The number of counted days on which the resource has been in no graph, see
    /// [`Journal::retain`](super::Journal::retain). `None`: the resource is in the graph.
    Absent {
        /// The resource.
        of: ResourceId,
        /// The days.
        days: Option<u16>,
    },
    /// Absences have been counted on this day; the number of days since 1970-01-01.
    Counted(u64),
    /// The resource is gone: everything about it is forgotten, including what it owes and is owed.
    Forget {
        /// The resource.
        of: ResourceId,
    },
}

/// What is owed along an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// The notifier began to change something, and it is unknown whether it did. It counts as a debt if the process
    /// ended meanwhile.
    Intent,
    /// The notifier has changed something.
    Debt,
}
