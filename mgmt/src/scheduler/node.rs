//! What is remembered of each node: its phase, its flags, its counts; and which phase may follow which.

use super::PortSet;

/// Where a node is in its run. The runs of one node never overlap: there is one phase, and one operation number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// The slot is free.
    Absent,
    /// Nothing under way. What it waits for, if anything, follows from its flags and counts.
    Idle,
    /// In the ready queue.
    Queued,
    /// Waits for semaphores.
    Parked,
    /// A check is under way. From here on a slot of the parallel bound is held.
    Checking,
    /// Drifted; the intents are being written, then `Applying`.
    CommitApply,
    /// To be refreshed; the intents are being written, then `Refreshing`.
    CommitRefresh,
    /// An apply is under way.
    Applying,
    /// A refresh is under way.
    Refreshing,
}

impl Phase {
    /// The table of legal moves.
    pub(super) fn may_become(self, next: Phase) -> bool {
        use Phase::*;
        match self {
            Absent => matches!(next, Idle),
            Idle => matches!(next, Queued | Absent),
            Queued => matches!(next, Idle | Parked | Checking | Absent),
            Parked => matches!(next, Idle | Queued | Absent),
            Checking => matches!(next, Idle | CommitApply | CommitRefresh | Applying | Refreshing | Absent),
            CommitApply => matches!(next, Idle | Applying | Absent),
            CommitRefresh => matches!(next, Idle | Refreshing | Absent),
            Applying | Refreshing => matches!(next, Idle | Absent),
        }
    }

    /// Counts against the parallel bound.
    pub(super) fn holds_slot(self) -> bool {
        self >= Phase::Checking
    }

    /// Waits for the journal.
    pub(super) fn commits(self) -> bool {
        matches!(self, Phase::CommitApply | Phase::CommitRefresh)
    }

    /// May be changing the real thing right now.
    pub(super) fn writes(self) -> bool {
        matches!(self, Phase::Applying | Phase::Refreshing)
    }

    /// The runtime works on an operation and will answer.
    pub(super) fn has_op(self) -> bool {
        self == Phase::Checking || self.writes()
    }
}

/// In the graph.
pub(super) const PRESENT: u32 = 1 << 0;
/// Named by the swap under way.
pub(super) const SEEN: u32 = 1 << 1;
/// Never applied.
pub(super) const NOOP: u32 = 1 << 2;
/// The runtime was told to watch, and the watch has not ended.
pub(super) const WATCH_ON: u32 = 1 << 3;
/// The watch listens (or there is none to wait for).
pub(super) const WATCH_READY: u32 = 1 << 4;
/// The watch failed and is not ready again.
pub(super) const WATCH_FAILING: u32 = 1 << 5;
/// An operation failed and none has succeeded since.
pub(super) const OP_FAILING: u32 = 1 << 6;
/// Failed for good.
pub(super) const FAILED: u32 = 1 << 7;
/// In the pause before a further try.
pub(super) const DELAYED: u32 = 1 << 8;
/// Dirty because the watch says so.
pub(super) const DIRTY_WATCH: u32 = 1 << 9;
/// Dirty because the poll is due.
pub(super) const DIRTY_POLL: u32 = 1 << 10;
/// Dirty because what goes into it differs: a parent changed, a value was received, its own fields were swapped.
pub(super) const DIRTY_INPUT: u32 = 1 << 11;
/// Dirty for another reason: new, watch ready, to be tried again.
pub(super) const DIRTY_OTHER: u32 = 1 << 12;
/// At least one edge into it is owed.
pub(super) const OWED: u32 = 1 << 13;
/// The operation under way absorbs owed refreshes.
pub(super) const TAKEN: u32 = 1 << 14;
/// A receiver needs its values made again.
pub(super) const REMAKE: u32 = 1 << 15;
/// The operation under way makes the values again.
pub(super) const REMAKE_TAKEN: u32 = 1 << 16;
/// Has notify edges to children.
pub(super) const NOTIFIES: u32 = 1 << 17;
/// Has edges to children that carry values.
pub(super) const SENDER: u32 = 1 << 18;
/// An apply that failed or was cancelled may have changed something, and nobody was told.
pub(super) const MAYBE: u32 = 1 << 19;
/// The operation under way began before the node was swapped.
pub(super) const STALE: u32 = 1 << 20;
/// The runtime was told to cancel the operation under way.
pub(super) const CANCELLED: u32 = 1 << 21;
/// …because it took too long.
pub(super) const TIMED_OUT: u32 = 1 << 22;
/// The watch caused the run under way.
pub(super) const BY_WATCH: u32 = 1 << 23;
/// Nothing but the poll caused the run under way.
pub(super) const BY_POLL: u32 = 1 << 24;
/// Waits for the rate limit.
pub(super) const LIMITED: u32 = 1 << 25;
/// Waits for senders that it asked to make their values again.
pub(super) const ASKING: u32 = 1 << 26;
/// A noop node that is not as desired.
pub(super) const DRIFTED: u32 = 1 << 27;
/// Cached: settled, as the order sees it.
pub(super) const SETTLED: u32 = 1 << 28;
/// Cached: does not stand in the way of convergence.
pub(super) const CALM: u32 = 1 << 29;
/// Cached: calm only because what it waits for cannot come (a noop sender).
pub(super) const EXCUSED: u32 = 1 << 30;

/// Dirty for any reason.
pub(super) const DIRTY: u32 = DIRTY_WATCH | DIRTY_POLL | DIRTY_INPUT | DIRTY_OTHER;
/// Failed, for good or not.
pub(super) const FAILING: u32 = OP_FAILING | WATCH_FAILING | FAILED;
/// What describes the run under way and ends with it.
pub(super) const RUN: u32 = STALE | CANCELLED | TIMED_OUT | BY_WATCH | BY_POLL;

/// No side record.
pub(super) const NO_RARE: u32 = u32::MAX;

/// One node. Small, because there may be millions: what few nodes need is in a side record (`Rare`).
#[derive(Clone, Debug)]
pub(super) struct NodeData {
    /// The operation under way; while the journal is written, the ticket that is waited for; else 0.
    pub(super) op: u64,
    flags: u32,
    /// Index of its settings.
    pub(super) config: u32,
    /// How many parents are not settled.
    pub(super) unsettled_parents: u32,
    /// How many parents have failed or are blocked themselves.
    pub(super) bad_parents: u32,
    /// How many edges into it carry a value that was never sent.
    pub(super) unsent: u32,
    /// All outputs that it has ever sent.
    pub(super) sent: PortSet,
    /// Its side record, or `NO_RARE`.
    pub(super) rare: u32,
    phase: Phase,
}

impl NodeData {
    /// A free slot.
    pub(super) fn absent() -> NodeData {
        NodeData {
            op: 0,
            flags: 0,
            config: 0,
            unsettled_parents: 0,
            bad_parents: 0,
            unsent: 0,
            sent: PortSet(0),
            rare: NO_RARE,
            phase: Phase::Absent,
        }
    }

    /// At least one of these flags is up.
    pub(super) fn any(&self, mask: u32) -> bool {
        self.flags & mask != 0
    }

    /// All of these flags are up.
    pub(super) fn all(&self, mask: u32) -> bool {
        self.flags & mask == mask
    }

    /// Raises flags.
    pub(super) fn set(&mut self, mask: u32) {
        self.flags |= mask;
    }

    /// Lowers flags.
    pub(super) fn clear(&mut self, mask: u32) {
        self.flags &= !mask;
    }

    /// Raises or lowers flags.
    pub(super) fn put(&mut self, mask: u32, up: bool) {
        if up { self.set(mask) } else { self.clear(mask) }
    }

    /// Lowers all flags but these.
    pub(super) fn keep(&mut self, mask: u32) {
        self.flags &= mask;
    }

    /// Where it is in its run.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Moves on, by the table.
    pub(super) fn go(&mut self, next: Phase) {
        debug_assert!(self.phase.may_become(next), "no way from {:?} to {next:?}", self.phase);
        self.phase = next;
    }

    /// Why it is dirty: some of the `DIRTY_…` flags.
    pub(super) fn causes(&self) -> u32 {
        self.flags & DIRTY
    }

    /// Has failed, or waits for an ancestor that has.
    pub(super) fn is_bad(&self) -> bool {
        self.any(FAILING) || self.bad_parents > 0
    }

    /// There is a reason to run it. A noop node is never refreshed, so a debt alone is none.
    pub(super) fn wants_run(&self) -> bool {
        self.any(DIRTY) || self.is_called()
    }

    /// Others want it run: it is owed a refresh, or its values are needed.
    pub(super) fn is_called(&self) -> bool {
        self.any(REMAKE) || (self.any(OWED) && !self.any(NOOP))
    }
}
