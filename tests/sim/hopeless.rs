//! Hopeless: reported once when some nodes are not calm and none of these moves, revoked when one does (section 5.6).

use std::collections::BTreeSet;

use mgmt::id::{Node, Time};
use mgmt::scheduler::{Command, Event, Input, State};

use crate::invariant::{Cx, Invariant, Verdict};
use crate::ledger::Cause;
use crate::must;

#[derive(Default)]
pub struct Hopeless {
    /// When last a node moved, all were calm, or there was a pause.
    last: Time,
    /// The same, or a node may have waited for the rate limit.
    last_maybe: Time,
    /// These were so after the last input, and so until the next.
    moved: bool,
    maybe_moved: bool,
    said: bool,
    /// Have left the graph, and can't leave for good before work has ended of which nothing is known.
    held: BTreeSet<u32>,
}

/// A node that keeps the graph from being hopeless, by the plain reading of the rule.
fn moving(cx: &Cx, held: &BTreeSet<u32>, restless: &[u32]) -> Option<u32> {
    let moves = |node: &u32| {
        let entry = &cx.ledger.nodes[node];
        let busy = cx.ledger.busy.contains_key(node) || entry.committing.is_some();
        !cx.ledger.is_held_up(*node)
            && (busy
                || match cx.scheduler.state(Node(*node)) {
                    State::Settled { .. } | State::Failed | State::Blocked(_) => false,
                    State::WaitingForParents(_) | State::WaitingForValue(_) => false,
                    // What it waits for moves, and is looked at for itself.
                    State::WaitingForPredecessor(_) => false,
                    // A pause is over, and it waits for parents or values: these move, or have failed.
                    State::Retrying => !waits_for_others(cx, *node),
                    State::Waiting => !is_bad(cx, *node),
                    State::WaitingForWatch | State::Ready | State::Spaced | State::Running => true,
                    // In the end the group starts, with the others or without.
                    State::WaitingForGroup(_) => true,
                })
    };
    // What must be undone moves by itself: it waits for room, or pauses before its next try.
    let left = cx.world.ghosts.keys().chain(cx.ledger.busy.keys()).chain(&cx.ledger.undone);
    // What waits for others to leave does not move by itself.
    let waits = |node: &u32| cx.ledger.leaves_after.contains_key(node) && !cx.ledger.busy.contains_key(node);
    let left = left.copied().find(|node| !cx.ledger.nodes.contains_key(node) && !held.contains(node) && !waits(node));
    left.or_else(|| restless.iter().copied().find(moves))
}

fn waits_for_others(cx: &Cx, node: u32) -> bool {
    let entry = &cx.ledger.nodes[&node];
    let over = entry.retry_at.is_none_or(|at| at <= cx.now);
    // That a poll is due no input tells.
    let polled = |from: u32| {
        let settled = matches!(cx.scheduler.state(Node(from)), State::Settled { .. });
        cx.ledger.nodes[&from].config.poll.is_some() && !settled
    };
    let unsettled = |from| !cx.ledger.is_settled(from) || polled(from);
    let blocked = cx.ledger.parents(node).any(|from| unsettled(from) || cx.ledger.lacks(from, node));
    let bad = matches!(cx.scheduler.state(Node(node)), State::Retrying) && is_bad(cx, node);
    bad || over && (blocked || entry.occupied || !entry.asks.is_empty()) && !entry.failing_watch
}

/// An ancestor fails.
pub fn is_bad(cx: &Cx, node: u32) -> bool {
    cx.ledger.parents(node).any(|from| cx.ledger.is_failing(from) || is_bad(cx, from))
}

/// A node waits for its parents, and may wait for the rate limit too: no input tells.
fn may_be_limited(cx: &Cx) -> bool {
    cx.ledger.nodes.values().any(|entry| entry.causes.contains(&Cause::Watch) || entry.causes.contains(&Cause::Tick))
}

impl Hopeless {
    fn note(&mut self, now: Time) {
        if self.moved {
            self.last = now;
        }
        if self.maybe_moved {
            self.last_maybe = now;
        }
    }
}

impl Invariant for Hopeless {
    fn name(&self) -> &'static str {
        "hopeless"
    }

    fn input(&mut self, cx: &Cx, input: &Input) -> Verdict {
        match input {
            Input::LeaveRefused(op)
                if cx.ledger.busy.get(&op.node.0).is_some_and(|busy| busy.op == *op)
                    && !cx.ledger.nodes.contains_key(&op.node.0) =>
            {
                self.held.insert(op.node.0);
            }
            Input::Recovered(node) => drop(self.held.remove(&node.0)),
            Input::Swap(swap) => self.held.retain(|held| swap.nodes.iter().all(|spec| spec.node.0 != *held)),
            _ => {}
        }
        self.note(cx.now);
        Ok(())
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        match command {
            Command::Event(Event::Hopeless) => {
                must!(!self.said, "hopeless twice");
                self.said = true;
                must!(!cx.ledger.paused, "hopeless in a pause");
                must!(cx.ledger.stop.is_none(), "hopeless after a stop");
                let waited = cx.now.since(self.last);
                must!(
                    waited >= cx.config.converged_timeout,
                    "hopeless after {waited:?} of {:?}",
                    cx.config.converged_timeout
                );
                let due = self.last.after(cx.config.converged_timeout);
                let unseen = cx.ledger.unseen_under_way(|asked| asked < due);
                let looked_at = |from: u32| cx.ledger.busy.contains_key(&from) && !is_bad(cx, from);
                let waits = |node: &u32| {
                    let waits = matches!(cx.scheduler.state(Node(*node)), State::WaitingForParents(_));
                    waits && !is_bad(cx, *node) && cx.ledger.parents(*node).any(looked_at)
                };
                let held_up = cx.ledger.all_restless().into_iter().find(waits);
                must!(held_up.is_none(), "hopeless, and {held_up:?} waits for a look that is under way");
                must!(unseen.is_none(), "hopeless, and {unseen:?} has been looked at since before {due:?}");
            }
            Command::Event(Event::Hopeful) => {
                must!(self.said, "hopeful, but was not hopeless");
                self.said = false;
            }
            Command::Leave(op) | Command::Undo(op) => drop(self.held.remove(&op.node.0)),
            Command::Removed(node) => drop(self.held.remove(&node.0)),
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        must!(self.said == cx.scheduler.is_hopeless(), "is_hopeless is not what was said");
        if cx.ledger.stop.is_some() {
            return Ok(());
        }
        let (restless, perhaps) = (cx.ledger.all_restless(), cx.ledger.all_perhaps_restless());
        let moves = moving(cx, &self.held, &restless);
        must!(!self.said || !perhaps.is_empty() || !cx.ledger.undone.is_empty(), "hopeless, but all are calm");
        if let (true, Some(node)) = (self.said, moves) {
            return Err(format!("hopeless, but {node} moves: {:?}", cx.ledger.nodes.get(&node)));
        }
        let none = cx.ledger.undone.is_empty();
        self.moved = moves.is_some() || perhaps.is_empty() && none || cx.ledger.paused;
        let perhaps = restless.is_empty() && none || moving(cx, &self.held, &perhaps).is_some();
        self.maybe_moved = self.moved || perhaps || may_be_limited(cx);
        self.note(cx.now);
        let due = self.last_maybe.after(cx.config.converged_timeout) < cx.now;
        // What is under way is let end before: it may be what others wait for.
        must!(
            self.said || !due || cx.scheduler.running() > 0,
            "nothing moves since {:?}, and it is not called hopeless",
            self.last
        );
        Ok(())
    }

    fn restart(&mut self) {
        *self = Hopeless::default();
    }

    fn end(&mut self, _: &Cx) -> Verdict {
        must!(!self.said, "all is well, and it is still called hopeless");
        Ok(())
    }
}
