//! What goes into the scheduler and what comes out of it.

use std::time::Duration;

use super::{Causes, Tries};
use crate::id::{Generation, JournalOp, Node, Ticket};

/// A set of the outputs (ports) of one resource; output `n` is bit `n`. A kind has at most 32 outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortSet(pub u32);

/// Settings of a whole scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// At most this many runs (a check, and what follows from it) may be under way at once. The runs of one call count
    /// as one. At least 1.
    pub running_max: usize,
    /// At most this many further runs that an event has caused (not the start, a new graph or a further try) may be
    /// under way while runs that have taken longer than `LONG` hold places.
    pub reserve: usize,
    /// At most this many runs may be under way without a place, because they wait for the disk or began to wait for a
    /// thread. Those that wait for the disk keep files open.
    pub yielded_max: usize,
    /// How long every node must have been settled before `Event::Converged`. Zero: as soon as all nodes are.
    pub converged_timeout: Duration,
    /// Watches begin only when something must be repaired, or the run continues after convergence: see `late.rs`.
    pub watch_late: bool,
    /// Seed of the jitter of retry delays.
    pub seed: u64,
    /// Emit the events of single nodes (`Checked` … `Settled`) as commands. If off, only the events of the whole graph
    /// (`Swapped`, `Converged`, `Unconverged`, `Stopped`) are emitted.
    pub node_events: bool,
}

/// How the delay between tries grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backoff {
    /// Always the same delay.
    Constant,
    /// Doubled with each failure in a row, up to `max`; with `jitter`, each delay is drawn evenly from its upper half.
    Exponential {
        /// The longest delay.
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
    /// At most this many tries after the first failure; `None`: no bound. Check/apply and watch count separately. A
    /// success refills the tries (of a watch: see `WATCH_WELL`).
    pub retry: Option<u32>,
    /// Pause before each further try.
    pub delay: Duration,
    /// How that pause grows.
    pub backoff: Backoff,
    /// Check at this interval, whatever the watch reports.
    pub poll: Option<Duration>,
    /// Highest rate of checks caused by watch changes, in checks per second; `None`: no limit.
    pub limit: Option<f64>,
    /// At most this many such checks may come at once before `limit` applies. At least 1.
    pub burst: u32,
    /// An operation that takes longer is cancelled and counts as failed.
    pub timeout: Option<Duration>,
    /// Semaphores held while an operation runs: (number of the semaphore, its size). Taken in order of number, all or
    /// none.
    pub sema: Vec<(u32, u32)>,
    /// The node has a watch: nothing runs before the watch is ready.
    pub watched: bool,
    /// What its watch reports are ticks. To apply one changes nothing by itself, so it is no activity: what comes of it
    /// is.
    pub ticks: bool,
    /// A swap that keeps this node revives it if it has failed for good.
    pub rewatch: bool,
    /// A swap gives the node its tries back, whatever state it is in.
    pub reset: bool,
    /// Once the node has left the graph and its last operation has ended, it is asked to leave. A noop node is not.
    pub leaves: bool,
    /// The same, also if it has not run: what was recorded about it in an earlier run is undone.
    pub undoes: bool,
    /// The graph converges no earlier than this after the node last became calm. `Config::converged_timeout` applies as
    /// well.
    pub converged_timeout: Option<Duration>,
    /// Checks of nodes with the same number that begin together, at most `CALL_MAX`, are one call: until the runs of
    /// all of them have ended they take one place of `Config::running_max`.
    pub together: Option<u32>,
}

/// Most nodes in one call.
pub const CALL_MAX: u32 = 64;

/// A node that is in no graph, but in a record of an earlier run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remains {
    /// The node.
    pub node: Node,
    /// How its undo is tried again if it fails.
    pub tries: Tries,
    /// The longest time of an undo.
    pub timeout: Option<Duration>,
}

/// One node of a new graph.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSpec {
    /// The slot of the node.
    pub node: Node,
    /// The settings of the node: an index into `Swap::configs`.
    pub config: u32,
    /// The operations of the node (by the resource's own fields, or by what it receives) differ from those that ran
    /// under this slot: check it again. Ignored for a new node.
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
    /// `to` receives these outputs of `from`. It waits until each has been sent since `from` was new, got other fields
    /// or received another value.
    pub sends: PortSet,
    /// The journal holds a refresh along this edge that is owed from an earlier run (a debt, or an intent without
    /// outcome). Only honoured if the edge is new to the scheduler.
    pub owed: bool,
}

/// One node has taken over what another was responsible for in the world outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The node that has left the graph, or has changed.
    pub from: Node,
    /// The node that takes over: it starts nothing before the operation under way of `from` has ended and, if `from`
    /// has left the graph, before it has left for good.
    pub to: Node,
}

/// A new graph, whole. Slots not listed are gone. It is valid: no cycle, no dangling edge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Swap {
    /// The number of this graph.
    pub generation: Generation,
    /// The distinct settings.
    pub configs: Vec<NodeConfig>,
    /// All nodes, in the order in which ties are broken.
    pub nodes: Vec<NodeSpec>,
    /// All edges.
    pub edges: Vec<EdgeSpec>,
    /// The nodes that take the place of another. Pairs whose `from` has nothing under way have no effect; pairs of
    /// earlier swaps stay in force.
    pub handovers: Vec<Handover>,
    /// Nodes that are checked and applied together. No node is in two groups, no node of a group comes before another
    /// of it, and no two groups would wait for each other.
    pub groups: Vec<Vec<Node>>,
}

/// One operation of one node. Answers carry it back; an answer with another number than the one under way is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Op {
    /// The node that the operation belongs to.
    pub node: Node,
    /// Unique among all operations of the engine.
    pub number: u64,
}

/// A cause that keeps a node from ending well and that may go away at any time without a further try: no space left, a
/// missing file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Number of the cause. A cause with another number than before is reported, the same one is not reported again.
    pub kind: u8,
    /// The watch of the node reports the end of the cause. A cause whose end no event reports is looked at more often.
    pub announced: bool,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// As desired.
    InSync,
    /// Something to repair; the runtime keeps the drift.
    Drifted,
    /// The check has found drift and has begun to repair it, as permitted (`Command::Check::go_on`): `Applied` follows
    /// under the same number, with all outputs, also those that the check has sent.
    GoesOn,
    /// The check could not look, because it needs a received value of which only the digest is known: these senders
    /// must make the value again.
    Missing(Vec<Node>),
    /// The check could not look, because what the node has received makes it the owner of something that these nodes
    /// have not ended with. The node waits until their operations under way have ended, and until those that have left
    /// the graph have left for good.
    Occupied(Vec<Node>),
    /// The check could not look.
    Failed,
    /// The check could not look, for a cause that the node waits for.
    Waits(Lack),
    /// The check was cancelled (by `Command::Cancel`) before it ended; never counts as a try.
    Cancelled,
}

/// How an apply or a refresh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// The operation changed something.
    Changed,
    /// The operation changed something because an event asked for it (a tick, a line of a command). However often this
    /// happens, it does not mean that an earlier repair was undone.
    ChangedByEvent,
    /// There was nothing to change after all.
    Unchanged,
    /// The operation failed; it may have changed something.
    Failed,
    /// The operation failed for a cause that the node waits for; it may have changed something.
    Waits(Lack),
    /// The operation was cancelled before it ended; it may have changed something.
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

/// What the runtime reports to the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A new graph takes over, by difference.
    Swap(Swap),
    /// The watch of a node listens (again). Marks the node dirty: changes before this were not seen.
    WatchReady(Node),
    /// The watch of a node ended with an error.
    WatchFailed(Node),
    /// The watch of a node ended for a cause that the node waits for.
    WatchWaits(Node, Lack),
    /// The watch of a node reports a change: look again.
    Changed(Node),
    /// All nodes of which the watches of files have noticed a change by now. All are dirty before the first of them is
    /// checked, so that a child waits for a parent that changed with it.
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
        /// Outputs sent with the same value as before.
        again: PortSet,
    },
    /// Nodes of free slots that are in no graph, but in records of earlier runs: they must be undone.
    Remains {
        /// The nodes.
        nodes: Vec<Remains>,
        /// Pairs of them: the first is undone before the second begins. Without a cycle.
        order: Vec<(Node, Node)>,
    },
    /// An apply or a refresh ended.
    Applied {
        /// The operation.
        op: Op,
        /// How it ended.
        outcome: ApplyOutcome,
        /// Outputs with a new value.
        sent: PortSet,
        /// Outputs sent with the same value as before.
        again: PortSet,
    },
    /// A repair or a leave has done its work, and ends, with its run, when the work is on disk; or a check waits for a
    /// thread. The run needs no place any more.
    Yielded(Op),
    /// The leave of a node that has left the graph ended.
    Left {
        /// The operation.
        op: Op,
        /// It ended well.
        well: bool,
    },
    /// A node that has left the graph can't do its leave before other work has ended. It is asked again after
    /// `Recovered`, and its slot is not free before.
    LeaveRefused(Op),
    /// All journal entries up to and including this ticket are on disk.
    Committed(Ticket),
    /// All that the watches had noticed when this look began has been handed over, and so have all looks before it.
    Looked(u64),
    /// The journal could not be written. What waits for the ticket waits until the journal can be written.
    CommitFailed(Ticket),
    /// The earlier work that kept the operations of a node from running has ended. The node has all its tries again,
    /// also if it had failed for good, and is checked. A node that has left the graph is asked to leave.
    Recovered(Node),
    /// Start nothing until `Resume`. Events that arrive meanwhile are kept.
    Pause,
    /// Ends the pause.
    Resume,
    /// Ends all work, as far as the stage states.
    Stop(StopStage),
    /// Time has passed.
    Tick,
}

/// Whether a check may go on to repair what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoOn {
    /// The check only reports what it has found.
    No,
    /// The check may repair it.
    Yes,
    /// The check may repair it if, by the time it has found drift, the watches of files have noticed nothing that was
    /// not handed over before this command, and the kernel has queued nothing.
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
        /// Why the check begins.
        causes: Causes,
        /// Whether the check may repair what it finds at once, without asking: see `CheckOutcome::GoesOn`. Stands until
        /// `Withdraw`.
        go_on: GoOn,
    },
    /// The check may no longer continue with a repair. If the repair has begun, this has no effect.
    Withdraw {
        /// The operation.
        op: Op,
        /// Cancel the check too.
        cancel: bool,
    },
    /// Repair what the check just before found; answer `Applied`.
    Apply {
        /// The operation.
        op: Op,
        /// Why its check began, and which refreshes have come to be owed since.
        causes: Causes,
        /// A refresh is owed too, and is absorbed.
        refresh: bool,
        /// The journal holds that this node owes refreshes if it changes.
        announced: bool,
    },
    /// Nothing has drifted, but a refresh is owed (or a sender must make its values again); answer `Applied`.
    Refresh {
        /// The operation.
        op: Op,
        /// Why its check began, and which refreshes have come to be owed since.
        causes: Causes,
    },
    /// The node has left the graph, and nothing else of it is under way: do the leave of its kind; answer `Left`.
    Leave(Op),
    /// The same for a node that has not run: only undo what earlier runs have recorded; answer `Left`.
    Undo(Op),
    /// Cancel an operation that is under way; it must still be answered (`Cancelled`, or its result).
    Cancel(Op),
    /// Write these entries, in order. With a ticket, a node waits: answer `Committed` or `CommitFailed`. Tickets only
    /// grow.
    Journal {
        /// The ticket that a node waits for.
        ticket: Option<Ticket>,
        /// The entries.
        ops: Vec<JournalOp>,
    },
    /// Before some repairs begin: hand over what the watches have noticed by now, without waiting; then answer
    /// `Looked`. Numbers only grow.
    Look(u64),
    /// A node that left the graph has no operation and no watch any more: its slot may be used again.
    Removed(Node),
    /// Something happened that users or tests may want to see.
    Event(Event),
    /// Everything has ended after a stop.
    Stopped,
}

/// The state of a node, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing to do.
    Settled {
        /// The node is not as desired, but noop.
        drifted: bool,
    },
    /// The watch of the node is not ready yet.
    WaitingForWatch,
    /// The node waits for these parents (at most the first few).
    WaitingForParents(Vec<Node>),
    /// The node waits for a value from these senders.
    WaitingForValue(Vec<Node>),
    /// One of these ancestors has failed (at most the first few).
    Blocked(Vec<Node>),
    /// These nodes, whose place it takes, have not ended.
    WaitingForPredecessor(Vec<Node>),
    /// The node could run; these nodes of its group hold it up: parents of theirs are not settled, or their runs are
    /// under way.
    WaitingForGroup(Vec<Node>),
    /// The node could run; it waits for a worker, a semaphore, or the rate limit.
    Ready,
    /// The runs that its watch causes take more than its share of the time: the node waits until its share allows a
    /// run, or until no other node wants to work. Its children see it as settled.
    Spaced,
    /// An operation is under way (or its journal entry is being written).
    Running,
    /// Failed; will be tried again.
    Retrying,
    /// The node fails only for causes that it waits for.
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
        /// Why the node was checked.
        causes: Causes,
        /// The node is noop and is owed a refresh, which it does not get.
        owed: bool,
    },
    /// A check found drift.
    Drifted {
        /// The node that was checked.
        node: Node,
        /// Why the node was checked.
        causes: Causes,
        /// The drift will not be repaired.
        noop: bool,
    },
    /// An apply ended.
    Applied {
        /// The node that was applied.
        node: Node,
        /// Why its run began.
        causes: Causes,
        /// The apply changed something.
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
        /// The refresh changed something.
        changed: bool,
    },
    /// The leave of a node that has left the graph ended.
    Left {
        /// The node.
        node: Node,
        /// It ended well.
        well: bool,
        /// When its undo is tried again, counted from now; `None`: it is not.
        retry_in: Option<Duration>,
    },
    /// A refresh has become owed.
    Owed {
        /// The parent that changed.
        from: Node,
        /// The node to refresh.
        to: Node,
    },
    /// New values went to a receiver.
    Sent {
        /// The sender.
        from: Node,
        /// The receiver.
        to: Node,
    },
    /// An operation or the watch failed.
    Failed {
        /// The node.
        node: Node,
        /// Why the failed run began; empty if no run failed.
        causes: Causes,
        /// Which of them failed.
        what: Failing,
        /// The pause before the next try; `None` if the node has failed for good.
        retry_in: Option<Duration>,
    },
    /// An operation or the watch failed for a cause that the node waits for: this uses up no try. Emitted once, until
    /// the operation or watch ends well or fails for another cause.
    Waits {
        /// The node.
        node: Node,
        /// Why the failed run began; empty if no run failed.
        causes: Causes,
        /// Which of them failed.
        what: Failing,
    },
    /// An ancestor has failed: this node waits. Emitted each time the node becomes blocked.
    Blocked {
        /// The node that is blocked.
        node: Node,
        /// The parent through which it is blocked.
        by: Node,
    },
    /// The node is no longer blocked.
    Unblocked(Node),
    /// The repairs of a node take more than its share of the time: something else changes the resource too. Emitted
    /// once, until the node has been quiet long enough for its account to be paid off.
    Flapping {
        /// The node.
        node: Node,
        /// The number of repairs…
        repairs: u32,
        /// …in this time.
        within: Duration,
        /// How long the last repair took.
        took: Duration,
        /// While other nodes want to work, repairs of this duration come no more often than this.
        every: Duration,
    },
    /// A new graph is in force.
    Swapped {
        /// The number of the graph.
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
    /// For the converged timeout, no unsettled node has done anything or will by itself: some have failed for good,
    /// wait for a cause, or wait for a value that no sender is going to send, and the others wait for these.
    Hopeless,
    /// The graph is not hopeless any more.
    Hopeful,
}
