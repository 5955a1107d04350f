//! What a resource waits for: a cause for which an operation or its watch failed and that the outside can take away.
//! Its watch listens to that, too; the scheduler has the rule.

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
    /// The watch sees when it is over.
    pub(crate) announced: bool,
}

impl Awaited {
    fn lack(&self) -> Lack {
        Lack { kind: self.obstacle.kind as u8, announced: self.announced }
    }
}

impl Core {
    /// An operation failed with this. What it waits for, if it is a cause that passes.
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

    /// What changed between an operation and the moment from which the watch listens to what it failed for, no event
    /// reports: these are looked at once more.
    pub(super) fn look_at_unattended(&mut self) {
        for node in std::mem::take(&mut self.unattended) {
            self.handle(Input::Changed(node));
        }
    }

    /// An operation ended well: its watch need not listen to more than it asks for.
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

    /// What a node waits for, an operation before its watch.
    pub(super) fn awaited(&self, node: Node) -> Option<&Awaited> {
        let waits_for = self.slots.get(node)?.waits_for.as_ref()?;
        waits_for.op.as_ref().or(waits_for.watch.as_ref())
    }
}
