//! A node is checked for a cause, never because a parent was merely looked at (section 5.3; R2, Q1, S16.4, S17.5).

use mgmt::scheduler::Command;

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

pub struct DirtyByCause;

impl Invariant for DirtyByCause {
    fn name(&self) -> &'static str {
        "dirty_by_cause"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Command::Check { op, .. } = command {
            let entry = &cx.ledger.nodes[&op.node.0];
            let owed = cx.ledger.is_owed(op.node.0) && !entry.config.noop;
            let caused = !entry.causes.is_empty()
                || entry.unrepaired
                || entry.asked
                || owed
                || entry.waits.is_some()
                || entry.config.poll.is_some()
                || entry.polled;
            must!(caused, "{command:?} for no cause");
        }
        Ok(())
    }
}
