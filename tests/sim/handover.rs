//! What one resource owns in the world outside is never another's before the last operation of the one, and its
//! leaving, have ended. One that receives what it owns learns that by a check, which then waits.

use std::collections::BTreeMap;

use mgmt::scheduler::{CheckOutcome, Command, Input, Op};

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::must;

#[derive(Default)]
pub struct Handovers {
    /// The operations that were in the way when its check ended, by node.
    waits: BTreeMap<u32, Vec<Op>>,
}

impl Invariant for Handovers {
    fn name(&self) -> &'static str {
        "handover"
    }

    fn input(&mut self, cx: &Cx, input: &Input) -> Verdict {
        match input {
            Input::Checked { op, outcome: CheckOutcome::Occupied(owners), .. }
                if cx.ledger.busy.get(&op.node.0).is_some_and(|busy| busy.op == *op && !busy.stale) =>
            {
                let ops = cx.world.running.iter().map(|running| running.op).filter(|op| owners.contains(&op.node));
                self.waits.insert(op.node.0, ops.collect());
            }
            Input::Swap(swap) => {
                self.waits.retain(|node, _| swap.nodes.iter().any(|spec| spec.node.0 == *node));
            }
            _ => {}
        }
        Ok(())
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        let Some(node) = begun(command) else { return Ok(()) };
        for op in self.waits.remove(&node).into_iter().flatten() {
            must!(cx.world.running(op).is_none(), "{command:?} although it must wait for {op:?}");
        }
        let Some(desired) = cx.world.graph.nodes.get(&node) else { return Ok(()) };
        let learns = desired.owns_received && matches!(command, Command::Check { .. });
        let Some(owns) = desired.owns.filter(|_| !learns) else { return Ok(()) };
        let other = cx.world.running.iter().find(|running| running.op.node.0 != node && running.owns == Some(owns));
        must!(other.is_none(), "{command:?} while {other:?} of another works on the same");
        let ghost = cx.world.ghosts.iter().find(|(_, owned)| **owned == owns);
        must!(ghost.is_none(), "{command:?} before {ghost:?}, which owned the same, has left");
        Ok(())
    }

    fn restart(&mut self) {
        self.waits.clear();
    }
}
