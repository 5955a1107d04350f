//! Once faults cease, everything heals: reality is as desired, and no refresh that became necessary was left out (sections 5.4, 5.5).

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

pub struct Healed;

/// Waits for what cannot come: a value of a noop sender, or a parent that does.
fn is_stuck(cx: &Cx, node: u32) -> bool {
    let asks = !cx.ledger.nodes[&node].asks.is_empty();
    asks || !cx.world.has_values(node) || cx.world.graph.parents(node).any(|parent| is_stuck(cx, parent))
}

impl Invariant for Healed {
    fn name(&self) -> &'static str {
        "healed"
    }

    fn end(&mut self, cx: &Cx) -> Verdict {
        must!(cx.world.running.is_empty() || cx.scheduler.running() > 0, "operations are under way that nobody knows");
        let idle = |node: &u32| cx.world.graph.nodes[node].config.noop || is_stuck(cx, *node);
        for node in cx.world.graph.nodes.keys().filter(|node| !idle(node)) {
            must!(cx.world.is_in_sync(*node), "{node} is not as desired: {:?}", cx.ledger.nodes[node]);
        }
        for edge in cx.world.needs.keys() {
            must!(idle(&edge.1), "{} changed, and {} was never refreshed", edge.0, edge.1);
        }
        for (from, to) in cx.scheduler.owed() {
            must!(idle(&to.0), "still owed: {from:?} to {to:?}");
        }
        for edge in cx.world.graph.edges.iter().filter(|(_, link)| link.notify).map(|(edge, _)| edge) {
            let owed = cx.journal.owes(*edge);
            must!(!owed || idle(&edge.1) || idle(&edge.0), "the journal still owes {edge:?}");
        }
        Ok(())
    }
}
