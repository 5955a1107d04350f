//! The laws by name, and what is said of one that is broken.

use std::fmt;

/// A law that every kind keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// A check changes nothing: neither files, nor their times, nor what the subject observes.
    CheckChangesNothing,
    /// After an apply the check finds nothing; after a change from outside it finds something.
    ApplyThenCheckIsInSync,
    /// What is in sync stays as it is, and a repair leads to the same state as the first apply.
    ApplyTwiceIsApplyOnce,
    /// A change from outside makes the watch speak, each time.
    AnOutsideChangeIsHeard,
    /// In noop, nothing is applied and nothing changes.
    NoopNeverApplies,
    /// An apply that is cancelled at any await leaves something that check and apply can repair.
    CancelledApplyIsRepaired,
}

impl Law {
    /// All, in the order in which they build on one another.
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
            Law::CancelledApplyIsRepaired => "cancelling apply at any await leaves something check repairs",
        })
    }
}

/// A law that a kind does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub law: Law,
    /// The kind.
    pub kind: &'static str,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} breaks the law “{}”: {}", self.kind, self.law, self.seen)
    }
}

impl std::error::Error for Broken {}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The laws that were tried and hold.
    pub kept: Vec<Law>,
    /// Those that do not.
    pub broken: Vec<Broken>,
}
