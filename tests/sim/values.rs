//! A receiver waits until all its values were sent by senders that have not changed since; a receiver that asks for
//! values gets them made again (section 5.3; S02).

use mgmt::scheduler::Command;

use crate::healed::stuck;
use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::must;

pub struct Values;

impl Invariant for Values {
    fn name(&self) -> &'static str {
        "values"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Some(node) = begun(command) {
            must!(
                cx.world.has_values(node),
                "{command:?} although a value was not sent to it by its sender as it is now"
            );
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        for (node, entry) in &cx.ledger.nodes {
            must!(!(entry.asked && entry.config.noop), "{node} is noop and was asked to make values");
        }
        Ok(())
    }

    fn end(&mut self, cx: &Cx) -> Verdict {
        let stuck = stuck(cx);
        for (node, entry) in &cx.ledger.nodes {
            must!(!entry.asked || stuck.contains(node), "{node} was asked for its values and never made them");
        }
        Ok(())
    }
}
