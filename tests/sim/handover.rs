//! What one resource owns in the world outside is never another's before the last operation of the one, and its
//! leaving, have ended.

use mgmt::scheduler::Command;

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::must;

pub struct Handovers;

impl Invariant for Handovers {
    fn name(&self) -> &'static str {
        "handover"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        let Some(node) = begun(command) else { return Ok(()) };
        let Some(owns) = cx.world.graph.nodes.get(&node).and_then(|desired| desired.owns) else { return Ok(()) };
        let other = cx.world.running.iter().find(|running| running.op.node.0 != node && running.owns == Some(owns));
        must!(other.is_none(), "{command:?} while {other:?} of another works on the same");
        let ghost = cx.world.ghosts.iter().find(|(_, owned)| **owned == owns);
        must!(ghost.is_none(), "{command:?} before {ghost:?}, which owned the same, has left");
        Ok(())
    }
}
