//! What fails for a cause that it waits for uses up no try, is reported once, is looked at as soon as an event comes,
//! and after a while without one (section 5.6).

use std::collections::BTreeMap;

use mgmt::id::{Node, Time};
use mgmt::scheduler::{ANNOUNCED, Command, Event, Failing, State};

use crate::hopeless::is_bad;
use crate::invariant::{Cx, Invariant, Verdict};
use crate::ledger::{Cause, Watch};
use crate::must;

#[derive(Default)]
pub struct Waiting {
    /// The cause that was reported last, of an operation and of the watch, until it is over.
    said: BTreeMap<(u32, bool), u8>,
    /// Since when nothing but time has kept these from being looked at.
    since: BTreeMap<u32, Time>,
}

/// Nothing but its own pause keeps it from being looked at.
fn is_open(cx: &Cx, node: u32) -> bool {
    let entry = &cx.ledger.nodes[&node];
    let held = cx.ledger.paused || cx.ledger.stop.is_some() || !cx.scheduler.is_idle();
    // That a poll is due no input tells.
    let polled = |from: u32| {
        let entry = &cx.ledger.nodes[&from];
        let settled = matches!(cx.scheduler.state(Node(from)), State::Settled { .. });
        (entry.config.poll.is_some() || entry.polled) && !settled
    };
    // It begins with those of its group.
    let holds_up =
        |mate: u32| matches!(cx.scheduler.state(Node(mate)), State::WaitingForWatch | State::WaitingForParents(_));
    !held
        && cx.scheduler.state(Node(node)) == State::Waiting
        && !entry.failing_watch
        && (entry.watch == Watch::Ready || !entry.config.watched)
        && entry.asks.is_empty()
        && entry.config.limit.is_none()
        && !cx.world.graph.mates(node).any(holds_up)
        && !cx.ledger.parents(node).any(polled)
        && cx.ledger.parents(node).all(|from| cx.ledger.is_settled(from) && !cx.ledger.lacks(from, node))
        && !is_bad(cx, node)
        && cx.world.ghosts.is_empty()
}

impl Invariant for Waiting {
    fn name(&self) -> &'static str {
        "waiting"
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        match command {
            Command::Event(Event::Waits { node, what, .. }) => {
                let (entry, is_watch) = (&cx.ledger.nodes[&node.0], *what == Failing::Watch);
                let Some(kind) = (if is_watch { entry.watch_waits } else { entry.waits }) else {
                    return Err(format!("{command:?}, but it waits for nothing"));
                };
                let before = self.said.insert((node.0, is_watch), kind);
                must!(before != Some(kind), "{command:?} twice");
            }
            Command::Removed(node) => self.said.retain(|(said, _), _| *said != node.0),
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        for (&node, entry) in &cx.ledger.nodes {
            for (is_watch, waits) in [(false, entry.waits), (true, entry.watch_waits)] {
                let said = self.said.get(&(node, is_watch)).copied();
                must!(waits.is_none() || said == waits, "{node} waits for {waits:?}, and {said:?} was reported");
                if waits.is_none() {
                    self.said.remove(&(node, is_watch));
                }
            }
            let is_open = is_open(cx, node);
            let woken = entry.causes.contains(&Cause::Watch) && !cx.ledger.accounts.is_overdrawn(node, cx.now);
            must!(!is_open || !woken, "an event asks for a look at {node}, which waits");
            match is_open {
                true => drop(self.since.entry(node).or_insert(cx.now)),
                false => drop(self.since.remove(&node)),
            }
            let since = self.since.get(&node).copied().unwrap_or(cx.now);
            must!(cx.now.since(since) <= 2 * ANNOUNCED.1, "{node} waits since {since:?} without a look");
        }
        self.said.retain(|(node, _), _| cx.ledger.nodes.contains_key(node));
        self.since.retain(|node, _| cx.ledger.nodes.contains_key(node));
        Ok(())
    }

    fn restart(&mut self) {
        *self = Waiting::default();
    }
}
