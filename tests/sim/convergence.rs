//! Converged: all nodes settled for the timeout, not in a pause; a failed, retrying or blocked node does not converge (section 5.8; R13).

use mgmt::id::Time;
use mgmt::scheduler::{Command, Event};

use crate::invariant::{Cx, Invariant, Verdict};
use crate::ledger::Cause;
use crate::must;

#[derive(Default)]
pub struct Convergence {
    /// When last something was known not to be settled, or there was a pause.
    last: Time,
    said: bool,
}

fn restless(cx: &Cx) -> Option<u32> {
    // The books do not know polls: a node that is dirty for no other cause is not seen as such.
    cx.ledger.nodes.keys().copied().find(|node| {
        let entry = &cx.ledger.nodes[node];
        let polled = entry.config.poll.is_some()
            && entry.causes.is_empty()
            && !entry.unrepaired
            && cx.ledger.busy.contains_key(node);
        !polled && !cx.ledger.is_calm(*node)
    })
}

impl Invariant for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        match command {
            Command::Event(Event::Converged) => {
                must!(!self.said, "converged twice");
                self.said = true;
                must!(!cx.ledger.paused, "converged in a pause");
                must!(cx.ledger.swapped, "converged without a graph");
                let waited = cx.now.since(self.last);
                let enough = cx.ledger.nodes.is_empty() || waited >= cx.config.converged_timeout;
                must!(enough, "converged after {waited:?} of {:?}", cx.config.converged_timeout);
                if let Some(node) = restless(cx) {
                    return Err(format!("converged, but {node} is not settled: {:?}", cx.ledger.nodes[&node]));
                }
            }
            Command::Event(Event::Unconverged) => {
                must!(self.said, "unconverged, but was not converged");
                self.said = false;
            }
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        must!(self.said == cx.scheduler.is_converged(), "is_converged is not what was said");
        let dirty = |node: &u32| cx.ledger.nodes[node].causes.contains(&Cause::Watch);
        if restless(cx).is_some() || cx.ledger.paused {
            self.last = cx.now;
        }
        if self.said
            && let Some(node) = cx.ledger.nodes.keys().find(|node| dirty(node))
        {
            return Err(format!("{node} is dirty, and still it is said to be converged"));
        }
        Ok(())
    }

    fn restart(&mut self) {
        *self = Convergence::default();
    }

    fn end(&mut self, cx: &Cx) -> Verdict {
        must!(self.said, "it does not converge; not settled: {:?}", restless(cx));
        Ok(())
    }
}
