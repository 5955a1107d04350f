//! A noop node is never applied and never refreshed (S01.5, section 4).

use mgmt::scheduler::Command;

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

pub struct Noop;

impl Invariant for Noop {
    fn name(&self) -> &'static str {
        "noop"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Command::Apply { op, .. } | Command::Refresh { op, .. } = command {
            must!(!cx.ledger.nodes[&op.node.0].config.noop, "{command:?} of a noop node");
        }
        Ok(())
    }
}
