//! What the engine knows of a node beside its place in the graph: one record, for those nodes that need one. A noop has
//! none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::id::{Node, Time};
use crate::resource::{AnyDrift, AnyResource, Change, Operation, Uid};
use crate::runtime::values::{Output, Receiver};
use crate::runtime::waiting::WaitsFor;
use crate::runtime::watches::Watching;
use crate::scheduler::{Causes, Op};

/// No record.
const NONE: u32 = u32::MAX;

/// What the check of a resource found last.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) changes: Vec<Change>,
    /// Until apply takes it.
    pub(crate) drift: Option<AnyDrift>,
    /// When that check began.
    pub(crate) began: Time,
    /// The resource that was checked.
    pub(crate) resource: Arc<dyn AnyResource>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Check,
    Apply,
    Refresh,
    Leave,
}

impl Action {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Action::Check => "check",
            Action::Apply => "apply",
            Action::Refresh => "refresh",
            Action::Leave => "leave",
        }
    }
}

/// What is under way for a node, beyond one turn of the loop.
#[derive(Debug, Default)]
pub(crate) enum Activity {
    /// Nothing.
    #[default]
    Idle,
    /// An operation in a task of its own.
    Running(Box<RunningOp>),
    /// A check that begins when the watch, which was begun again for what it checks, listens.
    WaitingForWatch(Box<Waiting>),
    /// The system is being changed under the operation: its answer is held back for a moment, and what comes meanwhile
    /// is merged into the check that follows.
    Pausing {
        /// The operation.
        op: Op,
        /// When it began.
        began: Time,
        /// Why.
        causes: Causes,
    },
    /// A check that begins when work of an earlier operation, whose timeout is over, has ended.
    Parked {
        /// The check.
        op: Op,
        /// Since when it waits.
        began: Time,
        /// Why its run began.
        causes: Causes,
    },
}

/// An operation in a task.
#[derive(Debug)]
pub(crate) struct RunningOp {
    pub(crate) op: Op,
    pub(crate) began: Time,
    pub(crate) causes: Causes,
    pub(crate) action: Action,
    pub(crate) operation: Arc<Operation>,
    /// With what it received.
    pub(crate) resource: Arc<dyn AnyResource>,
    /// Until it is used.
    pub(crate) cancel: Option<oneshot::Sender<()>>,
}

/// An operation that was given up and has not ended: no other one of the resource begins.
#[derive(Debug)]
pub(crate) struct Stuck {
    pub(crate) op: Op,
    pub(crate) action: Action,
    /// What it still does, in words.
    pub(crate) doing: String,
    /// What its resource owns: no other resource takes its place meanwhile.
    pub(crate) owns: Vec<Uid>,
    /// The nodes that were refused for it, its own among them, each with its last operation that was.
    pub(crate) refused: BTreeMap<Node, Op>,
    /// The resource has left the graph meanwhile.
    pub(crate) left: bool,
    /// Its grace time is over, and that was reported.
    pub(crate) is_told: bool,
}

impl Stuck {
    /// Why others must wait, in words. `whose`: of the operation.
    pub(crate) fn reason(&self, whose: &str) -> String {
        format!("{whose} {} was given up and has not ended: it is still {}", self.action.word(), self.doing)
    }
}

/// A check that has not begun.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) op: Op,
    /// Since when it waits.
    pub(crate) began: Time,
    pub(crate) causes: Causes,
    pub(crate) resource: Arc<dyn AnyResource>,
}

impl Activity {
    /// The operation under way.
    pub(crate) fn op(&self) -> Option<Op> {
        match self {
            Activity::Idle => None,
            Activity::Running(running) => Some(running.op),
            Activity::WaitingForWatch(waiting) => Some(waiting.op),
            Activity::Pausing { op, .. } | Activity::Parked { op, .. } => Some(*op),
        }
    }

    /// What is under way, for people: what it does now, since when, and why its run began.
    pub(crate) fn under_way(&self) -> Option<(&'static str, Time, Causes)> {
        match self {
            Activity::Idle => None,
            Activity::Running(running) => Some((running.doing().word(), running.began, running.causes)),
            Activity::WaitingForWatch(waiting) => Some(("watch", waiting.began, waiting.causes)),
            Activity::Pausing { began, causes, .. } | Activity::Parked { began, causes, .. } => {
                Some(("wait", *began, *causes))
            }
        }
    }
}

/// The record of one node.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) activity: Activity,
    pub(crate) found: Option<Box<Found>>,
    /// What its operations failed with last.
    pub(crate) error: Option<String>,
    /// The same of its watch: an operation that ends well takes nothing of it back.
    pub(crate) watch_error: Option<String>,
    /// The causes that these wait for.
    pub(crate) waits_for: Option<Box<WaitsFor>>,
    /// How often in a row its operations found that the system is being changed under them.
    pub(crate) outdated: u32,
    /// What it has sent, by port.
    pub(crate) outputs: Vec<Output>,
    /// What it receives.
    pub(crate) receiver: Option<Box<Receiver>>,
    pub(crate) watching: Option<Watching>,
    /// An operation that was given up and has not ended.
    pub(crate) stuck: Option<Box<Stuck>>,
}

impl Slot {
    /// Its operations wait for nothing.
    pub(super) fn forget_op_wait(&mut self) {
        if let Some(waits_for) = &mut self.waits_for {
            waits_for.op = None;
        }
        self.waits_for.take_if(|waits_for| waits_for.watch.is_none());
    }

    /// Its watch waits for nothing.
    pub(super) fn forget_watch_wait(&mut self) {
        if let Some(waits_for) = &mut self.waits_for {
            waits_for.watch = None;
        }
        self.waits_for.take_if(|waits_for| waits_for.op.is_none());
    }

    /// Nothing in it is worth keeping.
    fn is_blank(&self) -> bool {
        matches!(self.activity, Activity::Idle)
            && self.found.is_none()
            && self.error.is_none()
            && self.watch_error.is_none()
            && self.waits_for.is_none()
            && self.outdated == 0
            && self.outputs.is_empty()
            && self.receiver.is_none()
            && self.watching.is_none()
            && self.stuck.is_none()
    }
}

/// All records.
#[derive(Debug, Default)]
pub(crate) struct SlotTable {
    /// The record of each node, or `NONE`; no longer than up to the last node that has needed one.
    index: Vec<u32>,
    records: Vec<Slot>,
    free: Vec<u32>,
    /// The nodes that receive.
    pub(crate) receivers: Vec<Node>,
    /// The nodes for which something is under way.
    busy: BTreeSet<Node>,
    /// The nodes of which an operation was given up and has not ended.
    pub(crate) stuck: Vec<Node>,
}

impl SlotTable {
    fn at(&self, node: Node) -> Option<usize> {
        self.index.get(node.index()).filter(|at| **at != NONE).map(|at| *at as usize)
    }

    /// The record of a node, if it has one.
    pub(crate) fn get(&self, node: Node) -> Option<&Slot> {
        self.at(node).map(|at| &self.records[at])
    }

    /// The same, to be changed. `tidy` follows what empties it.
    pub(crate) fn get_mut(&mut self, node: Node) -> Option<&mut Slot> {
        self.at(node).map(|at| &mut self.records[at])
    }

    /// The record of a node, made if need be.
    pub(crate) fn make(&mut self, node: Node) -> &mut Slot {
        if self.index.len() <= node.index() {
            self.index.resize(node.index() + 1, NONE);
        }
        if self.index[node.index()] == NONE {
            self.index[node.index()] = self.free.pop().unwrap_or_else(|| {
                self.records.push(Slot::default());
                (self.records.len() - 1) as u32
            });
        }
        &mut self.records[self.index[node.index()] as usize]
    }

    /// Gives a record back if nothing in it is worth keeping.
    pub(crate) fn tidy(&mut self, node: Node) {
        if let Some(at) = self.at(node).filter(|at| self.records[*at].is_blank()) {
            self.records[at] = Slot::default();
            self.index[node.index()] = NONE;
            self.free.push(at as u32);
        }
    }

    /// The resource has left: nothing of it stays for the one that gets its slot. (What a slot receives is the graph's,
    /// see `rewire`.)
    pub(crate) fn clear(&mut self, node: Node) {
        self.busy.remove(&node);
        if let Some(slot) = self.get_mut(node) {
            *slot = Slot { receiver: slot.receiver.take(), ..Slot::default() };
            self.tidy(node);
        }
    }

    /// All records, in the order of their nodes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Node, &Slot)> {
        let filled = (0u32..).zip(&self.index).filter(|(_, at)| **at != NONE);
        filled.map(|(node, at)| (Node(node), &self.records[*at as usize]))
    }

    /// Something is under way.
    pub(crate) fn set_activity(&mut self, node: Node, activity: Activity) {
        self.make(node).activity = activity;
        self.busy.insert(node);
    }

    /// The nodes for which something is under way, in their order.
    pub(crate) fn busy(&self) -> impl Iterator<Item = (Node, &Activity)> {
        self.busy.iter().filter_map(|node| Some((*node, &self.get(*node)?.activity)))
    }

    /// Takes what is under way.
    pub(crate) fn take_activity(&mut self, node: Node) -> Activity {
        self.busy.remove(&node);
        let taken = self.get_mut(node).map(|slot| std::mem::take(&mut slot.activity)).unwrap_or_default();
        self.tidy(node);
        taken
    }

    /// It failed with this.
    pub(crate) fn set_error(&mut self, node: Node, error: impl Into<String>) {
        let slot = self.make(node);
        slot.error = Some(error.into());
        slot.forget_op_wait();
    }

    /// It has not failed any more.
    pub(crate) fn clear_error(&mut self, node: Node) {
        if let Some(slot) = self.get_mut(node) {
            slot.error = None;
            self.tidy(node);
        }
    }

    /// What its last check found.
    pub(crate) fn found(&self, node: Node) -> Option<&Found> {
        self.get(node)?.found.as_deref()
    }

    /// Bytes held by the table itself; what the records point to is not counted.
    pub(crate) fn memory(&self) -> usize {
        4 * (self.index.capacity() + self.free.capacity()) + self.records.capacity() * size_of::<Slot>()
    }
}
