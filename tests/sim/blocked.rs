//! A failed node blocks all its descendants and no other nodes, with an event for each (section 5.6; S07.6).

use std::collections::{BTreeMap, BTreeSet};

use mgmt::scheduler::{Command, Event};

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::must;

#[derive(Default)]
pub struct Blocked {
    said: BTreeSet<u32>,
}

/// The nodes with a failed ancestor, and one such ancestor each.
fn blocked(cx: &Cx) -> BTreeMap<u32, u32> {
    let mut blocked = BTreeMap::new();
    // Parents have lower numbers, so they come first.
    for &node in cx.ledger.nodes.keys() {
        let mut above = cx.ledger.parents(node);
        let by = above.find_map(|parent| match cx.ledger.is_failing(parent) {
            true => Some(parent),
            false => blocked.get(&parent).copied(),
        });
        if let Some(by) = by {
            blocked.insert(node, by);
        }
    }
    blocked
}

impl Invariant for Blocked {
    fn name(&self) -> &'static str {
        "blocked"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Some(node) = begun(command)
            && let Some(failed) = blocked(cx).get(&node)
        {
            return Err(format!("{command:?} although {failed} above it has failed"));
        }
        match command {
            Command::Event(Event::Blocked { node, .. }) => {
                must!(self.said.insert(node.0), "{node:?} was said to be blocked twice");
            }
            Command::Event(Event::Unblocked(node)) => {
                must!(self.said.remove(&node.0), "{node:?} was said to be unblocked, but not to be blocked");
            }
            Command::Removed(node) => {
                self.said.remove(&node.0);
            }
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        self.said.retain(|node| cx.ledger.nodes.contains_key(node));
        let blocked: BTreeSet<u32> = blocked(cx).into_keys().collect();
        must!(blocked == self.said, "blocked are {blocked:?}, but the events say {:?}", self.said);
        Ok(())
    }

    fn restart(&mut self) {
        self.said.clear();
    }
}
