//! Sets of flags: of a node, and of an edge. Two types, so that neither is taken for the other or for a number.

use std::ops::BitOr;

/// A set of flags of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u64);

impl Flags {
    /// The largest number of flags: a node keeps other data in the bits above.
    pub(super) const MAX: u32 = 48;

    /// The flag of this number.
    pub(super) const fn bit(number: u32) -> Flags {
        assert!(number < Flags::MAX, "the bits above hold something else");
        Flags(1 << number)
    }

    /// The flags whose bits are set.
    pub(super) const fn from_bits(bits: u64) -> Flags {
        Flags(bits & ((1 << Flags::MAX) - 1))
    }

    /// One bit for each flag.
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// These flags and those.
    pub(super) const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These flags, but not those.
    pub(super) const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Only those of these flags.
    pub(super) const fn only(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }

    /// At least one of those is among these.
    pub(super) const fn any(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// There is no flag.
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        self.and(other)
    }
}

/// A set of flags of one edge. Sixteen fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EdgeFlags(u16);

impl EdgeFlags {
    /// No flag.
    pub(super) const NONE: EdgeFlags = EdgeFlags(0);

    /// The flag of this number.
    pub(super) const fn bit(number: u32) -> EdgeFlags {
        EdgeFlags(1 << number)
    }

    /// These flags and those.
    pub(super) const fn and(self, other: EdgeFlags) -> EdgeFlags {
        EdgeFlags(self.0 | other.0)
    }

    /// These flags, but not those.
    pub(super) const fn without(self, other: EdgeFlags) -> EdgeFlags {
        EdgeFlags(self.0 & !other.0)
    }

    /// At least one of those is among these.
    pub(super) const fn any(self, other: EdgeFlags) -> bool {
        self.0 & other.0 != 0
    }

    /// There is no flag.
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for EdgeFlags {
    type Output = EdgeFlags;

    fn bitor(self, other: EdgeFlags) -> EdgeFlags {
        self.and(other)
    }
}
