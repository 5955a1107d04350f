//! A receiver waits until all its values were sent once; who asks for values gets them made again (section 5.3; S02).

use std::collections::BTreeMap;

use mgmt::id::Time;
use mgmt::scheduler::Command;

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::must;

#[derive(Default)]
pub struct Values {
    /// Since when each asked sender could have begun, and did not.
    idle: BTreeMap<u32, Time>,
}

impl Invariant for Values {
    fn name(&self) -> &'static str {
        "values"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Some(node) = begun(command) {
            must!(cx.world.has_values(node), "{command:?} although a value was never sent to it");
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        let asked = cx.ledger.nodes.iter().filter(|(_, entry)| entry.asked).map(|(node, _)| *node);
        let asked: Vec<u32> = asked.collect();
        self.idle.retain(|node, _| asked.contains(node));
        for node in asked {
            must!(!cx.ledger.nodes[&node].config.noop, "{node} is noop and was asked to make values");
            self.idle.entry(node).or_insert(cx.now);
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.idle.clear();
    }

    fn end(&mut self, cx: &Cx) -> Verdict {
        must!(self.idle.is_empty(), "asked for their values and never made them: {:?} at {:?}", self.idle, cx.now);
        Ok(())
    }
}
