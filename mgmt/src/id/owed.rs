//! The changes of a refresh that is owed along an edge, with slots in an engine and with names in the journal.

use super::number::Node;

/// A change of what one resource owes another. `N` is the type that identifies the two resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalOp<N = Node> {
    /// `from` is about to be applied and then owes `to` a refresh. Over a debt, the debt stays too.
    Intent {
        /// The notifier.
        from: N,
        /// The notified.
        to: N,
    },
    /// The apply changed nothing: the intent is void. A debt from before stays.
    Drop {
        /// The notifier.
        from: N,
        /// The notified.
        to: N,
    },
    /// `from` changed: the intent has become a debt.
    Debt {
        /// The notifier.
        from: N,
        /// The notified.
        to: N,
    },
    /// The refresh succeeded, or the edge is gone: neither a debt nor an intent is left.
    Paid {
        /// The notifier.
        from: N,
        /// The notified.
        to: N,
    },
}

impl<N> JournalOp<N> {
    /// The same change with other identifiers of the two resources.
    pub fn map<M>(self, name: impl Fn(N) -> M) -> JournalOp<M> {
        match self {
            JournalOp::Intent { from, to } => JournalOp::Intent { from: name(from), to: name(to) },
            JournalOp::Drop { from, to } => JournalOp::Drop { from: name(from), to: name(to) },
            JournalOp::Debt { from, to } => JournalOp::Debt { from: name(from), to: name(to) },
            JournalOp::Paid { from, to } => JournalOp::Paid { from: name(from), to: name(to) },
        }
    }
}
