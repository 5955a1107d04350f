//! The laws by name, and the report about them.

use std::fmt;

/// A law that every kind must keep; the last one, every kind with [`Reverse`](crate::resource::Reverse).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// A check changes nothing: neither files, nor their times, nor what the subject observes.
    CheckChangesNothing,
    /// After an apply the check finds nothing; after a change from outside it finds something.
    ApplyThenCheckIsInSync,
    /// A resource in sync is not changed, and a repair leads to the same state as the first apply.
    ApplyTwiceIsApplyOnce,
    /// Every change from outside makes the watch report `Changed`.
    AnOutsideChangeIsHeard,
    /// In noop, nothing is applied and nothing changes.
    NoopNeverApplies,
    /// What an apply leaves when it is cancelled, at any await, can be repaired by check and apply.
    CancelledApplyIsRepaired,
    /// An undo leads back to what was there before the first apply; a second one changes nothing, and one after an undo
    /// that was cancelled, at any await, leads back too. Tried with what the first apply changes.
    UndoRestores,
}

impl Law {
    /// All laws of every kind, in the order in which they build on one another.
    pub const ALL: [Law; 6] = [
        Law::CheckChangesNothing,
        Law::ApplyThenCheckIsInSync,
        Law::ApplyTwiceIsApplyOnce,
        Law::AnOutsideChangeIsHeard,
        Law::NoopNeverApplies,
        Law::CancelledApplyIsRepaired,
    ];
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Law::CheckChangesNothing => "check changes nothing",
            Law::ApplyThenCheckIsInSync => "apply then check is in sync",
            Law::ApplyTwiceIsApplyOnce => "apply twice is apply once",
            Law::AnOutsideChangeIsHeard => "an outside change makes watch speak",
            Law::NoopNeverApplies => "noop never applies",
            Law::UndoRestores => "an undo restores what was there before",
            Law::CancelledApplyIsRepaired => "cancelling apply at any await leaves something check repairs",
        })
    }
}

/// A law that a kind breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The law.
    pub law: Law,
    /// The kind.
    pub kind: &'static str,
    /// What was observed.
    pub seen: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} breaks the law “{}”: {}", self.kind, self.law, self.seen)
    }
}

impl std::error::Error for Broken {}

/// The result of trying the laws.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The laws that were tried and hold.
    pub kept: Vec<Law>,
    /// The laws that were tried and broken.
    pub broken: Vec<Broken>,
}
