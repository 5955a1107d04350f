//! Never two operations of one resource at once, also when its slot is used again (section 5.2). Numbers are never used
//! twice.

use std::collections::HashSet;

use mgmt::scheduler::{Command, Op};

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

#[derive(Default)]
pub struct OneAtATime {
    last: u64,
    /// Checks that were given up, unless they had gone on: those must be cancelled once more.
    withdrawn: HashSet<Op>,
}

impl Invariant for OneAtATime {
    fn name(&self) -> &'static str {
        "one_at_a_time"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        match command {
            // A check continues with a repair, under its own number.
            Command::Apply { op, .. } if cx.world.running(*op).is_some_and(|running| running.went_on) => {}
            Command::Check { op, .. }
            | Command::Apply { op, .. }
            | Command::Refresh { op, .. }
            | Command::Leave(op)
            | Command::Undo(op) => {
                let other = cx.world.running.iter().find(|running| running.op.node == op.node);
                must!(other.is_none(), "{command:?} while {other:?} is under way");
                must!(op.number > self.last, "{command:?}: the number was used before");
                self.last = op.number;
            }
            Command::Cancel(op) => {
                must!(cx.world.running(*op).is_some(), "{command:?}: nothing of that number is under way");
                must!(!cx.ledger.busy[&op.node.0].cancelled || self.withdrawn.contains(op), "{command:?} twice");
            }
            Command::Withdraw { op, .. } => {
                must!(cx.world.running(*op).is_some(), "{command:?}: nothing of that number is under way");
                self.withdrawn.insert(*op);
            }
            _ => {}
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.last = 0;
        self.withdrawn.clear();
    }
}
