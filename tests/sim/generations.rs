//! A drift is applied only if nothing that its check rests on has changed since: neither the fields nor the received
//! values (section 5.10).

use mgmt::scheduler::Command;

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

pub struct Generations;

impl Invariant for Generations {
    fn name(&self) -> &'static str {
        "generations"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Command::Apply { op, .. } = command {
            let node = op.node.0;
            let drift = cx.world.drift.get(&node);
            must!(drift.is_some(), "{command:?}, but no check found drift");
            let found = drift.map(|sample| sample.target);
            must!(found == Some(cx.world.target(node)), "{command:?} of drift that was found for another state");
        }
        Ok(())
    }
}
