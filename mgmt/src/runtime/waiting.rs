//! What a resource waits for: a cause for which an operation or the watch failed and that the outside can remove. The
//! watch listens for its end too; the rule is in the scheduler.

use crate::id::Node;
use crate::resource::{Error, Obstacle};
use crate::runtime::core::Core;
use crate::runtime::watches::{Attention, Problem};
use crate::scheduler::{Input, Lack};

/// Why the operations or the watch of one node do not end well. Few nodes have any of this.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// The last error of an operation.
    pub(crate) error: Option<String>,
    /// The last error of the watch: an operation that ends well does not clear it.
    pub(crate) watch_error: Option<String>,
    /// What the operations wait for.
    pub(crate) op: Option<Awaited>,
    /// What the watch waits for.
    pub(crate) watch: Option<Awaited>,
    /// How often in a row operations found that the system changes under them.
    pub(crate) outdated: u32,
}

impl Trouble {
    /// There is none.
    pub(super) fn is_over(&self) -> bool {
        let has_errors = self.error.is_some() || self.watch_error.is_some();
        !has_errors && self.op.is_none() && self.watch.is_none() && self.outdated == 0
    }
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
        self.slots.make(node).trouble_mut().op = Some(awaited);
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
        if slot.trouble.as_ref().is_some_and(|trouble| trouble.op.is_some() || trouble.watch.is_some()) {
            slot.ease(|trouble| trouble.op = None);
            self.watches.neglect(&mut self.slots, node);
            self.slots.tidy(node);
        }
    }

    /// A watch ended.
    pub(super) fn watch_ended(&mut self, node: Node, problem: Problem) {
        let awaited = problem.obstacle.map(|obstacle| Awaited { obstacle, announced: false });
        let lack = awaited.as_ref().map(Awaited::lack);
        let slot = self.slots.make(node);
        let trouble = slot.trouble_mut();
        (trouble.watch_error, trouble.watch) = (Some(problem.text), awaited);
        self.handle(match lack {
            Some(lack) => Input::WatchWaits(node, lack),
            None => Input::WatchFailed(node),
        });
    }

    /// The cause that a node waits for, that of an operation before that of the watch.
    pub(super) fn awaited(&self, node: Node) -> Option<&Awaited> {
        let trouble = self.slots.get(node)?.trouble.as_ref()?;
        trouble.op.as_ref().or(trouble.watch.as_ref())
    }
}
