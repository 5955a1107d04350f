//! A node runs only when every parent is settled, or in the pause that its share imposes (section 5.1 of the design;
//! R2, S17).

use mgmt::scheduler::Command;

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::must;

pub struct Order;

impl Invariant for Order {
    fn name(&self) -> &'static str {
        "order"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        let Some(node) = begun(command) else { return Ok(()) };
        for parent in cx.ledger.parents(node) {
            must!(
                cx.ledger.is_settled_for_order(parent, cx.now),
                "{command:?} although the parent {parent} is not settled: {:?}",
                cx.ledger.nodes[&parent]
            );
        }
        Ok(())
    }
}
