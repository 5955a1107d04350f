//! Why a run began: a set of causes, kept from its check to its end.

use std::fmt;
use std::ops::BitOr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a resource is checked. A run has at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Cause {
    /// The resource is new in the graph, or the engine has just started.
    Start,
    /// The watch of the resource reported a change.
    Watch,
    /// The watch of the resource has begun to listen: no watch saw what changed before that.
    Listening,
    /// The poll of the resource was due.
    Poll,
    /// A parent has changed something.
    Parent,
    /// The resource received a new value.
    Value,
    /// The fields, wires or metaparameters of the resource differ from those of the graph before.
    Config,
    /// The resource is owed a refresh: something that notifies it has changed.
    Refresh,
    /// A receiver needs values of the resource that are not known any more: the resource must make them again.
    Remake,
    /// An earlier try, of an operation or of the watch, failed or was given up.
    Retry,
    /// The previous run gave no result, through no fault of the resource: it was cancelled or outdated, or what it
    /// rested on changed meanwhile.
    Again,
    /// A parent has ticked, as a `timer` does: nothing is different for it.
    Tick,
}

impl Cause {
    /// All causes, in their order.
    pub const ALL: &'static [Cause] = &[
        Cause::Start,
        Cause::Watch,
        Cause::Listening,
        Cause::Poll,
        Cause::Parent,
        Cause::Value,
        Cause::Config,
        Cause::Refresh,
        Cause::Remake,
        Cause::Retry,
        Cause::Again,
        Cause::Tick,
    ];

    /// The name of the cause, as in data.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Start => "start",
            Cause::Watch => "watch",
            Cause::Listening => "listening",
            Cause::Poll => "poll",
            Cause::Parent => "parent",
            Cause::Value => "value",
            Cause::Config => "config",
            Cause::Refresh => "refresh",
            Cause::Remake => "remake",
            Cause::Retry => "retry",
            Cause::Again => "again",
            Cause::Tick => "tick",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of causes. As data, a list of words in their order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Causes(u16);

impl Causes {
    /// How many bits a set needs.
    pub(super) const BITS: u32 = Cause::ALL.len() as u32;

    /// No cause.
    pub const NONE: Causes = Causes(0);

    /// The causes whose bits are set: bit `n` is the cause of number `n`.
    pub(super) const fn from_bits(bits: u64) -> Causes {
        Causes((bits & ((1 << Causes::BITS) - 1)) as u16)
    }

    /// One bit for each cause.
    pub(super) const fn bits(self) -> u64 {
        self.0 as u64
    }

    /// The cause is in this set.
    pub const fn contains(self, cause: Cause) -> bool {
        self.0 & (1 << cause as u8) != 0
    }

    /// The set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All causes of the set, in their order.
    pub fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL.iter().copied().filter(move |cause| self.contains(*cause))
    }
}

impl From<Cause> for Causes {
    fn from(cause: Cause) -> Causes {
        Causes(1 << cause as u8)
    }
}

impl BitOr for Causes {
    type Output = Causes;

    fn bitor(self, other: Causes) -> Causes {
        Causes(self.0 | other.0)
    }
}

impl FromIterator<Cause> for Causes {
    fn from_iter<T: IntoIterator<Item = Cause>>(causes: T) -> Causes {
        causes.into_iter().fold(Causes::NONE, |all, cause| all | cause.into())
    }
}

impl fmt::Debug for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The words, separated by commas.
impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, cause) in self.iter().enumerate() {
            write!(f, "{}{cause}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Serialize for Causes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Cause::word))
    }
}

/// A word that this version does not know is left out.
impl<'de> Deserialize<'de> for Causes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Causes, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        let known = |word: &String| Cause::ALL.iter().copied().find(|cause| cause.word() == word);
        Ok(words.iter().filter_map(known).collect())
    }
}
