//! The data of a node besides its place in the graph: one record for each node that needs one. A noop has none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::id::{Node, Time};
use crate::resource::{AnyDrift, AnyResource, Change, Operation, Uid};
use crate::runtime::values::{Output, Receiver};
use crate::runtime::waiting::Trouble;
use crate::runtime::watches::Watching;
use crate::scheduler::{Causes, Op};

/// No record.
const NONE: u32 = u32::MAX;

/// What the last check of a resource found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) changes: Vec<Change>,
    /// `None` after apply has taken it.
    pub(crate) drift: Option<AnyDrift>,
    /// When the check began.
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
    /// Nothing is under way.
    #[default]
    Idle,
    /// An operation in its own task.
    Running(Box<RunningOp>),
    /// A check that begins when the watch, which was restarted for what it checks, listens.
    WaitingForWatch(Box<Waiting>),
    /// The system changes under the operation: its answer is held back for a moment, and events that arrive meanwhile
    /// are merged into the check that follows.
    Pausing(Box<Held>),
    /// A check that begins when work of an earlier operation, whose timeout is over, has ended.
    Parked(Box<Held>),
}

/// An operation that is held up.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) op: Op,
    /// When the operation began, or began to wait.
    pub(crate) began: Time,
    /// Why its run began.
    pub(crate) causes: Causes,
}

/// An operation in a task.
#[derive(Debug)]
pub(crate) struct RunningOp {
    pub(crate) op: Op,
    pub(crate) began: Time,
    pub(crate) causes: Causes,
    pub(crate) action: Action,
    pub(crate) operation: Arc<Operation>,
    /// `None` after it was used.
    pub(crate) cancel: Option<oneshot::Sender<()>>,
}

/// An operation that was given up and has not ended: no other operation of the resource begins.
#[derive(Debug)]
pub(crate) struct Stuck {
    pub(crate) op: Op,
    pub(crate) action: Action,
    /// What the operation still does, in words.
    pub(crate) doing: String,
    /// What its resource owns: no other resource takes its place meanwhile.
    pub(crate) owns: Vec<Uid>,
    /// The nodes that were refused because of it, its own among them, each with the last operation that was refused.
    pub(crate) refused: BTreeMap<Node, Op>,
    /// The resource has left the graph meanwhile.
    pub(crate) left: bool,
    /// The grace time of the operation is over, and this was reported.
    pub(crate) is_told: bool,
}

impl Stuck {
    /// Why others must wait, in words. `whose` names the owner of the operation.
    pub(crate) fn reason(&self, whose: &str) -> String {
        format!("{whose} {} was given up and has not ended: it is still {}", self.action.word(), self.doing)
    }
}

/// A check that has not begun.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) op: Op,
    /// When the check began to wait.
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
            Activity::Pausing(held) | Activity::Parked(held) => Some(held.op),
        }
    }

    /// What is under way, for users: the action, when it began, and why its run began.
    pub(crate) fn under_way(&self) -> Option<(&'static str, Time, Causes)> {
        match self {
            Activity::Idle => None,
            Activity::Running(running) => Some((running.doing().word(), running.began, running.causes)),
            Activity::WaitingForWatch(waiting) => Some(("watch", waiting.began, waiting.causes)),
            Activity::Pausing(held) | Activity::Parked(held) => Some(("wait", held.began, held.causes)),
        }
    }
}

/// The record of one node.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) activity: Activity,
    pub(crate) found: Option<Box<Found>>,
    pub(crate) trouble: Option<Box<Trouble>>,
    /// What the resource has sent, by port.
    pub(crate) outputs: Vec<Output>,
    /// What the resource receives.
    pub(crate) receiver: Option<Box<Receiver>>,
    pub(crate) watching: Option<Watching>,
    /// An operation that was given up and has not ended.
    pub(crate) stuck: Option<Box<Stuck>>,
}

impl Slot {
    /// The trouble of the node, to be added to.
    pub(crate) fn trouble_mut(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    /// Takes some of the trouble away.
    pub(crate) fn ease(&mut self, change: impl FnOnce(&mut Trouble)) {
        if let Some(trouble) = &mut self.trouble {
            change(trouble);
        }
        self.trouble.take_if(|trouble| trouble.is_over());
    }

    /// The record holds nothing worth keeping.
    fn is_blank(&self) -> bool {
        matches!(self.activity, Activity::Idle)
            && self.found.is_none()
            && self.trouble.as_ref().is_none_or(|trouble| trouble.is_over())
            && self.outputs.is_empty()
            && self.receiver.is_none()
            && self.watching.is_none()
            && self.stuck.is_none()
    }
}

/// All records.
#[derive(Debug, Default)]
pub(crate) struct SlotTable {
    /// The record of each node, or `NONE`; ends at the last node that has needed a record.
    index: Vec<u32>,
    records: Vec<Slot>,
    free: Vec<u32>,
    /// The nodes that receive.
    pub(crate) receivers: Vec<Node>,
    /// The nodes for which something is under way.
    busy: BTreeSet<Node>,
    /// The nodes with an operation that was given up and has not ended.
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

    /// The record of a node, if it has one, to be changed. If the change may empty it, `tidy` must follow.
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
                if self.records.len() == self.records.capacity() {
                    // Room for twice as many would often stay empty.
                    self.records.reserve_exact(self.records.len() / 8 + 16);
                }
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

    /// The resource has left: nothing of it stays for the next resource in its slot. (The wirings of a slot belong to
    /// the graph, see `rewire`.)
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

    /// Sets what is under way.
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

    /// The node failed with this error.
    pub(crate) fn set_error(&mut self, node: Node, error: impl Into<String>) {
        let trouble = self.make(node).trouble_mut();
        (trouble.error, trouble.op) = (Some(error.into()), None);
    }

    /// The node no longer fails.
    pub(crate) fn clear_error(&mut self, node: Node) {
        if let Some(slot) = self.get_mut(node) {
            slot.ease(|trouble| trouble.error = None);
            self.tidy(node);
        }
    }

    /// What the last check of the node found.
    pub(crate) fn found(&self, node: Node) -> Option<&Found> {
        self.get(node)?.found.as_deref()
    }

    /// Bytes held by the table itself; what the records point to is not counted.
    pub(crate) fn memory(&self) -> usize {
        4 * (self.index.capacity() + self.free.capacity()) + self.records.capacity() * size_of::<Slot>()
    }
}
