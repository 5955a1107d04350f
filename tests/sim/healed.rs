//! Once faults cease, everything heals: reality is as desired, and no refresh that became necessary was left out
//! (sections 5.4, 5.5).

use std::collections::BTreeSet;

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;

pub struct Healed;

/// Who waits for what cannot come: a value of a noop sender, or a parent that does.
pub fn stuck(cx: &Cx) -> BTreeSet<u32> {
    let mut stuck = BTreeSet::new();
    // Parents have lower numbers, so they come first.
    for (node, entry) in &cx.ledger.nodes {
        let waits = !entry.asks.is_empty() || !cx.world.has_values(*node);
        if waits || cx.ledger.parents(*node).any(|parent| stuck.contains(&parent)) {
            stuck.insert(*node);
        }
    }
    stuck
}

impl Invariant for Healed {
    fn name(&self) -> &'static str {
        "healed"
    }

    fn end(&mut self, cx: &Cx) -> Verdict {
        must!(cx.world.running.is_empty() || cx.scheduler.running() > 0, "operations are under way that nobody knows");
        let stuck = stuck(cx);
        let idle = |node: &u32| cx.world.graph.nodes[node].config.noop || stuck.contains(node);
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
