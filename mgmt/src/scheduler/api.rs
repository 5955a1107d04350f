//! What goes into the scheduler and what comes out of it.

use std::time::Duration;

use super::Causes;
use crate::id::{Generation, JournalOp, Node, Ticket};

/// A set of the outputs (ports) of one resource; output `n` is bit `n`. A kind has at most 32 outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortSet(pub u32);

/// Settings of a whole scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How many runs (each a check, and what follows from it) may be under way at once; those of one call count as one.
    /// At least 1.
    pub running_max: usize,
    /// How many more may be, of those that an event has caused (not the start, a new graph or a further try), while
    /// runs that have been under way for longer than `LONG` hold places.
    pub reserve: usize,
    /// How many runs may be under way without a place, since they only wait for the disk. Each keeps files open.
    pub yielded_max: usize,
    /// How long every node must have been settled before `Event::Converged`. Zero: as soon as all are.
    pub converged_timeout: Duration,
    /// Watches begin only when something must be repaired, or the run goes beyond its convergence: see `late.rs`.
    pub watch_late: bool,
    /// Seed of the jitter of retry delays.
    pub seed: u64,
    /// Emit the per-node events (`Checked` … `Settled`) as commands. Off, only graph-wide ones (`Swapped`, `Converged`,
    /// `Unconverged`, `Stopped`) are.
    pub node_events: bool,
}

/// How the delay between tries grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backoff {
    /// Always the same delay.
    Constant,
    /// Doubled with each failure in a row, up to `max`; with `jitter`, each delay is drawn evenly from its upper half.
    Exponential {
        /// No delay is longer.
        max: Duration,
        /// Spread the tries of many nodes over time.
        jitter: bool,
    },
}

/// The metaparameters of one node that the scheduler acts upon. Nodes with equal ones share one value.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// Never applied: checked only.
    pub noop: bool,
    /// How many more tries after the first failure; `None`: for ever. Check/apply and watch count separately; a success
    /// refills (of a watch: see `WATCH_WELL`).
    pub retry: Option<u32>,
    /// Pause before each further try.
    pub delay: Duration,
    /// How that pause grows.
    pub backoff: Backoff,
    /// Check every so often, whatever the watch says.
    pub poll: Option<Duration>,
    /// Highest rate of checks caused by watch changes, in checks per second; `None`: no limit.
    pub limit: Option<f64>,
    /// How many such checks may come at once before `limit` bites. At least 1.
    pub burst: u32,
    /// An operation that takes longer is cancelled and counts as failed.
    pub timeout: Option<Duration>,
    /// Semaphores held while an operation runs: (number of the semaphore, its size). Taken in order of number, all or
    /// none.
    pub sema: Vec<(u32, u32)>,
    /// Has a watch: nothing runs before it is ready.
    pub watched: bool,
    /// What its watch reports are ticks. To apply one changes nothing by itself, so it is no activity: what comes of it
    /// is.
    pub ticks: bool,
    /// A swap that keeps this node revives it if it has failed for good.
    pub rewatch: bool,
    /// When it has left the graph, and its last operation has ended, it is asked to leave. A noop node is not.
    pub leaves: bool,
    /// Checks of nodes with the same number that begin together, at most `CALL_MAX`, are one call: until the runs of
    /// all of them have ended they take one place of `Config::running_max`.
    pub together: Option<u32>,
}

/// Most nodes in one call.
pub const CALL_MAX: u32 = 64;

/// One node of a new graph.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSpec {
    /// Its slot.
    pub node: Node,
    /// Its settings: an index into `Swap::configs`.
    pub config: u32,
    /// What its operations do (the resource's own fields, or what it receives) differs from what ran under this slot:
    /// check it again. Ignored for a new node.
    pub changed: bool,
}

/// One edge of a new graph. At most one for each ordered pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeSpec {
    /// The parent: settles first.
    pub from: Node,
    /// The child.
    pub to: Node,
    /// If `from` changes, `to` is owed a refresh.
    pub notify: bool,
    /// `to` receives these outputs of `from`, and waits until all have been sent since `from` was new, had other fields or
    /// received another value.
    pub sends: PortSet,
    /// The journal says that a refresh along this edge is owed from an earlier run (a debt, or an intent without
    /// outcome). Only honoured if the edge is new to the scheduler.
    pub owed: bool,
}

/// What one node was responsible for in the world outside is another's now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// It has left the graph, or has changed.
    pub from: Node,
    /// It takes the place of the other: it starts nothing before the operation under way of the other has ended and, if
    /// that has left the graph, before it has left for good.
    pub to: Node,
}

/// A new graph, whole. Slots not listed are gone. It is valid: no cycle, no dangling edge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Swap {
    /// Which graph this is.
    pub generation: Generation,
    /// The distinct settings.
    pub configs: Vec<NodeConfig>,
    /// All nodes, in the order in which ties are broken.
    pub nodes: Vec<NodeSpec>,
    /// All edges.
    pub edges: Vec<EdgeSpec>,
    /// Who takes whose place. Pairs of which the first has nothing under way mean nothing; those of earlier swaps stay
    /// in force.
    pub handovers: Vec<Handover>,
}

/// One operation of one node. Answers carry it back; an answer with another number than the one under way is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Op {
    /// Of whom.
    pub node: Node,
    /// Unique among all operations of the engine.
    pub number: u64,
}

/// What keeps a node from ending well, and may be over at any time without a further try: space that is used up, a file
/// that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Its number. Another one than before is reported, the same one is not.
    pub kind: u8,
    /// The watch of the node reports when it is over. What no event announces is looked at again more often.
    pub announced: bool,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// As desired.
    InSync,
    /// Something to repair; the runtime keeps what.
    Drifted,
    /// The same, and it has begun to repair that, as it was permitted to (`Command::Check::go_on`): under the same
    /// number, `Applied` follows, with all that the check has sent too.
    GoesOn,
    /// It could not look, because it needs a received value itself of which only the digest is known: these senders
    /// must make it again.
    Missing(Vec<Node>),
    /// It could not look, because what it has received makes it the owner of something that these nodes have not ended
    /// with: it waits until their operations under way have ended, and until those that have left the graph have left
    /// for good.
    Occupied(Vec<Node>),
    /// It could not look.
    Failed,
    /// It could not look, for a cause that it waits for.
    Waits(Lack),
    /// It was cancelled before it ended (by `Command::Cancel`); never counts as a try.
    Cancelled,
}

/// How an apply or a refresh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// It changed something.
    Changed,
    /// The same, and an event asked for it (a tick, a line of a command): nobody undid an earlier repair, however often
    /// it comes.
    ChangedByEvent,
    /// There was nothing to change after all.
    Unchanged,
    /// It failed; it may have changed something.
    Failed,
    /// The same, for a cause that the node waits for.
    Waits(Lack),
    /// It was cancelled before it ended; it may have changed something.
    Cancelled,
}

/// How far a stop has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopStage {
    /// No new work; running applies end, running checks are cancelled.
    Drain,
    /// Running applies and refreshes are cancelled too.
    Cancel,
}

/// What the runtime tells the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A new graph takes over, by difference.
    Swap(Swap),
    /// The watch of a node listens (again). Marks it dirty: what changed before nobody saw.
    WatchReady(Node),
    /// The watch of a node ended with an error.
    WatchFailed(Node),
    /// The same, for a cause that the node waits for.
    WatchWaits(Node, Lack),
    /// The watch of a node says: look again.
    Changed(Node),
    /// The same of several at once, all that the watches of files have noticed by now: all are dirty before the first
    /// of them is checked, so that a child waits for a parent that changed with it.
    ChangedTogether(Vec<Node>),
    /// A check ended; `sent` are the outputs whose value differs from the one sent before, or that were sent for the
    /// first time.
    Checked {
        /// The operation.
        op: Op,
        /// What it found.
        outcome: CheckOutcome,
        /// Outputs with a new value.
        sent: PortSet,
        /// Outputs sent with the value of before.
        again: PortSet,
    },
    /// An apply or a refresh ended.
    Applied {
        /// The operation.
        op: Op,
        /// How.
        outcome: ApplyOutcome,
        /// Outputs with a new value.
        sent: PortSet,
        /// Outputs sent with the value of before.
        again: PortSet,
    },
    /// A repair, or a leave, has done its work, and ends, with its run, when the disk has it: its place is free.
    Yielded(Op),
    /// A node that has left the graph has done what it does then, or could not.
    Left {
        /// The operation.
        op: Op,
        /// It ended well.
        well: bool,
    },
    /// A node that has left the graph can't do what it does then before other work has ended: it is asked again after
    /// `Recovered`, and its slot is not free before.
    LeaveRefused(Op),
    /// All journal entries up to and including this ticket are on disk.
    Committed(Ticket),
    /// What the watches had noticed when the look was begun has been handed over, and so have all looks before it.
    Looked(u64),
    /// The journal could not be written. What waits for the ticket waits until it can be.
    CommitFailed(Ticket),
    /// What kept the operations of a node from running is over (work of an earlier one that had not ended): it has all
    /// its tries again, also if it had failed for good, and is checked. One that has left the graph is asked to leave.
    Recovered(Node),
    /// Start nothing until `Resume`. Events that arrive meanwhile are kept.
    Pause,
    /// Go on.
    Resume,
    /// End.
    Stop(StopStage),
    /// Time has passed.
    Tick,
}

/// Whether a check may go on to repair what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoOn {
    /// It reports what it has found.
    No,
    /// It may.
    Yes,
    /// It may if, when it has found drift, the watches of files have noticed nothing that was not handed over before
    /// this command, and the kernel has queued nothing.
    IfQuiet,
}

/// What the scheduler wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Start watching; answer `WatchReady` or `WatchFailed`.
    Watch(Node),
    /// Stop watching.
    Unwatch(Node),
    /// Look; answer `Checked`.
    Check {
        /// The operation.
        op: Op,
        /// Why.
        causes: Causes,
        /// Whether what it finds may be repaired at once, without asking: see `CheckOutcome::GoesOn`. Until `Withdraw`.
        go_on: GoOn,
    },
    /// The check may not go on any more, unless it has begun to: then this means nothing.
    Withdraw {
        /// The operation.
        op: Op,
        /// Give up the check, too.
        cancel: bool,
    },
    /// Repair what the check just before found; answer `Applied`.
    Apply {
        /// The operation.
        op: Op,
        /// Why its check began, and what has come to be owed since.
        causes: Causes,
        /// A refresh is owed too, and is absorbed.
        refresh: bool,
        /// The journal holds that it owes refreshes if it changes.
        announced: bool,
    },
    /// Nothing has drifted but a refresh is owed (or a sender must make its values again); answer `Applied`.
    Refresh {
        /// The operation.
        op: Op,
        /// Why its check began, and what has come to be owed since.
        causes: Causes,
    },
    /// The node has left the graph, and nothing else of it is under way: do what its kind does then; answer `Left`.
    Leave(Op),
    /// Give up an operation that is under way; it still must be answered (`Cancelled`, or what it came to).
    Cancel(Op),
    /// Write these, in order. With a ticket somebody waits: answer `Committed` or `CommitFailed`. Tickets only grow.
    Journal {
        /// Who waits.
        ticket: Option<Ticket>,
        /// The entries.
        ops: Vec<JournalOp>,
    },
    /// Before some repairs begin: hand over what the watches have noticed by now, without waiting; then answer `Looked`.
    /// Numbers only grow.
    Look(u64),
    /// A node that left the graph has no operation and no watch any more: its slot may be used again.
    Removed(Node),
    /// Something happened that people or tests may want to know.
    Event(Event),
    /// Everything has ended after a stop.
    Stopped,
}

/// Why a node is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing to do. `drifted`: a noop node that is not as desired.
    Settled {
        /// Not as desired, but noop.
        drifted: bool,
    },
    /// Its watch is not ready yet.
    WaitingForWatch,
    /// Waits for these parents (the first few).
    WaitingForParents(Vec<Node>),
    /// Waits for a value from these senders.
    WaitingForValue(Vec<Node>),
    /// One of these ancestors has failed (the first few).
    Blocked(Vec<Node>),
    /// What it takes the place of has not ended: these.
    WaitingForPredecessor(Vec<Node>),
    /// Could run; waits for a worker, a semaphore, or the rate limit.
    Ready,
    /// What its watch causes takes more than its share of the time: waits until that allows it, or until no other node
    /// wants to work. Its children see it settled.
    Spaced,
    /// An operation is under way (or its journal entry is being written).
    Running,
    /// Failed; will be tried again.
    Retrying,
    /// All that fails of it fails for a cause that it waits for.
    Waiting,
    /// Failed for good.
    Failed,
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// A check.
    Check,
    /// An apply.
    Apply,
    /// A refresh.
    Refresh,
    /// The watch.
    Watch,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A check ended in sync.
    InSync {
        /// The node that was checked.
        node: Node,
        /// Why.
        causes: Causes,
        /// It is in noop and owed a refresh, which it does not get.
        owed: bool,
    },
    /// A check found drift; `noop`: which will not be repaired.
    Drifted {
        /// The node that was checked.
        node: Node,
        /// Why.
        causes: Causes,
        /// Will not be repaired.
        noop: bool,
    },
    /// An apply ended.
    Applied {
        /// The node that was applied.
        node: Node,
        /// Why its run began.
        causes: Causes,
        /// It changed something.
        changed: bool,
        /// A refresh was absorbed.
        refreshed: bool,
    },
    /// A refresh ended well.
    Refreshed {
        /// The node that was refreshed.
        node: Node,
        /// Why its run began.
        causes: Causes,
        /// It did something.
        changed: bool,
    },
    /// A node that has left the graph has done what it does then (`well`), or could not.
    Left {
        /// The node.
        node: Node,
        /// It ended well.
        well: bool,
    },
    /// A refresh has become owed.
    Owed {
        /// The notifier.
        from: Node,
        /// The notified.
        to: Node,
    },
    /// New values went to a receiver.
    Sent {
        /// The sender.
        from: Node,
        /// The receiver.
        to: Node,
    },
    /// An operation or the watch failed; `retry_in`: `None` if for good.
    Failed {
        /// The node.
        node: Node,
        /// Why the run that failed began; none, if no run did.
        causes: Causes,
        /// Which of them failed.
        what: Failing,
        /// When it is tried again.
        retry_in: Option<Duration>,
    },
    /// An operation or the watch failed for a cause that the node waits for: it uses up no try. One event until it ends
    /// well, or fails for another cause.
    Waits {
        /// The node.
        node: Node,
        /// Why the run that failed began; none, if no run did.
        causes: Causes,
        /// Which of them failed.
        what: Failing,
    },
    /// An ancestor has failed: this node waits. One event each time it becomes blocked.
    Blocked {
        /// Who.
        node: Node,
        /// The parent through which it is blocked.
        by: Node,
    },
    /// No longer blocked.
    Unblocked(Node),
    /// Its repairs take more than its share of the time: something else changes it too. One event until it has been
    /// quiet for so long that all of them are paid off.
    Flapping {
        /// The node.
        node: Node,
        /// How often it was repaired…
        repairs: u32,
        /// …in this time.
        within: Duration,
        /// How long the last repair took.
        took: Duration,
        /// While other nodes want to work, repairs that take so long come no more often than this.
        every: Duration,
    },
    /// A new graph is in force.
    Swapped {
        /// Which.
        generation: Generation,
        /// Nodes that are new.
        added: u32,
        /// Nodes changed in place.
        changed: u32,
        /// Nodes that left.
        removed: u32,
        /// Nodes left alone.
        kept: u32,
    },
    /// All nodes have been settled for the converged timeout.
    Converged,
    /// A node is not settled any more.
    Unconverged,
    /// For the converged timeout no node that is not settled has done anything or will by itself: some have failed for
    /// good, wait for a cause, or wait for a value that no sender is going to send, and the others wait for these.
    Hopeless,
    /// It is not hopeless any more.
    Hopeful,
}
