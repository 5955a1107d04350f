//! Never two operations of one resource at once, also when its slot is used again (section 5.2). Numbers are never used twice.

use mgmt::scheduler::Command;

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

#[derive(Default)]
pub struct OneAtATime {
    last: u64,
}

impl Invariant for OneAtATime {
    fn name(&self) -> &'static str {
        "one_at_a_time"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        match command {
            Command::Check { op, .. }
            | Command::Apply { op, .. }
            | Command::Refresh { op, .. }
            | Command::Leave(op) => {
                let other = cx.world.running.iter().find(|running| running.op.node == op.node);
                must!(other.is_none(), "{command:?} while {other:?} is under way");
                must!(op.number > self.last, "{command:?}: the number was used before");
                self.last = op.number;
            }
            Command::Cancel(op) => {
                must!(cx.world.running(*op).is_some(), "{command:?}: nothing of that number is under way");
                must!(!cx.ledger.busy[&op.node.0].cancelled, "{command:?} twice");
            }
            _ => {}
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.last = 0;
    }
}
