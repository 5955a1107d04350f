//! What a resource waits for: a cause for which an operation or the watch failed and that the outside can remove. The
//! watch listens for its end too; the rule is in the scheduler.

use crate::id::Node;
use crate::resource::{Error, Obstacle};
use crate::runtime::core::Core;
use crate::runtime::watches::{Attention, Problem};
use crate::scheduler::{Input, Lack};

/// What the operations and the watch of one node wait for.
#[derive(Debug, Default)]
pub(crate) struct WaitsFor {
    pub(crate) op: Option<Awaited>,
    pub(crate) watch: Option<Awaited>,
}

/// One cause.
#[derive(Clone, Debug)]
pub(crate) struct Awaited {
    pub(crate) obstacle: Obstacle,
    /// The watch sees the end of the cause.
    pub(crate) announced: bool,
}

impl Awaited {
    fn lack(&self) -> Lack {
        Lack { kind: self.obstacle.kind as u8, announced: self.announced }
    }
}

impl Core {
    /// An operation failed with this error. Returns the cause that the node waits for, if the error has one.
    pub(super) fn fails_with(&mut self, node: Node, error: &Error) -> Option<Lack> {
        self.slots.set_error(node, error.to_string());
        let obstacle = error.obstacle()?;
        let attention = match obstacle.seen_at() {
            Some(path) => self.watches.attend(&mut self.slots, node, path),
            None => Attention::Impossible,
        };
        if attention == Attention::New {
            self.unattended.push(node);
        }
        let awaited = Awaited { obstacle, announced: attention != Attention::Impossible };
        let lack = awaited.lack();
        self.slots.make(node).waits_for.get_or_insert_default().op = Some(awaited);
        Some(lack)
    }

    /// Checks some nodes once more: no event reports what changed between a failed operation and the moment from which
    /// the watch listens for the end of its cause.
    pub(super) fn look_at_unattended(&mut self) {
        for node in std::mem::take(&mut self.unattended) {
            self.handle(Input::Changed(node));
        }
    }

    /// An operation ended well: the watch need not listen to more than the resource asks for.
    pub(super) fn waits_no_longer(&mut self, node: Node) {
        let Some(slot) = self.slots.get_mut(node) else { return };
        if slot.waits_for.is_some() {
            slot.forget_op_wait();
            self.watches.neglect(&mut self.slots, node);
            self.slots.tidy(node);
        }
    }

    /// A watch ended.
    pub(super) fn watch_ended(&mut self, node: Node, problem: Problem) {
        let awaited = problem.obstacle.map(|obstacle| Awaited { obstacle, announced: false });
        let lack = awaited.as_ref().map(Awaited::lack);
        let slot = self.slots.make(node);
        slot.watch_error = Some(problem.text);
        match awaited {
            Some(awaited) => slot.waits_for.get_or_insert_default().watch = Some(awaited),
            None => slot.forget_watch_wait(),
        }
        self.handle(match lack {
            Some(lack) => Input::WatchWaits(node, lack),
            None => Input::WatchFailed(node),
        });
    }

    /// The cause that a node waits for, that of an operation before that of the watch.
    pub(super) fn awaited(&self, node: Node) -> Option<&Awaited> {
        let waits_for = self.slots.get(node)?.waits_for.as_ref()?;
        waits_for.op.as_ref().or(waits_for.watch.as_ref())
    }
}
