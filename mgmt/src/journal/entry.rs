//! What can be written down.

use crate::id::ResourceId;

/// The digest of a value.
pub type Digest = [u8; 32];

/// One thing to remember or to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `from` is about to be applied and then owes `to` a refresh. Over a debt, the debt stays too.
    Intent {
        /// The notifier.
        from: ResourceId,
        /// The notified.
        to: ResourceId,
    },
    /// The apply changed nothing: the intent is void. A debt from before stays.
    Drop {
        /// The notifier.
        from: ResourceId,
        /// The notified.
        to: ResourceId,
    },
    /// `from` changed: the intent has become a debt.
    Debt {
        /// The notifier.
        from: ResourceId,
        /// The notified.
        to: ResourceId,
    },
    /// The refresh succeeded, or the edge is gone: neither a debt nor an intent is left.
    Paid {
        /// The notifier.
        from: ResourceId,
        /// The notified.
        to: ResourceId,
    },
    /// A mark of a resource, for example that its password has been generated. `None` takes it away.
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
        /// Its output.
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
