//! The nodes of a group: their checks begin together, when the parents of all of them are settled; their applies begin
//! when no other check of theirs is under way. Never two calls of one group at once.

use std::collections::BTreeMap;

use mgmt::id::Node;
use mgmt::scheduler::{Command, Input, State};

use crate::invariant::{Cx, Invariant, Verdict};
use crate::must;
use crate::world::Act;

#[derive(Default)]
pub struct Groups {
    /// How many inputs there were.
    turn: u64,
    /// When the last check of each node began, and whether another graph has come since.
    calls: BTreeMap<u32, (u64, bool)>,
    /// Nodes of groups that began to be checked in this turn.
    began: Vec<u32>,
}

/// A value that it waits for will not come: its sender, or the sender of one above it, has kept silent.
fn lacks(cx: &Cx, node: u32) -> bool {
    let above: Vec<u32> = cx.ledger.parents(node).collect();
    above.iter().any(|from| cx.ledger.lacks(*from, node)) || above.into_iter().any(|parent| lacks(cx, parent))
}

/// The node may run as soon as its parents let it: nothing has failed, and nothing else is missing.
fn is_well(cx: &Cx, node: u32) -> bool {
    let state = cx.scheduler.state(Node(node));
    let stuck = matches!(
        state,
        State::Failed | State::Retrying | State::Waiting | State::Blocked(_) | State::WaitingForPredecessor(_)
    );
    !stuck && !lacks(cx, node) && cx.ledger.nodes[&node].asks.is_empty() && !cx.ledger.nodes[&node].occupied
}

impl Invariant for Groups {
    fn name(&self) -> &'static str {
        "groups"
    }

    fn input(&mut self, _: &Cx, input: &Input) -> Verdict {
        self.turn += 1;
        self.began.clear();
        if let Input::Swap(_) = input {
            self.calls.values_mut().for_each(|(_, is_former)| *is_former = true);
        }
        Ok(())
    }

    fn command(&mut self, cx: &Cx, command: &Command) -> Verdict {
        match command {
            Command::Check { op, .. } => {
                let node = op.node.0;
                for mate in cx.world.graph.mates(node) {
                    let busy = cx.ledger.busy.contains_key(&mate);
                    let is_of_call = self.calls.get(&mate) == Some(&(self.turn, false));
                    must!(!busy || is_of_call, "{command:?} while {mate} of its group runs");
                    let under_way = |parent: &u32| cx.ledger.busy.contains_key(parent);
                    let waits = cx.ledger.parents(mate).find(under_way).filter(|_| is_well(cx, mate));
                    must!(waits.is_none(), "{command:?} while {waits:?} runs, a parent of {mate} of its group");
                }
                self.calls.insert(node, (self.turn, false));
                if cx.world.graph.mates(node).next().is_some() {
                    self.began.push(node);
                }
            }
            Command::Apply { op, .. } => {
                let node = op.node.0;
                let call = self.calls.get(&node).filter(|(_, is_former)| !is_former);
                let checks = |mate: &u32| cx.ledger.busy.get(mate).is_some_and(|busy| busy.act == Act::Check);
                let in_call = |mate: &u32| call.is_some() && self.calls.get(mate) == call;
                let other = cx.world.graph.mates(node).find(|mate| in_call(mate) && checks(mate));
                must!(other.is_none(), "{command:?} while the check of {other:?} is under way, of the same call");
                let waits = |mate: &u32| {
                    let parent = cx.ledger.parents(*mate).find(|parent| cx.ledger.busy.contains_key(parent));
                    cx.ledger.nodes[mate].unrepaired && parent.is_some() && is_well(cx, *mate)
                };
                let other = cx.world.graph.mates(node).find(|mate| in_call(mate) && waits(mate));
                must!(
                    other.is_none(),
                    "{command:?} while a parent of {other:?} is looked at, which has drifted with it"
                );
            }
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, cx: &Cx) -> Verdict {
        for node in &self.began {
            for mate in cx.world.graph.mates(*node) {
                let is_limited = cx.ledger.nodes[&mate].config.limit.is_some();
                let is_left = matches!(cx.scheduler.state(Node(mate)), State::WaitingForGroup(_) | State::Ready);
                must!(!is_left || is_limited, "{node} began without {mate} of its group");
            }
        }
        Ok(())
    }

    fn end(&mut self, cx: &Cx) -> Verdict {
        for node in cx.world.graph.groups.iter().flatten().filter(|_| cx.ledger.busy.is_empty()) {
            let state = cx.scheduler.state(Node(*node));
            must!(!matches!(state, State::WaitingForGroup(_)), "{node} waits for its group for good");
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.calls.clear();
    }
}
