//! A failed node blocks its descendants, however far below, and says so, and nothing else (section 5.6; S07.6).

use std::collections::BTreeSet;

use mgmt::scheduler::{Command, Event};

use crate::invariant::{Cx, Invariant, Verdict, begun};
use crate::must;

#[derive(Default)]
pub struct Blocked {
    said: BTreeSet<u32>,
}

fn failing_above(cx: &Cx, node: u32) -> Option<u32> {
    let mut stack: Vec<u32> = cx.ledger.parents(node).collect();
    while let Some(node) = stack.pop() {
        if cx.ledger.is_failing(node) {
            return Some(node);
        }
        stack.extend(cx.ledger.parents(node));
    }
    None
}

impl Invariant for Blocked {
    fn name(&self) -> &'static str {
        "blocked"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        if let Some(node) = begun(command)
            && let Some(failed) = failing_above(cx, node)
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
        for &node in cx.ledger.nodes.keys() {
            let is = failing_above(cx, node).is_some();
            must!(
                is == self.said.contains(&node),
                "{node} is {}blocked, but the events say otherwise",
                if is { "" } else { "not " }
            );
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.said.clear();
    }
}
