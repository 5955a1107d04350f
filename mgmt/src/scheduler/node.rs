//! The data of each node: its phase, its flags, its counts; and which phase may follow which.

use std::ops::{Index, IndexMut};

pub(super) use super::flags::Flags;
use super::{Cause, Causes, PortSet};
use crate::id::Node;

/// Where a node is in its run. The runs of one node never overlap: there is one phase, and one operation number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// The slot is free.
    Absent,
    /// The node has left the graph and waits to be asked to leave.
    ToLeave,
    /// Nothing is under way. What the node waits for, if anything, follows from its flags and counts.
    Idle,
    /// The node is in the ready queue.
    Queued,
    /// The node waits for semaphores.
    Parked,
    /// A check is under way. From this phase on, the run counts against `running_max`.
    Checking,
    /// The node has drifted; its intents are being written, then `Applying`.
    CommitApply,
    /// The node must be refreshed; its intents are being written, then `Refreshing`.
    CommitRefresh,
    /// The node must be applied, with the others of its group: their checks are not all answered; then `LookApply` or
    /// `Applying`.
    Gathered,
    /// The node must be applied: what the kernel has queued by now is read, then `Applying`.
    LookApply,
    /// The node must be refreshed: what the kernel has queued by now is read, then `Refreshing`.
    LookRefresh,
    /// An apply is under way.
    Applying,
    /// A refresh is under way.
    Refreshing,
    /// The node has left the graph, and its leave is under way.
    Leaving,
}

impl Phase {
    /// All phases, in the order of their numbers.
    const ALL: [Phase; 14] = [
        Phase::Absent,
        Phase::ToLeave,
        Phase::Idle,
        Phase::Queued,
        Phase::Parked,
        Phase::Checking,
        Phase::CommitApply,
        Phase::CommitRefresh,
        Phase::Gathered,
        Phase::LookApply,
        Phase::LookRefresh,
        Phase::Applying,
        Phase::Refreshing,
        Phase::Leaving,
    ];

    /// The number of the phase, shifted to its bits of the node's word.
    const fn bits(self) -> u64 {
        (self as u64) << PHASE_SHIFT
    }

    fn of_bits(word: u64) -> Phase {
        Phase::ALL[(word >> PHASE_SHIFT) as usize]
    }

    /// The table of legal moves.
    pub(super) fn may_become(self, next: Phase) -> bool {
        use Phase::*;
        match self {
            Absent => matches!(next, Idle | ToLeave),
            ToLeave => matches!(next, Leaving | Idle | Absent),
            Idle => matches!(next, Queued | ToLeave | Absent),
            Queued => matches!(next, Idle | Parked | Checking | ToLeave | Absent),
            Parked => matches!(next, Idle | Queued | Absent),
            Checking => matches!(
                next,
                Idle | CommitApply
                    | CommitRefresh
                    | Gathered
                    | LookApply
                    | LookRefresh
                    | Applying
                    | Refreshing
                    | Absent
            ),
            CommitApply => matches!(next, Idle | Gathered | LookApply | Applying | Absent),
            CommitRefresh => matches!(next, Idle | LookRefresh | Refreshing | Absent),
            Gathered => matches!(next, Idle | LookApply | Applying | Absent),
            LookApply => matches!(next, Idle | Applying | Absent),
            LookRefresh => matches!(next, Idle | Refreshing | Absent),
            Applying | Refreshing | Leaving => matches!(next, Idle | Absent),
        }
    }

    /// A node in this phase counts against `running_max`.
    pub(super) fn holds_slot(self) -> bool {
        self >= Phase::Checking
    }

    /// A node in this phase waits for the journal.
    pub(super) fn commits(self) -> bool {
        matches!(self, Phase::CommitApply | Phase::CommitRefresh)
    }

    /// A node in this phase waits until the kernel's queue has been read.
    pub(super) fn looks(self) -> bool {
        matches!(self, Phase::LookApply | Phase::LookRefresh)
    }

    /// The check of the node has found something to do, and no part of that has begun.
    pub(super) fn is_before_repair(self) -> bool {
        self.commits() || self.looks() || self == Phase::Gathered
    }

    /// A node in this phase may be changing the real thing.
    pub(super) fn writes(self) -> bool {
        matches!(self, Phase::Applying | Phase::Refreshing)
    }

    /// The runtime works on an operation and will answer.
    pub(super) fn has_op(self) -> bool {
        self == Phase::Checking || self == Phase::Leaving || self.writes()
    }
}

/// In the graph.
pub(super) const PRESENT: Flags = Flags::bit(0);
/// Named by the swap under way.
pub(super) const SEEN: Flags = Flags::bit(1);
/// Never applied.
pub(super) const NOOP: Flags = Flags::bit(2);
/// A `Command::Watch` was sent, and the watch has not ended.
pub(super) const WATCH_ON: Flags = Flags::bit(3);
/// The watch listens (or there is none to wait for).
pub(super) const WATCH_READY: Flags = Flags::bit(4);
/// The watch failed and is not ready again.
pub(super) const WATCH_FAILING: Flags = Flags::bit(5);
/// An operation failed and none has succeeded since.
pub(super) const OP_FAILING: Flags = Flags::bit(6);
/// Failed for good.
pub(super) const FAILED: Flags = Flags::bit(7);
/// In the pause before a further try.
pub(super) const DELAYED: Flags = Flags::bit(8);
/// Dirty for this cause. (That of `Cause::Remake` is `REMAKE`; a debt is `OWED`, and `DIRTY_REFRESH` only where a swap
/// has found one.)
const fn dirty(cause: Cause) -> Flags {
    Flags::bit(DIRTY_FIRST + cause as u32)
}

/// The dirty flags are next to each other, in the order of the causes.
const DIRTY_FIRST: u32 = 9;
/// New in the graph.
pub(super) const DIRTY_START: Flags = dirty(Cause::Start);
/// The watch reported a change.
pub(super) const DIRTY_WATCH: Flags = dirty(Cause::Watch);
/// The watch has begun to listen.
pub(super) const DIRTY_LISTENING: Flags = dirty(Cause::Listening);
/// The poll is due.
pub(super) const DIRTY_POLL: Flags = dirty(Cause::Poll);
/// A parent changed.
pub(super) const DIRTY_PARENT: Flags = dirty(Cause::Parent);
/// A value was received.
pub(super) const DIRTY_VALUE: Flags = dirty(Cause::Value);
/// The fields of the node were swapped.
pub(super) const DIRTY_CONFIG: Flags = dirty(Cause::Config);
/// The journal holds a refresh that is owed along a new edge.
pub(super) const DIRTY_REFRESH: Flags = dirty(Cause::Refresh);
/// A receiver needs the values of the node made again.
pub(super) const REMAKE: Flags = dirty(Cause::Remake);
/// A try failed.
pub(super) const DIRTY_RETRY: Flags = dirty(Cause::Retry);
/// The previous run gave no result.
pub(super) const DIRTY_AGAIN: Flags = dirty(Cause::Again);
/// A parent has ticked.
pub(super) const DIRTY_TICK: Flags = dirty(Cause::Tick);
/// The metaparameters of the node were swapped: a cause like `DIRTY_CONFIG`, but what a check found stays true.
pub(super) const DIRTY_META: Flags = Flags::bit(47);
/// Cached: the node is not calm, and does something now or will by itself.
pub(super) const MOVING: Flags = Flags::bit(39);
/// The node has left the graph, and will be asked to leave.
pub(super) const LEAVES: Flags = Flags::bit(36);
/// A node whose place this one takes has not ended.
pub(super) const HELD: Flags = Flags::bit(37);
/// The node has run since it came into the graph, or since its last leave: there may be something to leave.
pub(super) const RAN: Flags = Flags::bit(38);
/// A refresh is owed along at least one edge from a parent.
pub(super) const OWED: Flags = Flags::bit(21);
/// The operation under way absorbs owed refreshes.
pub(super) const TAKEN: Flags = Flags::bit(22);
/// The operation under way makes the values again.
pub(super) const REMAKE_TAKEN: Flags = Flags::bit(23);
/// Has notify edges to children.
pub(super) const NOTIFIES: Flags = Flags::bit(24);
/// Has edges to children that carry values.
pub(super) const SENDER: Flags = Flags::bit(25);
/// An apply that failed or was cancelled may have changed something, and no child was notified.
pub(super) const MAYBE: Flags = Flags::bit(26);
/// A parent that does not flap has changed something.
pub(super) const PARENT_NEWS: Flags = Flags::bit(40);
/// The node waits for its share: its children see it as settled.
pub(super) const SPACED: Flags = Flags::bit(41);
/// The check under way may go on to repair what it finds.
pub(super) const STAYS: Flags = Flags::bit(42);
/// …but the permission is withdrawn, unless the repair has begun.
pub(super) const WITHDRAWN: Flags = Flags::bit(43);
/// …and the operation is cancelled, whether it checks or repairs.
pub(super) const CANCELLED_WHOLE: Flags = Flags::bit(44);
/// The operations of the node fail for a cause that it waits for.
pub(super) const WAITS: Flags = Flags::bit(45);
/// The watch of the node fails for a cause that it waits for.
pub(super) const WATCH_WAITS: Flags = Flags::bit(46);
/// The operation under way began before the node was swapped.
pub(super) const STALE: Flags = Flags::bit(27);
/// The operation under way was cancelled by a command.
pub(super) const CANCELLED: Flags = Flags::bit(28);
/// …because it took too long.
pub(super) const TIMED_OUT: Flags = Flags::bit(29);
/// Waits for the rate limit.
pub(super) const LIMITED: Flags = Flags::bit(30);
/// Waits for senders that it asked to make their values again.
pub(super) const ASKING: Flags = Flags::bit(31);
/// A noop node that is not as desired.
pub(super) const DRIFTED: Flags = Flags::bit(32);
/// Cached: the children see the node as settled.
pub(super) const SETTLED: Flags = Flags::bit(33);
/// Cached: the node does not prevent convergence.
pub(super) const CALM: Flags = Flags::bit(34);
/// Cached: calm only because what the node waits for cannot come (a noop sender).
pub(super) const EXCUSED: Flags = Flags::bit(35);

/// What goes into the node has changed: what a check found before does not count any more.
pub(super) const DIRTY_INPUT: Flags = DIRTY_PARENT.and(DIRTY_VALUE).and(DIRTY_CONFIG).and(DIRTY_REFRESH);
/// Dirty for any cause.
pub(super) const DIRTY: Flags = DIRTY_INPUT
    .and(DIRTY_START)
    .and(DIRTY_WATCH)
    .and(DIRTY_LISTENING)
    .and(DIRTY_POLL)
    .and(DIRTY_META)
    .and(DIRTY_RETRY)
    .and(DIRTY_AGAIN)
    .and(DIRTY_TICK);
/// Dirty for what is looked at without being activity, unless something is found.
pub(super) const DIRTY_LOOK: Flags = DIRTY_POLL.and(DIRTY_WATCH).and(DIRTY_TICK);
/// Failed, for good or not.
pub(super) const FAILING: Flags = OP_FAILING.and(WATCH_FAILING).and(FAILED);
/// The flags that describe the run under way and end with it, besides its causes.
pub(super) const RUN: Flags = STALE.and(CANCELLED).and(TIMED_OUT).and(STAYS).and(WITHDRAWN).and(CANCELLED_WHOLE);
/// The flags of the operation under way that are kept when its node leaves or comes back meanwhile.
pub(super) const OF_OP: Flags = CANCELLED.and(STAYS).and(WITHDRAWN).and(CANCELLED_WHOLE);

/// Where the causes begin in a node's word, and where the phase begins.
const CAUSES_SHIFT: u32 = Flags::MAX;
const PHASE_SHIFT: u32 = 60;
const _: () = assert!(CAUSES_SHIFT + Causes::BITS <= PHASE_SHIFT);
/// The bits of the phase.
const PHASE: u64 = !0 << PHASE_SHIFT;
/// The bits of the causes.
const CAUSES: u64 = ((1 << Causes::BITS) - 1) << CAUSES_SHIFT;

/// No side record.
pub(super) const NO_RARE: u32 = u32::MAX;

/// One node. Small, because there may be millions: data that few nodes need is in a side record (`Rare`).
#[derive(Clone, Debug)]
pub(super) struct NodeData {
    /// The operation under way; while the journal is written, the ticket of that write; otherwise 0.
    pub(super) op: u64,
    /// The flags of the node; in the bits above them, the causes of the run under way; above these, the phase.
    word: u64,
    /// Index of the node's settings.
    pub(super) config: u32,
    /// How many parents are not settled.
    pub(super) unsettled_parents: u32,
    /// How many parents have failed or are blocked themselves.
    pub(super) bad_parents: u32,
    /// How many edges from parents carry a value that was not sent.
    pub(super) unsent: u32,
    /// All outputs that the node has sent since its fields or received values last changed.
    pub(super) sent: PortSet,
    /// Index of the side record, or `NO_RARE`.
    pub(super) rare: u32,
}

impl NodeData {
    /// A free slot.
    pub(super) fn absent() -> NodeData {
        NodeData {
            op: 0,
            word: Phase::Absent.bits(),
            config: 0,
            unsettled_parents: 0,
            bad_parents: 0,
            unsent: 0,
            sent: PortSet(0),
            rare: NO_RARE,
        }
    }

    fn flags(&self) -> Flags {
        Flags::from_bits(self.word)
    }

    /// At least one of these flags is up.
    pub(super) fn any(&self, mask: Flags) -> bool {
        self.word & mask.bits() != 0
    }

    /// All of these flags are up.
    pub(super) fn all(&self, mask: Flags) -> bool {
        self.word & mask.bits() == mask.bits()
    }

    /// Raises flags.
    pub(super) fn set(&mut self, mask: Flags) {
        self.word |= mask.bits();
    }

    /// Lowers flags.
    pub(super) fn clear(&mut self, mask: Flags) {
        self.word &= !mask.bits();
    }

    /// Raises or lowers flags.
    pub(super) fn put(&mut self, mask: Flags, up: bool) {
        if up { self.set(mask) } else { self.clear(mask) }
    }

    /// Lowers all flags but these.
    pub(super) fn keep(&mut self, mask: Flags) {
        self.word = self.word & (PHASE | CAUSES) | self.flags().only(mask).bits();
    }

    /// The phase of the node in its run.
    pub(super) fn phase(&self) -> Phase {
        Phase::of_bits(self.word)
    }

    /// Moves to another phase, by the table.
    pub(super) fn go(&mut self, next: Phase) {
        debug_assert!(self.phase().may_become(next), "no way from {:?} to {next:?}", self.phase());
        self.word = self.word & !PHASE | next.bits();
    }

    /// Why the node is dirty: some of the `DIRTY_…` flags.
    pub(super) fn dirt(&self) -> Flags {
        self.flags().only(DIRTY)
    }

    /// The causes of a run that would begin now.
    pub(super) fn reasons(&self) -> Causes {
        let mut causes = Causes::from_bits(self.word >> DIRTY_FIRST);
        if self.any(DIRTY_META) {
            causes = causes | Cause::Config.into();
        }
        if self.any(OWED) && !self.any(NOOP) {
            causes = causes | Cause::Refresh.into();
        }
        causes
    }

    /// Why the run under way began.
    pub(super) fn causes(&self) -> Causes {
        Causes::from_bits(self.word >> CAUSES_SHIFT)
    }

    /// Sets the causes of the run that begins, or clears them when it ends.
    pub(super) fn set_causes(&mut self, causes: Causes) {
        self.word = self.word & !CAUSES | causes.bits() << CAUSES_SHIFT;
    }

    /// The node has failed, or waits for an ancestor that has.
    pub(super) fn is_bad(&self) -> bool {
        self.any(FAILING) || self.bad_parents > 0
    }

    /// There is a reason to run the node. A noop node is never refreshed, so a debt alone is no reason.
    pub(super) fn wants_run(&self) -> bool {
        self.any(DIRTY) || self.is_called()
    }

    /// Other nodes need a run of this one: it is owed a refresh, or its values are needed.
    pub(super) fn is_called(&self) -> bool {
        self.any(REMAKE) || (self.any(OWED) && !self.any(NOOP))
    }
}

/// The nodes by their numbers.
#[derive(Debug, Default)]
pub(super) struct Nodes(Vec<NodeData>);

impl Nodes {
    /// How many slots there are, free ones included.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes room for this number of slots.
    pub(super) fn grow(&mut self, slots: usize) {
        self.0.resize(slots, NodeData::absent());
    }

    /// All numbers, free slots included. Borrows nothing, so that the nodes may be changed meanwhile.
    pub(super) fn numbers(&self) -> impl Iterator<Item = Node> + use<> {
        (0..self.0.len() as u32).map(Node)
    }

    /// The node, if there ever was one with this number.
    pub(super) fn get(&self, node: Node) -> Option<&NodeData> {
        self.0.get(node.index())
    }

    /// All nodes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &NodeData> {
        self.0.iter()
    }

    /// All nodes, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut NodeData> {
        self.0.iter_mut()
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.0.capacity() * size_of::<NodeData>()
    }
}

impl Index<Node> for Nodes {
    type Output = NodeData;

    fn index(&self, node: Node) -> &NodeData {
        &self.0[node.index()]
    }
}

impl IndexMut<Node> for Nodes {
    fn index_mut(&mut self, node: Node) -> &mut NodeData {
        &mut self.0[node.index()]
    }
}
