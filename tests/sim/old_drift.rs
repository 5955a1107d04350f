//! No repair on top of a drift of a parent that was there before: what the kernel had queued when it began has been
//! handed over (section 5.4). Not for a parent that flaps.

use mgmt::scheduler::Command;

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

pub struct OldDrift;

impl Invariant for OldDrift {
    fn name(&self) -> &'static str {
        "old_drift"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        let (Command::Apply { op, .. } | Command::Refresh { op, .. }) = command else { return Ok(()) };
        for parent in cx.ledger.parents(op.node.0) {
            let flaps = cx.ledger.accounts.is_overdrawn(parent, cx.now);
            let unseen = cx.world.unseen.contains(&parent) && !flaps;
            must!(!unseen, "{command:?} although the parent {parent} had changed before, and nobody looked");
        }
        Ok(())
    }
}
